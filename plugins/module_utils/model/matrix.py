# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller must see: calls that the catalogue allows and denies, mTLS per port, exposed paths.

The same edges as in ``authorization.py``, asked the other way round: instead of rules for a proxy, sample
requests with the verdict and the rule that decides. Every service has at least one call to be refused.
"""

from __future__ import annotations

import dataclasses

from .authorization import rule_name
from .consistency import server_for
from .edges import ANY_PEER, Edge, service_edges
from .mesh import Catalogue
from .peer_authentication import port_mode
from .services import Service

STRANGER = "servicemesh-stranger"
"""ServiceAccount of a caller that no allow-list names, for services that let every other service in."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One sample request.

    :param caller: ``namespace/serviceaccount`` of the caller, or ``gateway NAME``. :param principal: its
        identity. :param service: ``namespace/name`` of the callee, reached at ``http://{host}:{port}{path}``.
    :param target_port: the workload's port. :param allowed: the verdict. :param rule: the RBAC rule that
        allows it, ``""`` when none does. :param is_http: whether methods and paths mean anything.
    """

    caller: str
    principal: str
    service: str
    host: str
    port: int
    target_port: int
    method: str
    path: str
    allowed: bool
    rule: str
    is_http: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PortMode:
    """The mTLS mode of a workload's port. ``reason`` explains an exception."""

    service: str
    namespace: str
    host: str
    port: int
    target_port: int
    mode: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExposedPath:
    """A path of a gateway host. ``path`` is a sample in it, ``inner_path`` what the service then sees."""

    gateway: str
    workload_namespace: str
    host: str
    port: int
    path: str
    inner_path: str
    service: str
    method: str
    secure: bool
    redirect_port: int | None
    certificate: str


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


def sample_path(edge: Edge) -> str:
    """A path that the edge covers."""
    if not edge.paths:
        return "/"
    return edge.paths[0].replace("*", "probe")


def expected_calls(catalogue: Catalogue) -> list[Call]:
    """One allowed call per edge of each service, and for each service one or more that must be refused."""
    return [call for service in catalogue.services for call in service_calls(catalogue, service)]


def service_calls(catalogue: Catalogue, service: Service) -> list[Call]:
    """The sample calls of one service."""
    edges = service_edges(catalogue, service)
    calls: list[Call] = []
    for edge in edges:
        principal = _some_peer(catalogue, service) if edge.principal == ANY_PEER else edge.principal
        method = edge.methods[0] if edge.methods else "GET"
        for target in edge.ports:
            calls.append(
                _call(
                    catalogue,
                    service,
                    edges,
                    principal=principal,
                    method=method,
                    path=sample_path(edge),
                    target=target,
                )
            )
    routed = service.routed_port
    if routed:
        for principal in _strangers(catalogue, service, edges)[:1]:
            path, target = _closed_path(service), routed.target_port
            calls.append(
                _call(catalogue, service, edges, principal=principal, method="GET", path=path, target=target)
            )
        calls += _wrong_requests(catalogue, service, edges)
    return list(dict.fromkeys(calls))


def _call(
    catalogue: Catalogue,
    service: Service,
    edges: tuple[Edge, ...],
    *,
    principal: str,
    method: str,
    path: str,
    target: int,
) -> Call:
    index = decide(edges, principal, method, path, target)
    port = next((item for item in service.ports if item.target_port == target), None)
    return Call(
        caller=caller_label(catalogue, principal),
        principal=principal,
        service=service.key,
        host=service.fqdn,
        port=port.number if port else target,
        target_port=target,
        method=method,
        path=path,
        allowed=index is not None,
        rule="" if index is None else rule_name(service.namespace, service.name, index),
        is_http=port.is_http if port else True,
    )


def caller_label(catalogue: Catalogue, principal: str) -> str:
    """``gateway NAME`` or ``namespace/serviceaccount``."""
    gateway = next((item for item in catalogue.gateways if item.principal == principal), None)
    if gateway:
        return f"gateway {gateway.name}"
    _unused, _unused, namespace, _unused, account = principal.split("/")
    return f"{namespace}/{account}"


def _some_peer(catalogue: Catalogue, service: Service) -> str:
    """A meshed caller other than the service itself."""
    others = [item.principal for item in catalogue.services if item.principal != service.principal]
    return others[0] if others else service.principal


def _strangers(catalogue: Catalogue, service: Service, edges: tuple[Edge, ...]) -> list[str]:
    """Callers that no edge names: other services first, an identity of its own when all are let in."""
    named = {edge.principal for edge in edges}
    others = [
        item.principal for item in catalogue.services if item.principal not in named | {service.principal}
    ]
    return [*others, f"{catalogue.trust_domain}/ns/{service.namespace}/sa/{STRANGER}"]


def _closed_path(service: Service) -> str:
    """A path that is not open to everyone."""
    return "/" if "/" not in service.open_paths else "/servicemesh-probe"


def _wrong_requests(catalogue: Catalogue, service: Service, edges: tuple[Edge, ...]) -> list[Call]:
    """For the first edge with limited methods or paths: the same caller, outside those limits."""
    http = service.http_port
    for edge in edges:
        if http is None or edge.kind != "caller" or not (edge.methods or edge.paths):
            continue
        method = next(
            (item for item in ("DELETE", "PATCH", "GET") if edge.methods and item not in edge.methods), "GET"
        )
        path = sample_path(edge) if edge.methods else "/servicemesh-probe"
        call = _call(
            catalogue,
            service,
            edges,
            principal=edge.principal,
            method=method,
            path=path,
            target=http.target_port,
        )
        return [] if call.allowed else [call]
    return []


def expected_modes(catalogue: Catalogue) -> list[PortMode]:
    """The mTLS mode of every port of every service, by target port."""
    return [
        PortMode(
            service=service.key,
            namespace=service.namespace,
            host=service.fqdn,
            port=port.number,
            target_port=port.target_port,
            mode=port_mode(catalogue, service, port.target_port),
            reason=service.mtls.reason or "",
        )
        for service in catalogue.services
        for port in service.ports
    ]


def expected_exposures(catalogue: Catalogue) -> list[ExposedPath]:
    """Every exposed path, with a sample request for it."""
    found: list[ExposedPath] = []
    for service in catalogue.services:
        for exposure in service.exposed:
            gateway = catalogue.gateway(exposure.gateway)
            server = server_for(gateway, exposure.host) if gateway else None
            if gateway is None or server is None:
                continue
            secure = server.certificate is not None
            found.append(
                ExposedPath(
                    gateway=gateway.name,
                    workload_namespace=gateway.workload_namespace,
                    host=exposure.host,
                    port=server.port,
                    path=exposure.path,
                    inner_path=exposure.inner_path,
                    service=service.key,
                    method=exposure.methods[0] if exposure.methods else "GET",
                    secure=secure,
                    redirect_port=server.http_port if secure and server.https_redirect else None,
                    certificate=server.certificate or "",
                )
            )
    return found
