# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edges of the mesh: who may send which requests to a service. Policies and expectations share them."""

from __future__ import annotations

import dataclasses

from .mesh import Catalogue
from .services import Caller, Exposure, Service

ANY_PEER = "*"
"""As a principal: every peer that shows a certificate of the mesh."""


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """One rule of a service's allow-list.

    :param principal: SPIFFE identity without its scheme, or ``ANY_PEER``.
    :param methods: allowed HTTP methods, empty for all. :param paths: exact paths and ``/x/*`` prefixes,
        empty for all. :param ports: target ports, never empty.
    :param kind: caller, gateway, open or scrape. :param caller: what the catalogue named, for reports.
    """

    principal: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    ports: tuple[int, ...]
    kind: str
    caller: str


def service_edges(catalogue: Catalogue, service: Service) -> tuple[Edge, ...]:
    """The edges in the order of the policy's rules: callers as listed, gateways, open paths, scrapers.

    :returns: one per caller and way in.
    """
    edges = [_caller_edge(catalogue, service, caller) for caller in service.callers]
    explicit = {caller.gateway for caller in service.callers if caller.gateway}
    edges += [
        _gateway_edge(catalogue, service, item) for item in service.exposed if item.gateway not in explicit
    ]
    http = service.http_port
    if service.open_paths and http:
        edges.append(Edge(ANY_PEER, ("GET",), service.open_paths, (http.target_port,), "open", "any peer"))
    if service.scrape:
        for caller in service.scrape.callers:
            principal = catalogue.principal_of(caller)
            ports = (service.scrape.port,)
            edges.append(
                Edge(principal, ("GET",), (service.scrape.path,), ports, "scrape", caller_name(caller))
            )
    return tuple(dict.fromkeys(edges))


def caller_name(caller: Caller) -> str:
    """How a report names the other end of an edge."""
    if caller.gateway:
        return f"gateway {caller.gateway}"
    return f"{caller.namespace}/{caller.service}" if caller.service else str(caller.principal)


def _caller_edge(catalogue: Catalogue, service: Service, caller: Caller) -> Edge:
    ports = service.ports
    if caller.ports:
        ports = tuple(port for port in ports if port.name in caller.ports)
    if caller.methods or caller.paths:
        # An ALLOW rule with methods or paths is dropped on TCP ports, so it must not seem to open them.
        ports = tuple(port for port in ports if port.is_http)
    targets = tuple(sorted({port.target_port for port in ports}))
    principal = catalogue.principal_of(caller)
    return Edge(principal, caller.methods, caller.paths, targets, "caller", caller_name(caller))


def _gateway_edge(catalogue: Catalogue, service: Service, exposure: Exposure) -> Edge:
    gateway, http = catalogue.gateway(exposure.gateway), service.http_port
    principal = gateway.principal if gateway else ""
    ports = (http.target_port,) if http else ()
    return Edge(
        principal, exposure.methods, _inner_paths(exposure), ports, "gateway", f"gateway {exposure.gateway}"
    )


def _inner_paths(exposure: Exposure) -> tuple[str, ...]:
    path = exposure.inner_path
    if exposure.exact:
        return (path,)
    return () if path == "/" else (path, f"{path}/*")


def decide(edges: tuple[Edge, ...], principal: str, method: str, path: str, port: int) -> int | None:
    """Index of the first edge that lets a request in, or ``None``: what the proxy's RBAC filter answers."""
    for index, edge in enumerate(edges):
        if edge.principal not in (ANY_PEER, principal) or port not in edge.ports:
            continue
        if (not edge.methods or method in edge.methods) and _path_allowed(edge.paths, path):
            return index
    return None


def _path_allowed(paths: tuple[str, ...], path: str) -> bool:
    return not paths or any(
        path.startswith(item[:-1]) if item.endswith("*") else path == item for item in paths
    )
