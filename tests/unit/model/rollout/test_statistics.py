"""The declared error rates, on simulated request streams with fixed seeds."""

from __future__ import annotations

import functools
import itertools
import math
import random

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout import statistics
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Look,
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


@functools.cache
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
            common = drift * source.random()  # a dependency that troubles both versions alike
            sick = canary if share >= sick_from else stable
            to_canary = source.binomialvariate(per_look, share / 100)
            bad = source.binomialvariate(to_canary, min(1, sick + common))
            stable_bad = source.binomialvariate(per_look - to_canary, min(1, stable + common))
            hurt += bad
            windows.append(Counts(phase, to_canary, bad, per_look - to_canary, stable_bad))
            at = Look(phases=len(SHARES), phase=phase, minimum_requests=20, promotion=phase >= 4)
            verdict = judge_share(ERRORS, windows, at, policy=policy, gates=GATES).verdict
            if verdict is GateVerdict.FAIL:
                return "stopped", hurt
            if verdict is GateVerdict.PASS and look >= 3:
                break
            if look == patience:
                return "no decision", hurt
    return "promoted", hurt


def rate(outcome: str, runs: int, **options: float) -> float:
    return sum(rollout(seed, **options)[0] == outcome for seed in range(runs)) / runs


def tolerance(share: float, runs: int) -> float:
    """Four standard errors of a simulated share: the seeds are fixed, so this only absorbs the draw."""
    return 4 * math.sqrt(share * (1 - share) / runs)


def test_healthy_version_is_stopped_at_most_alpha_times() -> None:
    runs = 700
    assert rate("stopped", runs, canary=0.005, stable=0.005) <= POLICY.alpha + tolerance(POLICY.alpha, runs)


def test_sick_version_at_the_declared_effect_is_promoted_at_most_beta_times() -> None:
    runs = 700
    assert rate("promoted", runs, canary=0.02, stable=0.0005) <= POLICY.beta + tolerance(POLICY.beta, runs)


def test_clearly_healthy_version_is_promoted() -> None:
    assert rate("promoted", 300, canary=0.0005, stable=0.0005) >= 0.97


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_clearly_sick_version_is_stopped(share: float) -> None:
    assert rate("stopped", 200, canary=share, stable=0.0005) >= 0.98


def test_version_that_breaks_under_load_is_stopped_in_spite_of_its_good_start() -> None:
    assert rate("stopped", 200, canary=0.06, stable=0.0005, sick_from=50) >= 0.98


def test_half_broken_version_hurts_few() -> None:
    hurt = sorted(rollout(seed, canary=0.5, stable=0.001)[1] for seed in range(200))
    assert hurt[190] <= 12


def test_a_bad_dependency_of_both_arms_is_no_evidence_against_the_canary() -> None:
    """Errors of both rise to 30 % and fall again: a ratio of sums would blame the weights' changes."""
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


# -- against the definitions, written out --------------------------------------------------------------------

WINDOWS = [Counts(1, 40, 1, 60, 0), Counts(1, 30, 0, 70, 2), Counts(2, 50, 3, 50, 1), Counts(4, 20, 2, 5, 0)]


def likelihood_ratio(bad: int, total: int, against: float, under: float) -> float:
    return (against / under) ** bad * ((1 - against) / (1 - under)) ** (total - bad)


def restarted(ratios: list[tuple[int, float]], phases: int) -> float:
    """The mean over tests that begin in phase 1, 2, ... and see only what comes from there on."""
    tests = [math.prod(ratio for phase, ratio in ratios if phase >= start) for start in range(1, phases + 1)]
    return sum(tests) / phases


@pytest.mark.parametrize("phases", [4, 6])
def test_harm_is_the_mean_of_likelihood_ratios_of_all_begun_tests(phases: int) -> None:
    shares = (0.02, 0.08, 0.51)
    ratios = [
        [(w.phase, likelihood_ratio(w.canary_bad, w.canary_total, share, 0.005)) for w in WINDOWS]
        for share in shares
    ]
    expected = sum(restarted(found, phases) for found in ratios) / len(shares)
    found = statistics.absolute_harm(WINDOWS, acceptable=0.005, limit=0.02, phases=phases)
    assert found == pytest.approx(math.log(expected), abs=1e-9)
    relative = sum(
        restarted([(w.phase, math.exp(exact_odds_ratio(w, odds))) for w in WINDOWS], phases)
        for odds in (2.0, 5.0, 20.0)
    )
    found = statistics.relative_harm(WINDOWS, phases=phases)
    assert found == pytest.approx(math.log(relative / 3), abs=1e-9)


