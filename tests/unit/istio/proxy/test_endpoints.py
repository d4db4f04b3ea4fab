"""Endpoints as a proxy sees them."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.endpoints import (
    Endpoint,
    endpoints,
    inbound_requests,
)

ADDRESS = {"socket_address": {"address": "10.244.0.7", "port_value": 3000}}


@pytest.mark.parametrize(
    ("health", "trouble"),
    [
        ({"eds_health_status": "HEALTHY"}, ""),
        ({}, ""),
        ({"eds_health_status": "UNHEALTHY"}, "unhealthy"),
        ({"eds_health_status": "HEALTHY", "failed_outlier_check": True}, "failed outlier check"),
        ({"eds_health_status": "DRAINING", "failed_outlier_check": True}, "draining, failed outlier check"),
    ],
)
def test_an_endpoint_and_why_it_gets_nothing(health: dict, trouble: str) -> None:
    statuses = {
        "cluster_statuses": [{"name": "c", "host_statuses": [{"address": ADDRESS, "health_status": health}]}]
    }
    assert endpoints(statuses) == {"c": [Endpoint("10.244.0.7:3000", trouble)]}


def test_a_cluster_without_hosts_and_an_empty_answer() -> None:
    assert endpoints({"cluster_statuses": [{"name": "c"}]}) == {"c": []}
    assert endpoints({}) == {}


def test_an_endpoint_that_says_little() -> None:
    (pipe,) = endpoints({"cluster_statuses": [{"name": "c", "host_statuses": [{"address": {"pipe": {}}}]}]})[
        "c"
    ]
    assert (pipe.address, pipe.host, pipe.trouble) == ("?:?", "?", "")
    assert Endpoint("2001:db8::1:80", "").host == "2001:db8::1"


def test_requests_that_a_program_has_not_answered_yet() -> None:
    def cluster(name: str, *active: object) -> dict:
        hosts = [
            {"stats": [{"name": "rq_active", "value": value}, {"name": "rq_total", "value": "9"}]}
            for value in active
        ]
        return {"name": name, "host_statuses": hosts}

    statuses = {
        "cluster_statuses": [
            cluster("inbound|3000||", "2", "3"),
            cluster("inbound|9090||", ""),
            cluster("outbound|80||a", "50"),
            cluster("InboundPassthroughCluster", "50"),
        ]
    }
    assert inbound_requests(statuses) == 5
    assert inbound_requests({}) == 0


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("10.0.0.1:80", "10.0.0.1", 80), ("fd00::1:8080", "fd00::1", 8080), ("?:?", "?", 0), ("", "", 0)],
)
def test_the_parts_of_an_address(address: str, host: str, port: int) -> None:
    assert (Endpoint(address, "").host, Endpoint(address, "").port) == (host, port)


def test_figures_that_are_numbers_are_kept_and_zero_is_not_written() -> None:
    stats = [{"name": "a", "value": "3"}, {"name": "zero"}, {"name": "none", "value": "x"}]
    host = {"address": ADDRESS, "stats": stats}
    (found,) = endpoints({"cluster_statuses": [{"name": "c", "host_statuses": [host]}]})["c"]
    assert found.stats == {"a": 3, "zero": 0}
