# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of a time window, counted from raw counter samples instead of ``increase()``.

``increase()`` and ``rate()`` drop what a new series holds at its first sample, and a sick version's errors
are such series: nobody sees its first failures. Here a series that was absent counts from 0, a counter that
fell was reset by a restart and counts from 0 again, and each pod's series is treated alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

Labels = frozenset[tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """The newest raw sample of one series. ``at`` is its scrape time in seconds since the epoch."""

    labels: Labels
    at: float
    value: float

    def label(self, name: str) -> str:
        """A label's value, empty when absent (Prometheus makes no difference either)."""
        return next((value for key, value in self.labels if key == name), "")


class Ledger:
    """Remembers the last value of every series that was seen in a run, and gives increments.

    A series that vanishes for a while (a missed scrape, a restarted Prometheus) goes on from its last known
    value, so nothing is counted twice and nothing is lost.
    """

    def __init__(self) -> None:
        self._last: dict[Labels, Sample] = {}

    def start(self, samples: Iterable[Sample]) -> None:
        """Sets the values that later increments count from. Series not named here count from 0."""
        for sample in samples:
            self._last[sample.labels] = sample

    def increments(self, samples: Iterable[Sample]) -> dict[Labels, float]:
        """Increments since the last `commit`, without the series that stand still.

        :returns: labels of a series -> how much it has grown.
        :raises ValueError: a value is NaN, infinite or negative, or a series occurs twice: such an answer
            measures nothing.
        """
        increments: dict[Labels, float] = {}
        seen: set[Labels] = set()
        for sample in samples:
            if not math.isfinite(sample.value) or sample.value < 0:
                raise ValueError(f"a counter has the value {sample.value}")
            if sample.labels in seen:
                raise ValueError("a series occurs twice in one answer")
            seen.add(sample.labels)
            before = self._last.get(sample.labels)
            if before is not None and sample.at < before.at:
                continue  # an older copy, from a second Prometheus behind a load balancer
            increment = sample.value
            if before is not None and sample.value >= before.value:
                increment = sample.value - before.value
            if increment:
                increments[sample.labels] = increment
        return increments

    def commit(self, samples: Iterable[Sample]) -> None:
        """Later increments count from these samples. Apart from `increments`, so that an answer that turns
        out to be unusable leaves nothing half counted."""
        for sample in samples:
            before = self._last.get(sample.labels)
            if before is None or sample.at >= before.at:
                self._last[sample.labels] = sample


def label_of(labels: Labels, name: str) -> str:
    """A label's value, empty when absent."""
    return next((value for key, value in labels if key == name), "")
