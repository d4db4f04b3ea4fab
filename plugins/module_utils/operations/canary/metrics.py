# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at both versions: raw counters out of Prometheus, requests per gate, freshness, and the baseline."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Protocol

from ...istio.metrics import MetricsError, RawSeries
from ...kube.clock import Clock
from ...model.promql import matching
from ...model.rollout.counters import Labels, Sample, SeriesMemory, label_of
from ...model.rollout.gates import QueryGate, ShareGate
from ...model.rollout.measurement import Baseline, Measurement
from ...model.rollout.requests import (
    LabelError,
    RequestCounts,
    VersionWorkloads,
    by_bound,
    choose_bound,
    count_requests,
    count_slow,
    merged,
    quantile,
)
from ...model.rollout.series import (
    Raw,
    between_scrapes,
    by_target,
    moved,
    scrape_interval,
    span,
    target_of,
    unique,
)
from ...model.rollout.unattributed import Unattributed, Weight, share_at_most

FEWEST_SCRAPES = 3.5  # in the baseline: four, of which a late one still counts
SLOWER = 1.5  # times the declared interval between two scrapes: then the measured one counts


class Series(Protocol):
    """The Prometheus client."""

    def raw_series(self, selector: str, lookback: float) -> list[RawSeries]:
        """Raw samples. :returns: one per series: its labels, and (time, value) points in time order."""

    def number(self, query: str) -> float | None:
        """One number."""


