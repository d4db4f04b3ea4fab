"""A catalogue from its text to the cluster: what is written, kept, refused, proved and told."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    InputError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.secret import secret_object
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    ReleaseRecord,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import ApplyOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh import apply, barrier
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.cluster_guard import (
    ClusterGuard,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.options import MeshOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.report import (
    Laggard,
    PropagationReport,
)

from ...support.catalogues import minimal
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from ...support.deployed import kube_service, pod, shop
from ...support.journals import journal_object

PROVED = PropagationReport("pass", 3, 3, 1.25)
LATE = PropagationReport("fail", 1, 3, 9.0, laggards=(Laggard("shop/web-1", ("route api",)),))
DARK = PropagationReport("cannot tell", 0, 3, 2.0, unreadable=(Laggard("shop/web-1", ("no answer",)),))
OPTIONS = MeshOptions(
    ApplyOptions(), wait=True, wait_timeout=7.0, max_proxies=5, strict_guard="warn", cluster_check="off"
)


class Proof:
    """Answers ``prove`` with one report after the other, the last one for ever; keeps what was asked."""

    def __init__(self, *reports: PropagationReport) -> None:
        self.reports, self.asked = list(reports), []

    def __call__(self, _client: Any, facts: Any, **options: Any) -> PropagationReport:
        self.asked.append(({fact.subject for fact in facts}, options))
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]


class Run:
    """One cluster, on which catalogues are applied one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        self.clock, self.warnings, self.lines = FakeClock(), [], []
        self.patch = monkeypatch
        self.proof = Proof(PROVED)

    def __call__(
        self,
        raw: dict[str, Any] | None = None,
        *extra: dict[str, Any],
        proof: Proof | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        self.proof = proof or Proof(PROVED)
        self.patch.setattr(barrier, "prove", self.proof)
        self.warnings.clear()
        context = Context(clock=self.clock, warn=self.warnings.append, progress=self.lines.append)
        chosen: Any = dataclasses.replace(OPTIONS, **options)
        files = [(obj, f"team.yml:{number}") for number, obj in enumerate(extra, 1)]
        return apply.apply_mesh(self.cluster, raw or minimal(), files, chosen, context)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


def with_v3() -> dict[str, Any]:
    raw = minimal()
    raw["mesh_services"][1]["versions"] = {"v1": {}, "v3": {}}
    return raw


def test_a_mesh_is_made_and_then_left_alone(run: Run) -> None:
    first = run()
    assert first["changed"]
    assert first["notes"] == []
    assert [item["check"] for item in first["findings"]] == ["cluster", "strict_guard", "analyze"]
    assert first["summary"] == [
        "13 created",
        "cuts long streams of shop/api, shop/web when their proxies have drained "
        "(PeerAuthentication shop/default and 3 more change; 45 s unless drainDuration says otherwise)",
        "3 proxies that matter hold the change, the last after 1.2 s",
    ]
    assert first["summary"][1] in run.lines, "said before it is written"
    assert {name for entry in first["streams"] for name in entry["of"]} == {"shop/api", "shop/web"}
    second = run()
    assert not second["changed"]
    assert second["summary"] == ["13 unchanged"]
    assert second["findings"] == []
    assert "propagation" not in second
    assert run.proof.asked == []


def test_a_catalogue_that_the_cluster_contradicts_is_refused_before_the_first_write(run: Run) -> None:
    for obj in shop():
        run.cluster.put(obj)
    run.cluster.remove("Service", "api", "shop")
    for options in ({}, {"apply": ApplyOptions(), "wait": False}):
        with pytest.raises(InputError, match="there is no Service shop/api: its callers would get no answer"):
            run(cluster_check="refuse", **options)
    assert run.cluster.writes == []
    assert run.proof.asked == []


@pytest.mark.parametrize(
    ("mode", "status", "reason"),
    [("off", "off", ""), ("warn", "cannot tell", "nothing would change"),
     ("refuse", "cannot tell", "nothing would change")],
)  # fmt: skip
def test_a_comparison_that_was_not_made_says_why(mode: str, status: str, reason: str) -> None:
    options: Any = SimpleNamespace(cluster_check=mode)
    nothing: Any = None
    found = ClusterGuard(nothing, nothing, [], options, Context()).as_result()
    assert found == {"check": "cluster", "status": status, "reason": reason, "findings": []}


def test_check_mode_refuses_what_the_run_refuses(run: Run) -> None:
    run.cluster.put(kube_service("api", selector={"app": "apis"}))
    run.cluster.put(kube_service("web"))
    run.cluster.put(pod("api", labels={"app": "apis", "version": "v1"}))
    context = Context(check_mode=True, clock=run.clock, warn=run.warnings.append)
    options = dataclasses.replace(OPTIONS, cluster_check="refuse")
    with pytest.raises(InputError, match="app=api selects none of the 1 pods behind Service shop/api"):
        apply.apply_mesh(run.cluster, minimal(), (), options, context)
    # The gateway that an earlier part of the run may install is no reason.
    run.cluster.put(kube_service("api"))
    run.cluster.put(pod("api", labels={"app": "api", "version": "v1"}))
    run.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    result = apply.apply_mesh(run.cluster, minimal(), (), options, context)
    assert result["findings"][0]["status"] == "cannot tell"


def test_nothing_is_proved_of_a_service_that_is_not_deployed_yet(run: Run) -> None:
    for obj in shop():
        run.cluster.put(obj)
    run.cluster.remove("Service", "api", "shop")
    result = run(cluster_check="refuse", not_deployed=("api",))
    assert result["changed"]
    asked = {subject for subjects, _options in run.proof.asked for subject in subjects}
    assert "VirtualService shop/web-routes" in asked
    assert "VirtualService shop/api-routes" not in asked
    assert "DestinationRule shop/api" not in asked
    assert result["findings"][0] == {"check": "cluster", "status": "pass", "reason": "", "findings": []}


def test_a_cluster_check_that_warns_goes_on(run: Run) -> None:
    for obj in shop():
        run.cluster.put(obj)
    run.cluster.remove("Service", "api", "shop")
    assert run(cluster_check="warn")["findings"][0]["status"] == "fail"
    assert [text for text in run.warnings if text.startswith("catalogue and cluster: mesh_services[1].name")]


def test_the_proof_is_asked_with_the_options_of_the_run(run: Run) -> None:
    result = run()
    assert any("VirtualService shop/api-routes" in subjects for subjects, _options in run.proof.asked)
    _subjects, options = run.proof.asked[-1]
    assert options["timeout"] == 7.0
    assert options["max_proxies"] == 5
    assert options["root_namespace"] == "istio-system" == options["istio_namespace"]
    assert options["since"] == run.clock.time
    assert result["propagation"]["status"] == "pass"
    assert list(result["propagation"]["steps"].values()) == [1.25] * len(run.proof.asked)
    step = next(iter(result["propagation"]["steps"]))
    assert f"{step}: 3 proxies that matter hold the change, the last after 1.2 s" in run.lines


def test_without_wait_only_the_steps_between_are_proved(run: Run) -> None:
    run()
    assert list(run(with_v3(), wait=False)["propagation"]["steps"]) == ["expand"]
    assert list(run()["propagation"]["steps"]) == ["expand", "contract"]


def test_a_late_proxy_ends_the_run(run: Run) -> None:
    run()
    with pytest.raises(WaitTimeout, match="proxy shop/web-1 is late: route api"):
        run(with_v3(), proof=Proof(LATE))


def test_a_step_that_nobody_can_prove_is_refused_before_the_next_one(run: Run) -> None:
    run()
    with pytest.raises(RefusedError) as caught:
        run(with_v3(), proof=Proof(DARK))
    said = (
        "step expand is written, but nothing proves that the proxies hold it: "
        "after 2 s proxy shop/web-1 cannot be read: no answer"
    )
    assert str(caught.value) == (
        f"{said}; the next step would risk running calls (option unproved: warn goes on)"
    )
    assert caught.value.rule == "unproved"
    assert caught.value.details["step"] == "expand"


def test_a_step_that_nobody_can_prove_may_be_warned_about(run: Run) -> None:
    run()
    result = run(with_v3(), proof=Proof(DARK, PROVED), unproved="warn")
    assert run.warnings[0].startswith("step expand is written, but nothing proves")
    assert result["propagation"]["status"] == "cannot tell"
    assert len(result["propagation"]["steps"]) > 1


def test_the_last_step_needs_no_proof_to_be_written(run: Run) -> None:
    run()
    result = run(with_v3(), proof=Proof(PROVED, DARK))
    assert result["changed"]
    assert result["propagation"]["status"] == "cannot tell"
    assert run.warnings == []


def test_the_report_that_counts_is_the_last_one_that_is_no_pass(run: Run) -> None:
    run()
    later = dataclasses.replace(PROVED, seconds=4.0)
    result = run(with_v3(), proof=Proof(PROVED, later))
    assert result["propagation"]["seconds"] == 4.0
    assert list(result["propagation"]["steps"].values())[:2] == [1.25, 4.0]


@pytest.mark.parametrize("name", ["", "shop"])
def test_the_mesh_may_be_named(run: Run, name: str) -> None:
    assert run(mesh_name=name)["changed"]


def test_another_name_is_refused(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        run(mesh_name="other")
    said = "mesh_name: is 'other', but the catalogue's mesh_name is 'shop' (mesh-name)"
    assert [str(problem) for problem in caught.value.problems] == [said]
    assert run.cluster.writes == []


def own(name: str, kind: str = "DestinationRule") -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"host": f"{name}.example.com"},
    }


