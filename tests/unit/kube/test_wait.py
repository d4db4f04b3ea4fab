"""Bounded waits and rollouts."""

from __future__ import annotations

import time

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.wait import rollout_status, wait_until

from ..support.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


def test_returns_what_was_seen_last(clock):
    seen = iter([(False, "0 of 1"), (True, "1 of 1")])
    assert wait_until(lambda: next(seen), awaited="x", timeout=5, clock=clock) == "1 of 1"


def test_what_is_there_needs_no_time(clock):
    begin = clock.time
    assert wait_until(lambda: (True, "there"), awaited="x", timeout=0, clock=clock) == "there"
    assert clock.time == begin


def test_the_machines_clock_is_the_default():
    begin = time.monotonic()
    with pytest.raises(WaitTimeout):
        wait_until(lambda: (False, ""), awaited="x", timeout=0.05, interval=0.01)
    assert 0.05 <= time.monotonic() - begin < 2


def test_a_timeout_says_what_was_awaited_and_seen(clock):
    with pytest.raises(WaitTimeout) as caught:
        wait_until(lambda: (False, "0 of 1"), awaited="the pod", timeout=2.5, clock=clock)
    assert caught.value.message == "the pod: not there after 2.5 s; last seen: 0 of 1"
    assert (caught.value.awaited, caught.value.last_seen) == ("the pod", "0 of 1")


@pytest.mark.parametrize(("timeout", "looks"), [(0, 1), (3, 2)])
def test_it_looks_at_least_once_and_once_more_at_the_end(clock, timeout, looks):
    seen, begin = [], clock.time
    with pytest.raises(WaitTimeout):
        wait_until(lambda: (bool(seen.append(1)), ""), awaited="x", timeout=timeout, interval=10, clock=clock)
    assert (len(seen), clock.time - begin) == (looks, timeout)


def test_pauses_grow_to_a_limit(clock):
    moments, begin = [], clock.time

    def look():
        moments.append(round(clock.time - begin, 3))
        return len(moments) == 6, ""

    wait_until(look, awaited="x", timeout=60, interval=1, max_interval=2, clock=clock)
    assert moments == [0, 1, 2.5, 4.5, 6.5, 8.5]


def test_a_stop_ends_it_within_a_quarter_of_a_second(clock):
    begin = clock.time
    with pytest.raises(ApiError) as caught:
        wait_until(
            lambda: (False, ""),
            awaited="x",
            timeout=60,
            interval=10,
            stop=lambda: clock.time > begin + 1.1,
            clock=clock,
        )
    assert (caught.value.reason, clock.time - begin) == ("Interrupted", 1.25)
    assert caught.value.message == "interrupted while waiting for x"


def test_progress_is_told_when_it_changes(clock):
    lines, seen = [], iter([(False, "a"), (False, "a"), (False, "b"), (True, "c")])
    wait_until(lambda: next(seen), awaited="x", timeout=5, progress=lines.append, clock=clock)
    assert lines == ["waiting for x: a", "waiting for x: b"]


def test_progress_is_told_every_ten_seconds(clock):
    lines, begin = [], clock.time

    def note(line):
        lines.append((line, clock.time - begin))

    with pytest.raises(WaitTimeout):
        wait_until(
            lambda: (False, "a"),
            awaited="x",
            timeout=25,
            interval=5,
            max_interval=5,
            progress=note,
            clock=clock,
        )
    assert lines == [("waiting for x: a", 0), ("waiting for x: a", 10), ("waiting for x: a", 20)]


def deployment(generation=2, replicas=3, **status):
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": status,
    }


