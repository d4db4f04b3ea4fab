# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a gateway is looked for."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.gateways.addresses import (
    addresses,
    no_address,
)

from ..builders import GATEWAY, catalogue, item, pod, service

MESH = catalogue(
    service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
    mesh_gateways=[GATEWAY],
)
GATE = MESH.gateways[0]
SERVER = GATE.servers[0]


def test_addresses_come_from_services_that_lead_to_the_gateways_pods() -> None:
    labels = {"istio": "ingressgateway", "app": "gw"}
    pods = [pod("gw-1", labels)]
    ports = [{"port": 80}, {"port": 443}]
    services = [
        item(
            "Service",
            "gw",
            {
                "selector": {"app": "gw"},
                "ports": ports,
                "clusterIP": "10.0.0.1",
                "externalIPs": ["192.0.2.9"],
            },
        )
        | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}}},
        item("Service", "other", {"selector": {"app": "x"}, "ports": ports, "clusterIP": "10.0.0.2"}),
        item(
            "Service",
            "metrics",
            {"selector": {"app": "gw"}, "ports": [{"port": 15020}], "clusterIP": "10.0.0.3"},
        ),
        item("Service", "headless", {"selector": {"app": "gw"}, "ports": ports, "clusterIP": "None"}),
        item("Service", "manual", {"ports": ports, "clusterIP": "10.0.0.4"}),
    ]
    found = addresses(GATE, SERVER, pods, services)
    assert found == ["192.0.2.1", "lb.example.com", "192.0.2.9", "10.0.0.1"]
    assert addresses(GATE, SERVER, [], services) == []


@pytest.mark.parametrize("ports", [[{"port": 80}], [], [{"name": "x"}]])
def test_a_service_without_the_https_port_leads_elsewhere(ports: list[dict[str, object]]) -> None:
    spec = {"selector": {"app": "gw"}, "ports": ports, "clusterIP": "10.0.0.1"}
    pods = [pod("gw-1", {"istio": "ingressgateway", "app": "gw"})]
    assert addresses(GATE, SERVER, pods, [item("Service", "gw", spec)]) == []


def test_pods_of_another_gateway_do_not_count() -> None:
    spec = {"selector": {"app": "gw"}, "ports": [{"port": 443}], "clusterIP": "10.0.0.1"}
    assert addresses(GATE, SERVER, [pod("gw-1", {"app": "gw"})], [item("Service", "gw", spec)]) == []


GW = {"istio": "ingressgateway", "app": "gw"}
PORTS = [{"port": 80}, {"port": 443}]


@pytest.mark.parametrize(
    ("pods", "services", "said"),
    [
        (
            [],
            [item("Service", "gw", {"selector": {"app": "gw"}, "ports": PORTS, "clusterIP": "10.0.0.1"})],
            "no pod in istio-system has the labels istio=ingressgateway: its Deployment is gone or has",
        ),
        (
            [pod("gw-1", GW)],
            [item("Service", "gw", {"selector": {"app": "wrong"}, "ports": PORTS, "clusterIP": "10.0.0.1"})],
            "no Service in istio-system selects its pods, istio=ingressgateway (gw selects app=wrong)",
        ),
        (
            [pod("gw-1", GW)],
            [],
            "no Service in istio-system selects its pods, istio=ingressgateway: istio.yml",
        ),
        (
            [pod("gw-1", GW)],
            [item("Service", "gw", {"selector": {"app": "gw"}, "ports": PORTS[:1], "clusterIP": "10.0.0.1"})],
            "Service istio-system/gw has no address with port 443: open the port in istio_gateways, or give",
        ),
        (
            [pod("gw-1", GW)],
            [item("Service", "gw", {"selector": {"app": "gw"}, "ports": PORTS, "clusterIP": "None"})],
            "Service istio-system/gw has no address with port 443",
        ),
    ],
)
def test_without_an_address_the_object_at_fault_is_named(pods: list, services: list, said: str) -> None:
    """A deleted Deployment and a wrong selector were both told as `give verify_gateway_addresses`."""
    assert addresses(GATE, SERVER, pods, services) == []
    assert no_address(GATE, pods, services).startswith(said)
