# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody who called without mTLS would do it again: rhythm, joining the mesh, the wait."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import ApplyOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, Plan
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.options import (
    MeshOptions,
    prometheus_at,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.plaintext import (
    Flow,
    Join,
    flow_of,
    joins_of,
    judge_flow,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.strict_guard import (
    StrictGuard,
)

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from ...support.deployed import namespace, pod

Obj = dict[str, Any]
NOW = 1_000_000.0
JOIN = Join(NOW - 300, NOW - 240)


def every(spacing: float, begin: float, end: float, until: float = 0.0) -> list[tuple[float, float]]:
    """A counter that grows at every sample from ``begin`` to ``end``, and is seen until ``until``."""
    points, at, value = [], begin, 0.0
    while at <= until:
        value += 1 if at <= end else 0
        points.append((NOW + at, value))
        at += spacing
    return points


def judged(points: list[tuple[float, float]], *joins: Join, born: float = 0.0, now: float = NOW) -> str:
    return judge_flow(flow_of(points, NOW - 3600), joins, now=now, born=born)


@pytest.mark.parametrize(
    ("points", "joins", "verdict"),
    [
        (every(15, -3000, 0), [], "calls"),
        (every(15, -3000, 0), [JOIN], "calls"),
        # Steady for long, and silent for many times its pauses.
        (every(15, -3000, -600), [], "over"),
        (every(15, -3000, -150), [], "called"),
        # A job every ten minutes is not over after eleven.
        (
            [(NOW - 3000, 0.0), (NOW - 1800, 1.0), (NOW - 1200, 2.0), (NOW - 660, 3.0), (NOW, 3.0)],
            [],
            "called",
        ),
        ([(NOW - 3000 + 600 * n, float(n)) for n in range(5)] + [(NOW, 4.0)], [], "called"),
        # Until it got its sidecar; then nothing, as later samples show.
        (every(15, -3000, -250), [JOIN], "over"),
        (every(15, -290, -230), [JOIN], "over"),
        # It went on after it.
        (every(15, -3000, -100), [JOIN], "calls"),
        (every(15, -3000, -150), [JOIN], "called"),
        # It had stopped well before, so it was somebody else.
        ([(NOW - 3000, 0.0), (NOW - 900, 1.0), (NOW, 1.0)], [JOIN], "called"),
    ],
)
def test_what_a_flow_means(points: list[tuple[float, float]], joins: list[Join], verdict: str) -> None:
    assert judged(points, *joins) == verdict


def test_shortly_after_joining_the_next_samples_have_to_show_it() -> None:
    join = Join(NOW - 60, NOW - 20)
    points = every(15, -900, -25)
    assert judged(points, join) == "unsettled"
    assert judged([*points, (NOW + 45, points[-1][1])], join, now=NOW + 46) == "over"
    assert judged([*points, (NOW + 45, points[-1][1] + 1)], join, now=NOW + 46) == "calls"
    # Of a proxy that is gone no sample will come.
    assert judged(points, join, now=NOW + 90) == "over"


def test_what_was_counted_before_the_namespace_is_about_another_one() -> None:
    points = every(15, -3000, -400, until=-300)
    assert judged(points[:3], born=NOW - 200) == "over"
    assert judged(points[:3], born=NOW - 4000) == "called"


def injected(name: str, place: str, made: float, *, restart: float | None = None, ready: float = 0.0) -> Obj:
    found = pod(name, place)
    found["metadata"]["creationTimestamp"] = timestamp(made)
    notes = {"sidecar.istio.io/status": json.dumps({"revision": "default"})}
    if restart is not None:
        notes["kubectl.kubernetes.io/restartedAt"] = timestamp(restart)
    found["metadata"]["annotations"] = notes
    found["spec"]["containers"].append({"name": "istio-proxy", "image": "p:1"})
    found["status"]["conditions"][0]["lastTransitionTime"] = timestamp(ready or made)
    return found


def test_a_join_lasts_from_the_restart_to_the_last_ready_pod() -> None:
    restart = NOW - 600
    pods = [
        injected("a", "shop", NOW - 590, restart=restart, ready=NOW - 580),
        injected("b", "back", NOW - 550, restart=restart, ready=NOW - 540),
        injected("c", "shop", NOW - 5000),
        pod("bare"),
    ]
    assert joins_of(pods, []) == [Join(restart, NOW - 540)]
    # A pod that lost its readiness for a while later did not join then.
    pods.append(injected("d", "shop", NOW - 560, restart=restart, ready=NOW - 1))
    assert joins_of(pods, []) == [Join(restart, NOW - 1)]
    old = injected("e", "shop", NOW - 9990, restart=NOW - 10_000, ready=NOW - 5)
    assert joins_of([old], []) == [Join(NOW - 10_000, NOW - 8200)]


def test_pods_of_a_restart_are_those_made_about_then() -> None:
    pods = [
        injected("early", "shop", NOW - 31, restart=NOW, ready=NOW + 500),  # of before
        injected("in-time", "shop", NOW - 30, restart=NOW, ready=NOW + 40),
        injected("late", "shop", NOW + 1801, restart=NOW, ready=NOW + 1805),  # of a later scale-up
    ]
    assert joins_of(pods, ()) == [Join(NOW, NOW + 40)]
    last = injected("last", "shop", NOW + 1800, restart=NOW, ready=NOW + 9000)
    assert joins_of([*pods, last], ()) == [Join(NOW, NOW + 1800)]  # and never longer than a rollout
    assert joins_of(pods[:1], ()) == [Join(NOW, NOW)]


@pytest.mark.parametrize(
    ("conditions", "end"),
    [
        ([], 10),  # it counts from when it was made
        ([{"type": "Ready", "status": "False", "lastTransitionTime": timestamp(NOW + 50)}], 10),
        ([{"type": "Initialized", "status": "True", "lastTransitionTime": timestamp(NOW + 50)}], 10),
        ([{"type": "Ready", "status": "True"}], 10),
        ([{"type": "Ready", "status": "True", "lastTransitionTime": "soon"}], 10),
        (
            [
                {"type": "Initialized", "status": "True", "lastTransitionTime": timestamp(NOW + 90)},
                {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(NOW + 50)},
            ],
            50,
        ),
    ],
)
def test_a_pod_that_does_not_say_when_it_was_ready_was_so_when_it_was_made(
    conditions: list[Obj], end: int
) -> None:
    restarted = injected("a", "shop", NOW + 10, restart=NOW)
    restarted["status"]["conditions"] = conditions
    assert joins_of([restarted], ()) == [Join(NOW, NOW + end)]


def test_a_restart_at_no_time_and_a_label_without_one_are_no_joins() -> None:
    broken = injected("a", "shop", NOW)
    broken["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "yesterday"
    place = namespace("shop")
    place["metadata"]["managedFields"] = [{"manager": "servicemesh.istio.injection"}]
    assert joins_of([broken], [place]) == []
    place["metadata"]["managedFields"].append(
        {"manager": "servicemesh.istio.injection", "time": timestamp(NOW - 5)}
    )
    assert joins_of([], [place]) == [Join(NOW - 5, NOW - 5)]


def test_a_namespace_joins_when_it_gets_its_label() -> None:
    labelled = namespace("shop")
    labelled["metadata"]["managedFields"] = [
        {"manager": "kubectl-label", "time": timestamp(NOW - 9)},
        {"manager": "servicemesh.istio.injection", "time": timestamp(NOW - 900)},
    ]
    made = [injected("a", "shop", NOW - 880, ready=NOW - 870), injected("b", "back", NOW - 800)]
    assert joins_of(made, [labelled, namespace("back")]) == [Join(NOW - 900, NOW - 870)]


class Metrics:
    """Prometheus behind the API server. What it knows may depend on the clock."""

    def __init__(self, clock: FakeClock, points: Any) -> None:
        self.clock, self.points, self.asked = clock, points, 0

    def service_proxy_get(self, *_address: Any, **more: Any) -> Any:
        if more["query"]["query"].startswith("count("):
            known = [{"metric": {}, "value": [self.clock.time, "7"]}]
            return {"status": "success", "data": {"resultType": "vector", "result": known}}
        if "requests_total" not in more["query"]["query"]:
            return {"status": "success", "data": {"resultType": "matrix", "result": []}}
        self.asked += 1
        metric = {"destination_workload": "api", "source_workload": "unknown"}
        values = [[at, str(value)] for at, value in self.points(self.clock.time) if at <= self.clock.time]
        result = [{"metric": metric, "values": values}]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


POLICY = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": "shop"},
    "spec": {"mtls": {"mode": "STRICT"}},
}


def run(points: Any, *pods: Obj, check_mode: bool = False) -> tuple[StrictGuard, Metrics, list[str]]:
    clock, warned = FakeClock(), list[str]()
    clock.time = NOW
    cluster: Any = FakeCluster(namespace("shop"), *pods)
    metrics = Metrics(clock, points)
    cluster.service_proxy_get = metrics.service_proxy_get
    options = MeshOptions(ApplyOptions(), prometheus=prometheus_at("istio-system/prometheus"))
    guard = StrictGuard(cluster, Context(clock=clock, warn=warned.append, check_mode=check_mode), options)
    guard(Plan([Item(POLICY, None, action="created")], Live({}, set(), {})))
    return guard, metrics, warned


JOINED = injected("web", "shop", NOW - 50, restart=NOW - 60, ready=NOW - 20)


def test_a_first_run_waits_for_the_samples_after_its_own_restarts() -> None:
    guard, metrics, _warned = run(lambda now: every(15, -900, -25, until=now - NOW), JOINED)
    assert (guard.status, guard.findings) == ("pass", [])
    assert metrics.asked > 1


def test_who_goes_on_after_the_restarts_is_seen() -> None:
    with pytest.raises(RefusedError, match="somebody outside the mesh calls shop/api without mTLS"):
        run(lambda now: every(15, -900, now - NOW, until=now - NOW), JOINED)


def test_check_mode_does_not_wait_and_does_not_pass() -> None:
    guard, metrics, _warned = run(lambda _now: every(15, -900, -25), JOINED, check_mode=True)
    assert (guard.status, guard.findings, metrics.asked) == ("cannot tell", [], 1)
    assert "shows in a minute" in guard.reason


def test_who_called_lately_is_told_in_the_past_tense() -> None:
    points = [(NOW - 3300, 0.0), (NOW - 3000, 1.0), (NOW, 1.0)]
    with pytest.raises(RefusedError, match="called shop/api without mTLS, last 50 minutes ago"):
        run(lambda _now: points)


def test_samples_that_do_not_come_are_waited_for_for_three_minutes() -> None:
    """Where samples are a minute apart, nobody can tell by then; who may still call is told."""
    looks: list[float] = []

    def minutely(now: float) -> list[tuple[float, float]]:
        looks.append(now - NOW)
        return every(60, -865, -25)

    with pytest.raises(RefusedError, match="called shop/api without mTLS, last 3 minutes ago"):
        run(minutely, JOINED)
    assert looks[-1] == 180.0


def flow(*calls: float, seen: float = 0.0, spacing: float = 15.0) -> Flow:
    return Flow(tuple(NOW + at for at in calls), NOW + seen, spacing)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [(0, "calls"), (119, "calls"), (120, "calls"), (121, "called")],
)
def test_a_call_goes_on_for_two_minutes(after: float, verdict: str) -> None:
    assert judge_flow(flow(-1000, 0), [], now=NOW + after, born=0) == verdict


@pytest.mark.parametrize(
    ("spacing", "after", "verdict"),
    [(100.0, 200, "calls"), (100.0, 201, "called"), (65.0, 130, "calls"), (65.0, 131, "called")],
)
def test_where_samples_are_far_apart_for_two_of_them(spacing: float, after: float, verdict: str) -> None:
    assert judge_flow(flow(-9000, 0, spacing=spacing), [], now=NOW + after, born=0) == verdict


@pytest.mark.parametrize(
    ("gap", "number", "after", "verdict"),
    [
        (15.0, 5, 180, "called"),
        (15.0, 5, 181, "over"),
        (10.0, 5, 180, "called"),  # never less than three minutes
        (10.0, 5, 181, "over"),
        (15.0, 4, 9999, "called"),  # too few to know a rhythm
        (100.0, 5, 300, "called"),
        (100.0, 5, 301, "over"),
        (1667.0, 5, 5000, "called"),
    ],
)
def test_a_rhythm_that_ends(gap: float, number: int, after: float, verdict: str) -> None:
    """Five calls show one; three of its pauses end it, and never less than three minutes."""
    calls = [-gap * (number - 1 - one) for one in range(number)]
    assert judge_flow(flow(*calls), [], now=NOW + after, born=0) == verdict


def test_the_longest_pause_counts_and_not_the_shortest() -> None:
    irregular = flow(-500, -400, -30, -15, 0)
    assert judge_flow(irregular, [], now=NOW + 3 * 370, born=0) == "called"
    assert judge_flow(irregular, [], now=NOW + 3 * 370 + 1, born=0) == "over"


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(-131.0, "called"), (-130.0, "over"), (0.0, "over"), (45.0, "over"), (46.0, "called")],
)
def test_which_calls_belong_to_a_join(last: float, verdict: str) -> None:
    """From two samples before its restart to one sample after the pods that left may have called."""
    join = Join(NOW - 100, NOW)
    assert judge_flow(flow(last, seen=9999), [join], now=NOW + 9999, born=0) == verdict


