# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is outside: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..healthy_mesh import Healthy, host, istio, line
from ..planted import NOTHING, OUTSIDE, YOUNG, Planted
from .routing import mover, sidecar


def entry(cluster: Healthy) -> dict[str, Any]:
    return cluster.edit("ServiceEntry", "pay")["spec"]


def originating(cluster: Healthy) -> None:
    cluster.put(
        istio(
            "DestinationRule",
            "pay",
            {"host": "pay.example.org", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}},
        )
    )


def unreachable(cluster: Healthy) -> None:
    name = "outbound|443||pay.example.org"
    cluster.clusters["shop/web-1"] = {name: [host("203.0.113.1", 443, cx_connect_fail=4, cx_total=4)]}
    cluster.log("web-1", line(0, "UF,URX", cluster=name, failure="delayed_connect_error"))


def second_entry(cluster: Healthy) -> None:
    ports = [{"number": 443, "name": "http", "protocol": "HTTP"}]
    cluster.put(
        istio("ServiceEntry", "pay-too", {"hosts": ["pay.example.org"], "resolution": "DNS", "ports": ports})
    )
    cluster.edit("ServiceEntry", "pay-too")["metadata"]["creationTimestamp"] = YOUNG


EGRESS = [
    Planted(
        "not declared",
        "egress",
        "host bank.example.net",
        {"source": "web", "hostname": "bank.example.net"},
        lambda _one: None,
    ),
    Planted(
        "port not declared", "egress", "ServiceEntry shop/pay", {**OUTSIDE, "port": "8443"}, lambda _one: None
    ),
    Planted(
        "not exported",
        "egress",
        "ServiceEntry shop/pay",
        {"source": "team/job-1", "hostname": "pay.example.org"},
        lambda one: (mover(one), entry(one).update(exportTo=["."])),
    ),
    Planted(
        "no endpoints",
        "egress",
        "ServiceEntry shop/pay",
        NOTHING,
        lambda one: entry(one).update(resolution="STATIC"),
    ),
    Planted("TLS inside TLS", "egress", "DestinationRule shop/pay", OUTSIDE, originating),
    Planted(
        "nobody begins TLS",
        "egress",
        "ServiceEntry shop/pay",
        OUTSIDE,
        lambda one: entry(one).update(ports=[{"number": 443, "name": "http", "protocol": "HTTP"}]),
    ),
    Planted("unreachable", "egress", "ServiceEntry shop/pay", OUTSIDE, unreachable),
    Planted(
        "Sidecar hides it",
        "egress",
        "Sidecar shop/narrow",
        OUTSIDE,
        lambda one: sidecar(one, "istio-system/*"),
    ),
    Planted("two protocols", "egress", "ServiceEntry shop/pay-too", NOTHING, second_entry),
]
