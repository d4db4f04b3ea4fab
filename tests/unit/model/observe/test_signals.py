# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each request counts once, what nobody can tell is None, and both sides' reports fit together."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.signals import (
    NO_ROUTE,
    OUTSIDE,
    Latency,
    flagged,
    service_key,
    slowest,
    source_key,
    traffic_of,
)

from .telemetry import both, series, traffic


def test_what_both_proxies_report_is_one_request() -> None:
    found = traffic(both("web", "api", 98), both("web", "api", 2, "503"))
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (100, 2)
    (edge,) = found.edges
    assert (edge.source, edge.destination, edge.secured) == ("shop/web", "shop/api", True)
    assert (edge.signals.requests, edge.signals.error_share) == (100, 0.02)
    assert edge.signals.codes == {"200": 98, "503": 2}


def test_what_never_reached_the_server_counts_beside_what_did() -> None:
    """A caller without a proxy hides nothing: 30 of it at the server, and 10 that found no endpoint."""
    refused = {series("source", "web", "api", "503", response_flags="UH"): 10.0}
    plain = {
        series(
            "destination",
            "unknown",
            "api",
            source_workload="unknown",
            source_principal="unknown",
            connection_security_policy="none",
        ): 30.0
    }
    found = traffic(both("web", "api", 50), refused, plain)
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (90, 10)
    edges = {edge.source: edge for edge in found.edges}
    assert set(edges) == {"shop/web", OUTSIDE}
    assert (edges["shop/web"].signals.requests, edges["shop/web"].secured) == (60, True)
    assert (edges[OUTSIDE].signals.requests, edges[OUTSIDE].secured) == (30, False)


def test_a_timeout_that_only_the_caller_saw_is_a_failure_and_no_second_request() -> None:
    at_caller = {series("source", "web", "api", "504", response_flags="UT"): 5.0}
    at_server = {series("destination", "web", "api", "0", response_flags="DC"): 5.0}
    found = traffic(at_caller, at_server)
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (5, 5)


def test_retries_are_attempts_at_the_server_and_one_request_of_the_caller() -> None:
    found = traffic(
        {series("source", "web", "api"): 10.0},
        {series("destination", "web", "api"): 10.0, series("destination", "web", "api", "503"): 4.0},
    )
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (14, 4)
    assert found.edges[0].signals.requests == 10


def test_a_rate_limit_refuses_without_failing() -> None:
    found = traffic({series("source", "web", "api", "429", response_flags="RL"): 7.0})
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (7, 0)


def test_a_service_without_proxies_is_counted_by_its_callers() -> None:
    found = traffic({series("source", "web", "api"): 8.0, series("source", "web", "api", "500"): 2.0})
    assert (found.services["shop/api"].requests, found.services["shop/api"].failed) == (10, 2)
    assert found.edges[0].secured is None
    assert found.services["shop/api"].codes == {"200": 8, "500": 2}


def test_failures_that_no_label_tells_are_none_and_hide_nothing_else() -> None:
    grpc = both("web", "api", 5, request_protocol="grpc")
    found = traffic(grpc, both("web", "other", 1, "500"))
    assert found.services["shop/api"].requests == 5
    assert found.services["shop/api"].failed is None
    assert found.services["shop/api"].error_share is None
    assert found.services["shop/other"].failed == 1
    assert [edge.signals.failed for edge in found.edges] == [None, 1]


def test_one_plain_request_opens_the_lock() -> None:
    plain = {series("destination", "web", "api", connection_security_policy="none"): 1.0}
    (edge,) = traffic(both("web", "api", 5), plain).edges
    assert edge.secured is False


def test_the_server_knows_callers_by_account_only() -> None:
    """As upstream Envoy reports: the server knows the lock, and its caller by identity."""
    known = series("destination", "unknown", "api", source_workload="unknown",
                   source_principal="spiffe://cluster.local/ns/shop/sa/web")  # fmt: skip
    (edge,) = traffic({series("source", "web", "api"): 5.0, known: 5.0}).edges
    assert (edge.source, edge.signals.requests, edge.secured) == ("shop/web", 5, True)


