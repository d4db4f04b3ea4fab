"""The declared error rates, on simulated request streams with fixed seeds."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout import statistics
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Policy,
    ShareGate,
    judge_share,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts

ERRORS = ShareGate("errors", acceptable=0.005, limit=0.02)
LATENCY = ShareGate("latency", acceptable=0.01, limit=0.05)
GATES = (ERRORS, LATENCY)
POLICY = Policy(alpha=0.05, power=0.90)
SHARES = (10, 25, 50, 75, 100)


def rollout(
    seed: int,
    canary: float,
    stable: float,
    *,
    per_look: int = 80,
    patience: int = 12,
    drift: float = 0.0,
    sick_from: int = 0,
    policy: Policy = POLICY,
) -> tuple[str, int]:
    """One simulated run of the errors gate: outcome, and how many users it hurt beyond stable's rate."""
    source = random.Random(seed)
    windows: list[Counts] = []
    hurt = 0
    for phase, share in enumerate(SHARES, start=1):
        for look in itertools.count(1):
            common = drift * source.random()  # a dependency that troubles both arms alike
            sick = canary if share >= sick_from else stable
            to_canary = source.binomialvariate(per_look, share / 100)
            bad = source.binomialvariate(to_canary, min(1, sick + common))
            stable_bad = source.binomialvariate(per_look - to_canary, min(1, stable + common))
            hurt += bad
            windows.append(Counts(phase, to_canary, bad, per_look - to_canary, stable_bad))
            verdict = judge_share(
                ERRORS,
                windows,
                policy=policy,
                gates=GATES,
                phases=len(SHARES),
                phase=phase,
                minimum_requests=20,
                promotion=phase >= 4,
            ).verdict
            if verdict is GateVerdict.FAIL:
                return "stopped", hurt
            if verdict is GateVerdict.PASS and look >= 3:
                break
            if look == patience:
                return "no decision", hurt
    return "promoted", hurt


def rate(outcome: str, runs: int, **options: float) -> float:
    return sum(rollout(seed, **options)[0] == outcome for seed in range(runs)) / runs  # type: ignore[arg-type]


def tolerance(share: float, runs: int) -> float:
    """Four standard errors of a simulated share: the seeds are fixed, so this only absorbs the draw."""
    return 4 * math.sqrt(share * (1 - share) / runs)


def test_healthy_version_is_stopped_at_most_alpha_times() -> None:
    runs = 1000
    assert rate("stopped", runs, canary=0.005, stable=0.005) <= POLICY.alpha + tolerance(POLICY.alpha, runs)


def test_sick_version_at_the_declared_effect_is_promoted_at_most_beta_times() -> None:
    runs = 1000
    assert rate("promoted", runs, canary=0.02, stable=0.0005) <= POLICY.beta + tolerance(POLICY.beta, runs)


def test_clearly_healthy_version_is_promoted() -> None:
    assert rate("promoted", 300, canary=0.0005, stable=0.0005) >= 0.98


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_clearly_sick_version_is_stopped(share: float) -> None:
    assert rate("stopped", 200, canary=share, stable=0.0005) >= 0.98


def test_version_that_breaks_under_load_is_stopped_in_spite_of_its_good_start() -> None:
    assert rate("stopped", 200, canary=0.06, stable=0.0005, sick_from=50) >= 0.98


def test_half_broken_version_hurts_few() -> None:
    hurt = sorted(rollout(seed, canary=0.5, stable=0.001)[1] for seed in range(200))
    assert hurt[190] <= 12


def test_a_bad_dependency_of_both_arms_is_no_evidence_against_the_canary() -> None:
    """Errors of both arms rise to 30 % and fall again: a ratio of sums would blame the weights' changes."""
    stopped = 0
    runs = 400
    for seed in range(runs):
        source = random.Random(seed)
        windows = []
        for phase, share in enumerate(SHARES[:4], start=1):
            for _turn in range(3):
                common = source.choice([0.0, 0.3])
                canary = source.binomialvariate(100, share / 100)
                windows.append(
                    Counts(
                        phase,
                        canary,
                        source.binomialvariate(canary, common),
                        100 - canary,
                        source.binomialvariate(100 - canary, common),
                    )
                )
        stopped += statistics.relative_harm(windows, phases=5) >= math.log(1 / 0.05)
    assert stopped / runs <= 0.05 + tolerance(0.05, runs)


