# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one answer of a look at a mesh ends and the next one begins: numbers, sentences, rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.numbers import number, percent
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import (
    Report,
    Saturation,
    by_rate,
    total,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.signals import (
    OUTSIDE,
    Latency,
    Signals,
    Traffic,
    TrafficEdge,
    flagged,
    source_key,
    traffic_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.text import text_lines

from .telemetry import NOW, both, details, series, shop, traffic

UNSEEN = {"source_workload": "unknown", "source_canonical_service": "unknown"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00999, "0.01"), (0.0051, "0.0051"), (0.01, "0.01"), (9.99, "9.99"), (10, "10.0"), (99.94, "99.9"),
     (100, "100")],
)  # fmt: skip
def test_digits_of_a_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0005, "0.1 %"), (0.00049, "<0.1 %"), (0.9994, "99.9 %"), (0.9995, ">99.9 %"), (0.9996, ">99.9 %"),
     (1.5, "150.0 %")],
)  # fmt: skip
def test_shares_beside_none_and_all(share: float, text: str) -> None:
    assert percent(share) == text


# -- signals -------------------------------------------------------------------------------------------------


def test_without_requests_and_without_a_window_there_is_no_rate_and_no_share() -> None:
    assert (Signals().rate(10), Signals(5).rate(0), Signals(5).rate(10)) == (0.0, 0.0, 0.5)
    assert (Signals().error_share, Signals(4, 1).error_share, Signals(4, None).error_share) == (
        0.0,
        0.25,
        None,
    )


def test_a_waypoint_counts_for_the_server_and_another_reporter_for_nobody() -> None:
    found = traffic({series("waypoint", "web", "api"): 4.0, series("gateway", "web", "pay"): 9.0})
    assert list(found.services) == ["shop/api"]
    assert [(edge.source, edge.signals.requests) for edge in found.edges] == [("shop/web", 4)]


def test_both_sides_flags_and_the_server_s_codes() -> None:
    found = traffic(
        {series("source", "web", "api", "504", response_flags="UT"): 3.0},
        {series("source", "web", "api", "503", response_flags="UH"): 2.0},
        {series("destination", "web", "api", "0", response_flags="DC"): 3.0},
        {series("destination", "web", "api"): 7.0},
    )
    service = found.services["shop/api"]
    assert service.flags == {"DC": 3, "UH": 2, "UT": 3}
    assert service.codes == {"0": 3, "200": 7}
    assert (service.requests, service.failed) == (12, 5)
    (edge,) = found.edges
    assert edge.signals.flags == {"UH": 2, "UT": 3}
    assert list(edge.signals.codes) == ["503", "504"]


def test_one_untold_series_makes_the_failures_of_the_whole_untold() -> None:
    grpc = {series("destination", "web", "api", request_protocol="grpc"): 1.0}
    found = traffic(both("web", "api", 9, "503"), grpc)
    assert found.services["shop/api"].failed is None
    at_caller = {series("source", "web", "api", request_protocol="grpc"): 1.0}
    assert traffic(both("web", "api", 9), at_caller).services["shop/api"].failed is None


def test_callers_that_nobody_knows_are_one_line_of_all_their_requests() -> None:
    plain = {"connection_security_policy": "none", "source_principal": "unknown", **UNSEEN}
    found = traffic(
        {series("destination", "x", "api", **plain): 3.0},
        {series("destination", "x", "api", "503", response_flags="UF", **plain): 2.0},
        {series("destination", "x", "api", **{**plain, "connection_security_policy": "mutual_tls"}): 4.0},
    )
    (edge,) = found.edges
    assert (edge.source, edge.secured) == (OUTSIDE, False)
    assert (edge.signals.requests, edge.signals.failed) == (9, 2)
    assert (edge.signals.flags, edge.signals.codes) == ({"UF": 2}, {"200": 7, "503": 2})


