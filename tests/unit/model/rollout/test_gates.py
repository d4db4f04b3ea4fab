"""From counted requests to a verdict: harm, health, promotion, queries, and the counters below."""

# ruff: noqa: E501 - one row per case

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.counters import (
    Sample,
    SeriesMemory,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
    Look,
    Policy,
    QueryGate,
    ShareGate,
    judge_query,
    judge_share,
    judge_split,
    worst,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.series import target_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts

GATE = ShareGate("errors", acceptable=0.005, limit=0.02)


def judged(windows: list[Counts], **changes: Any) -> Judgement:
    return judge_of(GATE, windows, **changes)


def judge_of(gate: ShareGate, windows: list[Counts], **changes: Any) -> Judgement:
    fields = {
        "phases": 5,
        "phase": windows[-1].phase if windows else 1,
        "minimum_requests": 100,
        "promotion": False,
    }
    names = {"phases", "phase", "minimum_requests", "promotion", "live", "ended"}
    look = Look(**{**fields, **{name: changes[name] for name in names & set(changes)}})
    more = {name: changes[name] for name in changes if name not in names}
    return judge_share(gate, windows, look, **{"policy": Policy(), "gates": [gate], **more})


def test_no_requests_are_never_a_pass() -> None:
    assert judged([]).verdict is GateVerdict.NOT_ENOUGH_DATA
    assert judged([], minimum_requests=0, promotion=True).verdict is GateVerdict.NOT_ENOUGH_DATA
    assert (
        judged([Counts(1, 0, 0, 900, 0)], minimum_requests=0, promotion=True).verdict
        is GateVerdict.NOT_ENOUGH_DATA
    )
    assert judged([], policy=Policy(mode="fixed"), minimum_requests=0).verdict is GateVerdict.NOT_ENOUGH_DATA


def test_harm_acts_before_the_minimum_of_requests() -> None:
    verdict = judged([Counts(1, 8, 6, 72, 0)])
    assert verdict.verdict is GateVerdict.FAIL
    assert "6 of 8 canary requests failed (stable 0 of 72)" in verdict.reason


def test_promotion_needs_the_evidence_of_the_run() -> None:
    few = [Counts(4, 150, 0, 50, 0)]
    assert judged(few).verdict is GateVerdict.PASS
    assert judged(few, promotion=True).verdict is GateVerdict.NOT_ENOUGH_DATA
    assert judged([Counts(4, 900, 0, 600, 0)], promotion=True).verdict is GateVerdict.PASS


def test_requests_of_other_phases_do_not_fill_this_phase() -> None:
    assert (
        judged([Counts(1, 5000, 0, 45000, 0), Counts(2, 20, 0, 60, 0)]).verdict is GateVerdict.NOT_ENOUGH_DATA
    )


def test_worse_than_stable_fails_though_below_the_absolute_limit() -> None:
    gate = ShareGate("errors", acceptable=0.2, limit=0.4)
    windows = [Counts(phase, 400, 40, 400, 2) for phase in (1, 2)]
    verdict = judge_of(gate, windows, phases=2, phase=2, minimum_requests=1)
    assert verdict.verdict is GateVerdict.PASS, "what is acceptable is no harm"
    sicker = judge_of(
        gate, [Counts(phase, 400, 100, 400, 20) for phase in (1, 2)], phases=2, minimum_requests=1
    )
    assert sicker.verdict is GateVerdict.FAIL
    assert "worse than stable" in sicker.reason


def test_fixed_mode_compares_the_share_of_the_phase() -> None:
    fixed = Policy(mode="fixed")
    assert judged([Counts(1, 200, 5, 0, 0)], policy=fixed).verdict is GateVerdict.FAIL
    assert judged([Counts(1, 200, 4, 0, 0)], policy=fixed).verdict is GateVerdict.PASS


def test_alpha_is_shared_by_all_gates() -> None:
    windows = [Counts(1, 6, 3, 54, 0)]
    alone = judged(windows).figures["stop_at"]
    shared = judged(windows, gates=[GATE, ShareGate("latency", 0.01, 0.05)]).figures["stop_at"]
    assert shared - alone == pytest.approx(math.log(2), abs=0.002)


def test_fixed_mode_judges_at_the_end_of_the_phase() -> None:
    fixed = Policy(mode="fixed")
    for bad in (0, 190):
        early = judged([Counts(1, 200, bad, 0, 0)], policy=fixed, ended=False)
        assert early.verdict is GateVerdict.NOT_ENOUGH_DATA
        assert early.reason == "judged at the end of the phase"


@pytest.mark.parametrize("share", [0.3, 0.02])
def test_what_fails_both_versions_alike_neither_condemns_nor_passes(share: float) -> None:
    """A dependency of both that fails is no harm of the canary, and no proof of its health."""
    windows = [Counts(1, 2000, round(2000 * share), 18000, round(18000 * share))] * 4
    found = judged(windows)
    assert found.verdict is GateVerdict.NOT_ENOUGH_DATA
    assert found.figures["alike"]
    assert "both versions fail alike" in found.reason


def test_a_canary_twice_as_sick_as_a_sick_stable_fails() -> None:
    windows = [Counts(1, 2000, 1300, 18000, 5400)] * 4
    assert judged(windows).verdict is GateVerdict.FAIL


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        ([(156, 2), (150, 5), (168, 5)], [(1344, 15), (1350, 14), (1332, 10)]),
        ([(149, 7)], [(1351, 16)]),
    ],
)
def test_few_requests_do_not_make_one_of_two_equal_versions_the_worse_one(
    canary: list[tuple[int, int]], stable: list[tuple[int, int]]
) -> None:
    """Both fail 0.9 % of their requests: chance alone, out of simulated runs that were stopped."""
    windows = [Counts(1, n, bad, m, worse) for (n, bad), (m, worse) in zip(canary, stable, strict=True)]
    assert judged(windows, phase=1).verdict is GateVerdict.NOT_ENOUGH_DATA


