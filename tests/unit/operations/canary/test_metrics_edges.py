"""Metrics of a rollout at their bounds: how old a sample may be, how many are enough, what is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import QueryGate
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.requests import LabelError

from .test_metrics import GATES, Bench


def test_what_is_asked_for() -> None:
    source = Bench(matchers={"b": 'say "hi"\n\\', "a": "1"}).source
    only = ',a="1",b="say \\"hi\\"\\n\\\\"'
    server = f'destination_workload_namespace="shop",destination_workload=~"p-v1|p-v2"{only}'
    assert source.selectors == {
        "server": f'istio_requests_total{{reporter=~"destination|waypoint",{server}}}',
        "client": (
            'istio_requests_total{reporter="source",destination_service_name="p",'
            f'destination_service_namespace=~"shop|unknown|",destination_workload_namespace=~"shop|unknown|"{only}}}'
        ),
        "latency": f'istio_request_duration_milliseconds_bucket{{reporter=~"destination|waypoint",{server}}}',
    }


@pytest.mark.parametrize("gates", [GATES[:1], GATES])
def test_latency_is_asked_for_only_where_a_gate_wants_it(gates: Any) -> None:
    bench = Bench(gates)
    bench.start()
    assert (bench.source.selectors["latency"] in bench.prometheus.asked) is (len(gates) == 2)
    assert bench.source.wants_latency is (len(gates) == 2)


@pytest.mark.parametrize(("age", "fresh"), [(19.9, True), (20.0, True), (20.1, False)])
def test_a_sample_of_three_scrapes_and_a_little_is_the_oldest_that_counts(age: float, *, fresh: bool) -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "stable")
    bench.prometheus.scraped = bench.clock.now() + 5 - age
    assert (bench.measure().problem == "") is fresh


@pytest.mark.parametrize(("after", "settled"), [(-0.1, True), (0.0, True), (0.1, False)])
def test_a_look_is_settled_when_every_proxy_was_scraped_after_the_moment(
    after: float, *, settled: bool
) -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(10, "stable")
    scraped = bench.clock.now() + 3
    bench.prometheus.scraped = scraped
    assert bench.measure(after=scraped + after).settled is settled


def test_the_first_look_that_finds_samples_begins_the_count() -> None:
    bench = Bench()
    bench.source.start()  # nobody was scraped yet
    assert "no fresh sample" in bench.measure().problem
    bench.prometheus.request(1000, "stable")
    assert bench.measure().problem == "the first look that found samples: counted from here"
    bench.prometheus.request(7, "stable")
    assert bench.measure().counts == {"errors": [0, 0, 7, 0]}


def test_a_start_that_cannot_read_counts_from_the_first_look_too() -> None:
    bench = Bench()
    bench.prometheus.request(1000, "stable")
    bench.prometheus.broken = "down"
    bench.source.start()
    assert bench.measure().problem == "down"
    bench.prometheus.broken = ""
    assert "counted from here" in bench.measure().problem


def test_a_new_start_forgets_what_was_counted() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(7, "stable", "500")
    assert bench.measure().counts == {"errors": [0, 0, 7, 7]}
    bench.source.start()
    bench.prometheus.request(5, "stable", "500")
    assert bench.measure().counts == {"errors": [0, 0, 5, 5]}


@pytest.mark.parametrize(("seconds", "enough"), [(17.4, False), (17.5, True)])
def test_a_baseline_holds_more_than_three_scrapes(seconds: float, *, enough: bool) -> None:
    bench = Bench()
    bench.prometheus.request(1000, "stable")
    bench.prometheus.times = (15.0, 10.0, 5.0)
    if enough:
        assert bench.source.baseline(seconds).interval == 5.0
    else:
        with pytest.raises(LabelError, match=r"scraped every 5 s, so 17 s hold too few .* at least 20 s"):
            bench.source.baseline(seconds)


@pytest.mark.parametrize(("measured", "counts"), [(7.5, 5.0), (7.6, 7.6), (2.0, 5.0)])
def test_a_much_longer_interval_than_declared_counts(measured: float, counts: float) -> None:
    bench = Bench()
    bench.prometheus.request(1000, "stable")
    bench.prometheus.times = tuple(measured * number for number in range(4, 0, -1))
    bench.source.baseline(600.0)
    assert bench.source.interval == pytest.approx(counts)


def test_a_baseline_of_nothing_is_no_traffic() -> None:
    found = Bench(GATES).source.baseline(600.0)
    assert (found.rate, found.requests, found.shares, found.interval) == (
        0.0,
        0.0,
        {"errors": 0.0, "latency": 0.0},
        0.0,
    )
    assert (found.seconds, found.bound, found.p99, found.spread) == (600.0, "", None, {})


def test_a_baseline_tells_rate_shares_and_what_was_lost() -> None:
    bench = Bench()
    bench.prometheus.times = (95.0, 50.0, 5.0)
    bench.prometheus.request(90, "stable")
    bench.prometheus.request(5, "stable", "500")
    bench.prometheus.request(4, "unknown", "503", reporter="source")
    bench.prometheus.request(1, "canary")
    found = bench.source.baseline(600.0)
    assert found.seconds == 95.0
    assert found.requests == 95.0
    assert found.rate == pytest.approx(100 / 95)
    assert found.shares["errors"] == pytest.approx(9 / 99)
    assert found.unknown_share == pytest.approx((4 + 2 * 2) / 100)


@pytest.mark.parametrize(("there", "skew"), [(0.0, 0.0), (7.5, 7.5), (-3.0, -3.0)])
def test_skew_is_measured_at_the_middle_of_the_question(there: float, skew: float) -> None:
    bench = Bench()
    prometheus: Any = bench.prometheus
    begin = bench.clock.now()

    def number(query: str) -> float:
        assert query == "time()"
        bench.clock.sleep(2.0)
        return begin + 1.0 + there

    prometheus.number = number
    assert bench.source.clock_skew() == pytest.approx(skew)
    prometheus.number = lambda _query: None
    with pytest.raises(MetricsError, match="does not tell its time"):
        bench.source.clock_skew()


def test_a_query_that_cannot_be_answered_is_no_value_and_others_count_on() -> None:
    bench = Bench(queries=(QueryGate("q", "up"),))
    bench.start()
    bench.prometheus.request(1, "stable")
    assert bench.measure().values == {"q": 1.0}
    bench.prometheus.answer = None
    found = bench.measure()
    assert (found.problem, found.values) == ("", {"q": None})


def test_the_past_is_counted_by_itself() -> None:
    bench = Bench()
    bench.start()
    bench.prometheus.request(40, "canary")
    bench.prometheus.request(10, "canary", "500")
    first = bench.source.past(60.0)
    assert (first.counts, first.settled, first.at) == ({"errors": [50, 10, 1000, 0]}, True, bench.clock.now())
    assert bench.source.past(60.0).counts == first.counts


def test_latency_per_arm_since_the_start() -> None:
    bench = Bench(GATES)
    for version, fast in (("stable", 90), ("canary", 5)):
        bench.prometheus.request(100, version)
        for le, count in (("100", fast), ("200", 100), ("+Inf", 100)):
            bench.prometheus.latency(count, version, le)
    bench.source.baseline(600.0)
    bench.source.start()
    for version, fast in (("stable", 9), ("canary", 1)):
        bench.prometheus.request(10, version)
        for le, count in (("100", fast), ("200", 10), ("+Inf", 10)):
            bench.prometheus.latency(count, version, le)
    found = bench.measure()
    assert set(found.latency) == {"stable", "canary"}
    assert (
        found.latency["stable"]["p50"]
        < 100
        < found.latency["canary"]["p50"]
        < found.latency["canary"]["p99"]
        <= 200
    )
    assert found.counts["latency"][0] == found.counts["latency"][2] == 10
