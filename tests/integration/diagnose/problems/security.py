# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutual TLS and authorization: what is planted on the lab, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..planting import CALL, Block, Problem, after_calls, network_policy, with_new
from ..sick import PLACE, Obj, Sick, allow, obj


def policy(name: str, place: str = PLACE, **spec: Any) -> Obj:
    return obj("AuthorizationPolicy", name, {"selector": {"matchLabels": {"app": "callee"}}, **spec}, place)


def without_tls(sick: Sick) -> Block:
    rule = sick.changed("DestinationRule", "callee", trafficPolicy={"tls": {"mode": "DISABLE"}})
    return sick.planted(STRICT, rule)


TO_POST = [{"operation": {"methods": ["POST"]}}]


STRICT = obj("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})


STOP = policy("stop", action="DENY", rules=[{}])


ADMINS = [{"from": [{"podSelector": {"matchLabels": {"app": "admin"}}}]}]


SECURITY = [
    Problem(
        "network policy for another caller",
        "security",
        f"NetworkPolicy {PLACE}/admins",
        CALL,
        with_new(network_policy("admins", "callee", ingress=ADMINS)),
    ),
    Problem("deny", "security", f"AuthorizationPolicy {PLACE}/stop", CALL, with_new(STOP)),
    Problem(
        "allow of another method",
        "security",
        f"AuthorizationPolicy {PLACE}/callee",
        CALL,
        with_new(allow(f"{PLACE}/caller", to=TO_POST)),
    ),
    Problem(
        "allow of another caller",
        "security",
        f"AuthorizationPolicy {PLACE}/callee",
        CALL,
        with_new(allow(f"{PLACE}/somebody")),
    ),
    Problem("rule disables TLS", "security", f"DestinationRule {PLACE}/callee", CALL, without_tls),
    Problem(
        "caller outside of the mesh",
        "security",
        "PeerAuthentication",
        {"source": "outside/client", "destination": f"{PLACE}/callee"},
        with_new(STRICT),
    ),
    Problem(
        "unknown provider",
        "security",
        f"AuthorizationPolicy {PLACE}/opa",
        CALL,
        with_new(policy("opa", action="CUSTOM", provider={"name": "opa"}, rules=[{}])),
    ),
    Problem(
        "refused as its proxy logged it",
        "security",
        f"AuthorizationPolicy {PLACE}/stop",
        {"destination": f"{PLACE}/callee"},
        after_calls(with_new(STOP)),
    ),
]
