# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ServiceEntries and what external services need around them: TLS origination, limits, timeouts."""

from __future__ import annotations

from typing import Any

from ..catalogue.mesh import Catalogue, ExternalPort, ExternalService, OriginateTls
from ..reading.durations import limit_of
from ..reading.principals import parse_principal
from .base import Obj, build, compact
from .destination_rules import traffic_policy
from .names import external_name
from .virtual_service_delegates import DEFAULT_RETRY_POLICY


def external_objects(catalogue: Catalogue) -> list[Obj]:
    """ServiceEntry, DestinationRules and, for direct use with a timeout, VirtualServices.

    :returns: the objects of all external services, in catalogue order.
    """
    objects: list[Obj] = []
    for external in catalogue.external_services:
        visible = export_to(catalogue, external)
        entry = _entry(external) | {"exportTo": visible}
        objects.append(build("ServiceEntry", external.name, external.namespace, catalogue.name, entry))
        for host in external.hosts:
            policy = _policy(external, host)
            if policy:
                rule = {"host": host, "trafficPolicy": policy, "exportTo": visible}
                objects.append(_object("DestinationRule", catalogue, external, host, rule))
            if limit_of(external.timeout) and not external.via_egress_gateway:
                routes = _timeout_routes(external, host) | {"exportTo": visible}
                objects.append(_object("VirtualService", catalogue, external, host, routes))
    return objects


def export_to(catalogue: Catalogue, external: ExternalService) -> list[str]:
    """The namespaces of the callers and of the egress gateway: nobody else sees the host.

    :returns: each once, sorted.
    """
    principals = [catalogue.principal_of(caller) for caller in external.callers]
    namespaces = {found.namespace for text in principals if (found := parse_principal(text))}
    if external.via_egress_gateway and catalogue.egress_gateway:
        namespaces.add(catalogue.egress_gateway.workload_namespace)
    return ["."] if namespaces == {external.namespace} else sorted(namespaces)


def _object(
    kind: str, catalogue: Catalogue, external: ExternalService, host: str, spec: dict[str, Any]
) -> Obj:
    return build(kind, external_name(external.name, host), external.namespace, catalogue.name, spec)


def _entry(external: ExternalService) -> dict[str, Any]:
    return {
        "hosts": list(external.hosts),
        "addresses": list(external.addresses) or None,
        "location": "MESH_EXTERNAL",
        "resolution": external.resolution,
        "ports": [_port(external, port) for port in external.ports],
        "endpoints": [{"address": address} for address in external.endpoints] or None,
    }


def _port(external: ExternalService, port: ExternalPort) -> dict[str, Any]:
    target = port.target_port
    if target is None and external.originate_tls and port.is_http:
        target = 443  # the application speaks HTTP, the proxy adds TLS
    return {"number": port.number, "name": port.name, "protocol": port.protocol, "targetPort": target}


def _policy(external: ExternalService, host: str) -> dict[str, Any]:
    policy = traffic_policy(external.connection_pool, external.circuit_breaker)
    tls = external.originate_tls
    if tls is None:
        return policy
    # Settings of a port replace the outer ones as a whole, so limits are repeated here.
    ports = [
        {"port": {"number": port.number}, **policy, "tls": _tls(tls, host)}
        for port in external.ports
        if port.is_http
    ]
    return policy | {"portLevelSettings": ports}


def _tls(tls: OriginateTls, host: str) -> dict[str, Any]:
    return {
        "mode": "SIMPLE",
        "sni": tls.sni or host,
        "subjectAltNames": list(tls.subject_alt_names) or [tls.sni or host],
        "caCertificates": tls.ca_certificates,
    }


def _timeout_routes(external: ExternalService, host: str) -> dict[str, Any]:
    http = [
        {
            "name": f"{external.name}-{port.name}",
            "match": [{"port": port.number}],
            "route": [{"destination": {"host": host, "port": {"number": port.number}}}],
            "timeout": external.timeout,
            "retries": dict(DEFAULT_RETRY_POLICY),
        }
        for port in external.ports
        if port.is_http
    ]
    return compact({"hosts": [host], "gateways": ["mesh"], "http": http})
