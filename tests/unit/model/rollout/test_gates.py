from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.counters import Ledger, Sample
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
    Policy,
    QueryGate,
    ShareGate,
    judge_query,
    judge_share,
    worst,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts

GATE = ShareGate("errors", acceptable=0.005, limit=0.02)


def judged(windows: list[Counts], **changes: object) -> Judgement:
    options: dict[str, object] = {
        "policy": Policy(),
        "gates": [GATE],
        "phases": 5,
        "phase": windows[-1].phase if windows else 1,
        "minimum_requests": 100,
        "promotion": False,
    }
    return judge_share(GATE, windows, **{**options, **changes})  # type: ignore[arg-type]


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
    verdict = judge_share(
        gate, windows, policy=Policy(), gates=[gate], phases=2, phase=2, minimum_requests=1, promotion=False
    )
    assert verdict.verdict is GateVerdict.FAIL
    assert "worse than stable" in verdict.reason


def test_fixed_mode_compares_the_share_of_the_phase() -> None:
    fixed = Policy(mode="fixed")
    assert judged([Counts(1, 200, 5, 0, 0)], policy=fixed).verdict is GateVerdict.FAIL
    assert judged([Counts(1, 200, 4, 0, 0)], policy=fixed).verdict is GateVerdict.PASS


def test_alpha_is_shared_by_all_gates() -> None:
    windows = [Counts(1, 6, 3, 54, 0)]
    alone = judged(windows).figures["stop_at"]
    shared = judged(windows, gates=[GATE, ShareGate("latency", 0.01, 0.05)]).figures["stop_at"]
    assert shared - alone == pytest.approx(math.log(2), abs=0.002)


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
    return Sample(frozenset(labels.items()), at, value)


def advance(ledger: Ledger, samples: list[Sample]) -> dict[Any, float]:
    found = ledger.increments(samples)
    ledger.commit(samples)
    return found


def test_a_series_that_was_absent_counts_from_zero() -> None:
    ledger = Ledger()
    ledger.start([sample(100, pod="a", code="200")])
    increments = advance(ledger, [sample(110, 1, pod="a", code="200"), sample(3, 1, pod="a", code="500")])
    assert sorted(increments.values()) == [3, 10]


def test_a_restarted_pod_counts_from_zero_and_others_do_not() -> None:
    ledger = Ledger()
    ledger.start([sample(100, pod="a"), sample(50, pod="b")])
    increments = advance(ledger, [sample(4, 1, pod="a"), sample(60, 1, pod="b")])
    assert sorted(increments.values()) == [4, 10]


def test_a_gap_in_scraping_neither_loses_nor_doubles() -> None:
    ledger = Ledger()
    ledger.start([sample(100, pod="a")])
    assert advance(ledger, []) == {}
    assert list(advance(ledger, [sample(130, 9, pod="a")]).values()) == [30]


def test_an_older_copy_is_ignored() -> None:
    ledger = Ledger()
    ledger.start([sample(100, 10, pod="a")])
    assert advance(ledger, [sample(90, 5, pod="a")]) == {}
    assert list(advance(ledger, [sample(101, 11, pod="a")]).values()) == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_impossible_counter_values_measure_nothing(value: float) -> None:
    with pytest.raises(ValueError, match="counter"):
        advance(Ledger(), [sample(value, pod="a")])


def test_a_doubled_series_measures_nothing() -> None:
    with pytest.raises(ValueError, match="twice"):
        advance(Ledger(), [sample(1, pod="a"), sample(2, pod="a")])


def test_a_burst_of_slow_requests_weighs_less_than_as_many_single_ones() -> None:
    single = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False)
    bursts = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False, burst=5.0)
    windows = [Counts(1, 60, 9, 540, 12)]
    options = {"policy": Policy(), "phases": 5, "phase": 1, "minimum_requests": 1, "promotion": False}
    assert judge_share(single, windows, gates=[single], **options).verdict is GateVerdict.FAIL
    assert judge_share(bursts, windows, gates=[bursts], **options).verdict is GateVerdict.PASS
    lasting = windows * 8
    assert judge_share(bursts, lasting, gates=[bursts], **options).verdict is GateVerdict.FAIL


def test_a_slow_minute_of_both_arms_is_no_evidence_without_an_absolute_limit() -> None:
    gate = ShareGate("latency", acceptable=0.05, limit=0.2, absolute=False)
    windows = [Counts(1, 100, 60, 300, 180)] * 5
    verdict = judge_share(
        gate, windows, policy=Policy(), gates=[gate], phases=5, phase=1, minimum_requests=1, promotion=False
    )
    assert verdict.verdict is GateVerdict.PASS