def test_a_version_that_is_surely_the_worse_one_is_stopped_beside_a_stable_that_is_not_perfect() -> None:
    windows = [Counts(1, 1000, 20, 9000, 36), Counts(1, 1000, 19, 9000, 40), Counts(1, 1000, 22, 9000, 33)]
    assert judged(windows, phase=1).verdict is GateVerdict.FAIL


def test_a_version_that_falls_ill_with_the_last_step_is_stopped_within_five_looks() -> None:
    """Beside a stable version with nearly the acceptable share; good phases before do not hide it."""
    windows = [Counts(phase, 750, 3, 750, 3) for phase in (1, 2, 3, 4) for _look in range(4)]
    ill = [Counts(5, 1500, 32, 0, 0)] * 5
    assert judged([*windows, *ill], phase=5).verdict is GateVerdict.FAIL


def test_after_a_common_failure_the_run_goes_on() -> None:
    """A minute in which both failed counts neither for nor against, once it is over."""
    blip = [Counts(4, 300, 90, 100, 30)] * 4
    assert judged(blip, promotion=True).verdict is GateVerdict.NOT_ENOUGH_DATA
    well = [Counts(4, 900, 0, 600, 0)] * 2
    assert judged([*blip, *well], promotion=True).verdict is GateVerdict.PASS


def test_without_a_comparison_a_common_failure_cannot_be_told() -> None:
    alone = ShareGate("errors", acceptable=0.005, limit=0.02, compare=False)
    assert judge_of(alone, [Counts(1, 2000, 600, 18000, 5400)]).verdict is GateVerdict.FAIL


@pytest.mark.parametrize(("canary", "stable"), [(1.0, 0.3), (4.0, 2.0), (4.9, 0.2)])
def test_a_share_that_is_acceptable_is_no_harm(canary: float, stable: float) -> None:
    """Per mille of 100,000 and 900,000 requests: far more evidence than any test needs."""
    windows = [Counts(1, 25_000, round(25 * canary), 225_000, round(225 * stable))] * 4
    assert judged(windows).verdict is GateVerdict.PASS