def test_two_that_only_the_server_knows_and_that_bear_one_name_are_added_up() -> None:
    """A service without a scraped proxy under two accounts: its name is the same, its requests are both's."""
    found = traffic(
        {series("destination", "web", "api", source_principal="spiffe://a/ns/shop/sa/one"): 3.0},
        {series("destination", "web", "api", "500", source_principal="spiffe://a/ns/shop/sa/two"): 2.0},
        {series("destination", "web", "api", request_protocol="grpc", source_principal="unknown"): 1.0},
    )
    (edge,) = found.edges
    assert (edge.source, edge.secured, edge.signals.requests, edge.signals.failed) == (
        "shop/web",
        True,
        6,
        None,
    )
    assert edge.signals.codes == {"200": 4, "500": 2}


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        ("spiffe://td/ns/pay/sa/batch", "account pay/batch"),
        ("spiffe://td/batch", "account spiffe://td/batch"),
        ("spiffe://td/ns/pay/sa/batch/more", "account spiffe://td/ns/pay/sa/batch/more"),
        ("td/ns/pay/sa/batch", OUTSIDE),
    ],
)
def test_an_account_in_words(principal: str, name: str) -> None:
    (edge,) = traffic({series("destination", "x", "api", source_principal=principal, **UNSEEN): 1.0}).edges
    assert edge.source == name


def test_an_identity_that_called_another_service_is_no_caller_of_this_one() -> None:
    other = {series("source", "web", "pay"): 1.0}
    unseen = {
        series(
            "destination", "x", "api", source_principal="spiffe://cluster.local/ns/shop/sa/web", **UNSEEN
        ): 2.0
    }
    assert [edge.source for edge in traffic(other, unseen).edges] == ["account shop/web", "shop/web"]


def test_the_first_of_several_services_stands_for_a_canonical_name() -> None:
    grown = {
        **both("edge", "b-svc", 1, destination_canonical_service="app"),
        **both("edge", "a-svc", 1, destination_canonical_service="app"),
        **both("app", "pay", 1),
    }
    assert ("shop/a-svc", "shop/pay") in {(edge.source, edge.destination) for edge in traffic(grown).edges}
    # One that is a service of its own name stands for itself, whatever else selects its pods.
    grown |= both("edge", "app", 1)
    assert ("shop/app", "shop/pay") in {(edge.source, edge.destination) for edge in traffic(grown).edges}


@pytest.mark.parametrize("word", ["", "unknown", "-"])
def test_words_for_nobody(word: str) -> None:
    assert source_key({"source_canonical_service": word, "source_workload": word}) == ""


def test_flags_that_are_equally_frequent_come_by_name_and_none_without_requests() -> None:
    edges = [
        TrafficEdge("a", "b", Signals(9, flags={"UT": 2.0, "DC": 2.0, "UF": 0.0}), True),
        TrafficEdge("a", "c", Signals(9, flags={"UT": 3.0}), True),
    ]
    found = [(flag, count, [edge.destination for edge in having]) for flag, count, having in flagged(edges)]
    assert found == [("UT", 5, ["c", "b"]), ("DC", 2, ["b"])]


def test_latency_of_a_service_that_nobody_measured_is_unknown() -> None:
    found = traffic_of(both("web", "api", 1), 10, {"shop/other": Latency(1, 2, 3)}, {})
    assert found.services["shop/api"].latency == Latency(None, None, None)


# -- the report ----------------------------------------------------------------------------------------------


def moved(*edges: TrafficEdge, **services: Signals) -> Traffic:
    return Traffic(10.0, services, edges)


def test_edges_of_the_same_weight_come_by_name() -> None:
    edges = [
        TrafficEdge(source, target, Signals(count, failed), True)
        for source, target, count, failed in (
            ("b", "x", 5, 0), ("a", "y", 5, 0), ("a", "x", 5, 0), ("z", "z", 9, 0), ("q", "q", 1, 1),
            ("r", "r", 99, None),
        )
    ]  # fmt: skip
    assert [f"{edge.source}{edge.destination}" for edge in by_rate(edges)] == [
        "qq",
        "rr",
        "zz",
        "ax",
        "ay",
        "bx",
    ]


def test_all_services_together() -> None:
    assert total(moved(a=Signals(5, 1), b=Signals(7, 2))) == Signals(12, 3)
    assert total(moved(a=Signals(5, 1), b=Signals(7, None))) == Signals(12, None)
    assert total(moved()) == Signals(0, 0)


def headline(**parts: Any) -> str:
    return Report("shop", NOW, **parts).headline