def test_services_of_one_account_are_told_in_every_run(run: Run) -> None:
    raw = minimal()
    for item in raw["mesh_services"]:
        item["service_account"] = "everybody"
    for _again in range(2):
        run(raw)
        told = [text for text in run.warnings if "shared-account" in text]
        assert len(told) == 1
        assert told[0].startswith("mesh_services[0]: shop/web, shop/api run as one ServiceAccount")
    run()
    assert not any("shared-account" in text for text in run.warnings)


def test_a_team_s_own_objects_belong_to_the_mesh(run: Run) -> None:
    run(None, own("extra"))
    made = run.cluster.find("DestinationRule", "extra", "shop")
    assert made is not None
    assert made["metadata"]["labels"]["app.kubernetes.io/part-of"] == "shop"
    run(None, prune=True)
    assert run.cluster.find("DestinationRule", "extra", "shop") is None


def test_what_other_parts_keep_under_the_mesh_s_name_is_not_pruned_beside_files_of_its_kind(run: Run) -> None:
    """A team's Secret makes all Secrets of the mesh be looked at, those of its gateways included."""

    def secret(name: str, **data: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}

    run(None, secret("settings"), secret("more"))
    served = secret_object("shop", "shop-tls", {"tls.crt": b"x"}, mesh="shop")
    run.cluster.apply(served)
    result = run(None, secret("settings"), prune=True)
    assert [item["id"] for item in result["objects"]] == ["Secret shop/more"]
    assert run.cluster.find("Secret", "shop-tls", "shop") is not None
    run(None, secret("settings"), absent=True)
    assert [obj["metadata"]["name"] for obj in run.cluster.of_kind("Secret")] == ["shop-tls"]