def test_copies_prove_nothing_about_users() -> None:
    mirrored = [Counts(1, 50_000, 0, 50_000, 0)]
    assert judged([*mirrored, Counts(4, 150, 0, 50, 0)], promotion=True, live=2).verdict is (
        GateVerdict.NOT_ENOUGH_DATA
    )
    assert judged([*mirrored, Counts(4, 900, 0, 600, 0)], promotion=True, live=2).verdict is GateVerdict.PASS


def test_the_last_phase_shows_by_itself_that_the_version_bears_everybody() -> None:
    before = [Counts(4, 50_000, 0, 20_000, 0)]
    assert judged([*before, Counts(5, 150, 0)], promotion=True).verdict is GateVerdict.NOT_ENOUGH_DATA
    assert judged([*before, Counts(5, 250, 0)], promotion=True).verdict is GateVerdict.PASS
    assert judged([*before, Counts(5, 250, 5)], promotion=True).verdict is GateVerdict.NOT_ENOUGH_DATA


def test_bursts_that_stable_shows_widen_every_test_and_are_told() -> None:
    bursts = [(300, bad) for bad in (0, 11, 0, 0, 14, 0, 2, 0, 9, 0)] * 2
    windows = [Counts(1, 150, 6, 1350, 0)]
    assert judged(windows).verdict is GateVerdict.FAIL
    widened = judged(windows, before=bursts)
    assert widened.verdict is GateVerdict.PASS
    assert widened.figures["burst"] > 4


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([], GateVerdict.NOT_ENOUGH_DATA),
        ([None], GateVerdict.CANNOT_MEASURE),
        ([5.0, None], GateVerdict.CANNOT_MEASURE),
        ([math.nan], GateVerdict.CANNOT_MEASURE),
        ([math.inf], GateVerdict.CANNOT_MEASURE),
        ([5.0], GateVerdict.PASS),
        ([50.0], GateVerdict.NOT_ENOUGH_DATA),
        ([50.0, 60.0], GateVerdict.FAIL),
        ([50.0, 5.0], GateVerdict.PASS),
        ([50.0, None, 50.0], GateVerdict.NOT_ENOUGH_DATA),
    ],
)
def test_query_gate(values: list[float | None], verdict: GateVerdict) -> None:
    assert judge_query(QueryGate("queue", "q", maximum=10.0), values).verdict is verdict


def test_the_worst_verdict_decides() -> None:
    order = [GateVerdict.FAIL, GateVerdict.CANNOT_MEASURE, GateVerdict.NOT_ENOUGH_DATA, GateVerdict.PASS]
    for index, verdict in enumerate(order):
        assert worst([Judgement("g", v, "") for v in reversed(order[index:])]).verdict is verdict
    assert worst([]).verdict is GateVerdict.CANNOT_MEASURE


def sample(value: float, at: float = 0.0, **labels: str) -> Sample:
    return Sample(frozenset(labels.items()), at, value, at, value)


def advance(ledger: SeriesMemory, samples: list[Sample]) -> dict[Any, float]:
    found = ledger.increments(samples)
    ledger.commit(samples)
    return found


def test_a_series_that_was_absent_counts_from_zero() -> None:
    ledger = SeriesMemory(target_of)
    ledger.start([sample(100, pod="a", code="200")])
    increments = advance(ledger, [sample(110, 1, pod="a", code="200"), sample(3, 1, pod="a", code="500")])
    assert sorted(increments.values()) == [3, 10]


def test_a_pod_that_was_not_scraped_when_the_run_began_counts_from_its_first_sample() -> None:
    """Its counters may be as old as the pod: 50,000 requests of a week are no evidence of this minute."""
    for first in ([], [sample(9, pod="other")]):
        ledger = SeriesMemory(target_of)
        ledger.start(first)
        late = Sample(frozenset({("pod", "a"), ("code", "200")}), 2.0, 50_150, 1.0, 50_000)
        assert list(advance(ledger, [late]).values()) == [150]
        new = [sample(50_170, 3, pod="a", code="200"), sample(2, 3, pod="a", code="500")]
        assert sorted(advance(ledger, new).values()) == [2, 20]


