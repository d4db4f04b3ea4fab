"""The deadman's program at its decisions: whose Lease it sees, and when it has nothing to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    deadman_script as script,
)

TASK: dict[str, Any] = {
    "lease": "/lease",
    "routes": "/routes",
    "holder": "runner-1",
    "identity": "deadman:job",
    "fence": 3,
    "seconds": 30,
    "annotation": "servicemesh.istio/fence",
    "write": {"query": "fieldManager=m", "content_type": "json", "object": {"metadata": {}, "spec": {}}},
}


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        ({}, "the rollout has ended"),
        ({"holderIdentity": ""}, "the rollout has ended"),
        ({"holderIdentity": "runner-1", "leaseTransitions": 3}, "watched"),
        ({"holderIdentity": "runner-1", "leaseTransitions": 4}, "another runner has taken over"),
        ({"holderIdentity": "runner-1"}, "another runner has taken over"),
        ({"holderIdentity": "runner-2", "leaseTransitions": 3}, "another runner has taken over"),
        ({"holderIdentity": "deadman:job", "leaseTransitions": 4}, "taken"),
    ],
)
def test_whose_lease_it_is(spec: dict[str, Any], state: str) -> None:
    assert script.state_of({"spec": spec}, TASK) == state


def routes(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": {"http": []}}


@pytest.mark.parametrize(
    ("fence", "said", "writes"), [("4", "the runner is dead", 1), ("5", "another runner", 0)]
)
def test_routes_with_a_newer_fence_are_left_alone(fence: str, said: str, writes: int) -> None:
    asked: list[str] = []

    def ask(method: str, path: str, *_rest: Any, **_more: Any) -> tuple[int, dict[str, Any]]:
        asked.append(method)
        return 200, routes(**{TASK["annotation"]: fence})

    assert script.give_back(ask, TASK, lambda _seconds: None).startswith(said)
    assert asked.count("PATCH") == writes


def test_routes_that_are_gone_need_no_write() -> None:
    assert (
        script.give_back(lambda *_rest, **_more: (404, {}), TASK, lambda _seconds: None)
        == "the routes are gone"
    )


def test_a_whole_object_is_written_at_the_live_version_with_the_next_fence() -> None:
    body = script.given_back(routes(), TASK)
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["metadata"]["annotations"] == {TASK["annotation"]: "4"}
    assert TASK["write"]["object"]["metadata"] == {}


def test_a_lease_that_moved_meanwhile_is_not_taken() -> None:
    lease = {"spec": {"holderIdentity": "runner-1", "leaseTransitions": 3}}
    assert script.take(lambda *_rest, **_more: (409, {}), TASK, lease) is None
    sent: list[dict[str, Any]] = []

    def ask(_method: str, _path: str, body: Any = None, **_more: Any) -> tuple[int, dict[str, Any]]:
        sent.append(body)
        return 200, body

    taken = script.take(ask, TASK, lease)
    assert taken is not None
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == ("deadman:job", 4)
    assert script.take(ask, TASK, taken) == taken
    assert len(sent) == 1


@pytest.mark.parametrize("status", [0, 403, 404, 500])
def test_a_rehearsal_says_what_cannot_be_read(status: int) -> None:
    found = script.rehearse(lambda *_rest, **_more: (status, {}), TASK)
    assert found == f"the Lease cannot be read: status {status}"


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("no JSON")])
def test_a_request_that_fails_counts_as_status_0(error: Exception) -> None:
    def ask(*_rest: Any, **_more: Any) -> Any:
        raise error

    assert script.attempted(ask, "GET", "/lease") == (0, {})