@pytest.mark.parametrize(
    ("seen", "now", "verdict"),
    [
        (44.0, 46.0, "unsettled"),
        (44.0, 74.0, "unsettled"),
        (44.0, 75.0, "over"),
        (45.0, 45.0, "over"),
        (45.0, 46.0, "over"),
    ],
)
def test_when_a_join_is_settled(seen: float, now: float, verdict: str) -> None:
    """A sample later than 30 s and one spacing after it, or the time of two more without any."""
    join = Join(NOW - 100, NOW)
    assert judge_flow(flow(-20.0, seen=seen), [join], now=NOW + now, born=0) == verdict


def test_what_came_with_the_namespace_or_before_is_about_another_one() -> None:
    assert judge_flow(flow(-10.0, 0.0), [], now=NOW + 1, born=NOW + 1) == "over"
    assert judge_flow(flow(-10.0, 0.0), [], now=NOW + 1, born=NOW) == "over"
    assert judge_flow(flow(-10.0, 0.0), [], now=NOW + 1, born=NOW - 1) == "calls"
    assert judge_flow(flow(), [], now=NOW, born=0) == "over"


@pytest.mark.parametrize(
    ("points", "calls", "spacing"),
    [
        ([(5, 0.0)], [], 15.0),
        ([(5, 3.0)], [5], 15.0),  # a series that begins in the window began at 0
        ([(0, 3.0)], [], 15.0),
        ([(-10, 1.0)], [], 15.0),
        ([(-10, 1.0), (0, 2.0), (10, 3.0)], [10], 10.0),
        ([(10, 1.0), (20, 1.0), (30, 2.0)], [10, 30], 10.0),
        ([(10, 5.0), (20, 2.0), (30, 2.0), (40, 0.0)], [10, 20], 10.0),
        ([(-10, 1.0), (10, 1.0), (30, 2.0)], [30], 20.0),
        ([(-10, 5.0), (10, 2.0), (30, 2.0)], [10], 20.0),
        ([(-10, 5.0), (10, 0.0), (30, 1.0)], [30], 20.0),
        ([(10, 1.0), (12, 2.0)], [10, 12], 5.0),
        ([(-10, 1.0), (-9, 2.0), (-8, 3.0), (-7, 3.0)], [], 5.0),
        ([(10, 1.0), (99, 2.0)], [10, 99], 60.0),
        ([(-10, 1.0), (90, 2.0), (390, 2.0)], [90], 60.0),
        ([(10, 1.0), (10, 2.0), (30, 3.0)], [10, 10, 30], 20.0),
        ([(-10, 1.0), (10, 2.0), (10, 3.0), (30, 3.0)], [10, 10], 20.0),
    ],
)
def test_when_a_counter_counted(
    points: list[tuple[float, float]], calls: list[float], spacing: float
) -> None:
    """A counter that fell counted what it shows; one that is 0 again has counted nothing yet."""
    found = flow_of([(NOW + at, value) for at, value in points], NOW)
    assert (found.calls, found.spacing) == (tuple(NOW + at for at in calls), spacing)
    assert found.seen == NOW + points[-1][0]
