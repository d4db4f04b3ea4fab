# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Service's addresses of all kinds."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.services import (
    ServicePort,
    read_addresses,
)


def service(spec: dict[str, Any], ingress: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "edge", "name": "gw"},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": ingress or []}},
    }


def test_every_kind_of_address() -> None:
    read = read_addresses(
        service(
            {
                "type": "LoadBalancer",
                "selector": {"app": "gw"},
                "clusterIP": "10.0.0.1",
                "clusterIPs": ["10.0.0.1", "fd00::1"],
                "externalIPs": ["192.0.2.9"],
                "ports": [
                    {"name": "https", "port": 443, "nodePort": 31443},
                    {"port": 53, "protocol": "UDP"},
                ],
            },
            [{"ip": "203.0.113.7"}, {"hostname": "lb.example.net"}, {"ip": "203.0.113.7"}],
        )
    )
    assert (read.namespace, read.name, read.type, read.selector) == (
        "edge",
        "gw",
        "LoadBalancer",
        {"app": "gw"},
    )
    assert (read.ips, read.hostnames, read.external_ips) == (
        ("203.0.113.7",), ("lb.example.net",), ("192.0.2.9",),
    )  # fmt: skip
    assert read.outer == ("203.0.113.7", "lb.example.net", "192.0.2.9")
    assert read.cluster_ips == ("10.0.0.1", "fd00::1")
    assert read.ports == (ServicePort("https", 443, 31443, "TCP"), ServicePort("", 53, 0, "UDP"))
    assert read.numbers == {443, 53}


def test_a_headless_service_has_no_address() -> None:
    read = read_addresses(service({"clusterIP": "None", "clusterIPs": ["None"]}))
    assert (read.type, read.cluster_ips, read.outer, read.ports) == ("ClusterIP", (), (), ())


def test_another_shape_is_never_an_empty_service() -> None:
    with pytest.raises(MalformedError, match=r"Service edge/gw: spec\.ports is str, not a list"):
        read_addresses(service({"ports": "80"}))
