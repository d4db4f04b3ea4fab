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
    LabelError,
    VersionWorkloads,
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
        self.first: dict[frozenset[tuple[str, str]], float] = {}  # when a series began
        self.asked: list[str] = []
        self.times: tuple[float, ...] = ()  # ages of the samples before the newest one
        self.broken = ""
        self.scraped: float | None = None
        self.answer: float | None = 1.0

    def add(self, kind: str, amount: float, **labels: str) -> None:
        named = {"instance": labels.pop("pod", "a"), "destination_workload_namespace": "shop", **labels}
        key = (kind, frozenset(named.items()))
        self.values[key] = self.values.get(key, 0.0) + amount

    def request(
        self, amount: float, which: str, code: str = "200", *, reporter: str = "destination", **labels: str
    ) -> None:
        workload = {"stable": "p-v1", "canary": "p-v2"}.get(which, which)
        kind = "client" if reporter == "source" else "server"
        more = {"destination_workload_namespace": "unknown"} if which == "unknown" else {}
        self.add(
            kind,
            amount,
            destination_workload=workload,
            response_code=code,
            reporter=reporter,
            **more,
            **labels,
        )

    def latency(self, amount: float, version: str, le: str) -> None:
        workload = {"stable": "p-v1", "canary": "p-v2"}[version]
        self.add("latency", amount, destination_workload=workload, le=le, reporter="destination")

    def raw_series(self, selector: str, lookback: float) -> list[RawSeries]:
        if self.broken:
            raise MetricsError(self.broken)
        self.asked.append(selector)
        kind = (
            "latency" if "bucket" in selector else "client" if 'reporter="source"' in selector else "server"
        )
        at = self.clock.now() if self.scraped is None else self.scraped
        series: list[RawSeries] = []
        for (found, labels), value in self.values.items():
            if found != kind:
                continue
            before, first = self.before.get((found, labels), 0.0), self.first.get(labels, at - lookback + 1)
            times = self.times or (lookback - 1, 10, 5)
            earlier = [at - age for age in times if at - age >= first]
            series.append((labels, [*((time, before) for time in earlier), (at, value)]))
        return series

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
            versions=VersionWorkloads("shop", "p-v1", "p-v2"),
            gates=gates,
            scrape_interval=5.0,
            **options,
        )

    def start(self) -> None:
        self.prometheus.request(1000, "stable")
        self.source.start()

    def measure(self, after: float = 0.0, weight: float | None = None) -> Any:
        self.clock.sleep(5)
        return self.source.measure(after, weight)


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


def lost(bench: Bench, amount: float) -> None:
    bench.prometheus.request(amount, "unknown", "503", reporter="source", response_flags="UH", pod="caller")


@pytest.mark.parametrize(
    ("canary", "stable", "charged"),
    [
        (0, 900, (100, 0)),  # the canary's requests are the ones that are missing
        (100, 800, (0, 100)),  # stable's own
        (50, 850, (50, 50)),
    ],
)
def test_failures_without_a_workload_belong_to_the_version_whose_requests_are_missing(
    canary: int, stable: int, charged: tuple[int, int]
) -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(canary, "canary")
    bench.prometheus.request(stable, "stable")
    lost(bench, 100)
    counts = bench.measure(weight=10.0).counts["errors"]
    assert (counts[1], counts[3]) == charged
    assert (counts[0], counts[2]) == (canary + charged[0], stable + charged[1])


def test_without_a_known_weight_they_are_charged_to_the_canary() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(900, "stable")
    lost(bench, 25)
    assert bench.measure().counts["errors"] == [25, 25, 900, 0]