def test_a_headline() -> None:
    assert headline(traffic=moved(a=Signals(20, 1))) == "2.00 requests/s into 1 service, 5.0 % failed"
    assert headline(traffic=moved()) == "0.00 requests/s into 0 services, 0.0 % failed"
    assert headline(rollouts={"active": ["a", "b"], "lines": []}) == "rollouts of a, b run"
    assert headline(rollouts={"active": [], "lines": []}) == "rollouts told"
    assert headline(dashboards=[], addresses=[]) == "addresses, dashboards told"
    assert headline(certificates={"status": "due"}) == "certificates due"
    untold = [{"part": "a", "reason": "x"}, {"part": "b", "reason": "y"}, {"part": "c", "reason": "z"}]
    assert headline(untold=untold[:1]) == "cannot tell: x"
    assert headline(untold=untold) == "cannot tell: x (and 2 more)"
    assert headline(untold=untold[:1], certificates={"status": "due"}) == "certificates due; cannot tell: x"


def test_numbers_of_the_result() -> None:
    signals = Signals(100.4, 1.0, latency=Latency(1.234, None, 9.876))
    report = Report(
        "shop",
        NOW,
        traffic=Traffic(7.04, {"shop/a": signals}, (TrafficEdge("a", "b", signals, False),)),
        idle=("i", "j"),
        dark=("d",),
        saturation={"shop/a": Saturation(0.123456, None)},
    )
    found = report.parts(1)["traffic"]
    numbers = {
        "requests": 100,
        "rate": 14.261,
        "error_share": 0.00996,
        "p50_ms": 1.23,
        "p95_ms": "cannot tell",
        "p99_ms": 9.88,
    }
    assert found["seconds"] == 7.0
    assert found["services"] == [
        {"service": "shop/a", **numbers, "saturation": {"cpu": 0.1235, "memory": "cannot tell"}}
    ]
    assert (
        found["edges"] == found["slowest"] == [{"source": "a", "destination": "b", "mtls": "no", **numbers}]
    )
    assert (found["idle"], found["dark"]) == (["i"], ["d"])
    assert found["counts"] == {"services": 1, "edges": 1, "idle": 2, "dark": 1}
    assert len(report.parts(None)["traffic"]["slowest"]) == 1


def test_a_long_list_of_flags_names_as_many_calls_as_were_asked_for() -> None:
    edges = [
        TrafficEdge("a", f"t{at}", Signals(9, flags={"UF": 3.0 - at, "UT": 1.4}), True) for at in range(3)
    ]
    report = Report("shop", NOW, traffic=moved(*edges))
    (flag,) = report.parts(1)["traffic"]["flags"]
    assert (flag["flag"], flag["requests"], flag["edges"]) == ("UF", 6, ["a -> t0"])
    assert flag["means"].startswith("UF (")
    assert [entry["requests"] for entry in report.parts(None)["traffic"]["flags"]] == [6, 4]


def test_lines_of_rollouts_are_cut_and_the_active_ones_are_all_named() -> None:
    report = Report("shop", NOW, rollouts={"active": ["a", "b"], "lines": ["1", "2"], "plans": ["long"]})
    assert report.parts(1) == {"rollouts": {"active": ["a", "b"], "lines": ["1"]}}


# -- the screen ----------------------------------------------------------------------------------------------


def screen(top: int = 10, **parts: Any) -> list[str]:
    return text_lines(Report("shop", NOW, **parts), top)


