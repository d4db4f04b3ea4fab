"""Scaling around a rollout: what a promotion scaled down, a later rollback brings back."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Kind,
    RunFacts,
    ScaledDown,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options import Scale
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling import (
    WorkloadScaler,
    bring_back,
)

from .fakes import NAMESPACE, Shop
from .test_state_machine import start


def shop_with_deployments() -> Shop:
    shop = Shop()
    for version, replicas in (("v1", 3), ("v2", 1)):
        meta = {"name": f"product-{version}", "namespace": NAMESPACE}
        status = {"readyReplicas": 2}
        shop.cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": meta,
                "spec": {"replicas": replicas},
                "status": status,
            }
        )
    return shop


def replicas(shop: Shop, version: str) -> int:
    found: Any = shop.cluster.peek("Deployment", f"product-{version}")
    return int(found["spec"]["replicas"])


def scaled(shop: Shop, rollout: Rollout) -> Rollout:
    workloads = {"v1": "product-v1", "v2": "product-v2"}
    rollout.scaler = WorkloadScaler(rollout, shop.cluster, workloads, Scale(up=2, down=True))
    return rollout


def undone(shop: Shop) -> Rollout:
    """The run of a rollback after the promotion, begun."""
    rollout = shop.rollout(identity="runner-2", steps=[100])
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, RunFacts(run="run-2", kind=Kind.UNDO, before={"v1": 0, "v2": 100}))
    return rollout


def test_a_promotion_keeps_what_it_scaled_down() -> None:
    shop = shop_with_deployments()
    state = start(scaled(shop, shop.rollout()))
    assert state.outcome == "promoted"
    assert (replicas(shop, "v1"), replicas(shop, "v2")) == (0, 2)
    assert shop.journal()["scaled_down"] == {"workload": "product-v1", "replicas": 3}


def test_a_rollback_brings_it_back_before_any_request_moves() -> None:
    shop = shop_with_deployments()
    start(scaled(shop, shop.rollout()))
    kept = ScaledDown(**shop.journal()["scaled_down"])
    shop.pods["v1"] = 0
    shop.set_pods()

    def ready() -> None:
        assert shop.share() == 100
        shop.pods["v1"] = 3
        shop.set_pods()

    undo = undone(shop)
    shop.clock.at(7, ready)
    bring_back(undo, shop.cluster, kept)
    assert replicas(shop, "v1") == 3
    assert state_machine.withdraw(undo, "asked for").outcome == "rolled_back"
    assert shop.share() == 0


def test_a_rollback_into_a_version_that_does_not_come_back_holds_on() -> None:
    shop = shop_with_deployments()
    start(scaled(shop, shop.rollout()))
    shop.pods["v1"] = 0
    shop.set_pods()
    undo = undone(shop)
    bring_back(undo, shop.cluster, ScaledDown("product-v1", 3))
    assert state_machine.withdraw(undo, "asked for").outcome == "held_on_canary"
    assert shop.share() == 100
