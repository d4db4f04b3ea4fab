# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequential tests on counts of bad requests: valid at any number of looks. Pure functions.

Every test is an e-process: a running product of likelihood ratios that starts at 1 and whose expectation
stays at most 1 while its hypothesis holds. By Ville's inequality it ever reaches ``1/a`` with probability at
most ``a``, however often and whenever somebody looks (Wald 1945; Ramdas et al., "Game-theoretic statistics
and safe anytime-valid inference", 2023). So one declared error rate holds for a whole rollout.

All functions work with natural logarithms of e-values.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """Requests of both versions in one window of one phase; ``bad`` is a subset of ``total``."""

    phase: int
    canary_total: int
    canary_bad: int
    stable_total: int = 0
    stable_bad: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.canary_bad <= self.canary_total and 0 <= self.stable_bad <= self.stable_total):
            raise ValueError(f"bad requests must lie between 0 and the total: {self}")


def log_mean_exp(values: Sequence[float]) -> float:
    """Logarithm of the mean of ``exp(values)``: the mixture of e-values is an e-value."""
    top = max(values)
    if math.isinf(top):
        return top
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))


def binomial_log_ratio(bad: int, total: int, *, against: float, under: float) -> float:
    """Log likelihood ratio of ``bad`` of ``total`` for the bad share ``against`` over the share ``under``."""
    return bad * math.log(against / under) + (total - bad) * math.log((1 - against) / (1 - under))


def burst_log_ratio(bad: int, total: int, *, against: float, under: float, burst: float) -> float:
    """The same where bad requests come in bursts of geometric size with mean ``burst``.

    Bursts are a Poisson process; the e-value is its exponential tilt by which the mean share becomes
    ``against``, divided by its expectation under the share ``under`` (a cumulant; Cramér). Exact for such
    bursts, whatever their number was, which no counter tells. With bursts of one it is the Poisson ratio, and
    `binomial_log_ratio` is used.
    """
    if burst <= 1:
        return binomial_log_ratio(bad, total, against=against, under=under)
    tilt = _tilt(against / under, burst)
    stop = 1 / burst
    moment = stop * tilt / (1 - (1 - stop) * tilt)
    return bad * math.log(tilt) - total * under / burst * (moment - 1)


def _tilt(ratio: float, burst: float) -> float:
    """The weight of one bad request under which the mean number of them is ``ratio`` times as large.

    The smaller root of ``ratio (1 - q x)^2 = p^2 x`` with ``p = 1 / burst``, ``q = 1 - p``.
    """
    p = 1 / burst
    q = 1 - p
    middle = 2 * ratio * q + p * p
    return (middle - math.sqrt(middle * middle - 4 * ratio * ratio * q * q)) / (2 * ratio * q * q)


def largest_burst(burst: float) -> float:
    """What nearly no burst of geometric size with this mean exceeds (95 of 100)."""
    return 1 + 3 * (burst - 1)


FEWEST_BAD, FEWEST_SPANS = 8, 5


def estimated_burst(spans: Sequence[tuple[int, int]]) -> float:
    """The mean size of bursts, from how much the bad requests of one version vary from span to span.

    Pearson's dispersion; where it exceeds what independent requests show, bursts explain it, and the estimate
    is widened by its own uncertainty.

    :param spans: (requests, bad ones) of successive spans of time. :returns: 1 for no sign of bursts.
    """
    known = [(total, bad) for total, bad in spans if total > 0]
    total, bad = sum(item[0] for item in known), sum(item[1] for item in known)
    if bad < FEWEST_BAD or bad == total or len(known) < FEWEST_SPANS:
        return 1.0
    share, degrees = bad / total, len(known) - 1
    squares = sum((b - n * share) ** 2 / (n * share * (1 - share)) for n, b in known)
    dispersion, noise = squares / degrees, math.sqrt(2 / degrees)
    if dispersion <= 1 + 2 * noise:
        return 1.0
    return max(1.0, (dispersion * (1 + 2 * noise) + 1) / 2)


@functools.lru_cache(maxsize=65_536)
def odds_log_ratio(counts: Counts, odds_ratio: float) -> float:
    """Log likelihood ratio that the canary's odds of a bad request are ``odds_ratio`` times the stable's.

    Exact and free of nuisance: given the window's total of bad requests, the canary's part is
    hypergeometric if both versions are alike, and Fisher's noncentral hypergeometric otherwise. The common
    level of errors may differ between windows, so a bad minute of a dependency that hits both versions is no
    evidence. 0 when a window tells nothing (no bad requests, or only one version has traffic).
    """
    bad = counts.canary_bad + counts.stable_bad
    low = max(0, bad - counts.stable_total)
    high = min(bad, counts.canary_total)
    if low == high:  # no bad requests, one version without traffic, or nothing but bad ones
        return 0.0
    slope = math.log(odds_ratio)
    # terms of the normaliser sum_k C(n, k) C(m, bad - k) r^k, and of the same sum for r = 1
    term = 0.0
    plain_terms, weighted_terms = [term], [low * slope]
    for drawn in range(low, high):
        term += math.log(counts.canary_total - drawn) - math.log(drawn + 1)
        term += math.log(bad - drawn) - math.log(counts.stable_total - bad + drawn + 1)
        plain_terms.append(term)
        weighted_terms.append(term + (drawn + 1) * slope)
    return counts.canary_bad * slope - (_log_sum_exp(weighted_terms) - _log_sum_exp(plain_terms))


