from __future__ import annotations

import math

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# The machine may be busy: only the values are random, never the verdict on the test's speed.
CALM = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)


def rules(**arguments: object) -> set[str]:
    with pytest.raises(InputError) as raised:
        plan_phases(**{"stable": "v1", "canary": "v2", **arguments})
    assert "\n" not in str(raised.value)
    return {problem.rule for problem in raised.value.problems}


def test_default_plan() -> None:
    plan = plan_phases(stable="v1", canary="v2")
    assert [phase.canary for phase in plan.phases] == [10, 25, 50, 75, 100]
    assert plan.minimum_seconds == 300
    assert plan.evidence_phase == 4
    assert plan.phases[1].weights == {"v1": 75, "v2": 25}


def test_step_weight_ends_at_100() -> None:
    plan = plan_phases(stable="v1", canary="v2", step_weight=30)
    assert [phase.canary for phase in plan.phases] == [30, 60, 90, 100]


def test_low_traffic_makes_phases_longer() -> None:
    plan = plan_phases(
        stable="v1",
        canary="v2",
        steps=[10, 50, 100],
        duration="10s",
        min_requests=100,
        requests_per_second=10,
    )
    assert [phase.expected_seconds for phase in plan.phases] == [100, 20, 10]
    assert plan.phases[0].expected_requests == 100


def test_evidence_is_awaited_in_the_last_phase_with_a_live_stable() -> None:
    plan = plan_phases(
        stable="v1",
        canary="v2",
        steps=[10, 50, 100],
        duration=10,
        min_requests=10,
        requests_per_second=10,
        evidence_requests=260,
    )
    # phase 1 brings 10 requests in 10 s, so phase 2 has to bring 250 at 5/s
    assert [phase.expected_seconds for phase in plan.phases] == [10, 50, 10]


def test_early_phases_keep_the_split_at_stable() -> None:
    plan = plan_phases(
        stable="v1",
        canary="v2",
        dark=30,
        mirror={"percent": 20, "duration": "1m"},
        testers={"header": "x-tester", "duration": 60},
    )
    assert [phase.kind for phase in plan.phases[:4]] == ["dark", "mirror", "testers", "weight"]
    assert all(phase.weights == {"v1": 100, "v2": 0} for phase in plan.phases[:3])


@pytest.mark.parametrize(
    ("steps", "rule"),
    [
        ([], "phases-count"),
        ([*range(1, 101), 100], "phases-count"),
        ([25, 10, 100], "phases-order"),
        ([10, 10, 100], "phases-duplicate"),
        ([10, 50], "phases-end"),
        ([-10, 100], "phases-weight"),
        ([0, 100], "phases-weight"),
        ([10, 110], "phases-weight"),
        ([33.3, 100], "phases-weight"),
        (["10%", 100], "phases-weight"),
        ([True, 100], "phases-weight"),
        ([math.nan, 100], "phases-weight"),
        ([math.inf, 100], "phases-weight"),
        ([10**400, 100], "phases-weight"),
        ([None, 100], "phases-weight"),
        ([{"weight": 10, "wait": 3}, 100], "unknown-field"),
        ("10,100", "phases-list"),
        ({"weight": 10}, "phases-list"),
        (7, "phases-list"),
    ],
)
def test_bad_steps_are_refused(steps: object, rule: str) -> None:
    assert rule in rules(steps=steps)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"canary": "v1"}, "canary-is-stable"),
        ({"canary": "V2"}, "version-name"),
        ({"canary": "v2\n"}, "version-name"),
        ({"canary": ""}, "version-name"),
        ({"duration": 0}, "duration"),
        ({"duration": -1}, "duration"),
        ({"duration": 1e9}, "duration"),
        ({"duration": math.inf}, "duration"),
        ({"duration": math.nan}, "duration"),
        ({"duration": True}, "duration"),
        ({"duration": "1e3"}, "duration"),
        ({"duration": 10**400}, "duration"),
        ({"duration": [10, 20]}, "phases-length"),
        ({"min_requests": -1}, "requests"),
        ({"min_requests": 1.5}, "requests"),
        ({"min_requests": "many"}, "requests"),
        ({"requests_per_second": -1}, "rate"),
        ({"requests_per_second": math.nan}, "number"),
        ({"steps": [10, 100], "step_weight": 10}, "phases-ambiguous"),
        ({"step_weight": 0}, "phases-weight"),
        ({"promote": "yes"}, "boolean"),
        ({"mirror": 5}, "mapping"),
        ({"mirror": {"percent": 101}}, "phases-weight"),
        ({"testers": {"header": "bad header"}}, "header-name"),
        ({"testers": {}}, "header-name"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], rule: str) -> None:
    assert rule in rules(**arguments)


def test_all_problems_at_once() -> None:
    assert rules(canary="v1", steps=[50, 10], duration=0) >= {"canary-is-stable", "phases-order", "duration"}


@CALM
@given(
    st.lists(st.integers(1, 99), unique=True, max_size=8).map(sorted),
    st.floats(0.001, 1e5),
    st.integers(0, 10_000),
    st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_every_accepted_plan_splits_100_percent(
    steps: list[int], duration: float, requests: int, rate: float | None
) -> None:
    plan = plan_phases(
        stable="v1",
        canary="v2",
        steps=[*steps, 100],
        duration=duration,
        min_requests=requests,
        requests_per_second=rate,
        evidence_requests=500,
    )
    for phase in plan.phases:
        assert sum(phase.weights.values()) == 100
        assert all(isinstance(weight, int) and 0 <= weight <= 100 for weight in phase.weights.values())
        assert phase.expected_seconds >= round(phase.duration, 1)


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@CALM
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "steps",
                "step_weight",
                "duration",
                "min_requests",
                "promote",
                "mirror",
                "requests_per_second",
                "testers",
                "dark",
                "canary",
            ]
        ),
        _JUNK,
    )
)
def test_junk_is_refused_or_planned_but_never_crashes(arguments: dict[str, object]) -> None:
    try:
        plan = plan_phases(**{"stable": "v1", "canary": "v2", **arguments})
    except InputError:
        return
    assert all(sum(phase.weights.values()) == 100 for phase in plan.phases)
