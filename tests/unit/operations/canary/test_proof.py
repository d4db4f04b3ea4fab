"""Proof in dumps of proxies, and writes to VirtualServices of others."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Journal, Kind
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.proof import (
    ProxyProver,
    certificate_fault,
    expected_splits,
    held_splits,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.protocols import FencedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.routes import (
    ForeignRoutes,
    check_sums,
)

from ...support.cluster import FakeCluster
from .fakes import FACTS, NAMESPACE, SERVICE, FakeClock, Shop, Switch

HOST = "product.shop.svc.cluster.local"


def dump(*routes: dict[str, int]) -> list[dict[str, Any]]:
    entries = []
    for weights in routes:
        clusters = [{"name": f"outbound|3000|{s}|{HOST}", "weight": w} for s, w in weights.items()]
        action = (
            {"cluster": clusters[0]["name"]}
            if len(clusters) == 1
            else {"weighted_clusters": {"clusters": clusters}}
        )
        entries.append({"name": "split", "route": action})
    other = {"route": {"cluster": "outbound|3000||other.shop.svc.cluster.local"}}
    return [{"route_config": {"name": "3000", "virtual_hosts": [{"name": "x", "routes": [*entries, other]}]}}]


def test_held_equals_expected_only_for_the_same_split() -> None:
    shop = Shop()
    wanted = expected_splits(shop.render(TrafficState({"v1": 90, "v2": 10})))
    assert held_splits(dump({"v1": 90, "v2": 10}), HOST) == wanted
    assert held_splits(dump({"v1": 75, "v2": 25}), HOST) != wanted
    assert held_splits(dump({"v1": 90, "v2": 10}, {"v1": 75, "v2": 25}), HOST) != wanted
    assert held_splits(dump({"v1": 90, "v2": 10}), "other.shop.svc.cluster.local") == frozenset()


class Pods(FakeCluster):
    """A cluster whose proxies answer what the test says."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(*[pod(name) for name in answers])
        self.answers = answers
        self.asked = 0
        self.on_exec = self._answer

    def _answer(self, _namespace: str, name: str, _container: str, _command: Any) -> str:
        self.asked += 1
        answer = self.answers[name]
        answer = answer.pop(0) if isinstance(answer, list) and len(answer) > 1 else answer
        answer = answer[0] if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"configs": answer["dump"]}) if answer["dump"] else ""


def pod(name: str) -> dict[str, Any]:
    proxy = {"name": "istio-proxy", "image": "proxyv2:1.31.0", "args": ["proxy", "sidecar"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": name},
            "annotations": {"sidecar.istio.io/status": '{"containers":["istio-proxy"]}'},
        },
        "spec": {"serviceAccountName": name, "containers": [proxy]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "istio-proxy", "ready": True, "started": True, "state": {"running": {}}}
            ],
        },
    }


def prover(pods: Pods, **options: Any) -> ProxyProver:
    shop = Shop()
    return ProxyProver(
        pods,
        FakeClock(),
        desired=lambda weights: shop.render(TrafficState(dict(weights))),
        host=HOST,  # type: ignore[arg-type]
        namespace=NAMESPACE,
        ports=[3000],
        labels={},
        timeout=5.0,
        **options,
    )


GOOD, OLD = {"dump": dump({"v1": 90, "v2": 10})}, {"dump": dump({"v1": 100})}
WEIGHTS = {"v1": 90, "v2": 10}


def test_a_late_proxy_is_waited_for() -> None:
    pods = Pods({"fast": GOOD, "late": [OLD, OLD, GOOD]})
    proof = prover(pods).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("pass", 2)
    assert pods.asked == 4, "a proxy that holds the routes is not asked again"


def test_a_proxy_that_never_follows_is_named() -> None:
    proof = prover(Pods({"fast": GOOD, "stuck": OLD})).routes(WEIGHTS, lambda: None)
    assert proof.status == "fail"
    assert "shop/stuck" in proof.detail


def test_a_proxy_that_does_not_import_the_host_does_not_matter() -> None:
    proof = prover(Pods({"fast": GOOD, "stranger": {"dump": []}})).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("pass", 1)


def test_nobody_who_routes_there_is_no_pass() -> None:
    assert prover(Pods({"stranger": {"dump": []}})).routes(WEIGHTS, lambda: None).status == "cannot tell"


def test_no_right_to_exec_is_cannot_tell() -> None:
    denied = ApiError("forbidden", status=403, reason="Forbidden")
    proof = prover(Pods({"fast": GOOD, "closed": denied})).routes(WEIGHTS, lambda: None)
    assert proof.status == "cannot tell"
    assert "no right to exec" in proof.detail


