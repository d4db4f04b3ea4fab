# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: what is planted, and what has to be found."""

from __future__ import annotations

from ..healthy_mesh import line, pod
from ..planted import CALL, NOTHING, Planted
from .routing import api_route

LATENCY = [
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
        "throttled sidecar",
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