def test_fixed_threshold_gate_is_much_worse() -> None:
    """The comparison: checks of 60 requests against 99 %, as other rollout tools judge by default."""
    source = random.Random(7)
    runs, checks = 2000, 5
    healthy_stopped = (
        sum(
            any(source.binomialvariate(60, 0.005) / 60 > 0.01 for _turn in range(checks))
            for _turn in range(runs)
        )
        / runs
    )
    sick_passed = sum(source.binomialvariate(20, 0.02) / 20 <= 0.01 for _turn in range(runs)) / runs
    assert healthy_stopped > 0.7
    assert sick_passed > 0.6
    ours = rate("stopped", 500, canary=0.005, stable=0.005)
    assert ours < healthy_stopped / 10


def test_declared_evidence_need_is_what_a_healthy_version_takes() -> None:
    need = statistics.requests_for_health(0.0, acceptable=0.005, limit=0.02, error=0.05)
    assert need is not None
    enough = [Counts(1, need, 0)]
    assert statistics.absolute_health(enough, acceptable=0.005, limit=0.02) >= -math.log(0.05)
    one_less = [Counts(1, need - 1, 0)]
    assert statistics.absolute_health(one_less, acceptable=0.005, limit=0.02) < -math.log(0.05)


def test_no_evidence_ever_when_stable_itself_is_near_the_limit() -> None:
    assert statistics.requests_for_health(0.015, acceptable=0.005, limit=0.02, error=0.05) is None


def exact_odds_ratio(counts: Counts, odds: float) -> float:
    """Textbook formula with big integers, as the reference."""
    bad = counts.canary_bad + counts.stable_bad
    low, high = max(0, bad - counts.stable_total), min(bad, counts.canary_total)
    terms = {
        k: math.comb(counts.canary_total, k) * math.comb(counts.stable_total, bad - k)
        for k in range(low, high + 1)
    }
    tilted = sum(term * odds**k for k, term in terms.items())
    return math.log(odds**counts.canary_bad * sum(terms.values()) / tilted)


@pytest.mark.parametrize(
    "counts",
    [Counts(1, 10, 3, 90, 2), Counts(1, 5, 5, 3, 1), Counts(1, 40, 0, 2, 2), Counts(1, 50, 30, 60, 35)],
)
@pytest.mark.parametrize("odds", [2.0, 20.0])
def test_odds_log_ratio_equals_the_exact_formula(counts: Counts, odds: float) -> None:
    assert statistics.odds_log_ratio(counts, odds) == pytest.approx(exact_odds_ratio(counts, odds), abs=1e-9)


def test_expectation_of_the_e_value_is_one_for_equal_arms() -> None:
    """Sum over all hypergeometric outcomes: the defining property of the test."""
    canary, stable, bad = 12, 30, 9
    total = sum(
        math.comb(canary, k)
        * math.comb(stable, bad - k)
        / math.comb(canary + stable, bad)
        * math.exp(statistics.odds_log_ratio(Counts(1, canary, k, stable, bad - k), 5.0))
        for k in range(bad + 1)
    )
    assert total == pytest.approx(1.0)


def test_interval_covers_at_every_look_at_once() -> None:
    misses = 0
    runs = 500
    for seed in range(runs):
        source = random.Random(seed)
        bad = total = 0
        for _turn in range(30):
            bad += source.binomialvariate(40, 0.03)
            total += 40
            low, high = statistics.interval(bad, total, 0.1)
            if not low <= 0.03 <= high:
                misses += 1
                break
    assert misses / runs <= 0.1


def test_interval_edges() -> None:
    assert statistics.interval(0, 0, 0.05) == (0.0, 1.0)
    low, high = statistics.interval(0, 100, 0.05)
    assert low == 0.0
    assert 0.03 < high < 0.2
    assert statistics.interval(100, 100, 0.05)[1] == 1.0


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and the total"):
        Counts(1, 5, 6)