@pytest.mark.parametrize(
    ("obj", "done", "seen"),
    [
        (deployment(observedGeneration=1), False, "the controller has not seen the change yet"),
        (deployment(observedGeneration=2, updatedReplicas=1), False, "1 of 3 replicas updated"),
        (
            deployment(observedGeneration=2, updatedReplicas=3, replicas_=0)
            | {
                "status": {
                    "observedGeneration": 2,
                    "updatedReplicas": 3,
                    "replicas": 4,
                    "availableReplicas": 3,
                }
            },
            False,
            "1 old replicas are still there",
        ),
        (
            deployment()
            | {
                "status": {
                    "observedGeneration": 2,
                    "updatedReplicas": 3,
                    "replicas": 3,
                    "availableReplicas": 2,
                }
            },
            False,
            "2 of 3 updated replicas available",
        ),
        (
            deployment()
            | {
                "status": {
                    "observedGeneration": 2,
                    "updatedReplicas": 3,
                    "replicas": 3,
                    "availableReplicas": 3,
                }
            },
            True,
            "3 replicas available",
        ),
        (deployment(replicas=0, observedGeneration=2), True, "0 replicas available"),
        (
            {
                "kind": "StatefulSet",
                "metadata": {"generation": 1},
                "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": 1,
                    "readyReplicas": 2,
                    "updatedReplicas": 2,
                    "updateRevision": "b",
                    "currentRevision": "a",
                },
            },
            False,
            "the last replica is being updated",
        ),
        (
            {
                "kind": "DaemonSet",
                "metadata": {"generation": 1},
                "spec": {},
                "status": {
                    "observedGeneration": 1,
                    "desiredNumberScheduled": 2,
                    "updatedNumberScheduled": 2,
                    "numberAvailable": 2,
                },
            },
            True,
            "available on 2 nodes",
        ),
    ],
)
def test_rollouts(obj, done, seen):
    assert rollout_status(obj) == (done, seen)


def test_a_rollout_beyond_its_deadline_says_so():
    obj = deployment(
        observedGeneration=2,
        conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "m"}],
    )
    assert rollout_status(obj) == (False, "progress deadline exceeded: m")


@pytest.mark.parametrize(
    ("kind", "spec", "status", "done", "seen"),
    [
        (
            "Deployment",
            {},
            {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1},
            True,
            "1 replicas available",
        ),
        ("Deployment", {"replicas": None}, {}, False, "0 of 1 replicas updated"),
        (
            "Deployment",
            {},
            {"conditions": [{"type": "Progressing", "reason": "Other"}]},
            False,
            "0 of 1 replicas updated",
        ),
        (
            "Deployment",
            {},
            {"conditions": [{"type": "X", "reason": "ProgressDeadlineExceeded"}]},
            False,
            "0 of 1 replicas updated",
        ),
        ("StatefulSet", {}, {}, False, "0 of 1 replicas updated"),
        ("StatefulSet", {}, {"updatedReplicas": 1}, False, "0 of 1 replicas ready"),
        ("StatefulSet", {}, {"updatedReplicas": 1, "readyReplicas": 1}, True, "1 replicas ready"),
        (
            "StatefulSet",
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {"updatedReplicas": 1, "readyReplicas": 3, "updateRevision": "b", "currentRevision": "a"},
            True,
            "3 replicas ready",
        ),
        (
            "StatefulSet",
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {"updatedReplicas": 1, "readyReplicas": 3},
            False,
            "1 of 2 replicas updated",
        ),
        (
            "StatefulSet",
            {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            {"readyReplicas": 1},
            False,
            "1 of 2 replicas ready",
        ),
        (
            "StatefulSet",
            {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            {"readyReplicas": 2},
            True,
            "2 of 2 replicas ready",
        ),
        (
            "DaemonSet",
            {},
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1},
            False,
            "1 of 2 nodes updated",
        ),
        (
            "DaemonSet",
            {},
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1},
            False,
            "available on 1 of 2 nodes",
        ),
        (
            "DaemonSet",
            {"updateStrategy": {"type": "OnDelete"}},
            {"desiredNumberScheduled": 2, "numberAvailable": 2},
            True,
            "available on 2 nodes",
        ),
    ],
)
def test_more_rollouts(kind, spec, status, done, seen):
    assert rollout_status({"kind": kind, "spec": spec, "status": status}) == (done, seen)
