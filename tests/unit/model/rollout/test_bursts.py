# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad requests that come in bursts: the evidence by its defining equations, the estimate by hand."""

from __future__ import annotations

import math
import random

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout import statistics
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts


@pytest.mark.parametrize("burst", [1.5, 5.0, 20.0])
@pytest.mark.parametrize(("against", "under"), [(0.05, 0.005), (0.5, 0.01), (0.005, 0.05), (0.02, 0.019)])
def test_the_tilt_makes_the_mean_what_is_looked_for(burst: float, against: float, under: float) -> None:
    """Bursts are Poisson, of geometric size: E[x^size] = p x / (1 - q x), and its derivative by log x."""
    total = 400

    def evidence(bad: int) -> float:
        return statistics.burst_log_ratio(bad, total, against=against, under=under, burst=burst)

    tilt = math.exp(evidence(8) - evidence(7))
    p, q = 1 / burst, 1 - 1 / burst
    bursts = total * under / burst
    assert bursts * p * tilt / (1 - q * tilt) ** 2 == pytest.approx(total * against)
    assert evidence(0) == pytest.approx(-bursts * (p * tilt / (1 - q * tilt) - 1))
    assert evidence(7) - evidence(0) == pytest.approx(7 * math.log(tilt))
    assert (evidence(8) > evidence(7)) is (against > under)


def test_its_expectation_is_one_while_the_hypothesis_holds() -> None:
    dice = random.Random(11)
    burst, under, total = 3.0, 0.02, 300

    def drawn() -> int:
        """Bad requests of one window: a Poisson number of bursts, by exponential gaps."""
        bad, at = 0, dice.expovariate(total * under / burst)
        while at < 1:
            bad += 1
            while dice.random() > 1 / burst:
                bad += 1
            at += dice.expovariate(total * under / burst)
        return min(bad, total)

    values = [
        math.exp(statistics.burst_log_ratio(drawn(), total, against=0.03, under=under, burst=burst))
        for _turn in range(20_000)
    ]
    assert sum(values) / len(values) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("burst", [0.5, 1.0])
def test_bursts_of_one_are_single_requests(burst: float) -> None:
    single = statistics.binomial_log_ratio(3, 100, against=0.05, under=0.01)
    assert single == pytest.approx(3 * math.log(5) + 97 * math.log(0.95 / 0.99))
    assert statistics.burst_log_ratio(3, 100, against=0.05, under=0.01, burst=burst) == single
    assert statistics.burst_log_ratio(3, 100, against=0.05, under=0.01, burst=1.01) != single


@pytest.mark.parametrize(("burst", "size"), [(1.0, 1.0), (2.0, 4.0), (5.0, 13.0)])
def test_what_nearly_no_burst_exceeds(burst: float, size: float) -> None:
    assert statistics.largest_burst(burst) == size
    windows = [Counts(1, 100, 9, 100, 1), Counts(1, 100, 8, 100, 0)]
    single = statistics.relative_health(windows, odds_ratio=3.0)
    assert statistics.relative_health(windows, odds_ratio=3.0, burst=burst) == pytest.approx(single / size)
    assert statistics.relative_harm(windows, phases=1, burst=burst) <= statistics.relative_harm(
        windows, phases=1
    )


def spans(*bad: int, total: int = 100) -> list[tuple[int, int]]:
    return [(total, number) for number in bad]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        # share 0.04, variance 3.84 a span, so a dispersion of 320 / 3.84 / 4, and noise of sqrt(2 / 4)
        (spans(0, 0, 20, 0, 0), (320 / 3.84 / 4 * (1 + 2 * math.sqrt(0.5)) + 1) / 2),
        ([*spans(0, 0, 20, 0, 0), (0, 0)], (320 / 3.84 / 4 * (1 + 2 * math.sqrt(0.5)) + 1) / 2),
        (spans(4, 4, 4, 4, 4), 1.0),
        (spans(2, 6, 3, 5, 4), 1.0),  # as independent ones vary
        (spans(0, 0, 7, 0, 0), 1.0),  # too few to say anything
        (spans(0, 0, 8, 0, 0), (51.2 / 1.5744 / 4 * (1 + 2 * math.sqrt(0.5)) + 1) / 2),
        (spans(0, 0, 20, 0), 1.0),  # too few spans
        (spans(5, 5, 5, 5, 5, total=5), 1.0),  # nothing but bad ones
        ([], 1.0),
    ],
)
def test_the_size_of_bursts_that_spans_show(given: list[tuple[int, int]], size: float) -> None:
    assert statistics.estimated_burst(given) == pytest.approx(size)


def test_where_the_sign_of_bursts_begins() -> None:
    """Nine spans of 1000 with 10 on average: twice the noise, sqrt(2 / 8), above 1 is a dispersion of 2."""
    variance = 10 * 0.99

    def dispersion(*off: int) -> float:
        return sum(item * item for item in off) / variance / 8

    below = (4, -4, 4, -4, 4, -4, 4, -4, 0)
    above = (5, -5, 5, -5, 5, -5, 4, -4, 0)
    assert dispersion(*below) < 2 < dispersion(*above)
    assert statistics.estimated_burst(spans(*(10 + item for item in below), total=1000)) == 1.0
    expected = (dispersion(*above) * 2 + 1) / 2
    found = statistics.estimated_burst(spans(*(10 + item for item in above), total=1000))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_the_need_of_requests_is_the_error_over_the_drift(burst: float) -> None:
    def need(share: float) -> int | None:
        return statistics.requests_for_health(share, acceptable=0.005, limit=0.05, error=0.05, burst=burst)

    def evidence(bad: int) -> float:
        return statistics.burst_log_ratio(bad, 1, against=0.005, under=0.05, burst=burst)

    for share in (0.0, 0.005):
        drift = (1 - share) * evidence(0) + share * evidence(1)
        assert need(share) == math.ceil(-math.log(0.05) / drift)
    assert need(0.05) is None
