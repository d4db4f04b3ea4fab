# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AuthorizationPolicies: exactly one ALLOW per service, one rule per edge, and a default deny per namespace.

The first ALLOW that selects a workload denies everything else to it, so callers, gateways, open paths and
scrapers of a service stand in one object. Health probes of the kubelet need no rule: the injector rewrites
them to the agent's port, which inbound policies do not cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..catalogue.edges import ANONYMOUS, Edge, service_edges
from ..catalogue.mesh import Catalogue, all_callers
from ..catalogue.services import Service
from .base import REASON_ANNOTATION, Obj, build
from .names import DEFAULT_DENY, gateway_policy_name, service_policy_name


def authorization_objects(catalogue: Catalogue) -> list[Obj]:
    """The allow-list of every service, and what the default deny needs around it.

    An open mesh has none at all. Without a default deny a service that lists nobody has none either: an
    ALLOW policy without rules would deny everything.

    :returns: AuthorizationPolicies: the services' in catalogue order, then what surrounds them.
    """
    if catalogue.open_reason is not None:
        return []
    objects = []
    for service in catalogue.services:
        stated = service.open_reason is not None or catalogue.open_reason_of(service) is None
        if stated:
            objects.append(_service_policy(catalogue, service, service_edges(catalogue, service)))
    if catalogue.default_deny:
        for namespace in catalogue.namespaces:
            objects.append(build("AuthorizationPolicy", DEFAULT_DENY, namespace, catalogue.name, {}))
        objects += _open_gateways(catalogue)
    return objects


def _service_policy(catalogue: Catalogue, service: Service, edges: Sequence[Edge]) -> Obj:
    spec = _allow(dict(service.labels), [_rule(edge) for edge in edges])
    policy = build(
        "AuthorizationPolicy", service_policy_name(service.name), service.namespace, catalogue.name, spec
    )
    reasons = [service.open_reason, *(caller.reason for caller in all_callers(service))]
    if service.scraped_without_mtls:
        reasons.append(service.mtls.reason)
    stated = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    if stated:
        policy["metadata"]["annotations"] = {REASON_ANNOTATION: stated}
    return policy


def _open_gateways(catalogue: Catalogue) -> list[Obj]:
    """A gateway inside a mesh namespace would fall under its default deny, and it must take everyone."""
    return [
        build(
            "AuthorizationPolicy",
            gateway_policy_name(gateway.name),
            gateway.workload_namespace,
            catalogue.name,
            _allow(dict(gateway.selector), [{}]),
        )
        for gateway in catalogue.gateways
        if gateway.workload_namespace in catalogue.namespaces
    ]


def _allow(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"selector": {"matchLabels": labels}, "action": "ALLOW", "rules": rules or None}


def _rule(edge: Edge) -> dict[str, Any]:
    operation = {
        "ports": [str(port) for port in edge.ports],
        "methods": list(edge.methods) or None,
        "paths": list(edge.paths) or None,
    }
    to = [{"operation": operation}]
    if edge.ip_blocks:
        return {"from": [{"source": {"ipBlocks": list(edge.ip_blocks)}}], "to": to}
    if edge.principal == ANONYMOUS:
        return {"to": to}
    return {"from": [{"source": {"principals": [edge.principal]}}], "to": to}
