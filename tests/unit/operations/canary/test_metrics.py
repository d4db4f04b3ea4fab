"""Looks at metrics, on series as Istio's telemetry and the lab both give them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError, RawSeries
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    QueryGate,
    ShareGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import (
    Arms,
    LabelError,
    is_bad,
    quantile,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.metrics import (
    PrometheusSource,
)

from .fakes import FakeClock

GATES = (ShareGate("errors", 0.005, 0.02), ShareGate("latency", 0.05, 0.2))


class FakePrometheus:
    """Counters that a test moves; each query returns two raw samples per series."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.broken = ""
        self.scraped: float | None = None
        self.answer: float | None = 1.0

    def add(self, kind: str, amount: float, **labels: str) -> None:
        named = {"instance": labels.pop("pod", "a"), "destination_workload_namespace": "shop", **labels}
        key = (kind, frozenset(named.items()))
        self.values[key] = self.values.get(key, 0.0) + amount

    def request(
        self, amount: float, arm: str, code: str = "200", *, reporter: str = "destination", **labels: str
    ) -> None:
        workload = {"stable": "p-v1", "canary": "p-v2"}.get(arm, arm)
        kind = "client" if reporter == "source" else "server"
        more = {"destination_workload_namespace": "unknown"} if arm == "unknown" else {}
        self.add(
            kind,
            amount,
            destination_workload=workload,
            response_code=code,
            reporter=reporter,
            **more,
            **labels,
        )

    def latency(self, amount: float, arm: str, le: str) -> None:
        workload = {"stable": "p-v1", "canary": "p-v2"}[arm]
        self.add("latency", amount, destination_workload=workload, le=le, reporter="destination")

    def raw_series(self, selector: str, lookback: float) -> list[RawSeries]:
        if self.broken:
            raise MetricsError(self.broken)
        kind = (
            "latency" if "bucket" in selector else "client" if 'reporter="source"' in selector else "server"
        )
        at = self.clock.now() if self.scraped is None else self.scraped
        return [
            (labels, [(at - lookback + 1, self.before.get((found, labels), 0.0)), (at, value)])
            for (found, labels), value in self.values.items()
            if found == kind
        ]

    def number(self, query: str) -> float | None:
        if self.answer is None:
            raise MetricsError("NaN")
        return self.answer


class Bench:
    """A meter on fake metrics."""

    def __init__(self, gates: tuple[ShareGate, ...] = GATES[:1], **options: Any) -> None:
        self.clock = FakeClock()
        self.prometheus = FakePrometheus(self.clock)
        self.source = PrometheusSource(
            self.prometheus,
            self.clock,
            service="p",
            arms=Arms("shop", "p-v1", "p-v2"),
            gates=gates,
            scrape_interval=5.0,
            **options,
        )

    def start(self) -> None:
        self.prometheus.request(1000, "stable")
        self.source.start()

    def measure(self, after: float = 0.0) -> Any:
        self.clock.sleep(5)
        return self.source.measure(after)


def test_both_arms_since_the_last_look() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(90, "stable")
    bench.prometheus.request(10, "canary")
    assert bench.measure().counts == {"errors": [10, 0, 90, 0]}
    assert bench.measure().counts == {"errors": [0, 0, 0, 0]}


def test_the_first_errors_of_a_new_series_count() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(7, "canary")
    bench.prometheus.request(3, "canary", "503")
    assert bench.measure().counts["errors"][:2] == [10, 3]


def test_one_request_seen_by_both_sides_counts_once_even_a_scrape_apart() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary")
    bench.prometheus.request(1, "canary", "500")
    first = bench.measure().counts["errors"]
    bench.prometheus.request(10, "canary", reporter="source", pod="caller")
    bench.prometheus.request(1, "canary", "500", reporter="source", pod="caller")
    second = bench.measure().counts["errors"]
    assert [a + b for a, b in zip(first, second, strict=True)][:2] == [11, 1]


def test_failures_that_only_clients_see_count() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary")
    bench.prometheus.request(10, "canary", reporter="source", pod="caller")
    bench.prometheus.request(4, "canary", "503", reporter="source", response_flags="UF", pod="caller")
    assert bench.measure().counts["errors"][:2] == [14, 4]


def test_failures_without_a_workload_are_charged_to_the_canary_beyond_their_old_rate() -> None:
    bench = Bench()
    bench.start()
    bench.source.unknown_rate = 1.0
    bench.prometheus.request(25, "unknown", "503", reporter="source", response_flags="UH", pod="caller")
    assert bench.measure().counts["errors"] == [20, 20, 0, 0]


@pytest.mark.parametrize(
    ("code", "flags", "bad"),
    [
        ("200", "-", False),
        ("404", "-", False),
        ("500", "-", True),
        ("503", "UF", True),
        ("0", "DC", False),
        ("0", "UF", True),
        ("0", "-", False),
    ],
)
def test_what_is_bad(code: str, flags: str, bad: bool) -> None:
    assert is_bad(frozenset({("response_code", code), ("response_flags", flags)})) is bad


