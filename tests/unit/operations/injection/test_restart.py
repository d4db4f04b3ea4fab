"""Single restarts: what is patched or evicted, what is waited for, and whom an error names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    MeshError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.injection.plan import Restart
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import Owner, parse_pod
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection.restart import Restarter

from ...support import injection as given
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

APPS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}


class World:
    def __init__(self, *objects: dict[str, Any]) -> None:
        self.cluster = FakeCluster({"kind": "Namespace", "metadata": {"name": "shop"}}, *objects)
        self.clock = FakeClock()
        self.clock.time = 1_800_000_000.0
        self.lines: list[str] = []
        self.stopped = False

    def run(self, *steps: Restart, timeout: float = 30) -> None:
        context = Context(progress=self.lines.append, stop=lambda: self.stopped, clock=self.clock)
        Restarter(self.cluster, context, timeout=timeout).run_batch(steps)


def workload(
    kind: str = "Deployment", name: str = "web", *, whole: bool = True, **spec: Any
) -> dict[str, Any]:
    obj = given.workload(kind, name, replicas=spec.pop("replicas", 1), **spec)
    count = obj["spec"]["replicas"] if whole else 0
    names = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas", "numberAvailable")
    obj["status"].update(dict.fromkeys((*names, "updatedNumberScheduled"), count))
    return {**obj, "apiVersion": APPS[kind]}


def pod(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", **given.pod(name, **more)}


def step(action: str, kind: str = "Deployment", name: str = "web", **more: Any) -> Restart:
    return Restart(
        Owner(kind, "shop", name), action, "not injected", "somehow", more.pop("pods", ()), 1, **more
    )


def test_a_rollout_is_begun_as_kubectl_does_and_told() -> None:
    world = World(workload())
    world.run(step("rollout"))
    template = world.cluster.find("Deployment", "web", "shop")["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "kubectl.kubernetes.io/restartedAt": "2027-01-15T08:00:00Z"
    }
    assert world.lines == ["Deployment shop/web: restarting, not injected", "Deployment shop/web: done"]


def test_a_rollout_under_way_is_waited_for_and_not_begun() -> None:
    world = World(workload())
    world.run(step("wait"))
    assert world.cluster.writes == []
    assert world.lines == ["Deployment shop/web: done"]


def test_workloads_of_a_batch_are_begun_before_the_first_is_waited_for() -> None:
    world = World(workload(name="a", whole=False), workload(name="b"))

    def heal() -> None:
        world.cluster.put(workload(name="a"))

    world.clock.at(5, heal)
    world.run(step("rollout", name="a"), step("rollout", name="b"))
    assert [line.partition(": ")[2] for line in world.lines[:3]] == [
        "restarting, not injected",
        "restarting, not injected",
        "done",
    ]
    assert world.lines[2].startswith("Deployment shop/b")
    assert world.lines[3] == "waiting for the restarted workloads: Deployment shop/a: 0 of 1 replicas updated"
    assert world.lines[-1] == "Deployment shop/a: done"


def test_a_workload_that_is_deleted_meanwhile_is_done() -> None:
    world = World(workload())
    world.cluster.on_patch = lambda cluster, obj: cluster.remove("Deployment", "web", "shop")
    world.run(step("rollout"))
    assert world.lines[-1] == "Deployment shop/web: done"


def test_a_late_workload_is_named_with_its_own_pods_only() -> None:
    """Another workload may share the labels of a StatefulSet; pods on their way out say nothing."""

    def sick(name: str, **more: Any) -> dict[str, Any]:
        obj = pod(name, **more)
        waiting = {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
        return {**obj, "status": {**obj["status"], "containerStatuses": [waiting]}}

    world = World(
        workload("StatefulSet", whole=False),
        sick("web-0", owner=("StatefulSet", "web")),
        sick("leaving", owner=("StatefulSet", "web"), terminating=True),
        sick("foreign", owner=("StatefulSet", "other")),
    )
    with pytest.raises(WaitTimeout) as caught:
        world.run(step("rollout", "StatefulSet"), timeout=3)
    assert caught.value.message == (
        "the restarted workloads: not there after 3 s; last seen: StatefulSet shop/web:"
        " 0 of 1 replicas updated; pod web-0: app: ImagePullBackOff"
    )
    assert caught.value.last_seen.endswith("; pod web-0: app: ImagePullBackOff")
    assert caught.value.awaited == "the restarted workloads"


def test_without_a_sick_pod_the_error_says_what_was_seen() -> None:
    world = World(workload(whole=False))
    with pytest.raises(WaitTimeout, match=r"last seen: Deployment shop/web: 0 of 1 replicas updated$"):
        world.run(step("rollout"), timeout=3)


def test_a_stop_ends_the_batch_before_the_next_write() -> None:
    world = World(workload())
    world.stopped = True
    with pytest.raises(MeshError, match="interrupted between two restarts; the next run completes them"):
        world.run(step("rollout"))
    assert world.cluster.writes == []


def evicted(kind: str = "StatefulSet", **more: Any) -> tuple[World, Restart]:
    own = pod("web-0", owner=(kind, "web"))
    world = World(workload(kind, **more), own)
    return world, step("evict", kind, pods=(parse_pod(own),), budgets=more.get("budgets", ()))


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_after_an_eviction_the_workload_must_have_all_its_pods(kind: str) -> None:
    world, restart = evicted(kind)
    world.clock.at(4, lambda: world.cluster.put(pod("web-1", owner=(kind, "web"))))
    world.run(restart)
    assert world.cluster.writes == [("eviction", "Pod shop/web-0")]
    assert world.lines[0] == f"{kind} shop/web: evicting pod web-0 (1 of 1), not injected"
    assert "waiting for the replacement of Pod shop/web-0: 0 of 1 pods ready" in world.lines


def test_a_pod_that_only_shares_the_labels_is_no_replacement() -> None:
    world, restart = evicted()
    world.cluster.put(pod("foreign", owner=("StatefulSet", "other")))
    with pytest.raises(WaitTimeout, match="the replacement of Pod shop/web-0"):
        world.run(restart, timeout=3)


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_replacement_counts_when_it_is_ready_and_stays(change: dict[str, Any]) -> None:
    world, restart = evicted()
    late = pod("web-1", owner=("StatefulSet", "web"))
    if "status" in change:
        late["status"] = change["status"]
    else:
        late["metadata"].update(change)
    world.cluster.on_evict = lambda cluster, _live, _body: (
        cluster.remove("Pod", "web-0", "shop"),
        cluster.put(late),
    )
    with pytest.raises(WaitTimeout, match="0 of 1 pods ready"):
        world.run(restart, timeout=3)


def test_a_namesake_is_another_pod() -> None:
    """A StatefulSet makes a new pod of the old name: the uid tells them apart."""
    world, restart = evicted()

    def replace(cluster: Any, _live: Any, body: Any) -> None:
        assert body["deleteOptions"] == {"preconditions": {"uid": "uid-web-0"}}
        fresh = pod("web-0", owner=("StatefulSet", "web"))
        fresh["metadata"]["uid"] = "another"
        cluster.put(fresh)

    world.cluster.on_evict = replace
    world.run(restart)
    assert world.cluster.writes == [("eviction", "Pod shop/web-0")]


def test_a_pod_that_is_still_terminating_is_waited_for() -> None:
    world, restart = evicted()
    world.cluster.on_evict = lambda _cluster, _live, _body: None
    with pytest.raises(WaitTimeout, match="pod web-0 is terminating"):
        world.run(restart, timeout=3)


@pytest.mark.parametrize("status", [404, 409])
def test_an_eviction_of_a_pod_that_is_gone_is_done(status: int) -> None:
    world, restart = evicted()

    def gone(cluster: Any, _live: Any, _body: Any) -> None:
        cluster.remove("Pod", "web-0", "shop")
        cluster.put(pod("web-1", owner=("StatefulSet", "web")))
        raise ApiError("gone", status=status)

    world.cluster.on_evict = gone
    world.run(restart)


@pytest.mark.parametrize("status", [404, 409, 403, 500])
def test_an_eviction_that_fails_while_the_pod_is_there_is_an_error(status: int) -> None:
    world, restart = evicted()

    def fail(_cluster: Any, _live: Any, _body: Any) -> None:
        raise ApiError("no", status=status)

    world.cluster.on_evict = fail
    with pytest.raises(ApiError) as caught:
        world.run(restart)
    assert caught.value.status == status


def test_an_owner_that_we_do_not_know_is_done_when_its_pod_is_gone() -> None:
    own = pod("web-0", owner=("Job", "import"))
    world = World(own)
    world.run(step("evict", "Job", "import", pods=(parse_pod(own),)))
    assert world.cluster.find("Pod", "web-0", "shop") is None


@pytest.mark.parametrize(("allowed", "waits"), [(1, False), (0, True)])
def test_a_budget_is_looked_at_before_each_eviction(allowed: int, waits: bool) -> None:
    world, restart = evicted()
    world.cluster.put(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", **given.budget(allowed=allowed)}
    )
    world.cluster.on_evict = lambda cluster, _live, _body: (
        cluster.remove("Pod", "web-0", "shop"),
        cluster.put(pod("web-1", owner=("StatefulSet", "web"))),
    )
    guarded = step("evict", "StatefulSet", pods=restart.pods, budgets=("web", "gone"))
    if waits:
        with pytest.raises(WaitTimeout, match="PodDisruptionBudget web allows no disruption now"):
            world.run(guarded, timeout=3)
        assert world.cluster.writes == []
    else:
        world.run(guarded)
