"""Bounded waits and rollouts."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.wait import rollout_status, wait_until


def test_returns_what_was_seen_last():
    seen = iter([(False, "0 of 1"), (True, "1 of 1")])
    assert wait_until(lambda: next(seen), awaited="x", timeout=5, interval=0.01) == "1 of 1"


def test_a_timeout_says_what_was_awaited_and_seen():
    with pytest.raises(WaitTimeout) as caught:
        wait_until(lambda: (False, "0 of 1"), awaited="the pod", timeout=0.05, interval=0.01)
    assert caught.value.message == "the pod: not there after 0.05 s; last seen: 0 of 1"


def test_it_looks_at_least_once_and_once_more_at_the_end():
    looks = []
    with pytest.raises(WaitTimeout):
        wait_until(lambda: (bool(looks.append(1)), ""), awaited="x", timeout=0.03, interval=10)
    assert len(looks) == 2


def test_a_stop_ends_it():
    with pytest.raises(ApiError) as caught:
        wait_until(lambda: (False, ""), awaited="x", timeout=60, stop=lambda: True)
    assert caught.value.reason == "Interrupted"


def test_progress_is_told_when_it_changes():
    lines, seen = [], iter([(False, "a"), (False, "a"), (False, "b"), (True, "c")])
    wait_until(lambda: next(seen), awaited="x", timeout=5, interval=0.001, progress=lines.append)
    assert lines == ["waiting for x: a", "waiting for x: b"]


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
