# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways: what is planted, and what has to be found."""

from __future__ import annotations

import datetime
import json
from typing import Any

from ....support.certificates import NOW
from ..healthy_mesh import Healthy, secret
from ..planted import AT_GATEWAY, NOTHING, YOUNG, Planted


def gateway(cluster: Healthy) -> dict[str, Any]:
    return cluster.edit("Gateway", "public")["spec"]


def foreign_key(cluster: Healthy) -> None:
    other = secret("x")["data"]["tls.key"]
    cluster.edit("Secret", "api-cert", "istio-system")["data"]["tls.key"] = other


def second_gateway(cluster: Healthy) -> None:
    second = json.loads(json.dumps(cluster.edit("Gateway", "public")))
    second["metadata"] |= {"name": "zweit", "creationTimestamp": YOUNG}
    cluster.put(second)


GATEWAY = [
    Planted(
        "selector",
        "gateway",
        "Gateway shop/public",
        AT_GATEWAY,
        lambda one: gateway(one).update(selector={"istio": "ingresgateway"}),
    ),
    Planted(
        "port",
        "gateway",
        "Gateway shop/public",
        AT_GATEWAY,
        lambda one: gateway(one)["servers"][0]["port"].update(number=8443),
    ),
    Planted(
        "no Secret",
        "gateway",
        "Secret istio-system/api-cert",
        AT_GATEWAY,
        lambda one: one.remove("Secret", "api-cert", "istio-system"),
    ),
    Planted("foreign key", "gateway", "Secret istio-system/api-cert", NOTHING, foreign_key),
    Planted(
        "certificate has ended",
        "gateway",
        "Secret istio-system/api-cert",
        AT_GATEWAY,
        lambda one: one.put(secret("api-cert", end=NOW - datetime.timedelta(hours=1))),
    ),
    Planted(
        "certificate of another host",
        "gateway",
        "Secret istio-system/api-cert",
        AT_GATEWAY,
        lambda one: one.put(secret("api-cert", ("www.example.com",))),
    ),
    Planted(
        "garbage for a certificate",
        "gateway",
        "Secret istio-system/api-cert",
        AT_GATEWAY,
        lambda one: one.edit("Secret", "api-cert", "istio-system")["data"].update(
            {"tls.crt": "Z2FyYmFnZQ=="}
        ),
    ),
    Planted(
        "client certificates without a CA",
        "gateway",
        "Secret istio-system/api-cert",
        AT_GATEWAY,
        lambda one: gateway(one)["servers"][0]["tls"].update(mode="MUTUAL"),
    ),
    Planted(
        "route to no Gateway",
        "gateway",
        "VirtualService shop/public",
        AT_GATEWAY,
        lambda one: one.edit("VirtualService", "public")["spec"].update(gateways=["pubic"]),
    ),
    Planted(
        "host of the route",
        "gateway",
        "VirtualService shop/public",
        NOTHING,
        lambda one: one.edit("VirtualService", "public")["spec"].update(hosts=["apl.example.com"]),
    ),
    Planted(
        "unknown host",
        "gateway",
        "host api2.example.com",
        {"hostname": "api2.example.com"},
        lambda _one: None,
    ),
    Planted(
        "no route",
        "gateway",
        "Gateway shop/public",
        AT_GATEWAY,
        lambda one: one.remove("VirtualService", "public", "shop"),
    ),
    Planted(
        "address",
        "gateway",
        "Service istio-system/istio-ingressgateway",
        AT_GATEWAY,
        lambda one: one.edit("Service", "istio-ingressgateway", "istio-system")["spec"].update(
            type="LoadBalancer"
        ),
    ),
    Planted("two Gateways", "gateway", "Gateway shop/zweit", NOTHING, second_gateway),
    Planted(
        "http at a passthrough",
        "gateway",
        "VirtualService shop/public",
        AT_GATEWAY,
        lambda one: gateway(one)["servers"][0].update(tls={"mode": "PASSTHROUGH"}),
    ),
    Planted(
        "gateway's pod not ready",
        "gateway",
        "Gateway shop/public",
        AT_GATEWAY,
        lambda one: one.edit("Pod", "istio-ingressgateway-1", "istio-system")["status"].update(
            conditions=[{"type": "Ready", "status": "False"}]
        ),
    ),
]