def certs(**changes: Any) -> str:
    chain = {
        "expiration_time": "2026-11-24T00:00:00Z",
        "subject_alt_names": [{"uri": "spiffe://cluster.local/ns/a/sa/b"}],
    }
    return json.dumps({"certificates": [{"cert_chain": [{**chain, **changes}]}]})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (certs(), ""),
        (certs(expiration_time="2026-11-22T00:00:00Z"), "expired"),
        (certs(subject_alt_names=[{"uri": "spiffe://cluster.local/ns/a/sa/other"}]), "not spiffe://"),
        (certs(expiration_time="soon"), "without an end"),
        ('{"certificates": []}', "no certificate"),
        ("<html>", "no certificates"),
    ],
)
def test_certificates(text: str, fault: str) -> None:
    found = certificate_fault(text, "cluster.local/ns/a/sa/b", 1_795_400_000.0, "pod")
    assert fault in found
    assert bool(found) == bool(fault)


def foreign_shop() -> tuple[Shop, dict[str, Any]]:
    shop = Shop()
    theirs = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": NAMESPACE, "labels": {"team": "a"}},
        "spec": {
            "hosts": [SERVICE],
            "http": [
                {
                    "match": [{"uri": {"prefix": "/x"}}],
                    "fault": {"abort": {"httpStatus": 418}},
                    "route": [{"destination": {"host": "elsewhere"}}],
                },
                {"route": [{"destination": {"host": SERVICE, "subset": "v1"}}], "mirror": {"host": "shadow"}},
            ],
        },
    }
    return shop, shop.cluster.put(theirs)


def foreign_run(shop: Shop, **options: Any) -> Any:
    rollout = shop.rollout()
    routes = ForeignRoutes(Switch(shop.cluster), "theirs", NAMESPACE, shop.split, **options)  # type: ignore[arg-type]
    rollout.routes = routes
    shop.share = lambda: shop.split.canary_share(shop.cluster.peek("VirtualService", "theirs"))  # type: ignore[method-assign]
    routes.original = routes.snapshot()
    return rollout


def drive(rollout: Any) -> Journal:
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    return state_machine.drive(rollout)


def test_a_foreign_virtual_service_is_given_back_byte_for_byte() -> None:
    shop, before = foreign_shop()
    shop.sick = 0.4
    assert drive(foreign_run(shop)).outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def test_a_foreign_virtual_service_is_promoted_and_keeps_everything_else() -> None:
    shop, before = foreign_shop()
    assert drive(foreign_run(shop)).outcome == "promoted"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"]["http"][0] == before["spec"]["http"][0]
    changed = copy.deepcopy(after["spec"]["http"][1])
    assert changed.pop("route")[0]["destination"]["subset"] == "v2"
    assert changed == {"mirror": {"host": "shadow"}}


def test_a_gitops_controller_is_not_fought() -> None:
    shop, before = foreign_shop()
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    live["metadata"]["labels"]["argocd.argoproj.io/instance"] = "shop"
    with pytest.raises(RefusedError, match="argocd"):
        foreign_run(shop).routes.write(TrafficState({"v1": 50, "v2": 50}), 1)
    assert shop.cluster.peek("VirtualService", "theirs")["spec"] == before["spec"]  # type: ignore[index]


def test_an_older_fence_cannot_write_a_foreign_object() -> None:
    shop, _theirs = foreign_shop()
    routes = foreign_run(shop).routes
    routes.claim(5)
    with pytest.raises(FencedError):
        routes.write(TrafficState({"v1": 50, "v2": 50}), 4)


def test_weights_that_do_not_sum_are_refused() -> None:
    bad = {"metadata": {"name": "x"}, "spec": {"http": [{"route": [{"weight": 50}, {"weight": 40}]}]}}
    with pytest.raises(RefusedError, match="do not sum to 100"):
        check_sums(bad)


def test_a_rollback_after_the_promotion_gives_a_foreign_object_back_byte_for_byte() -> None:
    """A route with a match looks pinned to the version once the promotion has taken its other part away."""
    shop, before = foreign_shop()
    before["spec"]["http"][0]["route"] = [{"destination": {"host": SERVICE, "subset": "v1"}, "weight": 100}]
    before = shop.cluster.put(before)
    rollout = foreign_run(shop)
    image = rollout.routes.original
    assert drive(rollout).outcome == "promoted"
    undo = foreign_run(shop)
    undo.routes.original = image
    undo.lease.acquire()
    undo.store.read()
    state_machine.begin(undo, replace(FACTS, run="run-2", kind=Kind.UNDO))
    assert state_machine.withdraw(undo, "asked for").outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"] == before["spec"]


def test_a_route_that_its_owner_sent_elsewhere_in_mid_run_is_left_alone() -> None:
    shop, _theirs = foreign_shop()
    shop.sick = 0.4
    rollout = foreign_run(shop)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    live["spec"]["http"][0]["route"] = [{"destination": {"host": "new"}}]
    shop.cluster.put(live)
    assert drive(rollout).outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"]["http"][0]["route"] == [{"destination": {"host": "new"}}]
