# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series of Istio's metrics as proxies report them, for tests; and the requests that made them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.report import (
    Report,
    Saturation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.observe.signals import (
    Latency,
    Traffic,
    traffic_of,
)

Labels = frozenset[tuple[str, str]]
NOW = datetime.datetime(2026, 11, 29, 8, 0, tzinfo=datetime.UTC)


def series(reporter: str, source: str, target: str, code: str = "200", **more: str) -> Labels:
    """One series of istio_requests_total. ``source`` and ``target``: service of namespace shop."""
    labels = {
        "reporter": reporter,
        "source_canonical_service": source,
        "source_workload": f"{source}-v1",
        "source_workload_namespace": "shop",
        "source_principal": f"spiffe://cluster.local/ns/shop/sa/{source}",
        "destination_service_name": target,
        "destination_service_namespace": "shop",
        "destination_workload": f"{target}-v1",
        "destination_workload_namespace": "shop",
        "destination_canonical_service": target,
        "response_code": code,
        "response_flags": "-",
        "request_protocol": "http",
        "connection_security_policy": "mutual_tls" if reporter == "destination" else "unknown",
    }
    return frozenset((labels | more).items())


def both(source: str, target: str, count: float, code: str = "200", **more: str) -> dict[Labels, float]:
    """A request that both proxies report."""
    return {
        series("source", source, target, code, **more): count,
        series("destination", source, target, code, **more): count,
    }


def traffic(*found: Mapping[Labels, float], seconds: float = 10.0) -> Traffic:
    """The signals of these series, without latency."""
    return traffic_of({key: value for part in found for key, value in part.items()}, seconds, {}, {})


def shop(number: int, callers: int = 2) -> Report:
    """A report of ``number`` services, each called by some before it, a few of them ill."""
    grown: dict[Labels, float] = {}
    latency: dict[tuple[str, str], Latency] = {}
    for index in range(1, number):
        for caller in {*range(max(0, index // 3 - callers + 1), max(1, index // 3 + 1))}:
            source, target = f"service-{caller}", f"service-{index}"
            grown |= both(source, target, 100.0 + 37 * index)
            if index % 7 == 5:
                grown |= both(source, target, 3.0 + index, "503", response_flags="UF,URX")
            if index % 11 == 6:
                open_ = {"connection_security_policy": "none"}
                grown[series("destination", source, target, **open_)] = 5.0
            latency[f"shop/{source}", f"shop/{target}"] = Latency(2.0 + index, 11.5, 40.0 + index)
    services = {f"shop/service-{index}": Latency(1.0 + index, 9.0, 33.3) for index in range(number)}
    found = traffic_of(grown, 60.0, services, latency)
    stated = tuple(f"shop/service-{index}" for index in range(number))
    return Report(
        mesh="shop",
        at=NOW,
        traffic=found,
        stated=stated,
        saturation=dict.fromkeys(stated, Saturation(0.4)),
        **details(),
    )


def details() -> dict[str, Any]:
    """The other parts of a report."""
    port = {"name": "https", "port": 443, "protocol": "TCP", "node_port": 31443}
    call = {
        "host": "api.example.com",
        "url": "https://api.example.com/",
        "address": "127.0.0.1:8443",
        "ca": "kubectl get secret | base64 -d > ca.crt",
        "forward": "kubectl port-forward service/gw 8443:443",
        "curl": "curl --connect-to api.example.com:443:127.0.0.1:8443 --cacert ca.crt https://api.example.com/",
    }
    return {
        "addresses": [
            {
                "gateway": "istio-system/gw", "service": "istio-system/gw", "type": "NodePort", "ips": [],
                "hostnames": [], "external_ips": [], "cluster_ips": ["10.0.0.1"], "nodes": ["192.0.2.5"],
                "ports": [port], "calls": [call],
            }
        ],
        "dashboards": [
            {"name": "grafana", "service": "", "command": "", "url": ""},
            {
                "name": "prometheus", "service": "istio-system/prometheus", "url": "http://localhost:9090/",
                "command": "kubectl port-forward service/prometheus 9090:9090",
            },
        ],
        "versions": {
            "control_plane": [{"revision": "default", "version": "1.31.1", "pods": 1}],
            "proxies": [
                {"version": "1.30.0", "revision": "default", "count": 2, "behind": True,
                 "example": "shop/a-1"},
                {"version": "1.31.1", "revision": "default", "count": 9, "behind": False,
                 "example": "shop/b-1"},
            ],
        },
        "rollouts": {"active": ["shop/service-1"], "lines": ["shop/service-1: v1 stable; v2 running"]},
        "certificates": {
            "status": "due",
            "headline": "due: Secret istio-system/api: ends soon (1 due)",
            "counts": {"due": 1},
            "soonest": [
                {
                    "kind": "gateway", "where": "Secret istio-system/api", "part": "leaf", "days_left": 3.25,
                    "not_after": "2026-12-02T00:00:00Z",
                }
            ],
        },
        "overhead": {
            "proxies": 11, "cpu": 0.21, "memory": 650 * 2**20, "cpu_share": 0.125, "memory_share": 0.25,
            "largest": {"pod": "shop/a-1", "memory": 90 * 2**20},
        },
        "untold": [{"part": "traffic", "reason": "Prometheus scrapes no proxy of shop/dark"}],
        "status": "cannot tell",
    }  # fmt: skip