def restarting(log_ratios: Iterable[tuple[int, float]], phases: int) -> float:
    """Log e-value of a test that is begun anew in every phase, so that early good news hides no late harm.

    The tests begun in phase 1..``phases`` share the error rate equally: their mean is an e-process.

    :param log_ratios: (phase number, log ratio) of each window in time order.
    """
    sums = [0.0] * phases
    for phase, value in log_ratios:
        for start in range(min(phase, phases)):
            sums[start] += value
    return log_mean_exp(sums)


def harm_grid(acceptable: float, limit: float) -> tuple[float, ...]:
    """Bad shares that the absolute harm test looks for: at the limit, clearly over it, half broken.

    :returns: shares between 0 and 1; empty when the limit leaves nothing to look for.
    """
    return (limit, min(0.9, limit * 4), max(0.5, (1 + limit) / 2)) if acceptable < limit else ()


def absolute_harm(
    windows: Sequence[Counts], *, acceptable: float, limit: float, phases: int, burst: float = 1.0
) -> float:
    """Log e-value against "the canary's bad share is at most ``acceptable``". High = stop."""
    return log_mean_exp(
        [
            restarting(
                (
                    (
                        w.phase,
                        burst_log_ratio(
                            w.canary_bad, w.canary_total, against=share, under=acceptable, burst=burst
                        ),
                    )
                    for w in windows
                ),
                phases,
            )
            for share in harm_grid(acceptable, limit)
        ]
    )


ODDS_GRID = (2.0, 5.0, 20.0)


def relative_harm(windows: Sequence[Counts], *, phases: int, burst: float = 1.0) -> float:
    """Log e-value against "the canary is no worse than the concurrent stable". High = stop.

    A burst hits one version as a whole, so that a window tells as much as one with so many fewer requests.
    """
    size = largest_burst(burst)
    return log_mean_exp(
        [
            restarting(((w.phase, odds_log_ratio(w, odds) / size) for w in windows), phases)
            for odds in ODDS_GRID
        ]
    )


def absolute_health(
    windows: Sequence[Counts], *, acceptable: float, limit: float, burst: float = 1.0
) -> float:
    """Log e-value against "the canary's bad share is at least ``limit``". High = promote."""
    return sum(
        burst_log_ratio(w.canary_bad, w.canary_total, against=acceptable, under=limit, burst=burst)
        for w in windows
    )


def relative_health(windows: Sequence[Counts], *, odds_ratio: float, burst: float = 1.0) -> float:
    """Log e-value against "the canary's odds are at least ``odds_ratio`` times the stable's"."""
    return -sum(odds_log_ratio(w, odds_ratio) for w in windows) / largest_burst(burst)


def interval(bad: float, total: float, error: float) -> tuple[float, float]:
    """Confidence sequence of a bad share: holds at every look at once with probability ``1 - error``.

    From the Beta(1/2, 1/2) mixture of likelihood ratios. :returns: lower and upper bound.
    """
    if total == 0:
        return 0.0, 1.0
    threshold = -math.log(error)
    mixture = _log_beta(bad + 0.5, total - bad + 0.5) - _log_beta(0.5, 0.5)

    def excess(share: float) -> float:
        likelihood = (bad * math.log(share) if bad else 0.0) + (
            (total - bad) * math.log1p(-share) if total > bad else 0.0
        )
        return mixture - likelihood - threshold

    estimate = bad / total
    low = 0.0 if bad == 0 else _root(excess, estimate, 1e-12)
    high = 1.0 if bad == total else _root(excess, estimate, 1 - 1e-12)
    return low, high


def requests_for_health(
    share: float, *, acceptable: float, limit: float, error: float, burst: float = 1.0
) -> int | None:
    """Canary requests after which the evidence of health is expected at the true bad share ``share``.

    Wald's approximation. ``None`` when evidence never comes because the share is too near the limit.
    """
    good = burst_log_ratio(0, 1, against=acceptable, under=limit, burst=burst)
    bad = burst_log_ratio(1, 1, against=acceptable, under=limit, burst=burst)
    drift = good * (1 - share) + bad * share
    if drift <= 0:
        return None
    return math.ceil(-math.log(error) / drift)


def _root(excess: Callable[[float], float], inside: float, outside: float) -> float:
    near, far = inside, outside
    for _turn in range(60):
        middle = (near + far) / 2
        if excess(middle) < 0:
            near = middle
        else:
            far = middle
    return far


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_sum_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
