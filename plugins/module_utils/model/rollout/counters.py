# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of a time window, counted from raw counter samples instead of ``increase()``.

``increase()`` and ``rate()`` drop what a new series holds at its first sample, and a sick version's errors
are such series: nobody sees its first failures. Here a new series of a target that is being scraped counts
from 0, a counter that fell was reset by a restart and counts from 0 again, and each pod's series is treated
alone. A target that nobody knew when the run began counts from its first sample: its counters may be as old
as its pod.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable

Labels = frozenset[tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """The newest raw sample of one series. ``at`` is its scrape time in seconds since the epoch.

    :param first_at: scrape time of the oldest sample in the same answer. :param first: its value.
    """

    labels: Labels
    at: float
    value: float
    first_at: float
    first: float

    def label(self, name: str) -> str:
        """A label's value, empty when absent (Prometheus makes no difference either)."""
        return next((value for key, value in self.labels if key == name), "")


class SeriesMemory:
    """Remembers the last value of every series that was seen in a run, and gives increments.

    A series that vanishes for a while (a missed scrape, a restarted Prometheus) goes on from its last known
    value, so nothing is counted twice and nothing is lost.

    :param target_of: what was scraped, from the labels of a series.
    """

    def __init__(self, target_of: Callable[[Labels], Hashable]) -> None:
        self._target_of = target_of
        self._last: dict[Labels, Sample] = {}
        self._known: set[Hashable] = set()

    def start(self, samples: Iterable[Sample]) -> None:
        """Sets the values that later increments count from."""
        self.commit(samples)

    def increments(self, samples: Iterable[Sample]) -> dict[Labels, float]:
        """Increments since the last `commit`, without the series that stand still.

        :returns: labels of a series -> how much it has grown.
        :raises ValueError: a value is NaN, infinite or negative, or a series occurs twice: such an answer
            measures nothing.
        """
        answer = self._checked(samples)
        alive: dict[Hashable, float] = {}
        for sample in answer:
            if sample.labels in self._last:
                target = self._target_of(sample.labels)
                alive[target] = max(alive.get(target, 0.0), sample.at)
        grown: dict[Labels, float] = {}
        for sample in answer:
            before = self._last.get(sample.labels)
            if before is not None and sample.at < before.at:
                continue  # an older copy, from a second Prometheus behind a load balancer
            start = before.value if before is not None else self._start_of(sample, alive)
            increment = sample.value - start if sample.value >= start else sample.value
            if increment:
                grown[sample.labels] = increment
        return grown

    def commit(self, samples: Iterable[Sample]) -> None:
        """Later increments count from these samples. Apart from `increments`, so that an answer that turns
        out to be unusable leaves nothing half counted."""
        for sample in samples:
            before = self._last.get(sample.labels)
            if before is None or sample.at >= before.at:
                self._last[sample.labels] = sample
            self._known.add(self._target_of(sample.labels))

    def _start_of(self, sample: Sample, alive: dict[Hashable, float]) -> float:
        """What an unseen series counts from.

        From 0, when its target was scraped before without it. Where none of the target's other series go on
        beside it, all of them have got other labels, and this one is an old counter under a new name.
        """
        target = self._target_of(sample.labels)
        if target in self._known and alive.get(target, -math.inf) >= sample.first_at:
            return 0.0
        return sample.first

    @staticmethod
    def _checked(samples: Iterable[Sample]) -> list[Sample]:
        answer = list(samples)
        seen: set[Labels] = set()
        for sample in answer:
            if not all(math.isfinite(value) and value >= 0 for value in (sample.value, sample.first)):
                raise ValueError(f"a counter has the value {sample.value}")
            if sample.labels in seen:
                raise ValueError("a series occurs twice in one answer")
            seen.add(sample.labels)
        return answer


def label_of(labels: Labels, name: str) -> str:
    """A label's value, empty when absent."""
    return next((value for key, value in labels if key == name), "")