@pytest.mark.parametrize("traffic", [1, 2, 10])
def test_a_steady_background_of_failures_is_no_evidence_whatever_the_traffic(traffic: int) -> None:
    """0.2 % of all requests were lost before the rollout, and are during it, at any rate of requests."""
    bench = Bench()
    bench.prometheus.request(5988, "stable")
    lost(bench, 12)
    bench.source.baseline(60)
    bench.source.start()
    seen = [0, 0, 0, 0]
    for _look in range(30):
        bench.prometheus.request(450 * traffic, "stable")
        bench.prometheus.request(50 * traffic, "canary")
        lost(bench, traffic)
        seen = [a + b for a, b in zip(seen, bench.measure(weight=10.0).counts["errors"], strict=True)]
    assert seen[1] / seen[0] == pytest.approx(0.002, rel=0.25)
    assert seen[3] / seen[2] == pytest.approx(0.002, rel=0.25)


def test_the_baseline_spans_what_was_sampled() -> None:
    """Samples of 45 s are not the requests of 60."""
    bench = Bench()
    key = "instance", "a"
    bench.prometheus.request(4500, "stable")
    for _kind, labels in bench.prometheus.values:
        assert key in labels
        bench.prometheus.before["server", labels] = 0.0
        bench.prometheus.first[labels] = bench.clock.now() - 45
    bench.prometheus.times = (45, 30, 15)
    assert bench.source.baseline(60).rate == pytest.approx(100)


def test_lifetime_counters_are_not_the_traffic_of_the_baseline() -> None:
    """Prometheus came back a moment ago: all it has are counters of weeks."""
    bench = Bench()
    bench.prometheus.request(50_000, "stable")
    _kind, labels = next(iter(bench.prometheus.values))
    bench.prometheus.before["server", labels] = 49_000
    bench.prometheus.first[labels] = bench.clock.now() - 20
    baseline = bench.source.baseline(60)
    assert baseline.requests == 1000


def test_a_start_without_samples_begins_with_the_first_look_that_has_some() -> None:
    bench = Bench()
    bench.source.start()
    assert "no fresh sample" in bench.measure().problem
    bench.prometheus.request(50_000, "stable")
    bench.prometheus.request(50_000, "canary", "500", pod="b")
    assert "counted from here" in bench.measure().problem
    bench.prometheus.request(90, "stable")
    bench.prometheus.request(10, "canary", pod="b")
    assert bench.measure().counts["errors"] == [10, 0, 90, 0]


def test_a_start_that_fails_is_made_up_for() -> None:
    bench = Bench()
    bench.prometheus.broken = "gone"
    bench.source.start()
    bench.prometheus.broken = ""
    bench.prometheus.request(50_000, "stable")
    assert "counted from here" in bench.measure().problem


def test_a_pod_that_was_not_scraped_at_the_start_brings_no_old_requests() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(50_003, "canary", "500", pod="b")
    ((key),) = [key for key in bench.prometheus.values if ("instance", "b") in key[1]]
    bench.prometheus.before[key] = 50_000
    assert bench.measure().counts["errors"][:2] == [3, 3]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"job": "envoy-stats"}, "job"),
        ({"prometheus_replica": "b"}, "prometheus_replica"),
        ({"job": "envoy-stats", "app": "p", "version": "v1"}, "job"),
    ],
)
def test_a_target_that_is_scraped_twice_measures_nothing(more: dict[str, str], named: str) -> None:
    bench = Bench()
    plain = {"job": "pods", "pod": "10.0.0.1:15020"}
    bench.prometheus.request(100, "stable", **plain)
    bench.prometheus.request(100, "stable", **{**plain, **more})
    with pytest.raises(LabelError, match=rf"10\.0\.0\.1 is scraped twice, told apart by {named}"):
        bench.source.baseline(60)
    assert "scraped twice" in bench.measure().problem


def test_two_ports_of_one_proxy_are_one_target() -> None:
    bench = Bench()
    for port in (15020, 15090):
        bench.prometheus.request(100, "stable", pod=f"10.0.0.1:{port}")
    with pytest.raises(LabelError, match="told apart by instance"):
        bench.source.baseline(60)


