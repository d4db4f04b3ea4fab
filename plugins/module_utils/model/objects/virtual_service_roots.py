# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root VirtualServices: they match hosts and paths, rewrite, and delegate to ``<service>-routes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..catalogue.exposures import exposed_port, server_for
from ..catalogue.mesh import Catalogue, Gateway, Server
from ..catalogue.services import Exposure, Port, Service
from .base import Obj, build
from .names import (
    delegate_name,
    exposed_port_route_name,
    exposed_route_name,
    gateway_root_name,
    headless_root_name,
    mesh_root_name,
    side_port_route_name,
)
from .virtual_service_delegates import DEFAULT_RETRY_POLICY, split_destinations


def root_objects(catalogue: Catalogue, weights: Mapping[str, Mapping[str, int]]) -> list[Obj]:
    """One root per service for callers in the mesh, and one per gateway and host.

    :param weights: percentages by version, by ``namespace/name``; only TCP services need them here.
    :returns: VirtualServices, in catalogue order.
    """
    objects: list[Obj] = []
    for service in catalogue.services:
        spec = _mesh_root(service) if service.http_port else _stream_routes(service, weights[service.key])
        if spec:
            objects.append(
                build("VirtualService", mesh_root_name(service.name), service.namespace, catalogue.name, spec)
            )
    objects += _headless_roots(catalogue)
    for (name, host), exposures in sorted(_exposures(catalogue).items()):
        gateway = catalogue.gateway(name)
        if gateway:
            server = server_for(gateway, host)
            spec = (
                _gateway_root(catalogue, gateway, host, exposures)
                if server is None or server.is_http
                else _stream_root(catalogue, gateway, server, exposures, weights)
            )
            root = gateway_root_name(gateway.name, host)
            objects.append(build("VirtualService", root, gateway.namespace, catalogue.name, spec))
    return objects


def _exposures(catalogue: Catalogue) -> dict[tuple[str, str], list[tuple[Exposure, Service]]]:
    """All exposures by gateway and host."""
    found: dict[tuple[str, str], list[tuple[Exposure, Service]]] = {}
    for service in catalogue.services:
        for item in service.exposed:
            found.setdefault((item.gateway, item.host), []).append((item, service))
    return found


def _delegate(service: Service) -> dict[str, str]:
    return {"name": delegate_name(service.name), "namespace": service.namespace}


def _mesh_root(service: Service) -> dict[str, Any]:
    http_ports = [port for port in service.ports if port.is_http]
    routed, others = http_ports[0], http_ports[1:]
    main = {
        "name": service.name,
        "match": [{"port": routed.number}] if others else None,
        "delegate": _delegate(service),
    }
    return {
        "hosts": [service.fqdn],
        "gateways": ["mesh"],
        "http": [main, *(_inner_side_port(service, port) for port in others)],
    }


def _headless_roots(catalogue: Catalogue) -> list[Obj]:
    """Headless companions with HTTP ports: whoever calls a pod by its name repeats no request either that the
    service may have seen. Several services may have one companion."""
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for service in catalogue.services:
        if service.headless:
            entries = found.setdefault((service.namespace, service.headless.name), {})
            for port in service.headless.ports:
                if port.is_http:
                    target = {"host": service.headless.fqdn, "port": {"number": port.number}}
                    entries[port.number] = {
                        "name": side_port_route_name(service.headless.name, port.name),
                        "match": [{"port": port.number}],
                        "route": [{"destination": target}],
                        "retries": dict(DEFAULT_RETRY_POLICY),
                    }
    objects = []
    for (namespace, name), entries in found.items():
        http = list(entries.values())
        if http:
            hosts = [http[0]["route"][0]["destination"]["host"]]
            spec = {"hosts": hosts, "gateways": ["mesh"], "http": http}
            root = headless_root_name(name)
            objects.append(build("VirtualService", root, namespace, catalogue.name, spec))
    return objects


def _inner_side_port(service: Service, port: Port) -> dict[str, Any]:
    route = _side_port(service, port, side_port_route_name(service.name, port.name))
    return route | {"match": [{"port": port.number}]}


def _side_port(service: Service, port: Port, name: str) -> dict[str, Any]:
    """A further HTTP port, such as one for metrics, goes to all versions alike. :returns: an HTTPRoute that
    takes every request."""
    target = {"host": service.fqdn, "port": {"number": port.number}}
    return {
        "name": name,
        "route": [{"destination": target}],
        "retries": dict(DEFAULT_RETRY_POLICY),
    }


