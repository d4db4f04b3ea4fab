"""Whether a control plane works: what is proved, what is late, what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MalformedError,
    MeshError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import ready

from ...support.access import Restricted, granted_by
from ...support.arguments import validated
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

Obj = dict[str, Any]
PROOFS = ["istiod and 1 gateways rolled out", "CRDs established", "webhooks fail closed", "istiod answers"]
PART_OF = {"app.kubernetes.io/part-of": "istio"}


def deployment(name: str, namespace: str = "istio-system", *, available: int = 1) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": available,
        },
    }


def crd(name: str, established: str = "True", labels: Mapping[str, str] | None = None) -> Obj:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": dict(PART_OF if labels is None else labels)},
        "status": {"conditions": [{"type": "Established", "status": established}]},
    }


def webhook(kind: str, rev: str = "default", *, policy: str = "Fail", bundle: str = "Q0E=") -> Obj:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": f"{kind.lower()}-{rev}", "labels": {"istio.io/rev": rev}},
        "webhooks": [{"name": "x.istio.io", "failurePolicy": policy, "clientConfig": {"caBundle": bundle}}],
    }


def pod(name: str, rev: str = "default", *, phase: str = "Running", namespace: str = "istio-system") -> Obj:
    labels = {"app": "istiod", "istio.io/rev": rev}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "status": {"phase": phase},
    }


def cluster_with(*more: Obj, without: Sequence[tuple[str, str]] = (), rev: str = "default") -> FakeCluster:
    """A control plane that works, and ``more`` in place of objects of the same name."""
    cluster = FakeCluster(
        deployment("istiod" if rev == "default" else f"istiod-{rev}"),
        deployment("istio-ingressgateway"),
        crd("gateways"),
        webhook("Validating", rev),
        webhook("Mutating", rev),
        pod("istiod-a", rev),
        *more,
    )
    for kind, name in without:
        namespace = "istio-system" if kind in ("Deployment", "Pod") else ""
        cluster.remove(kind, name, namespace)
    cluster.on_ask = lambda *_call: "ready"
    return cluster


def run(
    cluster: FakeCluster, *, check: bool = False, context: Mapping[str, Any] | None = None, **params: Any
) -> Obj:
    checked = validated(ready.ARGUMENT_SPEC, {"host": "https://api", **params})
    surroundings = Context(
        check_mode=check, connect=reaching(cluster), **{"clock": FakeClock(), **(context or {})}
    )
    return ready.run(checked, surroundings)


def late(cluster: FakeCluster, **params: Any) -> list[str]:
    """What check mode says is late; a wait says the same when its time is over."""
    result = run(cluster, check=True, **params)
    assert (result["status"], result["changed"]) == ("cannot tell", False)
    assert result["reason"] == "; ".join(result["checks"])
    clock = FakeClock()
    with pytest.raises(WaitTimeout) as caught:
        run(cluster, context={"clock": clock}, timeout=7, **params)
    assert caught.value.last_seen == result["reason"]
    assert 1_000_007 <= clock.time < 1_000_009
    return list(result["checks"])


class TestProof:
    @pytest.mark.parametrize("check", [False, True])
    def test_a_control_plane_that_works(self, check: bool) -> None:
        """In check mode, nothing was listed as proved beside a ``pass``."""
        cluster, clock = cluster_with(), FakeClock()
        result = run(cluster, check=check, context={"clock": clock})
        assert result == {"changed": False, "status": "pass", "reason": "", "checks": PROOFS}
        assert (clock.time, cluster.writes, cluster.dry_runs) == (1_000_000.0, [], [])

    def test_a_control_plane_of_a_revision_in_another_namespace(self) -> None:
        place = "mesh"
        cluster = FakeCluster(
            deployment("istiod-r1", place),
            deployment("edge", "outside"),
            deployment("inner", place),
            crd("gateways"),
            webhook("Validating", "r1"),
            webhook("Mutating", "r1"),
            pod("istiod-r1-a", "r1", namespace=place),
        )
        asked = []
        cluster.on_ask = lambda *call: asked.append(call) or "ready"
        gateways = [{"name": "edge", "namespace": "outside"}, {"name": "inner"}]
        result = run(cluster, namespace=place, revision="r1", gateways=gateways)
        assert (result["status"], result["checks"][0]) == ("pass", "istiod and 2 gateways rolled out")
        assert asked == [(place, "istiod-r1-a", 8080, "/ready")]

    def test_the_rights_of_the_table_are_enough(self) -> None:
        client: Any = Restricted(cluster_with(), granted_by("parts/istio.yaml"))
        assert run(client)["status"] == "pass"
        assert client.refused == set()

    def test_it_waits_until_everything_is_there(self) -> None:
        cluster, clock, told = cluster_with(crd("gateways", "False")), FakeClock(), []
        clock.at(20, lambda: cluster.put(crd("gateways")) and None)
        result = run(cluster, context={"clock": clock, "progress": told.append}, timeout=30)
        assert (result["status"], result["checks"]) == ("pass", PROOFS)
        assert 1_000_020 <= clock.time <= 1_000_023
        assert told[0] == (
            "waiting for the control plane istiod: CustomResourceDefinition gateways is not Established"
        )

    def test_a_wait_that_is_too_long_says_what_is_late(self) -> None:
        cluster = cluster_with(crd("gateways", "False"))
        with pytest.raises(WaitTimeout) as caught:
            run(cluster, timeout=30)
        assert str(caught.value) == (
            "the control plane istiod: not there after 30 s; last seen: "
            "CustomResourceDefinition gateways is not Established"
        )

    def test_a_stop_ends_the_wait(self) -> None:
        clock = FakeClock()
        with pytest.raises(ApiError) as caught:
            run(
                cluster_with(crd("x", "False")),
                context={"clock": clock, "stop": lambda: clock.time > 1e6 + 4},
            )
        assert caught.value.reason == "Interrupted"
        assert clock.time < 1_000_006

    def test_bad_options_are_named_by_their_variables(self) -> None:
        with pytest.raises(InputError, match="istio_revision"):
            run(cluster_with(), revision="Not A Label")


class TestNotInstalled:
    def test_check_mode_cannot_tell(self) -> None:
        cluster = cluster_with(without=[("Deployment", "istiod")])
        assert run(cluster, check=True) == {
            "changed": False, "status": "cannot tell", "reason": "not installed", "checks": [],
        }  # fmt: skip
        assert [call.verb for call in cluster.calls] == ["get"]

    def test_a_run_fails_at_once(self) -> None:
        clock = FakeClock()
        with pytest.raises(MeshError) as caught:
            run(cluster_with(without=[("Deployment", "istiod")]), context={"clock": clock})
        assert str(caught.value) == "Deployment istio-system/istiod does not exist"
        assert clock.time == 1_000_000.0

    def test_another_revision_is_not_this_one(self) -> None:
        assert run(cluster_with(), check=True, revision="r1")["reason"] == "not installed"
        assert run(cluster_with(rev="r1"), check=True, revision="default")["reason"] == "not installed"


class TestLate:
    def test_istiod_is_not_rolled_out(self) -> None:
        cluster = cluster_with(deployment("istiod", available=0))
        assert late(cluster) == ["Deployment istio-system/istiod: 0 of 1 updated replicas available"]
        assert not [call for call in cluster.calls if call.verb == "ask"]

    def test_an_image_that_cannot_be_pulled_is_named(self) -> None:
        """It was told as `0 of 1 updated replicas available`, whatever the pod said."""
        sick = deployment("istiod", available=0)
        sick["spec"]["selector"] = {"matchLabels": {"app": "istiod"}}
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "istiod-y", "namespace": "istio-system", "labels": {"app": "istiod"}},
            "spec": {"containers": [{"name": "discovery"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "discovery", "state": waiting}]},
        }
        cluster = cluster_with(sick)
        cluster.put(pod)
        assert late(cluster) == [
            "Deployment istio-system/istiod: 0 of 1 updated replicas available; "
            "Pod istiod-y: discovery: ImagePullBackOff no such image"
        ]

    def test_gateways_are_not_rolled_out_or_not_there(self) -> None:
        cluster = cluster_with(deployment("edge", "outside", available=0))
        gateways = [{"name": "edge", "namespace": "outside"}, {"name": "gone"}]
        assert late(cluster, gateways=gateways) == [
            "Deployment outside/edge: 0 of 1 updated replicas available",
            "Deployment istio-system/gone does not exist",
        ]
        assert run(cluster, gateways=[])["checks"][0] == "istiod and 0 gateways rolled out"

    def test_crds(self) -> None:
        assert late(cluster_with(without=[("CustomResourceDefinition", "gateways")])) == [
            "no CustomResourceDefinition of Istio exists"
        ]
        cluster = cluster_with(crd("a", "False"), crd("b"), crd("c", "Unknown"), crd("foreign", "False", {}))
        assert late(cluster) == [
            "CustomResourceDefinition a is not Established",
            "CustomResourceDefinition c is not Established",
        ]

    @pytest.mark.parametrize(
        ("changed", "sentence"),
        [
            (
                webhook("Validating", bundle=""),
                "webhook x.istio.io of validating-default has no CA bundle",
            ),
            (webhook("Mutating", bundle=""), "webhook x.istio.io of mutating-default has no CA bundle"),
            (
                webhook("Validating", policy="Ignore"),
                "webhook x.istio.io of validating-default has failurePolicy Ignore",
            ),
        ],
    )
    def test_webhooks_that_are_not_armed(self, changed: Obj, sentence: str) -> None:
        assert late(cluster_with(changed)) == [sentence]

    @pytest.mark.parametrize("kind", ["Validating", "Mutating"])
    @pytest.mark.parametrize("webhooks", [[], None])
    def test_a_configuration_that_holds_no_webhook(self, kind: str, webhooks: Any) -> None:
        """It passed for armed."""
        name = f"{kind.lower()}-default"
        assert late(cluster_with({**webhook(kind), "webhooks": webhooks})) == [
            f"{kind}WebhookConfiguration {name} holds no webhook"
        ]

    @pytest.mark.parametrize("kind", ["Validating", "Mutating"])
    def test_webhooks_that_are_missing_or_of_another_revision(self, kind: str) -> None:
        gone = [(f"{kind}WebhookConfiguration", f"{kind.lower()}-default")]
        assert late(cluster_with(webhook(kind, "other"), without=gone)) == [
            f"no {kind}WebhookConfiguration of revision default exists"
        ]
        gone = [(f"{kind}WebhookConfiguration", f"{kind.lower()}-r1")]
        assert late(cluster_with(webhook(kind), rev="r1", without=gone), revision="r1") == [
            f"no {kind}WebhookConfiguration of revision r1 exists"
        ]

    def test_webhooks_of_another_revision_are_its_own_affair(self) -> None:
        assert run(cluster_with(webhook("Validating", "other", bundle="")))["status"] == "pass"

    def test_everything_that_is_late_is_told_at_once(self) -> None:
        cluster = cluster_with(
            deployment("istiod", available=0), crd("gateways", "False"), webhook("Mutating", bundle="")
        )
        assert [sentence.split()[0] for sentence in late(cluster)] == [
            "Deployment",
            "CustomResourceDefinition",
            "webhook",
        ]

    @pytest.mark.parametrize("phase", ["Pending", "Failed", "Succeeded", ""])
    def test_no_pod_of_istiod_runs(self, phase: str) -> None:
        cluster = cluster_with(
            pod("istiod-a", phase=phase), pod("istiod-b", "other"), pod("c", namespace="x")
        )
        assert late(cluster) == ["no pod of istiod runs"]


class TestAnswers:
    def answers(self, *failing: str, answer: Any) -> FakeCluster:
        cluster = cluster_with(pod("istiod-b"), pod("istiod-c", phase="Pending"))

        def on_ask(_namespace: str, name: str, *_rest: Any) -> PodAnswer:
            if name not in failing:
                return PodAnswer(200, "")
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, PodAnswer)
            return answer

        cluster.on_ask = on_ask
        return cluster

    def test_every_pod_is_asked(self) -> None:
        answer = PodAnswer(503, f"\nnot {'x' * 300}\n")
        assert late(self.answers("istiod-b", answer=answer)) == [
            f"istiod-b does not answer /ready: HTTP 503, not {'x' * 196}"
        ]
        assert len(late(self.answers("istiod-a", "istiod-b", answer=answer))) == 2

    def test_one_that_cannot_be_asked_is_asked_again(self) -> None:
        lost = ApiError("the connection was lost", status=0)
        gone = ApiError("pod not found", status=404)
        for error in (lost, gone):
            assert late(self.answers("istiod-a", answer=error)) == [
                f"istiod-a cannot be asked: {error.message}"
            ]

    def test_one_that_hangs_is_asked_again(self) -> None:
        """The wait ended with it at once, and so did check mode."""
        hangs = WaitTimeout("no end in time", awaited="x", last_seen="still running")
        assert late(self.answers("istiod-b", answer=hangs)) == [
            "istiod-b does not answer /ready: no end in time"
        ]

    @pytest.mark.parametrize(
        "error",
        [
            ApiError("not logged in", status=401),
            ApiError("forbidden", status=403),
            ApiError("interrupted", reason="Interrupted"),
        ],
    )
    def test_what_no_waiting_mends_is_told_at_once(self, error: ApiError) -> None:
        for check in (True, False):
            clock = FakeClock()
            with pytest.raises(ApiError) as caught:
                run(self.answers("istiod-a", answer=error), check=check, context={"clock": clock})
            assert caught.value is error
            assert clock.time == 1_000_000.0

    def test_they_have_ten_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = []
        plain = FakeCluster.ask_pod

        def noted(self: FakeCluster, *call: Any, **options: Any) -> PodAnswer:
            seconds.append(options["timeout"])
            return plain(self, *call, **options)

        monkeypatch.setattr(FakeCluster, "ask_pod", noted)
        run(cluster_with())
        assert seconds == [10]


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment",
        "CustomResourceDefinition",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "Pod",
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_may_not_be_read_is_no_verdict(kind: str, check: bool) -> None:
    cluster = cluster_with()
    cluster.forbidden = {kind}
    with pytest.raises(ApiError) as caught:
        run(cluster, check=check)
    assert caught.value.status == 403


def test_a_pod_of_another_shape_is_told() -> None:
    with pytest.raises(MalformedError, match="Pod istio-system/istiod-b: status is str, not a mapping"):
        run(cluster_with({**pod("istiod-b"), "status": "Running"}))
