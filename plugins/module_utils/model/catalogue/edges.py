# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edges of the mesh: who may send which requests to a service. Policies and expectations share them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .exposures import exposed_port
from .mesh import Catalogue
from .services import Caller, Exposure, Scrape, Service

ANY_PEER = "*"
"""As a principal: every peer that shows a certificate of the mesh."""
ANONYMOUS = "anonymous"
"""As a principal: everybody, with or without a certificate."""


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """One rule of a service's allow-list.

    :param principal: SPIFFE identity without its scheme, ``ANY_PEER`` or ``ANONYMOUS``.
    :param methods: allowed HTTP methods, empty for all. :param paths: exact paths and ``/x/*`` prefixes,
        empty for all. :param ports: target ports, never empty.
    :param kind: caller, gateway, open (a path), scrape or anyone (the whole service).
    :param caller: what the catalogue named, for reports.
    :param ip_blocks: networks from which the connection has to come, empty for all.
    """

    principal: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    ports: tuple[int, ...]
    kind: str
    caller: str
    ip_blocks: tuple[str, ...] = ()

    @property
    def asks_who(self) -> bool:
        """Whether it depends on the identity of the caller."""
        return self.principal not in (ANY_PEER, ANONYMOUS)

    def takes(self, method: str, path: str, port: int) -> bool:
        """Whether it is about such a request, whoever sends it. :param port: the target port."""
        return (
            port in self.ports
            and (not self.methods or method in self.methods)
            and _path_allowed(self.paths, path)
        )


def service_edges(catalogue: Catalogue, service: Service) -> tuple[Edge, ...]:
    """The edges in the order of the policy's rules: callers, gateways, open paths, scrapers, anyone.

    Within a kind the order does not follow the catalogue's: two entries that swap places would be another
    policy, and each change of a policy ends connections of its workload (model/objects/drains.py).

    :returns: one per caller and way in.
    """
    edges = [_caller_edge(catalogue, service, caller) for caller in service.callers]
    edges += [gateway_edge(catalogue, service, item) for item in service.exposed]
    http = service.http_port
    if service.open_paths and http:
        paths = tuple(sorted(service.open_paths))
        edges.append(Edge(ANY_PEER, ("GET",), paths, (http.target_port,), "open", "any peer"))
    if service.scrape:
        for caller in service.scrape.callers:
            edges.append(
                Edge(
                    _principal(catalogue, caller),
                    ("GET",),
                    (service.scrape.path,),
                    (service.scrape.port,),
                    "scrape",
                    caller_name(caller),
                    caller.ip_blocks,
                )
            )
        if service.scraped_without_mtls:
            edges.append(_unmeshed_scrape(service.scrape))
    if catalogue.open_reason_of(service) is not None:
        edges.append(Edge(ANONYMOUS, (), (), service.target_ports(), "anyone", "anyone"))
    return tuple(sorted(dict.fromkeys(edges), key=_order))


_KINDS = ("caller", "gateway", "open", "scrape", "anyone")


def _order(edge: Edge) -> tuple[Any, ...]:
    return _KINDS.index(edge.kind), edge.principal, edge.ports, edge.methods, edge.paths, edge.ip_blocks


def caller_name(caller: Caller) -> str:
    """How a report names the other end of an edge."""
    if caller.gateway:
        return f"gateway {caller.gateway}"
    if not caller.has_identity:
        return ", ".join(caller.ip_blocks) or "anyone"
    return f"{caller.namespace}/{caller.service}" if caller.service else str(caller.principal)


def _caller_edge(catalogue: Catalogue, service: Service, caller: Caller) -> Edge:
    ports = service.all_ports
    if caller.ports:
        ports = tuple(port for port in ports if port.name in caller.ports)
    if caller.methods or caller.paths:
        # An ALLOW rule with methods or paths is dropped on TCP ports, so it must not seem to open them.
        ports = tuple(port for port in ports if port.is_http)
    targets = tuple(sorted({port.target_port for port in ports}))
    principal, name = _principal(catalogue, caller), caller_name(caller)
    methods, paths = tuple(sorted(caller.methods)), tuple(sorted(caller.paths))
    return Edge(principal, methods, paths, targets, "caller", name, tuple(sorted(caller.ip_blocks)))


def _unmeshed_scrape(scrape: Scrape) -> Edge:
    """A scraper without a sidecar shows no identity: where mTLS is waived it is let in by the port."""
    return Edge(ANONYMOUS, ("GET",), (scrape.path,), (scrape.port,), "scrape", "scraper without a sidecar")


def _principal(catalogue: Catalogue, caller: Caller) -> str:
    return catalogue.principal_of(caller) if caller.has_identity else ANONYMOUS


def gateway_edge(catalogue: Catalogue, service: Service, exposure: Exposure) -> Edge:
    """The edge by which a gateway calls a service for one of its exposures."""
    gateway, port = catalogue.gateway(exposure.gateway), exposed_port(catalogue, service, exposure)
    principal = gateway.principal if gateway else ""
    ports = (port.target_port,) if port else ()
    methods = tuple(sorted(exposure.methods))
    return Edge(principal, methods, _inner_paths(exposure), ports, "gateway", f"gateway {exposure.gateway}")


def _inner_paths(exposure: Exposure) -> tuple[str, ...]:
    path = exposure.inner_path
    if exposure.exact:
        return (path,)
    return () if path == "/" else (path, f"{path}/*")


def decide(edges: tuple[Edge, ...], principal: str, method: str, path: str, port: int) -> int | None:
    """Index of the first edge that lets a request in, or ``None``: what the proxy's RBAC filter answers.

    :param principal: of the caller, who shows a certificate. Networks are not judged: an edge with
        ``ip_blocks`` lets nobody in here.
    """
    for index, edge in enumerate(edges):
        if edge.ip_blocks or (edge.asks_who and edge.principal != principal):
            continue
        if edge.takes(method, path, port):
            return index
    return None


def _path_allowed(paths: tuple[str, ...], path: str) -> bool:
    return not paths or any(
        path.startswith(item[:-1]) if item.endswith("*") else path == item for item in paths
    )
