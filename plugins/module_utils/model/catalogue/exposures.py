# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an entry of ``exposed`` begins and ends: a server of a gateway, and a port of the service."""

from __future__ import annotations

from .mesh import Catalogue, Gateway, Server
from .services import Exposure, Port, Service


def server_for(gateway: Gateway, host: str) -> Server | None:
    """The server of a gateway that takes ``host``: the exact one, else a wildcard one."""
    exact = next((server for server in gateway.servers if server.host == host), None)
    wildcards = (
        item for item in gateway.servers if item.host.startswith("*.") and host.endswith(item.host[1:])
    )
    return exact or max(wildcards, key=lambda item: len(item.host), default=None)


def server_of(catalogue: Catalogue, exposure: Exposure) -> Server | None:
    """The server through which an exposure is reached; ``None`` when gateway or host do not exist."""
    gateway = catalogue.gateway(exposure.gateway)
    return server_for(gateway, exposure.host) if gateway else None


def exposed_port(catalogue: Catalogue, service: Service, exposure: Exposure) -> Port | None:
    """The port to which an exposure leads: the named one, else the first whose traffic the server can read.

    :returns: ``None`` when there is no such port.
    """
    if exposure.port is not None:
        return next((port for port in service.ports if port.name == exposure.port), None)
    server = server_of(catalogue, exposure)
    if server is None or server.is_http:
        return service.http_port
    return next((port for port in service.ports if not port.is_http), None)


def leads_to_delegate(catalogue: Catalogue, service: Service, exposure: Exposure) -> bool:
    """Whether the requests of an exposure meet the service's own routes: splits, variants, timeouts.

    Further HTTP ports and streams reach the service without them.
    """
    port = exposed_port(catalogue, service, exposure)
    return port is not None and port == service.http_port