def test_counters_under_new_labels_are_old_ones() -> None:
    """A relabelling in mid-run: all series of the pod go, and others with their values come."""
    ledger = SeriesMemory(target_of)
    ledger.start([sample(100, 1, pod="a", code="200"), sample(7, 1, pod="a", code="500")])
    renamed = [
        Sample(frozenset({("pod", "a"), ("code", code), ("team", "x")}), 3.0, value, 2.0, value)
        for code, value in (("200", 130.0), ("500", 9.0))
    ]
    assert advance(ledger, renamed) == {}
    later = [Sample(found.labels, 4.0, found.value + 1, 2.0, found.value) for found in renamed]
    assert list(advance(ledger, later).values()) == [1, 1]


def test_a_restarted_pod_counts_from_zero_and_others_do_not() -> None:
    ledger = SeriesMemory(target_of)
    ledger.start([sample(100, pod="a"), sample(50, pod="b")])
    increments = advance(ledger, [sample(4, 1, pod="a"), sample(60, 1, pod="b")])
    assert sorted(increments.values()) == [4, 10]


def test_a_gap_in_scraping_neither_loses_nor_doubles() -> None:
    ledger = SeriesMemory(target_of)
    ledger.start([sample(100, pod="a")])
    assert advance(ledger, []) == {}
    assert list(advance(ledger, [sample(130, 9, pod="a")]).values()) == [30]


def test_an_older_copy_is_ignored() -> None:
    ledger = SeriesMemory(target_of)
    ledger.start([sample(100, 10, pod="a")])
    assert advance(ledger, [sample(90, 5, pod="a")]) == {}
    assert list(advance(ledger, [sample(101, 11, pod="a")]).values()) == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_impossible_counter_values_measure_nothing(value: float) -> None:
    with pytest.raises(ValueError, match="counter"):
        advance(SeriesMemory(target_of), [sample(value, pod="a")])


def test_a_doubled_series_measures_nothing() -> None:
    with pytest.raises(ValueError, match="twice"):
        advance(SeriesMemory(target_of), [sample(1, pod="a"), sample(2, pod="a")])


def test_a_burst_of_slow_requests_weighs_less_than_as_many_single_ones() -> None:
    single = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False)
    bursts = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False, burst=5.0)
    windows = [Counts(1, 60, 14, 540, 12)]
    assert judge_of(single, windows, minimum_requests=1).verdict is GateVerdict.FAIL
    assert judge_of(bursts, windows, minimum_requests=1).verdict is GateVerdict.PASS
    assert judge_of(bursts, windows * 20, minimum_requests=1).verdict is GateVerdict.FAIL


def test_a_slow_minute_of_both_arms_is_no_evidence_without_an_absolute_limit() -> None:
    gate = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False)
    windows = [Counts(1, 100, 60, 300, 180)] * 5
    assert judge_of(gate, windows, minimum_requests=1).verdict is GateVerdict.PASS


# -- every figure and every word -------------------------------------------------------------------------------


def told(windows: list[Counts], gate: ShareGate = GATE, **changes: Any) -> tuple[str, str]:
    found = judged(windows, **changes) if gate is GATE else judge_of(gate, windows, **changes)
    return str(found.verdict), found.reason


def test_a_judgement_tells_all_figures_it_rests_on() -> None:
    windows = [Counts(1, 100, 0, 900, 3), Counts(2, 250, 1, 750, 2)]
    found = judged(windows, promotion=True)
    assert found.as_dict() == {
        "gate": "errors",
        "verdict": "not enough data",
        "reason": "may still be worse than stable by 3.07%, the effect is 1.50%",
        "figures": {
            "phase_canary_total": 250,
            "phase_canary_bad": 1,
            "phase_canary_share": 0.004,
            "canary_total": 350,
            "canary_bad": 1,
            "canary_interval": [0.0, 0.031586],
            "stable_total": 1650,
            "stable_bad": 5,
            "stable_interval": [0.000217, 0.012444],
            "acceptable": 0.005,
            "limit": 0.02,
            "stop_at": 5.298,
            "burst": 1.0,
            "harm_evidence": -0.499,
            "worse_than_stable_evidence": -0.243,
            "health_evidence": 3.915,
            "promote_at": 2.996,
            "not_worse_evidence": 0.663,
            "difference_at_most": 0.03068,
        },
    }
    assert str(found) == "errors: may still be worse than stable by 3.07%, the effect is 1.50%"