class PrometheusSource:
    """Counts requests of both versions.

    :param scrape_interval: seconds between two scrapes of one proxy.
    :param matchers: label -> value of the series that are meant, in a Prometheus that has others.
    :param replica_labels: labels by which copies of the same samples differ. :param max_ms: latency limit in
        milliseconds, or ``None`` to take the bucket above the stable version's p95.
    """

    def __init__(
        self,
        prometheus: Series,
        clock: Clock,
        *,
        service: str,
        versions: VersionWorkloads,
        gates: tuple[ShareGate, ...],
        queries: tuple[QueryGate, ...] = (),
        scrape_interval: float = 15.0,
        matchers: Mapping[str, str] | None = None,
        replica_labels: Collection[str] = (),
        max_ms: float | None = None,
    ) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._versions = versions
        self._gates = gates
        self._queries = queries
        self._scrape = scrape_interval
        self._max_ms = max_ms
        self.bound = ""
        self.unattributed = Unattributed(0.0)
        namespace = versions.namespace
        workloads = "|".join(sorted({versions.stable, versions.canary}))
        self._replica_labels = tuple(replica_labels)
        only = matching(matchers or {})
        server = f'destination_workload_namespace="{namespace}",destination_workload=~"{workloads}"{only}'
        self.selectors = {
            "server": f'istio_requests_total{{reporter=~"destination|waypoint",{server}}}',
            "client": (
                f'istio_requests_total{{reporter="source",destination_service_name="{service}",'
                f'destination_service_namespace=~"{namespace}|unknown|",'
                f'destination_workload_namespace=~"{namespace}|unknown|"{only}}}'
            ),
            "latency": (
                f'istio_request_duration_milliseconds_bucket{{reporter=~"destination|waypoint",{server}}}'
            ),
        }
        self._memory = SeriesMemory(target_of)
        self._sums: dict[str, RequestCounts] = {}
        self._reported: dict[str, RequestCounts] = {}
        self._buckets: dict[str, dict[str, float]] = {}
        self._begun: float | None = None
        self._counted_to = 0.0  # until then

    @property
    def wants_latency(self) -> bool:
        """Whether a latency gate is asked for."""
        return any(gate.name == "latency" for gate in self._gates)

    def baseline(self, seconds: float) -> Baseline:
        """The last ``seconds`` of the service, before anything is written.

        :raises MetricsError: Prometheus does not answer properly. :raises LabelError: labels are missing, a
            target is scraped twice, or the samples are too few.
        """
        answers = self._ask(seconds)
        every = [series for found in answers.values() for series in found]
        interval = scrape_interval(every) or 0.0
        if every and seconds < FEWEST_SCRAPES * interval:
            raise LabelError(
                f"each proxy is scraped every {interval:.0f} s, so {seconds:.0f} s hold too few samples:"
                f" canary_baseline must be at least {4 * interval:.0f} s"
            )
        self.scraped_every(interval)
        grown = {name: moved(series) for name, series in answers.items()}
        counts = count_requests({**grown["server"], **grown["client"]}, self._versions)
        stable, unknown = merged(counts, "stable"), counts.get("source/unknown", RequestCounts())
        known = stable.plus(unknown.bad, unknown.bad)
        shares = {"errors": known.bad / known.total if known.total else 0.0}
        p99 = None
        if self.wants_latency:
            mine = self._stable_only(grown["latency"])
            buckets = by_bound(mine)
            p99 = quantile(buckets, 0.99)
            self.bound = choose_bound(mine, quantile(buckets, 0.95), self._max_ms)
            slow = count_slow(mine, self._versions, self.bound).get("stable", RequestCounts())
            shares["latency"] = slow.bad / slow.total if slow.total else 0.0
        everything = stable.total + merged(counts, "canary").total + unknown.total
        lost = share_at_most(unknown.bad, everything)
        self.unattributed = Unattributed(lost)
        measured = span(every) or seconds
        return Baseline(
            everything / measured,
            stable.total,
            shares,
            lost,
            self.bound,
            p99,
            spread=self._spread(answers, interval),
            seconds=measured,
            interval=interval,
        )

    def _spread(
        self, answers: Mapping[str, list[Raw]], interval: float
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        """Requests of the stable version in successive spans of one scrape: how bad ones come together."""
        if not interval:
            return {}
        cut = {name: between_scrapes(series, interval) for name, series in answers.items()}
        spans = sorted({span for found in cut.values() for span in found})
        spread: dict[str, list[RequestCounts]] = {"errors": []}
        for number in spans:
            grown = {name: found.get(number, {}) for name, found in cut.items()}
            counts = count_requests({**grown["server"], **grown["client"]}, self._versions)
            lost = counts.get("source/unknown", RequestCounts()).bad
            spread["errors"].append(merged(counts, "stable").plus(lost, lost))
            if self.wants_latency and self.bound:
                slow = count_slow(self._stable_only(grown["latency"]), self._versions, self.bound)
                spread.setdefault("latency", []).append(slow.get("stable", RequestCounts()))
        return {
            gate: tuple((round(pair.total), round(pair.bad)) for pair in pairs)
            for gate, pairs in spread.items()
        }

    def clock_skew(self) -> float:
        """Seconds by which Prometheus' clock is ahead of this one.

        :raises MetricsError: it does not tell its time.
        """
        before = self._clock.now()
        there = self._prometheus.number("time()")
        if there is None:
            raise MetricsError("Prometheus does not tell its time")
        return there - (before + self._clock.now()) / 2

    def scraped_every(self, seconds: float) -> None:
        """What was measured before a run counts for whoever carries it on. :param seconds: 0 for unknown."""
        if seconds > SLOWER * self._scrape:
            self._scrape = seconds

    @property
    def interval(self) -> float:
        """Seconds between two scrapes: as declared, or as measured where that is more."""
        return self._scrape

    def start(self) -> None:
        """Counts from now on; where nothing can be read, or no proxy was scraped lately, from the first look
        that finds some."""
        self._begun = None
        try:
            samples = self._newest()
        except (MetricsError, LabelError, ValueError):
            return
        self._start(samples)

    def _start(self, newest: Mapping[str, list[Sample]]) -> bool:
        if not self._fresh(newest):
            return False
        self._memory = SeriesMemory(target_of)
        self._memory.start(_all(newest))
        self._sums, self._reported, self._buckets = {}, {}, {}
        self._begun = self._counted_to = self._clock.now()
        return True

    def measure(self, after: float, weight: Weight | None = None) -> Measurement:
        """Requests since the last look.

        :param after: seconds since the epoch; ``settled`` tells whether all live proxies were scraped later.
        :param weight: percent of all requests that the canary was to get since then, ``None`` for unknown.
        """
        now = self._clock.now()
        nothing = "Prometheus has no fresh sample of any proxy of this service"
        try:
            newest = self._newest()
            fresh = self._fresh(newest)
            if not fresh:
                return Measurement(now, {}, problem=nothing)
            if self._begun is None:
                self._start(newest)
                return Measurement(now, {}, problem="the first look that found samples: counted from here")
            counts = self._advance(newest, weight)
            values = {gate.name: self._value(gate) for gate in self._queries}
        except (MetricsError, LabelError, ValueError) as error:
            return Measurement(now, {}, problem=str(error))
        since, self._counted_to = self._counted_to, now
        return Measurement(
            at=now,
            since=since,
            counts=counts,
            settled=min(fresh) >= after,
            values=values,
            latency={
                version: {"p50": quantile(found, 0.5), "p99": quantile(found, 0.99)}
                for version, found in self._buckets.items()
            },
        )

    def past(self, seconds: float, weight: Weight | None = None) -> Measurement:
        """Requests of both versions in the last ``seconds``, of a run that nobody has watched.

        :raises MetricsError: Prometheus does not answer properly. :raises LabelError: labels are missing.
        """
        grown = {name: moved(series) for name, series in self._ask(seconds).items()}
        self._sums, self._reported = {}, {}
        return Measurement(at=self._clock.now(), counts=self._counted(grown, weight), settled=True)

    def _ask(self, lookback: float) -> dict[str, list[Raw]]:
        wanted = ["server", "client"] + (["latency"] if self.wants_latency else [])
        answers = {
            name: unique(self._prometheus.raw_series(self.selectors[name], lookback), self._replica_labels)
            for name in wanted
        }
        for series in answers.values():
            for _labels, points in series:
                for _at, value in points:
                    if not (math.isfinite(value) and value >= 0):
                        raise MetricsError(f"a counter has the value {value}")
        return answers

    def _newest(self) -> dict[str, list[Sample]]:
        answers = self._ask(max(60.0, 4 * self._scrape))
        return {
            name: [Sample(labels, *points[-1], *points[0]) for labels, points in series]
            for name, series in answers.items()
        }

    def _fresh(self, newest: Mapping[str, list[Sample]]) -> list[float]:
        """Times of the newest sample of each live proxy (a silent one has gone away)."""
        seen = by_target({sample.labels: sample.at for sample in _all(newest)})
        oldest = self._clock.now() - (3 * self._scrape + 5)
        return [at for at in seen.values() if at >= oldest]

    def _advance(self, newest: Mapping[str, list[Sample]], weight: Weight | None) -> dict[str, list[int]]:
        grown = self._memory.increments(_all(newest))
        increments = {
            name: {sample.labels: grown[sample.labels] for sample in samples if sample.labels in grown}
            for name, samples in newest.items()
        }
        if self.wants_latency and not self.bound:
            # there was no request to read it from before the run
            mine = self._stable_only(increments["latency"])
            self.bound = choose_bound(increments["latency"], quantile(by_bound(mine), 0.95), self._max_ms)
        counts = self._counted(increments, weight)
        self._memory.commit(_all(newest))  # only now, when every answer turned out to be usable
        return counts

    def _counted(
        self, increments: Mapping[str, Mapping[Labels, float]], weight: Weight | None
    ) -> dict[str, list[int]]:
        """Adds what has grown to the run's sums. :returns: the growth of each gate's counts."""
        requests = count_requests({**increments["server"], **increments["client"]}, self._versions)
        reached = {version: merged(self._sums, version).total for version in ("canary", "stable")}
        for key, pair in requests.items():
            self._sums[key] = self._sums.get(key, RequestCounts()).plus(pair.total, pair.bad)
        canary, stable = (
            merged(self._sums, version).total - reached[version] for version in ("canary", "stable")
        )
        lost = requests.get("source/unknown", RequestCounts()).bad
        for version, pair in zip(
            ("canary", "stable"), self.unattributed.divide(lost, canary, stable, weight), strict=True
        ):
            self._sums[f"lost/{version}"] = self._sums.get(f"lost/{version}", RequestCounts()).plus(
                pair.total, pair.bad
            )
        if self.bound:
            self._add_latency(increments["latency"])
        return self._counts()

    def _add_latency(self, increments: Mapping[Labels, float]) -> None:
        for version, pair in count_slow(increments, self._versions, self.bound).items():
            key = f"latency/{version}"
            self._sums[key] = self._sums.get(key, RequestCounts()).plus(pair.total, pair.bad)
        for labels, growth in increments.items():
            found = self._buckets.setdefault(self._versions.of(labels), {})
            text = label_of(labels, "le")
            found[text] = found.get(text, 0.0) + growth

    def _stable_only(self, series: Mapping[Labels, float]) -> dict[Labels, float]:
        return {labels: value for labels, value in series.items() if self._versions.of(labels) == "stable"}

    def _counts(self) -> dict[str, list[int]]:
        """Per gate the growth of the run's sums. Sums first, then the larger of both reporters: a failure
        that one proxy reports a scrape later than the other is still one failure."""
        counts: dict[str, list[int]] = {}
        counted = [merged(self._sums, version) for version in ("canary", "stable")]
        lost = [self._sums.get(f"lost/{version}", RequestCounts()) for version in ("canary", "stable")]
        sums = {"errors": [own.plus(more.total, more.bad) for own, more in zip(counted, lost, strict=True)]}
        if self.wants_latency:
            sums["latency"] = [
                self._sums.get(f"latency/{version}", RequestCounts()) for version in ("canary", "stable")
            ]
        for gate, (new_canary, new_stable) in sums.items():
            growth = [
                *self._growth(f"{gate}/canary", new_canary),
                *self._growth(f"{gate}/stable", new_stable),
            ]
            counts[gate] = growth
        return counts

    def _growth(self, key: str, now: RequestCounts) -> tuple[int, int]:
        before = self._reported.get(key, RequestCounts())
        bad = max(0, round(now.bad) - round(before.bad))
        total = max(bad, round(now.total) - round(before.total))
        self._reported[key] = RequestCounts(max(before.total, now.total), max(before.bad, now.bad))
        return total, bad

    def _value(self, gate: QueryGate) -> float | None:
        try:
            return self._prometheus.number(gate.query)
        except MetricsError:
            return None


def _all(newest: Mapping[str, list[Sample]]) -> list[Sample]:
    return [sample for samples in newest.values() for sample in samples]
