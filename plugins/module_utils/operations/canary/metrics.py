# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at both arms: raw counters out of Prometheus, requests per gate, freshness, and the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...istio.metrics import MetricsError, RawSeries
from ...kube.clock import Clock
from ...model.rollout.counters import Labels, Ledger, Sample, label_of
from ...model.rollout.gates import QueryGate, ShareGate
from ...model.rollout.measurement import Baseline, Measurement
from ...model.rollout.requests import (
    Arms,
    LabelError,
    Pair,
    bucket_bounds,
    count_requests,
    count_slow,
    merged,
    quantile,
)


class Series(Protocol):
    """The Prometheus client."""

    def raw_series(self, selector: str, lookback: float) -> list[RawSeries]:
        """Raw samples. :returns: one per series: its labels, and (time, value) points in time order."""

    def number(self, query: str) -> float | None:
        """One number."""


class PrometheusSource:
    """Counts requests of both arms.

    :param scrape_interval: seconds between two scrapes of one proxy. :param max_ms: latency limit in
        milliseconds, or ``None`` to take the bucket above the stable version's p95.
    """

    def __init__(
        self,
        prometheus: Series,
        clock: Clock,
        *,
        service: str,
        arms: Arms,
        gates: tuple[ShareGate, ...],
        queries: tuple[QueryGate, ...] = (),
        scrape_interval: float = 15.0,
        max_ms: float | None = None,
    ) -> None:
        self._prometheus = prometheus
        self._clock = clock
        self._arms = arms
        self._gates = gates
        self._queries = queries
        self._scrape = scrape_interval
        self._max_ms = max_ms
        self.bound = ""
        self.unknown_rate = 0.0
        namespace = arms.namespace
        workloads = "|".join(sorted({arms.stable, arms.canary}))
        server = f'destination_workload_namespace="{namespace}",destination_workload=~"{workloads}"'
        self.selectors = {
            "server": f'istio_requests_total{{reporter=~"destination|waypoint",{server}}}',
            "client": (
                f'istio_requests_total{{reporter="source",destination_service_name="{service}",'
                f'destination_service_namespace=~"{namespace}|unknown|",'
                f'destination_workload_namespace=~"{namespace}|unknown|"}}'
            ),
            "latency": (
                f'istio_request_duration_milliseconds_bucket{{reporter=~"destination|waypoint",{server}}}'
            ),
        }
        self._ledgers: dict[str, Ledger] = {}
        self._sums: dict[str, Pair] = {}
        self._reported: dict[str, Pair] = {}
        self._buckets: dict[str, dict[str, float]] = {}
        self._begun: float | None = None

    @property
    def wants_latency(self) -> bool:
        """Whether a latency gate is asked for."""
        return any(gate.name == "latency" for gate in self._gates)

    def baseline(self, seconds: float) -> Baseline:
        """The last ``seconds`` of the service, before anything is written.

        :raises MetricsError: Prometheus does not answer properly. :raises LabelError: labels are missing.
        """
        answers = self._ask(seconds)
        moved = {
            name: _moved(series, seconds, self._scrape, self._clock.now()) for name, series in answers.items()
        }
        counts = count_requests({**moved["server"], **moved["client"]}, self._arms)
        stable = merged(counts, "stable")
        shares = {"errors": stable.bad / stable.total if stable.total else 0.0}
        p99 = None
        if self.wants_latency:
            mine = self._stable_only(moved["latency"])
            buckets = _by_bound(mine)
            p99 = quantile(buckets, 0.99)
            self.bound = self._choose_bound(mine, quantile(buckets, 0.95))
            slow = count_slow(mine, self._arms, self.bound).get("stable", Pair())
            shares["latency"] = slow.bad / slow.total if slow.total else 0.0
        unknown = counts.get("source/unknown", Pair())
        everything = stable.total + merged(counts, "canary").total + unknown.total
        self.unknown_rate = unknown.bad / seconds
        return Baseline(everything / seconds, stable.total, shares, self.unknown_rate, self.bound, p99)

    def start(self) -> None:
        """Counts from now on.

        :raises MetricsError: Prometheus does not answer properly.
        """
        for name, series in self._ask(self._lookback()).items():
            ledger = Ledger()
            ledger.start(_newest(series))
            self._ledgers[name] = ledger
        self._sums, self._reported, self._buckets = {}, {}, {}
        self._begun = self._clock.now()

    def measure(self, after: float) -> Measurement:
        """Requests since the last look.

        :param after: seconds since the epoch; ``settled`` tells whether all live proxies were scraped later.
        """
        now = self._clock.now()
        try:
            if self._begun is None:
                self.start()
            answers = self._ask(self._lookback())
            newest = {name: _newest(series) for name, series in answers.items()}
            fresh = self._targets(newest)
            if not fresh:
                return Measurement(
                    now, {}, problem="Prometheus has no fresh sample of any proxy of this service"
                )
            self._advance(newest)
            values = {gate.name: self._value(gate) for gate in self._queries}
        except (MetricsError, LabelError, ValueError) as error:
            return Measurement(now, {}, problem=str(error))
        return Measurement(
            at=now,
            counts=self._counts(now),
            settled=min(fresh) >= after,
            values=values,
            latency={
                arm: {"p50": quantile(found, 0.5), "p99": quantile(found, 0.99)}
                for arm, found in self._buckets.items()
            },
        )

    def past(self, seconds: float) -> Measurement:
        """Requests of both arms in the last ``seconds``, of a run that nobody has watched.

        :raises MetricsError: Prometheus does not answer properly. :raises LabelError: labels are missing.
        """
        now = self._clock.now()
        moved = {
            name: _moved(series, seconds, self._scrape, now) for name, series in self._ask(seconds).items()
        }
        self._begun, self._sums, self._reported = now - seconds, {}, {}
        for key, pair in count_requests({**moved["server"], **moved["client"]}, self._arms).items():
            self._sums[key] = pair
        if self.wants_latency and self.bound:
            for arm, pair in count_slow(moved["latency"], self._arms, self.bound).items():
                self._sums[f"latency/{arm}"] = pair
        return Measurement(at=now, counts=self._counts(now), settled=True)

    def _ask(self, lookback: float) -> dict[str, list[RawSeries]]:
        wanted = ["server", "client"] + (["latency"] if self.wants_latency else [])
        return {name: self._prometheus.raw_series(self.selectors[name], lookback) for name in wanted}

    def _lookback(self) -> float:
        return max(60.0, 4 * self._scrape)

    def _targets(self, newest: Mapping[str, list[Sample]]) -> list[float]:
        """Times of the newest sample of each live proxy (a silent one has gone away)."""
        seen: dict[str, float] = {}
        for samples in newest.values():
            for sample in samples:
                target = sample.label("instance") or sample.label("pod")
                seen[target] = max(seen.get(target, 0.0), sample.at)
        oldest = self._clock.now() - (3 * self._scrape + 5)
        return [at for at in seen.values() if at >= oldest]

    def _advance(self, newest: Mapping[str, list[Sample]]) -> None:
        increments = {name: self._ledgers[name].increments(samples) for name, samples in newest.items()}
        requests = count_requests({**increments["server"], **increments["client"]}, self._arms)
        if self.wants_latency and not self.bound:
            # there was no request to read it from before the run
            mine = self._stable_only(increments["latency"])
            self.bound = self._choose_bound(increments["latency"], quantile(_by_bound(mine), 0.95))
        # only now, when every answer turned out to be usable
        for name, samples in newest.items():
            self._ledgers[name].commit(samples)
        for key, pair in requests.items():
            self._sums[key] = self._sums.get(key, Pair()).plus(pair.total, pair.bad)
        if not self.bound:  # no latency is asked for, or nothing says yet what is slow
            return
        for arm, pair in count_slow(increments["latency"], self._arms, self.bound).items():
            key = f"latency/{arm}"
            self._sums[key] = self._sums.get(key, Pair()).plus(pair.total, pair.bad)
        for labels, growth in increments["latency"].items():
            found = self._buckets.setdefault(self._arms.of(labels), {})
            text = label_of(labels, "le")
            found[text] = found.get(text, 0.0) + growth

    def _stable_only(self, series: Mapping[Labels, float]) -> dict[Labels, float]:
        return {labels: value for labels, value in series.items() if self._arms.of(labels) == "stable"}

    def _counts(self, now: float) -> dict[str, list[int]]:
        """Per gate the growth of the run's sums. Sums first, then the larger of both reporters: a failure
        that one proxy reports a scrape later than the other is still one failure."""
        counts: dict[str, list[int]] = {}
        unknown = self._sums.get("source/unknown", Pair()).bad
        expected = self.unknown_rate * (now - (self._begun or now))
        excess = max(0.0, unknown - expected)
        canary, stable = merged(self._sums, "canary"), merged(self._sums, "stable")
        sums = {"errors": (canary.plus(excess, excess), stable)}
        if self.wants_latency:
            sums["latency"] = (
                self._sums.get("latency/canary", Pair()),
                self._sums.get("latency/stable", Pair()),
            )
        for gate, (new_canary, new_stable) in sums.items():
            growth = [
                *self._growth(f"{gate}/canary", new_canary),
                *self._growth(f"{gate}/stable", new_stable),
            ]
            counts[gate] = growth
        return counts

    def _growth(self, key: str, now: Pair) -> tuple[int, int]:
        before = self._reported.get(key, Pair())
        bad = max(0, round(now.bad) - round(before.bad))
        total = max(bad, round(now.total) - round(before.total))
        self._reported[key] = Pair(max(before.total, now.total), max(before.bad, now.bad))
        return total, bad

    def _value(self, gate: QueryGate) -> float | None:
        try:
            return self._prometheus.number(gate.query)
        except MetricsError:
            return None

    def _choose_bound(self, series: Mapping[Labels, Any], p95: float | None) -> str:
        bounds = bucket_bounds(series)
        if not bounds:
            return ""
        if self._max_ms is not None:
            below = [text for value, text in bounds if value <= self._max_ms]
            if not below:
                raise LabelError(
                    f"no histogram bound at or below {self._max_ms:g} ms: the smallest is {bounds[0][1]}"
                )
            return below[-1]  # a bound below the limit: stricter than asked, never looser
        if p95 is None:
            return ""
        above = [text for value, text in bounds if value >= 2 * p95]
        return above[0] if above else bounds[-1][1]


def _newest(series: list[RawSeries]) -> list[Sample]:
    return [Sample(labels, points[-1][0], points[-1][1]) for labels, points in series]


def _moved(series: list[RawSeries], seconds: float, scrape: float, now: float) -> dict[Labels, float]:
    """Increment of each series inside the window. One that began inside it counts from 0."""
    moved: dict[Labels, float] = {}
    for labels, points in series:
        began_inside = points[0][0] > now - seconds + 2 * scrape
        total, before = 0.0, 0.0 if began_inside else points[0][1]
        for _at, value in points:
            total += value - before if value >= before else value
            before = value
        moved[labels] = total
    return moved


def _by_bound(increments: Mapping[Labels, float]) -> dict[str, float]:
    buckets: dict[str, float] = {}
    for labels, value in increments.items():
        text = label_of(labels, "le")
        buckets[text] = buckets.get(text, 0.0) + value
    return buckets
