# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the metrics say of a rollout's two versions: before it, and since the last look."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """One look at the metrics.

    :param at: seconds since the epoch. :param since: from when on the requests are counted; 0 for unknown.
    :param counts: gate -> [canary total, canary bad, stable total, stable bad] since then.
    :param settled: every live proxy was scraped after the moment that the caller named.
    :param problem: why nothing can be measured; then ``counts`` is empty.
    :param values: query gate -> number, ``None`` where nothing usable was answered.
    :param latency: version -> quantile -> milliseconds since the start of the run, for reports.
    """

    at: float
    counts: Mapping[str, list[int]]
    settled: bool = False
    problem: str = ""
    values: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    latency: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)
    since: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Baseline:
    """The service before the rollout.

    :param rate: requests per second. :param requests: those of the stable version that were observed.
    :param shares: gate -> bad share of the stable version.
    :param unknown_share: share of all requests that failed without reaching a known workload, at most.
    :param spread: gate -> (requests, bad ones) of stable in successive spans between two scrapes.
    :param seconds: that the samples really span. :param interval: measured seconds between two scrapes.
    :param bound: text of the latency bound (``le`` label) that the latency gate uses.
    :param p99: milliseconds of the stable version; ``None`` when no latency was asked for or seen.
    """

    rate: float
    requests: float
    shares: Mapping[str, float]
    unknown_share: float
    bound: str
    p99: float | None = None
    spread: Mapping[str, tuple[tuple[int, int], ...]] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    interval: float = 0.0
