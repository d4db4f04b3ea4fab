"""Values of a plan at their bounds, each refusal at its place, and the times that a plan promises."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import (
    RolloutPlan,
    plan_phases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases_input import (
    MAX_REQUESTS,
    MAX_SECONDS,
    PlanReader,
)


def plan(**arguments: Any) -> RolloutPlan:
    return plan_phases(**{"stable": "v1", "canary": "v2", **arguments})


def refused(**arguments: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        plan(**arguments)
    return [(problem.where, problem.rule) for problem in caught.value.problems]


@pytest.mark.parametrize(("length", "shown"), [(38, None), (39, "'" + "x" * 36 + "...")])
def test_a_value_in_a_message_is_short(length: int, shown: str | None) -> None:
    value = "x" * length
    assert PlanReader.shown(value) == (shown or repr(value))
    assert PlanReader.shown("ä\n") == r"'\xe4\n'"


@pytest.mark.parametrize(
    ("kind", "taken", "bad", "stand_in", "rule"),
    [
        ("name", ["v1", "V-2"[2:] + "x"], ["", 7, "V2", "a" * 64], "", "version-name"),
        ("header", ["x-a", "X_a"], ["", "a b", 7], "", "header-name"),
        ("text", ["a b"], ["", "a\nb", 7, None], "", "text"),
        ("boolean", [True, False], ["maybe", 1, None], False, "boolean"),
        ("weight", [1, 100], [0, 101, 1.5, "x", True, None], 0, "phases-weight"),
        ("seconds", [0.1, "1s", MAX_SECONDS], [0, -1, MAX_SECONDS + 1, "x", None], 0.0, "duration"),
        ("requests", [0, MAX_REQUESTS], [-1, MAX_REQUESTS + 1, 1.5, True], 0, "requests"),
        ("rate", [0, 0.5], [-0.1], 0.0, "rate"),
        ("number", [-1.5, 0, 7], [True, "x", float("nan"), float("inf"), 10**400], 0.0, "number"),
        ("above_zero", [0.1, 7], [0, 0.0, -1], 0.0, "number"),
        ("share", [0.001, 0.999], [0, 1, 5, -0.1], 0.5, "share"),
    ],
)
def test_bounds_of_each_kind(kind: str, taken: list[Any], bad: list[Any], stand_in: Any, rule: str) -> None:
    for value in taken:
        reader = PlanReader("canary_")
        found = getattr(reader, kind)("it", value)
        assert reader.problems == []
        if kind != "seconds":
            assert found == value
        else:
            assert found == {"1s": 1.0}.get(value, value)
    for value in bad:
        reader = PlanReader("canary_")
        found = getattr(reader, kind)("it", value)
        assert {(problem.where, problem.rule) for problem in reader.problems} == {("canary_it", rule)}, value
        assert found == stand_in


@pytest.mark.parametrize(
    ("value", "told"), [("x", ["number"]), (None, ["number"]), (0, ["number"]), (-1, ["number"])]
)
def test_a_number_above_zero_is_refused_once(value: Any, told: list[str]) -> None:
    reader = PlanReader()
    reader.above_zero("it", value)
    assert [problem.rule for problem in reader.problems] == told


@pytest.mark.parametrize("value", [3, 9])
def test_whole_numbers_between_two_others(value: int) -> None:
    reader = PlanReader()
    assert reader.whole("it", value, 3, 9) == value
    assert reader.problems == []
    for bad in (2, 10, True, 3.5, "x"):
        assert reader.whole("it", bad, 3, 9) == 3
    assert [problem.rule for problem in reader.problems] == ["number"] * 5


def test_what_a_cookie_is_called() -> None:
    reader = PlanReader()
    assert reader.header("it", "user", "cookie") == "user"
    assert reader.header("it", "a=b", "cookie") == ""
    (problem,) = reader.problems
    assert (problem.rule, "not a cookie name" in problem.message) == ("cookie-name", True)


def test_a_mapping_keeps_its_known_fields_and_names_the_others() -> None:
    reader = PlanReader()
    assert reader.mapping("it", {"a": 1, "b": 2, 7: 3}, {"a"}) == {"a": 1, "b": 2, 7: 3}
    assert [(problem.where, problem.rule) for problem in reader.problems] == [
        ("it.7", "unknown-field"),
        ("it.b", "unknown-field"),
    ]
    assert reader.mapping("it", [], {"a"}) == {}


@pytest.mark.parametrize(
    ("value", "found", "told"),
    [
        (7, [7.0, 7.0, 7.0], []),
        ("7s", [7.0, 7.0, 7.0], []),
        ([1, 2, 3], [1.0, 2.0, 3.0], []),
        ([1, 2], [1.0, 2.0, 1.0], [("it", "phases-length")]),
        ([1, 2, 3, 4], [1.0, 2.0, 3.0], [("it", "phases-length")]),
        ([1, "x", 3], [1.0, 0.0, 3.0], [("it[1]", "duration")]),
    ],
)
def test_one_value_per_step(value: Any, found: list[float], told: list[tuple[str, str]]) -> None:
    reader = PlanReader()
    assert reader.per_step("it", value, 3, reader.seconds) == found
    assert [(problem.where, problem.rule) for problem in reader.problems] == told
    none = PlanReader()
    assert none.per_step("it", [1], 0, none.seconds) == []
    assert none.problems == []  # there are no steps: that has been told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"steps": [10, 10, 5, 100]}, [("steps[1]", "phases-duplicate"), ("steps[2]", "phases-order")]),
        ({"steps": [10, 50]}, [("steps[1]", "phases-end")]),
        ({"steps": [10, 50], "promote": None}, [("promote", "boolean"), ("steps[1]", "phases-end")]),
        ({"steps": [0, 50]}, [("steps[0]", "phases-weight")]),  # of a refused weight nothing more is said
        (
            {"steps": [{"weight": 100, "pause": 1, "wait": 2}]},
            [("steps[0].pause", "unknown-field"), ("steps[0].wait", "unknown-field")],
        ),
        ({"steps": [{"weight": 100, "duration": "x"}]}, [("steps[0].duration", "duration")]),
        ({"steps": [{"weight": 100, "min_requests": -1}]}, [("steps[0].min_requests", "requests")]),
        ({"steps": [10, 100], "duration": ["x", 1]}, [("duration[0]", "duration")]),
        ({"step_weight": 101}, [("step_weight", "phases-weight")]),
        ({"steps": b"10"}, [("steps", "phases-list")]),
        ({"dark": 0}, [("dark", "duration")]),
        (
            {"mirror": {"duration": 0, "min_requests": -1, "x": 1}},
            [
                ("mirror.x", "unknown-field"),
                ("mirror.duration", "duration"),
                ("mirror.min_requests", "requests"),
            ],
        ),
        (
            {"testers": {"header": "a", "duration": 0, "min_requests": -1, "x": 1}},
            [
                ("testers.x", "unknown-field"),
                ("testers.duration", "duration"),
                ("testers.min_requests", "requests"),
            ],
        ),
        ({"evidence_requests": -1}, [("evidence_requests", "requests")]),
        ({"stable": 7, "canary": 7}, [("stable", "version-name"), ("canary", "version-name")]),
        ({"prefix": "canary_", "steps": 7}, [("canary_steps", "phases-list")]),
    ],
)
def test_each_refusal_at_its_place(arguments: dict[str, Any], told: list[tuple[str, str]]) -> None:
    assert refused(**arguments) == told


@pytest.mark.parametrize(
    ("size", "shares"),
    [(100, [100]), (50, [50, 100]), (30, [30, 60, 90, 100]), (99, [99, 100]), (1, list(range(1, 101)))],
)
def test_equal_steps(size: int, shares: list[int]) -> None:
    assert [phase.canary for phase in plan(step_weight=size).phases] == shares


def test_steps_up_to_the_most_that_are_allowed() -> None:
    assert len(plan(steps=list(range(1, 101))).phases) == 100
    assert [phase.canary for phase in plan(steps=[100]).phases] == [100]
    assert plan(steps=[10, 50], promote=False).phases[-1].weights == {"v1": 50, "v2": 50}


def test_a_step_may_have_times_of_its_own() -> None:
    found = plan(
        steps=[{"weight": 10, "duration": "5s", "min_requests": 7}, 100], duration=[9, 9], min_requests=[1, 2]
    )
    assert [(phase.duration, phase.minimum_requests) for phase in found.phases] == [(5.0, 7), (9.0, 2)]


def test_early_phases_and_what_they_promise() -> None:
    found = plan(
        steps=[50, 100],
        duration=10,
        min_requests=30,
        requests_per_second=10,
        evidence_requests=100,
        dark=5,
        mirror={"percent": 20, "duration": 6, "min_requests": 40},
        testers={"header": "x", "min_requests": 99},
    )
    assert [
        (phase.number, phase.kind, phase.canary, phase.duration, phase.minimum_requests)
        for phase in found.phases
    ] == [
        (1, "dark", 0, 5.0, 0),
        (2, "mirror", 20, 6.0, 40),
        (3, "testers", 0, 60.0, 99),
        (4, "weight", 50, 10.0, 30),
        (5, "weight", 100, 10.0, 30),
    ]
    # copies and testers are no evidence: all 100 requests are awaited at 5/s in phase 4
    assert [phase.expected_seconds for phase in found.phases] == [5.0, 20.0, 60.0, 20.0, 10.0]
    assert [phase.expected_requests for phase in found.phases] == [0, 40, 0, 100, 100]
    assert (found.evidence_phase, found.minimum_seconds, found.expected_seconds) == (4, 91.0, 115.0)
    assert found.phases[3].label() == "4/weight 50 %"
    assert found.traffic(found.phases[4], "e1").earlier == (50,)
    assert found.traffic(found.phases[3], "e1").earlier == ()
    mirrored = found.traffic(found.phases[1], "e1")
    assert (mirrored.kind, mirrored.percent, mirrored.epoch, mirrored.weights) == (
        "mirror",
        20,
        "e1",
        {"v1": 100, "v2": 0},
    )


def test_without_known_traffic_no_time_is_promised() -> None:
    found = plan(steps=[10, 100], duration=10, min_requests=1000)
    assert [(phase.expected_seconds, phase.expected_requests) for phase in found.phases] == [(10.0, None)] * 2
    idle = plan(steps=[10, 100], duration=10, min_requests=1000, requests_per_second=0)
    assert [(phase.expected_seconds, phase.expected_requests) for phase in idle.phases] == [(10.0, 0)] * 2


def test_a_jump_to_everything_awaits_its_evidence_there() -> None:
    found = plan(steps=[100], duration=1, min_requests=1, requests_per_second=10, evidence_requests=50)
    assert (found.evidence_phase, found.phases[0].expected_seconds) == (1, 5.0)


def test_a_plan_as_data() -> None:
    data = plan(steps=[10, 100], requests_per_second=2.0, evidence_requests=3).as_dict()
    assert {key: value for key, value in data.items() if key != "phases"} == {
        "stable": "v1",
        "canary": "v2",
        "evidence_phase": 1,
        "evidence_requests": 3,
        "requests_per_second": 2.0,
        "minimum_seconds": 120.0,
        "expected_seconds": 560.0,
    }
    assert [phase["canary"] for phase in data["phases"]] == [10, 100]
