"""Reading records, rollouts, live routes and ready versions out of lists."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import State
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    ReleaseRecord,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split_plan import LiveState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.release_state import (
    read_live_state,
    rollout_holders,
)

from ...support.cluster import FakeCluster
from ...support.journals import journal_object

CATALOGUE = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": [
            {
                "name": "api",
                "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
                "versions": {"v1": {}, "v2": {}},
                "initial_version": "v1",
            }
        ],
    }
)


NUMBERS = itertools.count()


def pod(version: str, *, ready: bool = True, **metadata: Any) -> dict[str, Any]:
    labels = {"app": "api", "version": version}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    name = f"api-{version}-{next(NUMBERS)}"
    metadata = {"name": name, "namespace": "shop", "labels": labels, **metadata}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "status": {"conditions": conditions},
    }


def journal(state: str) -> dict[str, Any]:
    return journal_object(state=state)


def routes(weights: dict[str, int]) -> dict[str, Any]:
    objects = render(CATALOGUE, {"shop/api": {"weights": weights}})
    return next(obj for obj in objects if obj["metadata"]["name"] == "api-routes")


def state(
    *objects: dict[str, Any], pods: list[dict[str, Any]] | None = None
) -> tuple[LiveState, FakeCluster]:
    cluster = FakeCluster(*(pods or []), *objects)
    return read_live_state(cluster, CATALOGUE, objects), cluster


def lists(cluster: FakeCluster) -> list[str]:
    return [call.kind for call in cluster.calls if call.verb == "list"]


def test_a_service_that_was_never_routed_asks_who_is_ready() -> None:
    live, cluster = state(
        pods=[pod("v1", ready=False), pod("v2"), pod("v1", deletionTimestamp="2026-01-01T00:00:00Z")]
    )
    assert live == LiveState(ready={"shop/api": frozenset({"v2"})})
    assert lists(cluster) == ["Pod"]


def test_a_routed_service_costs_no_request() -> None:
    live, cluster = state(routes({"v1": 80, "v2": 20}))
    assert live.routes["shop/api"]["metadata"]["name"] == "api-routes"
    assert lists(cluster) == []


def test_records_are_read_with_their_fence() -> None:
    record = ReleaseRecord(stable="v2", weights={"v2": 100}, fence=4)
    obj = release_object(record, service="api", namespace="shop", mesh_name="shop")
    live, cluster = state(obj)
    assert live.records == {"shop/api": record}
    assert lists(cluster) == []


def test_an_unreadable_record_is_never_taken_for_none() -> None:
    record = release_object(ReleaseRecord(stable="v2"), service="api", namespace="shop", mesh_name="shop")
    record["data"] = {"record": "{"}
    with pytest.raises(MeshError, match="servicemesh-release-api"):
        state(record)
    broken = journal("running")
    broken["data"]["journal"] = "{"
    with pytest.raises(MeshError, match="servicemesh-canary-api"):
        state(broken)


@pytest.mark.parametrize(
    ("word", "held"),
    [
        ("running", True),
        ("promoting", True),
        ("rolling_back", True),
        ("holding", True),
        ("awaiting_approval", True),
        ("paused", True),
        ("finished", False),
    ],
)
def test_runs_hold_until_they_end(word: str, held: bool) -> None:
    live, _unused = state(journal(word), routes({"v1": 90, "v2": 10}))
    assert live.held == ({"shop/api": "run-7"} if held else {})


def test_every_state_of_a_journal_is_known_here() -> None:
    words = {
        mark.args[1][index][0] for mark in test_runs_hold_until_they_end.pytestmark for index in range(7)
    }
    assert words == set(State)


def test_a_state_that_nobody_knows_is_never_taken_for_an_end() -> None:
    with pytest.raises(MeshError, match="state is 'succeeded', not one of"):
        state(journal("succeeded"))


NOW = 1_700_000_000.0


def lease(holder: str, age: float | None) -> dict[str, Any]:
    renewed = "long ago" if age is None else timestamp(NOW - age)
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 30}
    metadata = {"name": "servicemesh-canary-api", "namespace": "shop"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("leased", "state_of_run", "holder"),
    [
        (None, "", None),
        (lease("runner-1", 5), "", "runner-1"),
        (lease("runner-1", 29), "", "runner-1"),
        (lease("runner-1", 30), "", None),
        (lease("runner-1", None), "", "runner-1"),  # cannot be read: the safe error
        (lease("", 5), "", None),
        (lease("runner-1", 60), "running", "run-7"),
        (lease("runner-1", 5), "finished", "runner-1"),
    ],
)
def test_the_last_look_before_a_write(
    leased: dict[str, Any] | None, state_of_run: str, holder: str | None
) -> None:
    objects = [leased] if leased else []
    objects += [journal(state_of_run)] if state_of_run else []
    cluster: Any = FakeCluster(*objects)
    expected = {"shop/api": holder} if holder else {}
    assert rollout_holders(cluster, CATALOGUE, ["shop/api"], now=NOW) == expected
    assert rollout_holders(cluster, CATALOGUE, [], now=NOW) == {}
