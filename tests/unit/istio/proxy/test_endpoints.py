"""Endpoints as a proxy sees them."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.endpoints import (
    Endpoint,
    endpoints,
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
