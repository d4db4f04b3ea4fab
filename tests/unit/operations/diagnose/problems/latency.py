# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..healthy_mesh import Healthy, line, pod
from ..planted import AT_GATEWAY, CALL, NOTHING, Planted
from .routing import api_route

THROTTLED = "nr_periods 400\nnr_throttled 300\nthrottled_time 9000\n"


def throttled(cluster: Healthy, pod: str, container: str, place: str = "shop") -> None:
    """A container that runs, has a limit, and whose control group says how often it was stopped."""
    found = cluster.edit("Pod", pod, place)
    for section in ("initContainers", "containers"):
        for item in found["spec"][section]:
            if item["name"] == container:
                item["resources"] = {"limits": {"cpu": "300m"}}
    for section in ("initContainerStatuses", "containerStatuses"):
        for status in found["status"][section]:
            status["state"] = {"running": {}}

    def answering(_namespace: str, name: str, where: str, command: Any) -> Any:
        assert command[0] == "cat"
        return THROTTLED if (name, where) == (pod, container) else "nr_periods 9\nnr_throttled 0\n"

    cluster.on_exec = answering


LATENCY = [
    Planted(
        "throttled sidecar",
        "latency",
        "Pod shop/web-1",
        CALL,
        lambda one: throttled(one, "web-1", "istio-proxy"),
    ),
    Planted(
        "throttled gateway",
        "latency",
        "Pod istio-system/istio-ingressgateway-1",
        AT_GATEWAY,
        lambda one: throttled(one, "istio-ingressgateway-1", "istio-proxy", "istio-system"),
    ),
    Planted(
        "throttled application",
        "latency",
        "Pod shop/api-1",
        {"destination": "api"},
        lambda one: throttled(one, "api-1", "app"),
    ),
    Planted(
        "delay",
        "latency",
        "VirtualService shop/api",
        NOTHING,
        lambda one: api_route(one).update(
            fault={"delay": {"fixedDelay": "3s", "percentage": {"value": 100}}}
        ),
    ),
    Planted(
        "timeout too short",
        "latency",
        "VirtualService shop/api",
        CALL,
        lambda one: (
            api_route(one).update(timeout="0.2s"),
            one.log("web-1", line(504, "UT", details="response_timeout", duration=200)),
        ),
    ),
    Planted(
        "timeout below everything",
        "latency",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(timeout="5ms"),
    ),
    Planted(
        "tries as long as the timeout",
        "latency",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(timeout="2s", retries={"attempts": 2, "perTryTimeout": "2s"}),
    ),
    Planted(
        "many retries",
        "latency",
        "VirtualService shop/api",
        CALL,
        lambda one: api_route(one).update(timeout="60s", retries={"attempts": 9}),
    ),
    Planted(
        "small limit of a sidecar",
        "latency",
        "Pod shop/api-1",
        CALL,
        lambda one: one.put(pod("api-1", labels={"version": "v1"}, limits={"cpu": "10m"})),
    ),
    Planted(
        "slow application",
        "latency",
        "Pod shop/api-1",
        {"destination": "api"},
        lambda one: one.log("api-1", *[line(200, cluster="inbound|3000||", duration=4000)] * 8),
    ),
    Planted(
        "time to connect",
        "latency",
        "DestinationRule shop/api",
        CALL,
        lambda one: one.edit("DestinationRule", "api")["spec"].update(
            trafficPolicy={"connectionPool": {"tcp": {"connectTimeout": "1ms"}}}
        ),
    ),
]
