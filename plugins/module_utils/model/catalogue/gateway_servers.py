# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of one gateway's pods may share: ports, certificates, connections."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading.problems import Problems
from ..reading.values import PROXY_PORTS
from .mesh import Gateway, Server


def check_gateway_ports(servers: Sequence[Server], problems: Problems) -> None:
    """On one port istiod merges plain HTTP with plain HTTP, and TLS with TLS, which it tells apart by name.
    Whatever else meets there is dropped (istio pilot/pkg/model/gateway.go mergeGateways).
    """
    for item in servers:
        ports = [("port", item.port), *([("http_port", item.http_port)] if item.https_redirect else [])]
        for key, number in ports:
            if number in PROXY_PORTS:
                message = f"{number} is a port of the proxy itself"
                problems.add(f"{item.where}.{key}", message, "proxy-port")
    encrypted = {item.port: item for item in servers if item.protocol in ("HTTPS", "TLS")}
    streams: dict[int, Server] = {}
    for item in servers:
        if item.protocol == "TCP":
            first = streams.setdefault(item.port, item)
            if first is not item:
                message = f"port {item.port} serves TCP for {first.where} already, and TCP carries no name"
                problems.add(item.where, message, "port-clash")
    plain = {item.port: item for item in servers if item.protocol == "HTTP"}
    plain |= {item.http_port: item for item in servers if item.protocol == "HTTPS" and item.https_redirect}
    for others, taken in ((plain, encrypted), (plain, streams), (streams, encrypted)):
        for port in sorted(others.keys() & taken.keys()):
            message = f"port {port} serves {taken[port].protocol} for {taken[port].where} as well"
            problems.add(others[port].where, message, "port-clash")


def check_shared_certificates(served: Sequence[tuple[Gateway, Server]], problems: Problems) -> None:
    """Clients send requests for all hosts of a certificate over one connection (RFC 9113, section 9.1.1), so
    these hosts have to be one server of one Gateway: any other answers 404 to a host that is not its own.
    """
    first: dict[tuple[int, str], tuple[Gateway, Server]] = {}
    for gateway, server in served:
        if server.certificate is None or server.protocol != "HTTPS":
            continue
        owner, model = first.setdefault((server.port, server.certificate), (gateway, server))
        shared = f"connections are shared with {model.where}, which has the same certificate"
        if owner is not gateway:
            message = f"{shared}: put both under one gateway, or give it a certificate of its own"
            problems.add(f"{server.where}.certificate", message, "shared-certificate")
        elif _tls_settings(server) != _tls_settings(model):
            message = f"{shared}: give both the same TLS settings, or give it a certificate of its own"
            problems.add(f"{server.where}.certificate", message, "shared-certificate")


def _tls_settings(server: Server) -> tuple[object, ...]:
    """What is settled in the handshake. :returns: equal for servers that may share a connection."""
    return server.mode, server.min_tls, server.max_tls, server.cipher_suites