def test_a_caller_whose_proxy_nobody_scrapes_is_told_by_its_account() -> None:
    unseen = series("destination", "unknown", "api", source_workload="unknown",
                    source_principal="spiffe://cluster.local/ns/pay/sa/batch")  # fmt: skip
    (edge,) = traffic({unseen: 5.0}).edges
    assert (edge.source, edge.signals.requests, edge.secured) == ("account pay/batch", 5, True)


def test_a_canonical_name_that_is_no_service_stands_for_its_service() -> None:
    grown = {
        **both("edge", "web-svc", 5, destination_canonical_service="web"),
        **both("web", "api", 5),
    }
    late = {("shop/web", "shop/api"): Latency(1, 2, 3)}
    found = traffic_of(grown, 10, {"shop/api": Latency(4, 5, 6)}, late)
    assert [(edge.source, edge.destination) for edge in found.edges] == [
        ("shop/edge", "shop/web-svc"),
        ("shop/web-svc", "shop/api"),
    ]
    assert found.edges[1].signals.latency == Latency(1, 2, 3)
    assert found.edges[0].signals.latency == Latency()
    assert found.services["shop/api"].latency == Latency(4, 5, 6)


@pytest.mark.parametrize(
    ("labels", "key"),
    [
        ({"destination_service_name": "api", "destination_service_namespace": "shop"}, "shop/api"),
        ({"destination_service_name": "api.example.org", "destination_service_namespace": "unknown"},
         "api.example.org"),
        ({"destination_service_name": "PassthroughCluster"}, "PassthroughCluster"),
        ({"destination_service_name": "unknown", "destination_service": "x.org"}, "x.org"),
        ({"destination_service_name": "unknown", "destination_service": "unknown",
          "destination_workload": "api-v1", "destination_workload_namespace": "shop"}, "shop/api-v1"),
        ({"destination_service_name": "unknown", "destination_workload": "unknown"}, NO_ROUTE),
        ({}, NO_ROUTE),
    ],
)  # fmt: skip
def test_who_was_called(labels: dict[str, str], key: str) -> None:
    assert service_key(labels) == key


def test_who_called() -> None:
    space = {"source_workload_namespace": "shop"}
    both_named = {"source_canonical_service": "web", "source_workload": "web-v1"}
    assert source_key(space | both_named) == "shop/web"
    assert source_key({**space, "source_canonical_service": "unknown", "source_workload": "w"}) == "shop/w"
    assert source_key({**space, "source_workload": "-"}) == ""


def test_flags_by_frequency_and_with_their_edges() -> None:
    found = traffic(
        {series("source", "web", "api", "503", response_flags="UF,URX"): 4.0},
        {series("source", "web", "pay", "503", response_flags="UF"): 6.0},
        both("web", "api", 5),
    )
    told = [
        (flag, count, [edge.destination for edge in edges]) for flag, count, edges in flagged(found.edges)
    ]
    assert told == [("UF", 10, ["shop/pay", "shop/api"]), ("URX", 4, ["shop/api"])]


def test_the_slowest_are_those_that_are_known() -> None:
    late = {("shop/web", "shop/api"): Latency(p99=5.0), ("shop/web", "shop/pay"): Latency(p99=50.0)}
    grown = {**both("web", "api", 1), **both("web", "pay", 1), **both("web", "dark", 1)}
    found = traffic_of(grown, 10, {}, late)
    assert [edge.destination for edge in slowest(found.edges, 9)] == ["shop/pay", "shop/api"]
    assert len(slowest(found.edges, 1)) == 1


def test_series_that_stand_still_make_no_edge() -> None:
    found = traffic(both("web", "api", 0))
    assert found.edges == ()
    assert found.services == {}
