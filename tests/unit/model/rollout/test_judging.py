"""From the windows of a run to the verdicts of its share gates."""

from __future__ import annotations

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Look,
    Policy,
    ShareGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Window
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.judging import (
    counts_of,
    judge_shares,
    look_at,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import Phase, RolloutPlan

Four = tuple[int, int, int, int]


def phase(number: int, kind: str, minimum_requests: int) -> Phase:
    return Phase(number, kind, 10, {"v1": 90, "v2": 10}, 30.0, minimum_requests, 30.0, None)


PLAN = RolloutPlan(
    stable="v1",
    canary="v2",
    phases=(phase(1, "mirror", 0), phase(2, "weight", 0), phase(3, "weight", 50), phase(4, "weight", 50)),
    evidence_phase=3,
    evidence_requests=100,
    requests_per_second=None,
)
GATES = (
    ShareGate("errors", acceptable=0.005, limit=0.02),
    ShareGate("latency", acceptable=0.05, limit=0.2, compare=False),
)


def window(number: int, **counts: Four) -> Window:
    return Window(number, "2026-11-23T12:00:00Z", "2026-11-23T12:00:10Z", 10, counts)


def verdicts(number: int, *windows: Window, **spread: list[tuple[int, int]]) -> list[tuple[str, str, str]]:
    look = look_at(PLAN, PLAN.phases[number - 1])
    found = judge_shares(windows, look, policy=Policy(), gates=GATES, spread=spread)
    return [(item.gate, str(item.verdict), item.reason) for item in found]


def test_a_phase_says_what_it_needs_before_it_may_pass() -> None:
    looks = [look_at(PLAN, one) for one in PLAN.phases]
    assert [look.minimum_requests for look in looks] == [0, 1, 50, 50]
    assert [look.promotion for look in looks] == [False, False, True, True]
    assert looks[1] == Look(phases=4, phase=2, minimum_requests=1, promotion=False, live=2, ended=True)
    assert not look_at(PLAN, PLAN.phases[1], ended=False).ended


def test_copies_of_requests_promote_nobody_however_late_they_come() -> None:
    late = RolloutPlan("v1", "v2", (phase(1, "weight", 0), phase(2, "mirror", 0)), 1, 100, None)
    assert look_at(late, late.phases[0]).promotion
    assert not look_at(late, late.phases[1]).promotion


def test_a_phase_of_copied_requests_needs_none_and_no_promotion() -> None:
    assert verdicts(1) == [
        ("errors", "pass", "0 of 0 requests failed in this phase"),
        ("latency", "pass", "0 of 0 requests too slow in this phase"),
    ]


def test_a_phase_with_weight_needs_at_least_one_request() -> None:
    assert verdicts(2, window(1, errors=(9, 0, 9, 0))) == [
        ("errors", "not enough data", "0 of 1 requests in this phase"),
        ("latency", "not enough data", "0 of 1 requests in this phase"),
    ]
    assert verdicts(2, window(2, errors=(1, 0, 9, 0), latency=(2, 1, 9, 0))) == [
        ("errors", "pass", "0 of 1 requests failed in this phase"),
        ("latency", "pass", "1 of 2 requests too slow in this phase"),
    ]


def test_the_evidence_phase_needs_the_evidence_of_the_run() -> None:
    """Phase 2 lets the same windows through; phase 3 asks whether they refute a sick version."""
    few = verdicts(3, window(3, errors=(60, 0, 60, 0), latency=(60, 0, 60, 0)))
    assert few == [
        ("errors", "not enough data", "evidence below the limit of 2.00% is 0.91 of 3.00"),
        ("latency", "pass", "0 of 60 requests too slow in this phase"),
    ]
    many = verdicts(3, *[window(3, errors=(100, 0, 100, 0), latency=(100, 0, 100, 0))] * 10)
    assert [verdict for _gate, verdict, _reason in many] == ["pass", "pass"]


def test_bursts_before_the_run_weigh_on_their_own_gate_only() -> None:
    """Failures that come in bursts tell less than as many that come one by one."""
    sick = window(2, errors=(100, 12, 100, 0), latency=(100, 40, 100, 0))
    bursts = [(100, 30), (100, 0), (100, 0), (100, 0)] * 3
    assert [verdict for _gate, verdict, _reason in verdicts(2, sick)] == [GateVerdict.FAIL, GateVerdict.FAIL]
    told = verdicts(2, sick, errors=bursts)
    assert [verdict for _gate, verdict, _reason in told] == [GateVerdict.PASS, GateVerdict.FAIL]


def test_only_windows_that_know_a_gate_count_for_it() -> None:
    windows = [
        window(1, errors=(1, 0, 2, 0)),
        window(1, latency=(3, 0, 4, 0)),
        window(1, errors=(5, 0, 6, 0)),
    ]
    found = counts_of(windows, "errors")
    assert [(counts.canary_total, counts.stable_total) for counts in found] == [(1, 2), (5, 6)]
    assert counts_of(windows, "q") == []