def test_copies_by_a_declared_label_count_once() -> None:
    bench = Bench(replica_labels=("prometheus_replica",))
    for replica in "ab":
        bench.prometheus.request(1000, "stable", prometheus_replica=replica)
    bench.source.start()
    for replica, ahead in (("a", 0), ("b", 0)):
        bench.prometheus.request(90 + ahead, "stable", prometheus_replica=replica)
        bench.prometheus.request(10, "canary", prometheus_replica=replica)
    assert bench.measure().counts["errors"] == [10, 0, 90, 0]


def test_tags_of_the_team_are_no_second_scrape() -> None:
    bench = Bench()
    for path in ("/a", "/b"):
        bench.prometheus.request(100, "stable", request_path=path)
    bench.source.start()
    for path in ("/a", "/b", "/c"):
        bench.prometheus.request(10, "stable", request_path=path)
    assert bench.measure().counts["errors"] == [0, 0, 30, 0]


def test_the_traffic_of_other_clusters_is_refused_until_one_is_chosen() -> None:
    bench = Bench(matchers={"cluster": 'a"b', "team": "x"})
    bench.prometheus.request(100, "stable", cluster="one")
    bench.prometheus.request(100, "stable", cluster="two", pod="b")
    with pytest.raises(LabelError, match=r"several clusters \(cluster: one, two\).*matchers"):
        bench.source.baseline(60)
    for selector in bench.source.selectors.values():
        assert selector.endswith(',cluster="a\\"b",team="x"}')


def test_the_scrape_interval_is_measured() -> None:
    bench = Bench()
    bench.prometheus.request(100, "stable")
    bench.prometheus.times = (59, 30)
    with pytest.raises(LabelError, match=r"every 30 s, so 60 s hold too few .* at least 118 s"):
        bench.source.baseline(60)
    assert bench.source.baseline(120).interval == pytest.approx(30, abs=1)
    assert bench.source.interval == pytest.approx(30, abs=1)


def test_whoever_carries_a_run_on_knows_its_scrape_interval() -> None:
    bench = Bench()
    bench.source.scraped_every(60)
    bench.start()
    bench.prometheus.scraped = bench.clock.now() - 55
    assert bench.measure().problem == ""
    bench.source.scraped_every(0)
    assert bench.source.interval == 60


def test_a_measurement_says_from_when_on_it_counts() -> None:
    """Also after looks that saw nothing, and after a new start."""
    bench = Bench()
    began = bench.clock.now()
    bench.start()
    assert bench.measure().since == began
    bench.prometheus.broken = "down"
    bench.measure()
    bench.prometheus.broken = ""
    assert bench.measure().since == began + 5
    bench.clock.sleep(3600)
    bench.source.start()
    assert bench.measure().since == began + 15 + 3600


def test_a_clock_that_is_ahead_is_told() -> None:
    bench = Bench()
    bench.prometheus.answer = bench.clock.now() + 45
    assert bench.source.clock_skew() == pytest.approx(45)


def test_grpc_requests_without_their_status_measure_nothing() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary", request_protocol="grpc")
    assert "grpc_response_status" in bench.measure().problem
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "canary", request_protocol="grpc", grpc_response_status="13")
    bench.prometheus.request(5, "canary", "503", request_protocol="grpc")
    assert bench.measure().counts["errors"][:2] == [15, 15]


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_counter_that_is_none_is_no_baseline_and_says_nothing_of_the_past(value: float) -> None:
    """Where nobody looked so far: what is not a count must not become a rate that any run would pass."""
    bench = Bench()
    bench.prometheus.request(1000, "stable")
    bench.prometheus.request(value, "canary", "503")
    for look in (bench.source.baseline, bench.source.past):
        with pytest.raises(MetricsError, match="a counter has the value"):
            look(60.0)


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
    for version, fast in (("stable", 100.0), ("canary", 10.0)):
        for le, count in (("5", fast), ("10", 100.0), ("25", 100.0), ("+Inf", 100.0)):
            bench.prometheus.latency(count, version, le)
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