@pytest.mark.parametrize(
    ("windows", "verdict", "reason"),
    [
        ([Counts(1, 99, 0, 900, 0)], "not enough data", "99 of 100 requests in this phase"),
        ([Counts(1, 100, 0, 900, 0)], "pass", "0 of 100 requests failed in this phase"),
        ([Counts(1, 8, 6, 72, 0)], "fail", "6 of 8 canary requests failed (stable 0 of 72): worse than stable"),
    ],
)  # fmt: skip
def test_words_of_the_errors_gate(windows: list[Counts], verdict: str, reason: str) -> None:
    assert told(windows) == (verdict, reason)


LATENCY = ShareGate("latency", acceptable=0.05, limit=0.2)
RELATIVE = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False)


def test_words_of_the_latency_gate() -> None:
    assert told([Counts(1, 100, 3, 900, 20)], LATENCY) == ("pass", "3 of 100 requests too slow in this phase")
    slow = [Counts(1, 100, 60, 300, 3)]
    assert told(slow, LATENCY) == (
        "fail",
        "60 of 100 canary requests were too slow (stable 3 of 300): worse than stable",
    )
    assert told(slow, RELATIVE) == (
        "fail",
        "60 of 100 canary requests were too slow (stable 3 of 300): worse than stable",
    )


@pytest.mark.parametrize(
    ("gate", "windows", "reason"),
    [
        (GATE, [Counts(4, 150, 0, 50, 0)], "evidence below the limit of 2.00% is 2.28 of 3.00"),
        (RELATIVE, [Counts(4, 100, 10, 100, 8)], "may still be worse than stable by 23.04%, the effect is 15.00%"),
        (RELATIVE, [Counts(4, 150, 9, 150, 9)], ""),  # by 14.82 % at most
        (RELATIVE, [Counts(4, 100, 6, 0, 0)], ""),  # without a stable to compare with
        (RELATIVE, [Counts(4, 900, 9, 900, 9)], ""),
    ],
)  # fmt: skip
def test_a_promotion_names_the_evidence_that_lacks(
    gate: ShareGate, windows: list[Counts], reason: str
) -> None:
    found = judge_of(gate, windows, promotion=True)
    assert (found.reason if found.verdict is GateVerdict.NOT_ENOUGH_DATA else "") == reason


def test_half_of_the_error_rate_belongs_to_each_way_of_being_refuted() -> None:
    found = judge_of(RELATIVE, [Counts(4, 900, 40, 900, 40)], promotion=True)
    assert found.verdict is GateVerdict.PASS
    assert found.figures["not_worse_evidence"] >= -math.log(0.05 / 2)
    assert "difference_at_most" not in found.figures
    assert "health_evidence" not in found.figures


@pytest.mark.parametrize(
    ("windows", "minimum", "verdict", "reason"),
    [
        ([], 0, "not enough data", "0 of 1 requests in this phase"),
        ([Counts(1, 9, 0)], 10, "not enough data", "9 of 10 requests in this phase"),
        ([Counts(1, 10, 0)], 10, "pass", "0 of 10 requests failed in this phase"),
        ([Counts(1, 200, 4)], 10, "pass", "4 of 200 requests failed in this phase"),
        ([Counts(1, 200, 5)], 10, "fail", "5 of 200 canary requests failed (stable 0 of 0): worse than the fixed limit"),
    ],
)  # fmt: skip
def test_words_of_the_fixed_mode(windows: list[Counts], minimum: int, verdict: str, reason: str) -> None:
    found = judged(windows, policy=Policy(mode="fixed"), minimum_requests=minimum)
    assert (str(found.verdict), found.reason) == (verdict, reason)
    assert "stop_at" not in found.figures


