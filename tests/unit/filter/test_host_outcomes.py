"""What a play that goes on past failing clusters says of each of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.filter.host_outcomes import (
    failing_outcomes,
    host_outcomes,
    outcome_table,
)

PLAY = "Rotate"
REFUSED = {"msg": "connection refused", "reason": "Unreachable", "unreachable": False}


def failed(play: str = PLAY, **failure: Any) -> dict[str, Any]:
    return {"__mesh_failures": {play: failure}}


def outcome(variables: dict[str, Any]) -> tuple[str, str]:
    found = host_outcomes(["a"], {"a": variables}, "result", PLAY)["a"]
    return found["outcome"], found["said"]


def test_each_outcome() -> None:
    assert outcome({"result": {"changed": False, "headline": "all is well"}}) == ("ok", "all is well")
    assert outcome({"result": {"changed": True, "summary": ["1 renewed", "x"]}}) == ("changed", "1 renewed")
    assert outcome({"result": {"failed": True}, **failed(msg="refused")}) == ("failed", "refused")
    assert outcome(failed(**REFUSED)) == ("unreachable", "connection refused")
    assert outcome({"result": {"unreachable": True, "msg": "ssh: no"}}) == ("unreachable", "ssh: no")
    assert outcome({"result": {"counts": {"looked_at": 3, "resumed": 0}}}) == ("ok", "3 looked at, 0 resumed")
    assert outcome({}) == ("not run", "")


def test_a_host_that_ssh_does_not_reach_is_told_by_that_and_not_by_what_followed() -> None:
    variables = {"result": {"unreachable": True, "msg": "ssh"}, **failed(msg="has no attribute 'summary'")}
    assert outcome(variables) == ("unreachable", "ssh")


def test_the_failure_of_an_earlier_play_is_not_this_ones() -> None:
    assert outcome({"result": {"headline": "well"}, **failed("Another", msg="bad")}) == ("ok", "well")


@pytest.mark.parametrize("odd", ["text", 5, None, ["x"]])
def test_what_is_no_result_has_not_run(odd: Any) -> None:
    assert outcome({"result": odd}) == ("not run", "")


def test_one_line_each_whatever_was_said() -> None:
    assert outcome(failed(msg="a\n  b\t\r\nc"))[1] == "a b c"
    assert len(outcome(failed(msg="c" * 500))[1]) == 160
    assert outcome(failed())[1] == ""
    assert outcome({"result": {"changed": True, "summary": []}}) == ("changed", "")


def test_the_table_has_every_host_and_counts_them() -> None:
    hosts = {"b": failed(**REFUSED), "löwe 1": {"result": {"headline": "fine"}}, "c": failed(msg="no")}
    lines = outcome_table(host_outcomes([*hosts], hosts, "result", PLAY))
    assert lines == [
        "cluster  outcome      what was said",
        "b        unreachable  connection refused",
        "löwe 1   ok           fine",
        "c        failed       no",
        "3 clusters: 1 failed, 1 ok, 1 unreachable",
    ]
    assert outcome_table({})[-1] == "0 clusters: none"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["failed"], ["failed"]), ("failed,unreachable", ["failed", "unreachable"]), ("", []), ([], []),
        ("['unreachable']", ["unreachable"]),
    ],
)  # fmt: skip
def test_a_policy_is_read_as_a_list_or_text(given: Any, wanted: list[str]) -> None:
    assert failing_outcomes(given) == wanted


@pytest.mark.parametrize("given", ["unreachble", ["failed", "ok"], "fail"])
def test_a_misspelt_policy_would_let_every_run_end_well(given: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"mesh_hosts_fail_on: .* is no outcome that fails"):
        failing_outcomes(given)
