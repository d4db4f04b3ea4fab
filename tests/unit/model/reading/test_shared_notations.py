"""One notation of durations and names, wherever they are read."""

from __future__ import annotations

import math

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.durations import (
    duration_fault,
    parse_duration,
    proto_duration,
    seconds,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.values import (
    COOKIE,
    DURATION,
    HEADER,
    LABEL,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases_input import PlanReader

GOOD = {
    "1ms": 0.001,
    "250ms": 0.25,
    "1000ms": 1.0,
    "10s": 10.0,
    "0.5s": 0.5,
    "1m30s": 90.0,
    "1h30m": 5400.0,
    "1.5h": 5400.0,
    "1h2m3s4ms": 3723.004,
    "24h": 86400.0,
    "0.1s": 0.1,
    "007s": 7.0,
}
BAD = [
    "",
    "s",
    "10 s",
    "10S",
    "1d",
    "1w",
    "-1s",
    "+1s",
    "1e3s",
    ".5s",
    "5.s",
    "1s1m",
    "1s1s",
    "10s\n",
    "1,5s",
]

BAD += ["\N{ARABIC-INDIC DIGIT THREE}s"]


@pytest.mark.parametrize("text", GOOD)
def test_a_duration_is_the_same_in_catalogues_and_rollouts(text: str) -> None:
    assert parse_duration(text) == seconds(text) == GOOD[text]
    assert DURATION.fault(text) == ""
    rollout = PlanReader()
    assert rollout.seconds("duration", text) == GOOD[text]
    assert rollout.problems == []


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_duration_is_none_anywhere(text: str) -> None:
    assert parse_duration(text) is None
    assert DURATION.fault(text) == f"{text!r} is not a duration such as 500ms, 10s or 1m30s"
    rollout = PlanReader()
    assert rollout.seconds("duration", text) == 0
    assert [problem.rule for problem in rollout.problems] == ["duration"]
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["10", "10.5"])
def test_a_bare_number_as_text_is_seconds_for_a_rollout_and_nothing_for_istio(text: str) -> None:
    """``-e canary_deadline=10`` hands over text; a catalogue's duration goes to Istio, which wants a unit."""
    assert parse_duration(text) is None
    assert DURATION.fault(text)
    rollout = PlanReader()
    assert rollout.seconds("deadline", text) == float(text)
    assert rollout.problems == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0s", "'0s' is shorter than 1ms"),
        ("0.9ms", "'0.9ms' is shorter than 1ms"),
        ("1ms", ""),
        ("24h", ""),
        ("24h1ms", "'24h1ms' is longer than 24h"),
        ("1000h", "'1000h' is longer than 24h"),
    ],
)
def test_bounds_of_the_catalogue(text: str, fault: str) -> None:
    assert DURATION.fault(text) == fault


def test_the_longest_is_the_caller_s() -> None:
    assert duration_fault("36h", longest=36 * 3600) == ""
    assert duration_fault("36h1s", longest=36 * 3600) == "'36h1s' is longer than 36h"
    assert parse_duration("9" * 400 + "s") == math.inf


@pytest.mark.parametrize(
    ("text", "proto"),
    [("1m30s", "90s"), ("250ms", "0.25s"), ("1ms", "0.001s"), ("100s", "100s"), ("1.5h", "5400s")],
)
def test_protobuf_knows_seconds_only(text: str, proto: str) -> None:
    assert proto_duration(text) == proto


@pytest.mark.parametrize(
    ("kind", "text", "good"),
    [
        ("name", "v1", True),
        ("name", "1-a", True),
        ("name", "v1.0", False),  # the catalogue has no such version
        ("name", "V1", False),
        ("name", "a" * 64, False),
        ("header", "x-tester", True),
        ("header", "X_Y", True),
        ("header", "Host", False),  # it is no header to a route
        ("header", "x y", False),
        ("cookie", "host", True),
        ("cookie", "a" * 65, False),
    ],
)
def test_names_are_the_same_in_catalogues_and_rollouts(kind: str, text: str, good: bool) -> None:
    check = {"name": LABEL, "header": HEADER, "cookie": COOKIE}[kind]
    assert (check.fault(text) == "") is good
    rollout = PlanReader()
    read = rollout.name("x", text) if kind == "name" else rollout.header("x", text, kind)
    assert read == (text if good else "")
    assert bool(rollout.problems) is not good
