"""Failures that reached no version: whose they are, in proportion to traffic or to what is missing."""

from __future__ import annotations

import math

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import RequestCounts
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.unattributed import (
    Unattributed,
    Weight,
    share_at_most,
)


@pytest.mark.parametrize(
    ("failed", "total", "share"),
    [(0, 0, 0.0), (5, 0, 0.0), (0, 100, 0.0), (4, 100, 0.08), (100, 1000, 0.12), (1, 1, 3.0)],
)
def test_the_share_before_the_rollout_is_an_upper_bound(failed: float, total: float, share: float) -> None:
    assert share_at_most(failed, total) == pytest.approx(share)


def parts(share: float, *looks: tuple[float, float, float, Weight | None]) -> list[tuple[float, float]]:
    """Looks of (failed, canary, stable, weight) -> what each adds to (canary, stable)."""
    divider = Unattributed(share)
    found = []
    for look in looks:
        ours, theirs = divider.divide(*look)
        assert ours.bad == ours.total
        assert theirs.bad == theirs.total
        assert ours.total + theirs.total == pytest.approx(max(look[0], 0))
        found.append((round(ours.total, 6), round(theirs.total, 6)))
    return found


@pytest.mark.parametrize(
    ("share", "look", "canary"),
    [
        # nothing was lost before: all of it is beyond, and goes where requests are missing
        (0.0, (10, 0, 90, 10), 10.0),
        (0.0, (10, 10, 80, 10), 0.0),
        (0.0, (10, 5, 85, 10), 5.0),
        (0.0, (10, 0, 0, 50), 5.0),
        (0.0, (10, 0, 0, None), 10.0),
        (0.0, (10, 50, 40, None), 10.0),
        (0.0, (30, 10, 60, 20), 10.0),  # ten of the canary's twenty are missing, twenty of the others' eighty
        # as many as before: by the traffic of both
        (1.0, (10, 10, 80, 10), 10 / 9),
        (1.0, (10, 0, 80, 10), 0.0),
        (1.0, (10, 0, 0, 30), 3.0),
        (1.0, (10, 0, 0, None), 10.0),
        # between: the first part by traffic, what is beyond by what is missing
        (0.01, (10, 0, 90, 10), 10 - 1 - 2.0),
        (0.0, (0, 10, 90, 10), 0.0),
        (0.0, (-1, 10, 90, 10), 0.0),
        # between two splits: of the version that alone explains them, within chance
        (0.0, (45, 61, 100, (10, 25)), 0.0),  # a stable version that went away while 10 % became 25 %
        (0.0, (166, 34, 0, (10, 25)), 0.0),
        (0.0, (34, 0, 166, (10, 25)), 34.0),  # a canary that answers nobody
        (0.0, (20, 0, 180, (0, 10)), 20.0),  # either: the canary had nothing yet, or what it had is lost
        (0.0, (15, 5, 180, (0, 10)), 15.0),
        (0.0, (60, 60, 60, (10, 25)), 60.0),  # neither
        (0.0, (10, 0, 10, (0, 100)), 10.0),  # each of them just so
        (0.0, (10, 10, 10, (0, 100)), 10.0),
        (0.0, (10, 0, 0, (0, 100)), 10.0),
        (0.0, (80, 10, 10, (10, 10)), 0.0),
        (0.0, (90, 0, 10, (10, 10)), 90.0),  # both lack some
        (1.0, (10, 0, 0, (10, 25)), 2.5),
    ],
)
def test_one_look(share: float, look: tuple[float, float, float, Weight | None], canary: float) -> None:
    assert parts(share, look)[0][0] == pytest.approx(canary)


def test_more_than_both_lack_is_divided_as_the_split_says() -> None:
    assert parts(0.0, (10, 100, 100, 50)) == [(5.0, 5.0)]


def test_quiet_looks_count_too_and_a_charge_is_never_made_twice() -> None:
    share = 0.01
    looks = [(0, 1000, 9000, 10), (100, 0, 0, 10), (100, 1000, 8900, 10)]
    first, second, third = parts(share, *looks)
    assert first == (0.0, 0.0)
    expected = share * 10_100
    beyond = 100 - expected - 2 * math.sqrt(expected)
    assert beyond < 0  # the quiet look has made room for all of them
    assert second == (10.0, 90.0)
    assert third[0] == pytest.approx(100 * 1000 / 9900)


def test_what_was_charged_as_excess_stays_charged() -> None:
    looks = [(50, 0, 50, 50), (50, 5000, 5000, 50), (1, 5000, 4999, 50)]
    first, second, third = parts(0.005, *looks)
    assert first[0] > 45
    assert second == (25.0, 25.0)  # expected by now: by traffic
    assert third[0] == pytest.approx(5000 / 9999)


def test_nothing_is_nothing() -> None:
    assert Unattributed(0.5).divide(0, 0, 0, 50) == (RequestCounts(), RequestCounts())