def test_grpc_failures_are_bad_in_spite_of_status_200() -> None:
    assert is_bad(frozenset({("response_code", "200"), ("grpc_response_status", "14")}))
    assert not is_bad(frozenset({("response_code", "200"), ("grpc_response_status", "5")}))


@pytest.mark.parametrize("code", ["", "unknown", "2xx"])
def test_telemetry_without_response_codes_measures_nothing(code: str) -> None:
    with pytest.raises(LabelError):
        is_bad(frozenset({("response_code", code)}))
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary", code)
    measured = bench.measure()
    assert "response_code" in measured.problem
    assert measured.counts == {}


def test_an_unusable_answer_loses_no_count() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary")
    bench.prometheus.broken = "gone"
    assert bench.measure().problem == "gone"
    bench.prometheus.broken = ""
    bench.prometheus.request(5, "canary")
    assert bench.measure().counts["errors"][0] == 15


def test_a_stale_prometheus_measures_nothing() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.scraped = bench.clock.now()
    bench.clock.sleep(60)
    assert "no fresh sample" in bench.measure().problem


def test_nan_measures_nothing() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(math.nan, "canary")
    assert bench.measure().problem


def test_a_window_settles_only_after_a_scrape_past_the_proof() -> None:
    bench = Bench()
    bench.start()
    proof = bench.clock.now() + 2
    bench.prometheus.scraped = bench.clock.now() + 1
    assert not bench.measure(after=proof).settled
    bench.prometheus.scraped = None
    assert bench.measure(after=proof).settled


def test_an_unusable_own_query_is_none() -> None:
    bench = Bench(queries=(QueryGate("q", "x", maximum=1.0),))
    bench.start()
    assert bench.measure().values == {"q": 1.0}
    bench.prometheus.answer = None
    assert bench.measure().values == {"q": None}


def test_slow_requests_against_a_limit() -> None:
    bench = Bench(gates=GATES, max_ms=300.0)
    for le, count in (("100", 900.0), ("250", 950.0), ("500", 990.0), ("+Inf", 1000.0)):
        bench.prometheus.latency(count, "stable", le)
    bench.prometheus.request(1000, "stable")
    baseline = bench.source.baseline(60)
    assert baseline.bound == "250"
    assert baseline.shares["latency"] == pytest.approx(0.05)
    bench.source.start()
    for le, count in (("100", 0.0), ("250", 6.0), ("500", 10.0), ("+Inf", 10.0)):
        bench.prometheus.latency(count, "canary", le)
    assert bench.measure().counts["latency"][:2] == [10, 4]


def test_without_a_limit_the_bound_comes_from_stable() -> None:
    bench = Bench(gates=GATES)
    for le, count in (("5", 900.0), ("10", 960.0), ("25", 1000.0), ("50", 1000.0), ("+Inf", 1000.0)):
        bench.prometheus.latency(count, "stable", le)
    bench.prometheus.request(1000, "stable")
    assert bench.source.baseline(60).bound == "25"


def test_without_a_limit_and_without_earlier_requests_nothing_is_slow_until_stable_says_what_is() -> None:
    bench = Bench(gates=GATES)
    bench.prometheus.latency(0.0, "stable", "5")
    assert bench.source.baseline(60).bound == ""
    bench.source.start()
    for le, count in (("5", 0.0), ("10", 20.0), ("25", 20.0), ("+Inf", 20.0)):
        bench.prometheus.latency(count, "canary", le)
    assert bench.measure().counts["latency"] == [0, 0, 0, 0]
    for arm, fast in (("stable", 100.0), ("canary", 10.0)):
        for le, count in (("5", fast), ("10", 100.0), ("25", 100.0), ("+Inf", 100.0)):
            bench.prometheus.latency(count, arm, le)
    assert bench.measure().counts["latency"] == [100, 0, 100, 0]
    assert bench.source.bound == "10"


def test_a_limit_below_every_bucket_cannot_be_measured() -> None:
    bench = Bench(gates=GATES, max_ms=1.0)
    bench.prometheus.latency(10.0, "stable", "5")
    bench.prometheus.latency(10.0, "stable", "+Inf")
    with pytest.raises(LabelError, match="no histogram bound"):
        bench.source.baseline(60)


def test_quantile_as_prometheus_computes_it() -> None:
    buckets = {"10": 50.0, "20": 100.0, "+Inf": 100.0}
    assert quantile(buckets, 0.75) == 15.0
    assert quantile({"10": 0.0, "+Inf": 4.0}, 0.5) == 10.0
    assert quantile({"+Inf": 0.0}, 0.5) is None