def test_objects_without_a_namespace_go_to_that_of_the_option(run: Run) -> None:
    run.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "back"}})
    run(None, own("extra"), apply=ApplyOptions(namespace="back"))
    assert run.cluster.find("DestinationRule", "extra", "back") is not None


def test_what_the_catalogue_computes_must_not_come_from_a_file(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        run(None, own("api"), own("extra"))
    assert [str(problem) for problem in caught.value.problems] == [
        "team.yml:1 of DestinationRule shop/api: is computed by the catalogue and also described here "
        "(duplicate-object)"
    ]


def test_a_gateway_of_the_gateway_api_is_another_one_and_an_older_version_is_not() -> None:
    def gateway(version: str) -> dict[str, Any]:
        return {"apiVersion": version, "kind": "Gateway", "metadata": {"name": "public", "namespace": "shop"}}

    computed, places = [gateway("networking.istio.io/v1")], {"Gateway shop/public": "team.yml:1"}
    apply._check_overlap(computed, [gateway("gateway.networking.k8s.io/v1")], places)
    with pytest.raises(InputError):
        apply._check_overlap(computed, [gateway("networking.istio.io/v1beta1")], places)


def smaller() -> dict[str, Any]:
    raw = minimal()
    raw["mesh_services"] = raw["mesh_services"][:1]
    return raw


def test_what_left_the_catalogue_stays_unless_it_is_pruned(run: Run) -> None:
    run()
    assert "deleted" not in run(smaller())["summary"][0]
    assert run.cluster.find("VirtualService", "api-routes", "shop") is not None
    assert "5 deleted" in run(smaller(), prune=True)["summary"][0]
    assert run.cluster.find("VirtualService", "api-routes", "shop") is None


@pytest.mark.parametrize("prune", [False, True])
def test_routes_of_a_running_rollout_are_left_alone(run: Run, prune: bool) -> None:
    run()
    journal = journal_object()
    journal["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    run.cluster.put(journal)
    raw = minimal()
    raw["mesh_services"][1]["timeout"] = "9s"
    result = run(raw, prune=prune)
    assert result["notes"] == ["shop/api: held by run-7, its routes are left alone"]
    assert result["counts"]["held"] == 1
    (held,) = [item for item in result["objects"] if item["action"] != "unchanged"]
    assert held == {"id": "VirtualService shop/api-routes", "action": "held by run-7"}
    routes = run.cluster.find("VirtualService", "api-routes", "shop")
    assert routes is not None
    assert "timeout" not in routes["spec"]["http"][0]


def test_routes_of_a_running_rollout_are_not_pruned_with_its_service(run: Run) -> None:
    """All versions would get requests, the one that nobody has judged as well."""
    run()
    journal = journal_object(state="awaiting_approval")
    journal["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    run.cluster.put(journal)
    said = r"left the catalogue whose rollouts have not ended: shop/api \(run run-7\); put them back"
    with pytest.raises(RefusedError, match=said):
        run(smaller(), prune=True)
    assert run.cluster.find("VirtualService", "api-routes", "shop") is not None
    run(smaller())
    for text in (journal_object(state="finished", outcome="split")["data"]["journal"], "{"):
        run.cluster.put({**journal, "data": {"journal": text}})
        run(smaller(), prune=True)
    assert run.cluster.find("VirtualService", "api-routes", "shop") is None


def test_a_version_that_is_about_to_get_requests_needs_pods_and_a_rollout_s_split_is_its_own(
    run: Run,
) -> None:
    for obj in shop():
        run.cluster.put(obj)
    run(cluster_check="refuse")
    labels = {"app.kubernetes.io/managed-by": "servicemesh.istio", "app.kubernetes.io/part-of": "shop"}
    record = ReleaseRecord(stable="v2", weights={"v1": 30, "v2": 70})
    run.cluster.put(release_object(record, service="api", namespace="shop", mesh_name="shop"))
    raw = minimal()
    raw["mesh_services"][1]["timeout"] = "9s"
    with pytest.raises(InputError, match="carries version=v2: it gets 70 % of the requests"):
        run(raw, cluster_check="refuse", repair_split=True)
    journal = journal_object()
    journal["metadata"]["labels"] = labels
    run.cluster.put(journal)
    raw["mesh_services"][0]["timeout"] = "9s"
    result = run(raw, cluster_check="refuse")
    assert "shop/api: held by run-7, its routes are left alone" in result["notes"]
    assert [text for text in result["findings"][0]["findings"] if "version=v2" in text] == [
        "mesh_services[1].versions.v2 of api: no pod behind Service shop/api carries version=v2: "
        "nothing would answer for it (cluster-version)"
    ]


def test_a_rollout_that_begins_meanwhile_keeps_its_routes(run: Run) -> None:
    """Its Lease is there at the last look; nothing of it was when the run began."""
    run()
    run.cluster.put(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "servicemesh-canary-api", "namespace": "shop"},
            "spec": {
                "holderIdentity": "runner-1",
                "renewTime": timestamp(run.clock.time - 5),
                "leaseDurationSeconds": 30,
            },
        }
    )
    raw = minimal()
    raw["mesh_services"][1]["timeout"] = "9s"
    result = run(raw)
    actions = {item["id"]: item["action"] for item in result["objects"]}
    assert actions["VirtualService shop/api-routes"] == "held by runner-1"
    run.clock.time += 60
    actions = {item["id"]: item["action"] for item in run(raw)["objects"]}
    assert actions["VirtualService shop/api-routes"] == "updated"
