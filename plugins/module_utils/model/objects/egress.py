# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out through an egress gateway, where a policy enforces who may use an external service.

Sidecar scoping alone only hides a host from other callers; a proxy does not restrict its own application.
So ``via: egress_gateway`` sends the traffic with mutual TLS to the gateway, one SNI per external host, and
one AuthorizationPolicy there lets each caller reach its own hosts only (istio.io, Egress Gateways).
"""

from __future__ import annotations

from typing import Any

from ..catalogue.mesh import Catalogue, EgressGateway, ExternalService
from ..reading.durations import limit_of
from .base import Obj, build
from .names import (
    egress_gateway_name,
    egress_name,
    egress_routes_name,
    egress_subset_name,
    host_label,
)
from .service_entries import export_to
from .virtual_service_delegates import DEFAULT_RETRY_POLICY

_PRIVATE_HEADERS = ("x-forwarded-client-cert", "x-forwarded-for", "x-envoy-external-address")
"""Identities and addresses of the mesh are nobody's business outside it."""


def egress_objects(catalogue: Catalogue) -> list[Obj]:
    """Gateways, routes, the DestinationRule towards the gateway and the policy at it.

    :returns: the objects of all egress gateways; empty when none is used.
    """
    gateway = catalogue.egress_gateway
    externals = [external for external in catalogue.external_services if external.via_egress_gateway]
    if gateway is None or not externals:
        return []
    hosts = [(external, host) for external in externals for host in external.hosts]
    objects = [_gateway(catalogue, gateway, external) for external in externals]
    objects += [_routes(catalogue, gateway, external, host) for external, host in hosts]
    name, namespace = egress_name(catalogue.name), gateway.workload_namespace
    subsets = [_subset(catalogue, gateway, external, host) for external, host in hosts]
    rule = {"host": gateway.host, "subsets": subsets}
    objects.append(build("DestinationRule", name, namespace, catalogue.name, rule))
    policy = {
        "selector": {"matchLabels": dict(gateway.selector)},
        "action": "ALLOW",
        "rules": [_allow(catalogue, external) for external in externals],
    }
    if catalogue.open_reason is None:
        objects.append(build("AuthorizationPolicy", name, namespace, catalogue.name, policy))
    return objects


def _gateway(catalogue: Catalogue, gateway: EgressGateway, external: ExternalService) -> Obj:
    protocol = "HTTPS" if external.ports[0].is_http else "TLS"
    servers = [
        {
            "port": {
                "number": gateway.port,
                "name": host_label(protocol.lower(), host),
                "protocol": protocol,
            },
            "hosts": [f"./{host}"],
            "tls": {"mode": "ISTIO_MUTUAL"},
        }
        for host in external.hosts
    ]
    spec = {"selector": dict(gateway.selector), "servers": servers}
    return build("Gateway", egress_gateway_name(external.name), external.namespace, catalogue.name, spec)


def _subset(
    catalogue: Catalogue, gateway: EgressGateway, external: ExternalService, host: str
) -> dict[str, Any]:
    tls = {"port": {"number": gateway.port}, "tls": {"mode": "ISTIO_MUTUAL", "sni": host}}
    name = egress_subset_name(catalogue.name, external.name, host)
    return {"name": name, "trafficPolicy": {"portLevelSettings": [tls]}}


def _routes(catalogue: Catalogue, gateway: EgressGateway, external: ExternalService, host: str) -> Obj:
    port = external.ports[0]
    here = f"{external.namespace}/{egress_gateway_name(external.name)}"
    to_gateway = {
        "destination": {
            "host": gateway.host,
            "subset": egress_subset_name(catalogue.name, external.name, host),
            "port": {"number": gateway.port},
        }
    }
    to_host = {"destination": {"host": host, "port": {"number": port.number}}}
    # Seen by the callers and the gateway only: it would turn everybody's requests for the host this way.
    spec: dict[str, Any] = {
        "hosts": [host],
        "gateways": ["mesh", here],
        "exportTo": export_to(catalogue, external),
    }
    if external.ports[0].is_http:
        retries = dict(DEFAULT_RETRY_POLICY)
        spec["http"] = [
            {
                "name": f"{external.name}-to-gateway",
                "match": [{"gateways": ["mesh"], "port": port.number}],
                "route": [to_gateway],
                "timeout": limit_of(external.timeout),
                "retries": retries,
            },
            {
                "name": f"{external.name}-out",
                "match": [{"gateways": [here], "port": gateway.port}],
                "route": [to_host],
                "timeout": limit_of(external.timeout),
                "retries": retries,
                "headers": {"request": {"remove": list(_PRIVATE_HEADERS)}},
            },
        ]
    else:
        match = {"gateways": ["mesh"], "port": port.number, "sniHosts": [host]}
        spec["tls"] = [{"match": [match], "route": [to_gateway]}]
        spec["tcp"] = [{"match": [{"gateways": [here], "port": gateway.port}], "route": [to_host]}]
    name = egress_routes_name(external.name, host)
    return build("VirtualService", name, external.namespace, catalogue.name, spec)


def _allow(catalogue: Catalogue, external: ExternalService) -> dict[str, Any]:
    principals = sorted({catalogue.principal_of(caller) for caller in external.callers})
    return {
        "from": [{"source": {"principals": principals}}],
        "when": [{"key": "connection.sni", "values": list(external.hosts)}],
    }