def test_the_whole_screen_of_a_small_mesh() -> None:
    failing = Signals(100, 10, flags={"UF": 4.0, "UT": 2.0}, latency=Latency(1.0, 22.0, 333.0))
    edges = (
        TrafficEdge("shop/web", "shop/api", failing, True),
        TrafficEdge("outside", "shop/api", Signals(1, None, flags={"UF": 1.0}), False),
        TrafficEdge("x", "shop/api", Signals(2, 0), None),
    )
    found = screen(
        2,
        traffic=Traffic(10.0, {"shop/api": failing, "shop/pay": Signals(5, 0)}, edges),
        idle=("a", "b", "c"),
        saturation={"shop/api": Saturation(0.5, 0.25)},
        untold=[{"part": "p", "reason": "r"}],
    )
    assert found == [
        "mesh shop: 10.5 requests/s into 2 services, 9.5 % failed; cannot tell: r",
        "-- services, last 10 s",
        "service   req/s  errors  p50 ms  p95 ms  p99 ms     cpu  memory",
        "shop/api   10.0  10.0 %    1.00    22.0     333  50.0 %  25.0 %",
        "shop/pay   0.50   0.0 %       ?       ?       ?       ?       ?",
        "without requests: a, b, ...",
        "-- calls, last 10 s, 2 of 3",
        "caller    called    mTLS  req/s  errors  p50 ms  p95 ms  p99 ms",
        "shop/web  shop/api  yes    10.0  10.0 %    1.00    22.0     333",
        "x         shop/api  ?      0.20   0.0 %       ?       ?       ?",
        "-- slowest calls, by p99",
        "caller    called    mTLS  req/s  errors  p50 ms  p95 ms  p99 ms",
        "shop/web  shop/api  yes    10.0  10.0 %    1.00    22.0     333",
        "-- answers by response flag",
        *found[14:16],
        "-- cannot tell (? in the tables)",
        "p: r",
    ]
    assert found[14].startswith("5 requests: UF (") and found[14].endswith(
        "(shop/web -> shop/api and 1 more)"
    )
    assert found[15].startswith("2 requests: UT (") and found[15].endswith("(shop/web -> shop/api)")


def test_lists_that_fit_are_not_called_cut() -> None:
    traffic_ = moved(TrafficEdge("a", "b", Signals(1), False), a=Signals(1))
    found = screen(1, traffic=traffic_, idle=("i",))
    assert "without requests: i" in found
    assert "-- services, last 10 s" in found
    assert "-- calls, last 10 s" in found
    assert any(line.startswith("a       b       NO") for line in found)
    assert not any("slowest" in line or "flag" in line for line in found)
    quiet = screen(1, traffic=moved())
    assert not any("calls" in line or "without requests" in line for line in quiet)


def test_addresses_dashboards_and_versions_in_words() -> None:
    parts: Any = details()
    entry = parts["addresses"][0]
    port = {"name": "", "port": 80, "protocol": "TCP"}
    outside = {"ips": ["1.2.3.4"], "hostnames": ["h.example"], "external_ips": ["5.6.7.8"]}
    shown = {**entry, **outside, "calls": [], "ports": [port, entry["ports"][0]]}
    nowhere = {**entry, "cluster_ips": [], "calls": [{"ca": "", "forward": "f", "curl": "c"}]}
    assert screen(addresses=[shown, nowhere])[1:] == [
        "-- addresses",
        "istio-system/gw: 1.2.3.4, h.example, 5.6.7.8; NodePort; TCP 80, https 443 (node port 31443)",
        "istio-system/gw: no address outside, cluster IP none; NodePort; https 443 (node port 31443)",
        "  f",
        "  c",
    ]
    assert screen(dashboards=parts["dashboards"])[1:] == [
        "-- dashboards",
        "prometheus: http://localhost:9090/ while this runs:"
        " kubectl port-forward service/prometheus 9090:9090",
    ]
    versions = parts["versions"]
    versions["control_plane"][0]["version"] = ""
    versions["proxies"][1]["version"] = ""
    assert screen(versions=versions)[1:] == [
        "-- versions",
        "istiod of unknown version: revision default, 1 pods",
        "proxies 1.30.0: revision default, 2 pods, not its istiod's version, such as shop/a-1",
        "proxies of unknown version: revision default, 9 pods",
    ]
    assert screen(overhead=parts["overhead"])[1:] == [
        "-- sidecars",
        "11 sidecars and gateways use 0.21 cores (12.5 % of the mesh's pods) and 650 MiB (25.0 %);"
        " the largest is shop/a-1 with 90 MiB",
    ]
    assert screen(rollouts={"active": [], "lines": ["1", "2", "3"]}, top=2)[1:] == ["-- rollouts", "1", "2"]


def test_a_large_mesh_says_how_much_of_it_is_shown() -> None:
    report = dataclasses.replace(shop(60), idle=())
    lines = text_lines(report, 10)
    assert "-- services, last 60 s, 10 of 59" in lines
    assert not any(line.startswith("without requests") for line in lines)
