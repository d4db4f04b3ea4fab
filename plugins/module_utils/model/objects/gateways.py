# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway objects: hosts, certificates, redirect from HTTP, TLS floor."""

from __future__ import annotations

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
    servers = [server for item in gateway.servers for server in _servers(item)]
    return {"selector": dict(gateway.selector), "servers": servers}


def _servers(server: Server) -> list[dict[str, Any]]:
    # "./" binds only VirtualServices of the Gateway's own namespace: others cannot attach to the host.
    hosts = [f"./{server.host}"]
    if server.certificate is None:
        return [{"port": _port(server.port, "http", server), "hosts": hosts}]
    tls = {
        "mode": server.mode,
        "credentialName": server.certificate,
        "minProtocolVersion": _TLS_VERSIONS[server.min_tls],
        "maxProtocolVersion": _TLS_VERSIONS[server.max_tls] if server.max_tls else None,
        "cipherSuites": list(server.cipher_suites) or None,
    }
    rendered: list[dict[str, Any]] = [
        {"port": _port(server.port, "https", server), "hosts": hosts, "tls": tls}
    ]
    if server.https_redirect:
        redirect = {
            "port": _port(server.http_port, "http", server),
            "hosts": hosts,
            "tls": {"httpsRedirect": True},
        }
        rendered.append(redirect)
    return rendered


def _port(number: int, protocol: str, server: Server) -> dict[str, Any]:
    # Port names are unique within a Gateway, hence the host in it.
    return {"number": number, "name": host_label(protocol, server.host), "protocol": protocol.upper()}