def test_a_phase_beyond_the_plan_counts_for_all_tests() -> None:
    assert statistics.restarting([(9, 2.0)], 3) == pytest.approx(2.0)
    assert statistics.restarting([(1, 2.0)], 2) == pytest.approx(math.log((math.exp(2) + 1) / 2))
    assert statistics.restarting([], 3) == pytest.approx(0.0)


def test_health_is_the_product_of_inverse_ratios() -> None:
    ratio = math.prod(likelihood_ratio(w.canary_bad, w.canary_total, 0.02, 0.005) for w in WINDOWS)
    found = statistics.absolute_health(WINDOWS, acceptable=0.005, limit=0.02)
    assert found == pytest.approx(-math.log(ratio), abs=1e-9)
    expected = -sum(exact_odds_ratio(w, 3.0) for w in WINDOWS)
    assert statistics.relative_health(WINDOWS, odds_ratio=3.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("acceptable", "limit", "grid"),
    [
        (0.005, 0.02, (0.02, 0.08, 0.51)),
        (0.1, 0.3, (0.3, 0.9, 0.65)),
        (0.01, 0.22, (0.22, 0.88, 0.61)),
        (0.02, 0.02, ()),
        (0.03, 0.02, ()),
    ],
)
def test_shares_that_harm_is_looked_for_at(acceptable: float, limit: float, grid: tuple[float, ...]) -> None:
    assert statistics.harm_grid(acceptable, limit) == pytest.approx(grid)


@pytest.mark.parametrize(
    "counts",
    [
        Counts(1, 10, 0, 90, 0),
        Counts(1, 0, 0, 90, 5),
        Counts(1, 10, 5, 0, 0),
        Counts(1, 3, 3, 2, 2),  # all are bad: nothing to tell apart
    ],
)
def test_a_window_without_a_comparison_is_no_evidence(counts: Counts) -> None:
    assert statistics.odds_log_ratio(counts, 5.0) == 0.0


@pytest.mark.parametrize(("bad", "total"), [(1, 10), (3, 400), (50, 100), (9, 10)])
@pytest.mark.parametrize("error", [0.05, 0.001])
def test_interval_ends_where_the_mixture_reaches_the_error(bad: int, total: int, error: float) -> None:
    """At both ends the Beta(1/2, 1/2) mixture is 1/error times as likely as the bound itself."""
    mixture = math.exp(
        math.lgamma(bad + 0.5)
        + math.lgamma(total - bad + 0.5)
        - math.lgamma(total + 1)
        - 2 * math.lgamma(0.5)
        + math.lgamma(1)
    )
    low, high = statistics.interval(bad, total, error)
    assert 0 < low < bad / total < high < 1
    for end in (low, high):
        assert mixture / (end**bad * (1 - end) ** (total - bad)) == pytest.approx(1 / error, rel=1e-6)


@pytest.mark.parametrize(("bad", "total", "end"), [(0, 100, 1), (100, 100, 0), (0, 1, 1), (1, 1, 0)])
def test_interval_of_none_and_all_has_one_end(bad: int, total: int, end: int) -> None:
    found = statistics.interval(bad, total, 0.05)
    assert found[1 - end] == float(1 - end)
    mixture = math.gamma(bad + 0.5) * math.gamma(total - bad + 0.5) / math.gamma(total + 1) / math.pi
    assert mixture / (found[end] ** bad * (1 - found[end]) ** (total - bad)) == pytest.approx(20, rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.005])
def test_need_of_requests_is_error_over_drift(share: float) -> None:
    gain = (1 - share) * math.log(0.995 / 0.98) - share * math.log(0.02 / 0.005)
    found = statistics.requests_for_health(share, acceptable=0.005, limit=0.02, error=0.05)
    assert found == math.ceil(math.log(20) / gain)


def test_mean_of_exponentials() -> None:
    assert statistics.log_mean_exp([1.0, 2.0]) == pytest.approx(math.log((math.e + math.e**2) / 2))
    assert statistics.log_mean_exp([1000.0, 1000.0]) == pytest.approx(1000.0)
    assert statistics.log_mean_exp([-math.inf, -math.inf]) == -math.inf
    assert statistics.log_mean_exp([math.inf, 0.0]) == math.inf


@pytest.mark.parametrize("counts", [(5, -1, 0, 0), (5, 0, 5, 6), (5, 0, 5, -1), (5, 6, 0, 0)])
def test_counts_that_cannot_be(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="between 0 and the total"):
        Counts(1, *counts)
    Counts(1, 5, 5, 5, 5)
    Counts(1, 5, 0, 5, 0)