def _stream_routes(service: Service, weights: Mapping[str, int]) -> dict[str, Any] | None:
    """TCP and TLS ports of a service with versions. Delegates exist for HTTP only: a plain object."""
    if not service.versions:
        return None
    tcp: list[dict[str, Any]] = []
    tls: list[dict[str, Any]] = []
    for port in service.ports:
        targets = _stream_destinations(service, port, weights)
        if port.protocol == "tls":
            tls.append(
                {"match": [{"port": port.number, "sniHosts": service_names(service)}], "route": targets}
            )
        else:
            tcp.append({"match": [{"port": port.number}], "route": targets})
    # Istio takes an SNI for a name of the object's hosts only (validateSniHost).
    hosts = service_names(service) if tls else [service.fqdn]
    return {"hosts": hosts, "gateways": ["mesh"], "tcp": tcp or None, "tls": tls or None}


def service_names(service: Service) -> list[str]:
    """The names by which clients call a Service, the full one first: any of them may be the SNI.

    :returns: full name, ``name.namespace.svc``, ``name.namespace``, ``name``.
    """
    qualified = f"{service.name}.{service.namespace}"
    return [service.fqdn, f"{qualified}.svc", qualified, service.name]


def _stream_destinations(service: Service, port: Port, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """A stream port of a service; only a service without HTTP ports splits its streams between versions."""
    shares = split_destinations(service, {} if service.http_port else weights)
    return [
        share | {"destination": share["destination"] | {"port": {"number": port.number}}} for share in shares
    ]


def _stream_root(
    catalogue: Catalogue,
    gateway: Gateway,
    server: Server,
    exposures: Sequence[tuple[Exposure, Service]],
    weights: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """A host that is served as TCP or TLS: told apart by the port, and where TLS passes through by name."""
    exposure, service = exposures[0]
    port = exposed_port(catalogue, service, exposure)
    targets = _stream_destinations(service, port, weights[service.key]) if port else []
    match: dict[str, Any] = {"port": server.port}
    if server.is_passthrough:
        match["sniHosts"] = [exposure.host]
    kind = "tls" if server.is_passthrough else "tcp"
    return {
        "hosts": [exposure.host],
        "gateways": [f"{gateway.namespace}/{gateway.name}"],
        kind: [{"match": [match], "route": targets}],
    }


def _gateway_root(
    catalogue: Catalogue, gateway: Gateway, host: str, exposures: Sequence[tuple[Exposure, Service]]
) -> dict[str, Any]:
    # The first match wins in Envoy, so the longest path comes first, and exact before prefix.
    ordered = sorted(exposures, key=lambda pair: (-len(pair[0].path), pair[0].path, not pair[0].exact))
    http = [route for exposure, service in ordered for route in _exposed_routes(catalogue, exposure, service)]
    return {"hosts": [host], "gateways": [f"{gateway.namespace}/{gateway.name}"], "http": http}


def _exposed_routes(catalogue: Catalogue, exposure: Exposure, service: Service) -> list[dict[str, Any]]:
    """``/x`` and everything below it, never ``/xy``. A rewrite needs one route for each of the two."""
    base: dict[str, Any] = {
        "name": exposed_route_name(service.namespace, service.name),
        "delegate": _delegate(service),
    }
    port = exposed_port(catalogue, service, exposure)
    if port is not None and port != service.http_port:
        base = _side_port(service, port, exposed_port_route_name(service.namespace, service.name, port.name))
    path, rewrite = exposure.path, exposure.rewrite
    if path == "/" and not exposure.exact:
        entry = base | {"match": [{"uri": {"prefix": "/"}}]}
        if rewrite and rewrite != "/":
            entry["rewrite"] = {"uri": f"{rewrite}/"}
        return [entry]
    exact, below = {"uri": {"exact": path}}, {"uri": {"prefix": f"{path}/"}}
    if rewrite is None or rewrite == path:
        return [base | {"match": [exact] if exposure.exact else [exact, below]}]
    routes = [base | {"match": [exact], "rewrite": {"uri": rewrite}}]
    if not exposure.exact:
        routes.append(base | {"match": [below], "rewrite": {"uri": rewrite.rstrip("/") + "/"}})
    return routes
