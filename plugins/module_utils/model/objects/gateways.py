# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway objects: hosts, certificates, redirect from HTTP, TLS floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..catalogue.mesh import Catalogue, Gateway, Server
from .base import Obj, build
from .names import host_label

_TLS_VERSIONS = {"1.2": "TLSV1_2", "1.3": "TLSV1_3"}


def gateway_objects(catalogue: Catalogue) -> list[Obj]:
    """One Gateway per entry of ``mesh_gateways``. :returns: Gateways, in catalogue order."""
    return [
        build("Gateway", gateway.name, gateway.namespace, catalogue.name, _spec(gateway))
        for gateway in catalogue.gateways
    ]


def _spec(gateway: Gateway) -> dict[str, Any]:
    shared: dict[tuple[str, int, str], list[Server]] = {}
    for item in gateway.servers:
        if item.protocol == "HTTPS":
            shared.setdefault((item.protocol, item.port, str(item.certificate)), []).append(item)
    servers = [
        server
        for item in gateway.servers
        for server in _servers(item, shared.get((item.protocol, item.port, str(item.certificate)), [item]))
    ]
    return {"selector": dict(gateway.selector), "servers": servers}


def _servers(server: Server, sharing: Sequence[Server]) -> list[dict[str, Any]]:
    """What Istio calls servers.

    :param sharing: the hosts with the same port and certificate. They are one server, written for the first:
        a browser sends requests for all of them over one connection, and a server answers 404 to a host that
        is not among its own.
    """
    hosts = _hosts(server)
    if not server.certificate:
        entry: dict[str, Any] = {
            "port": _port(server.port, server.protocol, server),
            "hosts": hosts,
            "tls": {"mode": server.mode} if server.is_passthrough else None,
        }
        return [entry]
    tls: dict[str, Any] = {
        "mode": server.mode,
        "credentialName": server.certificate,
        "minProtocolVersion": _TLS_VERSIONS[server.min_tls],
        "maxProtocolVersion": _TLS_VERSIONS[server.max_tls] if server.max_tls else None,
        "cipherSuites": list(server.cipher_suites) or None,
    }
    rendered: list[dict[str, Any]] = []
    if server is sharing[0]:
        all_hosts = [host for item in sharing for host in _hosts(item)]
        port = _port(server.port, server.protocol, server)
        rendered.append({"port": port, "hosts": all_hosts, "tls": tls})
    if server.https_redirect:
        redirect = {
            "port": _port(server.http_port, "HTTP", server),
            "hosts": hosts,
            "tls": {"httpsRedirect": True},
        }
        rendered.append(redirect)
    return rendered


def _hosts(server: Server) -> list[str]:
    """``./`` binds only VirtualServices of the Gateway's own namespace: others cannot attach to the host."""
    return [f"./{server.host}"]


def _port(number: int, protocol: str, server: Server) -> dict[str, Any]:
    # Port names are unique within a Gateway, hence the host in it.
    return {"number": number, "name": host_label(protocol.lower(), server.host), "protocol": protocol}