@pytest.mark.parametrize(
    ("gate", "values", "reason"),
    [
        (QueryGate("q", "", maximum=10.0), [], "not asked yet in this phase"),
        (QueryGate("q", "", maximum=10.0), [1.0, None], "the query gave no single finite number"),
        (QueryGate("q", "", maximum=10.0), [10.0], "10 is inside [-inf, 10]"),
        (QueryGate("q", "", maximum=10.0), [10.5], "10.5 is outside [-inf, 10] once"),
        (QueryGate("q", "", minimum=1.0), [1.0], "1 is inside [1, inf]"),
        (QueryGate("q", "", minimum=1.0), [0.5], "0.5 is outside [1, inf] once"),
        (QueryGate("q", "", minimum=0.0, maximum=0.0), [0.0], "0 is inside [0, 0]"),
        (QueryGate("q", "", maximum=10.0), [1.0, 11.0, 12.0], "12 is outside [-inf, 10] for 2 looks"),
        (QueryGate("q", "", maximum=10.0, failures=3), [11.0, 12.0], "12 is outside [-inf, 10] once"),
        (QueryGate("q", "", maximum=10.0, failures=1), [11.0], "11 is outside [-inf, 10] for 1 looks"),
        (QueryGate("q", "", maximum=10.0), [11.0, math.nan, 12.0], "12 is outside [-inf, 10] for 3 looks"),
    ],
)
def test_words_of_a_query_gate(gate: QueryGate, values: list[float | None], reason: str) -> None:
    found = judge_query(gate, values)
    assert found.reason == reason
    assert found.figures["values"] == values


def test_a_query_gate_keeps_its_last_five_values() -> None:
    found = judge_query(QueryGate("q", "", minimum=0.0, maximum=9.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert found.figures == {"values": [2.0, 3.0, 4.0, 5.0, 6.0], "minimum": 0.0, "maximum": 9.0}


def test_what_is_not_said_of_a_gate_and_a_policy() -> None:
    assert ShareGate("errors", 0.005, 0.02, odds_ratio=3.0, compare=True, absolute=True, burst=1.0) == GATE
    assert Policy() == Policy(alpha=0.01, power=0.95, mode="sequential")
    assert Policy(power=0.9).beta == pytest.approx(0.1)
    assert QueryGate("q", "up").failures == 2
    assert str(worst([])) == "gates: no gate was judged"


def test_a_counter_that_stands_still_counts_nothing_and_keeps_its_time() -> None:
    ledger = SeriesMemory(target_of)
    ledger.start([sample(5, 10, pod="a")])
    assert ledger.increments([sample(5, 20, pod="a")]) == {}
    assert list(ledger.increments([sample(7, 10, pod="a")]).values()) == [
        2
    ]  # of the same time: no older copy
    ledger.commit([sample(4, 9, pod="a")])  # an older one changes nothing
    assert list(ledger.increments([sample(7, 11, pod="a")]).values()) == [2]
    ledger.commit([sample(6, 10, pod="a")])
    assert list(ledger.increments([sample(7, 11, pod="a")]).values()) == [1]
    assert list(ledger.increments([sample(0, 12, pod="b"), sample(6, 12, pod="a")]).values()) == []


@pytest.mark.parametrize(
    ("canary", "stable", "weight", "verdict"),
    [
        (10, 90, 10, "pass"),
        (500, 500, 10, "fail"),
        (19, 81, 10, "pass"),  # chance
        (300, 700, 10, "fail"),
        (0, 1000, 10, "pass"),  # too few is told otherwise
        (0, 0, 10, "not enough data"),  # nothing was looked at
        (900, 100, 50, "pass"),  # twice as much is everything
        (3, 0, 1, "fail"),
    ],
)
def test_the_measured_share_against_the_split(canary: int, stable: int, weight: int, verdict: str) -> None:
    windows = [Counts(1, 400, 0, 400, 0), Counts(2, canary, 0, stable, 0)]
    assert str(judge_split(windows, 2, weight).verdict) == verdict


def test_a_stable_version_that_stays_sick_does_not_keep_a_healthy_canary_from_being_proved() -> None:
    """One long failure of stable is no burst of errors."""
    before = [Counts(1, 300, 0, 2700, 0)] * 4
    sick = [Counts(4, 450, 0, 150, 150)] * 4
    found = judged([*before, *sick], promotion=True)
    assert found.verdict is GateVerdict.PASS
    assert found.figures["burst"] == 1.0
