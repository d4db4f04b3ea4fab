# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a failure begins to be a common one of both versions, and a long failure of stable is no burst."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Look,
    Policy,
    ShareGate,
    _exceeds_acceptable,
    judge_share,
    judge_split,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts

from .test_gates import GATE, judge_of, judged


@pytest.mark.parametrize(
    ("window", "alike"),
    [
        (Counts(1, 100, 1, 20, 1), True),
        (Counts(1, 100, 1, 19, 1), False),  # of so few requests of stable a share says nothing
        (Counts(1, 100, 1, 49, 1), True),
        (Counts(1, 100, 1, 50, 1), False),  # 2 %, the limit itself
        (Counts(1, 199, 1, 20, 1), True),
        (Counts(1, 200, 1, 20, 1), False),  # the canary has what is acceptable
        (Counts(1, 100, 8, 100, 4), True),  # twice as sick as stable, and no more
        (Counts(1, 10, 1, 20, 1), True),
        (Counts(1, 9, 1, 20, 1), False),  # more than twice
        (Counts(1, 0, 0, 100, 50), False),
    ],
)
def test_where_a_common_failure_begins(window: Counts, *, alike: bool) -> None:
    found = judged([window], minimum_requests=0)
    assert ("alike" in found.figures) is alike
    assert ("both versions fail alike" in found.reason) is alike
    assert (found.verdict is GateVerdict.PASS) is not alike


@pytest.mark.parametrize(
    ("before", "now", "alike"),
    [
        # the run as a whole, though this phase is worse
        (Counts(1, 400, 4, 400, 5), Counts(2, 20, 10, 19, 2), True),
        (Counts(1, 400, 10, 1000, 40), Counts(2, 20, 20, 0, 0), True),
        # this phase, though the run as a whole is worse
        (Counts(1, 20, 20, 0, 0), Counts(2, 20, 1, 400, 10), True),
        # of so few requests of stable a share says nothing
        (Counts(1, 400, 1, 19, 5), Counts(2, 200, 80, 0, 0), False),
        (Counts(1, 0, 0, 0, 0), Counts(2, 20, 4, 19, 5), False),
        # stable has what is acceptable, and not more
        (Counts(1, 100, 80, 0, 0), Counts(2, 200, 2, 400, 2), False),
        (Counts(1, 200, 1, 400, 4), Counts(2, 100, 40, 19, 19), False),
    ],
)
def test_both_are_alike_in_the_run_or_in_the_phase(before: Counts, now: Counts, *, alike: bool) -> None:
    found = judged([before, now])
    assert bool(found.figures.get("alike")) is alike
    assert found.verdict is (GateVerdict.NOT_ENOUGH_DATA if alike else GateVerdict.FAIL)


def test_the_last_window_tells_whether_it_still_lasts() -> None:
    common, well = Counts(1, 100, 6, 400, 24), Counts(1, 400, 0, 1600, 0)
    assert judged([well, common]).figures.get("alike")
    assert judged([common, well]).verdict is GateVerdict.PASS


@pytest.mark.parametrize(
    ("before", "now", "more"),
    [
        (Counts(1, 20_000, 0, 20_000, 0), Counts(2, 200, 60, 0, 0), True),  # 0.3 % of the run, 30 % now
        (Counts(1, 1000, 300, 0, 0), Counts(2, 1, 0, 0, 0), True),  # 30 % of the run, nothing seen now
        (Counts(1, 200, 60, 0, 0), Counts(2, 20_000, 0, 20_000, 0), False),  # what is over is over
        (Counts(1, 20_000, 0, 0, 0), Counts(2, 200, 0, 200, 200), False),
    ],
)
def test_more_than_is_acceptable_in_the_run_or_in_the_phase(
    before: Counts, now: Counts, *, more: bool
) -> None:
    assert _exceeds_acceptable(GATE, [before, now], 2, 1.0, 0.05) is more


