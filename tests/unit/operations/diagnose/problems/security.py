# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutual TLS and authorization: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..healthy_mesh import Healthy, allow, istio, line, network_policy, pod
from ..planted import AT_GATEWAY, CALL, NOTHING, Planted
from .routing import ports


def policy(cluster: Healthy, name: str, place: str = "shop", **spec: Any) -> None:
    cluster.put(
        istio("AuthorizationPolicy", name, {"selector": {"matchLabels": {"app": "api"}}, **spec}, place)
    )


def mode(cluster: Healthy, name: str, tls: str, **metadata: Any) -> None:
    cluster.edit("DestinationRule", "api")["spec"]["trafficPolicy"] = {"tls": {"mode": tls}}


def token(cluster: Healthy) -> None:
    rules = [{"issuer": "https://issuer", "jwksUri": "https://issuer/keys"}]
    cluster.put(
        istio(
            "RequestAuthentication", "jwt", {"selector": {"matchLabels": {"app": "api"}}, "jwtRules": rules}
        )
    )
    rule = cluster.edit("AuthorizationPolicy", "api")["spec"]["rules"][0]
    rule["from"][0]["source"]["requestPrincipals"] = ["*"]


POST = [{"operation": {"methods": ["POST"]}}]


def refused(cluster: Healthy) -> None:
    """Another service calls and is refused, as the callee's proxy has logged it."""
    other = cluster.put(pod("other-1"))
    details = "rbac_access_denied_matched_policy[none]"
    peer = other["status"]["podIP"]
    cluster.log("api-1", line(403, cluster="inbound|3000||", details=details, peer=peer))


def closed(cluster: Healthy) -> None:
    """Another team is let in by name, so this caller is not."""
    cluster.put(
        network_policy(
            "only-admins",
            {"app": "api"},
            ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "admin"}}}]}],
        )
    )


SECURITY = [
    Planted("network policy", "security", "NetworkPolicy shop/only-admins", CALL, closed),
    Planted(
        "network policy at the gateway", "security", "NetworkPolicy shop/only-admins", AT_GATEWAY, closed
    ),
    Planted(
        "deny",
        "security",
        "AuthorizationPolicy shop/stop",
        CALL,
        lambda one: policy(one, "stop", action="DENY", rules=[{}]),
    ),
    Planted(
        "deny of the root namespace",
        "security",
        "AuthorizationPolicy istio-system/stop",
        CALL,
        lambda one: policy(
            one, "stop", "istio-system", action="DENY", rules=[{"to": [{"operation": {"ports": ["3000"]}}]}]
        ),
    ),
    Planted(
        "allow of another method",
        "security",
        "AuthorizationPolicy shop/api",
        CALL,
        lambda one: one.put(allow("api", "shop/web", to=POST)),
    ),
    Planted(
        "allow of another caller",
        "security",
        "AuthorizationPolicy shop/api",
        CALL,
        lambda one: one.put(allow("api", "shop/shop")),
    ),
    Planted(
        "allow nothing",
        "security",
        "AuthorizationPolicy shop/api",
        CALL,
        lambda one: policy(one, "api", action="ALLOW"),
    ),
    Planted(
        "selector of the allow",
        "security",
        "AuthorizationPolicy shop/api",
        CALL,
        lambda one: (
            one.put(allow("api", "shop/web", app="apii")),
            one.put(istio("AuthorizationPolicy", "none", {})),
        ),
    ),
    Planted("token", "security", "AuthorizationPolicy shop/api", CALL, token),
    Planted(
        "methods on TCP",
        "security",
        "AuthorizationPolicy shop/api",
        CALL,
        lambda one: (
            one.put(allow("api", "shop/web", to=[{"operation": {"methods": ["GET"]}}])),
            one.remove("VirtualService", "api", "shop"),
            ports(one, name="tcp"),
        ),
    ),
    Planted(
        "unknown provider",
        "security",
        "AuthorizationPolicy shop/opa",
        CALL,
        lambda one: policy(one, "opa", action="CUSTOM", provider={"name": "opa"}, rules=[{}]),
    ),
    Planted(
        "rule disables TLS",
        "security",
        "DestinationRule shop/api",
        CALL,
        lambda one: mode(one, "api", "DISABLE"),
    ),
    Planted(
        "rule disables TLS, nobody named",
        "security",
        "DestinationRule shop/api",
        NOTHING,
        lambda one: mode(one, "api", "DISABLE"),
    ),
    Planted(
        "rule insists on TLS that is off",
        "security",
        "DestinationRule shop/api",
        CALL,
        lambda one: (
            mode(one, "api", "ISTIO_MUTUAL"),
            one.put(istio("PeerAuthentication", "off", {"mtls": {"mode": "DISABLE"}})),
        ),
    ),
    Planted(
        "caller outside of the mesh",
        "security",
        "PeerAuthentication istio-system/default",
        {"source": "outside/client-1", "destination": "shop/api"},
        lambda _one: None,
    ),
    Planted(
        "port not captured",
        "security",
        "Pod shop/api-1",
        CALL,
        lambda one: one.put(
            pod(
                "api-1",
                labels={"version": "v1"},
                annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "3000"},
            )
        ),
    ),
    Planted(
        "call past the caller's sidecar",
        "security",
        "Pod shop/web-1",
        CALL,
        lambda one: one.put(
            pod(
                "web-1",
                annotations={"traffic.sidecar.istio.io/excludeOutboundPorts": "80"},
            )
        ),
    ),
    Planted(
        "refused in the log",
        "security",
        "AuthorizationPolicy shop/api",
        {"destination": "api"},
        refused,
    ),
]