@pytest.mark.parametrize(
    ("sick", "burst"),
    [
        ([1, 2], 1.0),  # two windows in a row: a lasting failure, left out
        ([0, 1], 1.0),
        ([8, 9], 1.0),
        ([1], 10.0),  # one alone: a burst as any other
        ([1, 3], 10.0),
        ([0], 10.0),
        ([9], 10.0),
    ],
)
def test_windows_in_a_row_are_a_failure_and_single_ones_are_bursts(sick: list[int], burst: float) -> None:
    windows = [Counts(1, 100, 0, 1000, 60 if at in sick else 2) for at in range(10)]
    found = judged(windows).figures["burst"]
    assert found == 1.0 if burst == 1.0 else found > 3


def test_a_share_at_the_limit_is_no_failure_of_stable() -> None:
    """20 of 1000 are the 2 % of the limit: two such windows in a row stay among the bursts."""
    even = [Counts(1, 100, 0, 1000, 20 if at in (1, 2) else 0) for at in range(10)]
    over = [Counts(1, 100, 0, 1000, 21 if at in (1, 2) else 0) for at in range(10)]
    assert judged(even).figures["burst"] > 2
    assert judged(over).figures["burst"] == 1.0


def test_health_is_proved_by_the_phases_that_have_users_and_by_the_last_one_alone() -> None:
    def missing(*windows: Counts, phase: int, live: int = 1) -> str:
        look = Look(phases=3, phase=phase, minimum_requests=0, promotion=True, live=live)
        gate = ShareGate("errors", 0.005, 0.02, compare=False)
        return judge_share(gate, list(windows), look, policy=Policy(), gates=[gate]).reason

    enough, few = Counts(2, 250, 0), Counts(3, 10, 0)
    assert "failed in this phase" in missing(enough, few, phase=2)
    assert missing(enough, few, phase=3).startswith("evidence below the limit of 2.00% is 0.15 of 3.00")
    assert missing(enough, phase=2, live=3).startswith("evidence below the limit of 2.00% is 0.00")
    assert "failed in this phase" in missing(enough, phase=2, live=2)


def test_half_a_run_of_common_failure_proves_nothing_of_the_canary() -> None:
    common = [Counts(1, 500, 20, 2000, 80)] * 3
    well = [Counts(1, 100, 0, 400, 0)]
    found = judged([*common, *well], promotion=True)
    assert found.verdict is GateVerdict.NOT_ENOUGH_DATA
    assert found.figures["health_evidence"] == judged(well, promotion=True).figures["health_evidence"]


@pytest.mark.parametrize(("canary", "verdict"), [(247, "pass"), (248, "fail")])
def test_twice_the_share_and_five_deviations(canary: int, verdict: str) -> None:
    """Of 1000 requests at 10 %: 200 are twice as many, and five standard deviations are 47.4 more."""
    found = judge_split([Counts(1, canary, 0, 1000 - canary, 0)], 1, 10)
    assert str(found.verdict) == verdict


def test_gates_that_compare_nothing_know_no_common_failure() -> None:
    alone = ShareGate("errors", acceptable=0.005, limit=0.02, compare=False)
    assert "alike" not in judge_of(alone, [Counts(1, 100, 1, 100, 50)], minimum_requests=0).figures
    assert judged([Counts(1, 100, 1, 100, 50)], minimum_requests=0).figures["alike"]
    assert GATE.compare


def test_the_figures_of_a_verdict_as_they_are_kept() -> None:
    windows = [Counts(1, 300, 1, 1000, 9 if at == 1 else 2) for at in range(3)]
    found = judged(windows, promotion=True)
    assert found.reason == "may still be worse than stable by 1.67%, the effect is 1.50%"
    assert found.figures == {
        "phase_canary_total": 900,
        "phase_canary_bad": 3,
        "phase_canary_share": 0.003333,
        "canary_total": 900,
        "canary_bad": 3,
        "canary_interval": [8.1e-05, 0.01801],
        "stable_total": 3000,
        "stable_bad": 13,
        "stable_interval": [0.001025, 0.011472],
        "acceptable": 0.005,
        "limit": 0.02,
        "stop_at": 5.298,
        "burst": 1.0,
        "worse_than_stable_evidence": -0.199,
        "harm_evidence": -0.223,
        "health_evidence": 9.467,
        "promote_at": 2.996,
        "not_worse_evidence": 2.763,
        "difference_at_most": 0.01666,
    }
    bursts = [Counts(1, 100, 0, 1000, 60 if at == 1 else 2) for at in range(10)]
    assert judged(bursts).figures["burst"] == 42.72
