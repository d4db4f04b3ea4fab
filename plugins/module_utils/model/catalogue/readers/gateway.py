# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``mesh_gateways`` and ``mesh_egress_gateway``, which take their defaults from ``istio_gateways``."""

from __future__ import annotations

from collections.abc import Sequence

from ...installation.gateways import InstalledGateway, workload_of
from ...reading.problems import Problems
from ...reading.reader import Reader
from ...reading.values import CREDENTIAL, LABEL, SERVICE_ACCOUNT, WILDCARD_HOST
from ..mesh import EgressGateway, Gateway, Server
from .service import Defaults

MODES = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH")
PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP")
_WITH_CERTIFICATE = ("https_redirect", "min_tls", "max_tls", "cipher_suites")

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Forward-secret AEAD suites of TLS 1.2; TLS 1.3 suites cannot be chosen in Envoy."""


def read_gateway(reader: Reader, defaults: Defaults, installed: Sequence[InstalledGateway]) -> Gateway:
    """One entry of ``mesh_gateways``."""
    name = reader.text("name", LABEL)
    workload = workload_of(reader, installed)
    # A workload that is named and unknown has been reported; what would come from it is not missed again.
    absent = "" if reader.has("workload") else None
    namespace = reader.text("workload_namespace", LABEL, default=workload.namespace if workload else absent)
    account = reader.text(
        "service_account", SERVICE_ACCOUNT, default=workload.service_account if workload else absent
    )
    selector = reader.labels("selector", default=workload.selector if workload else None)
    if not selector and not reader.has("selector") and absent is None:
        reader.fault("selector", "is required; it has no default without istio_gateways", "required")
    gateway = Gateway(
        where=reader.where,
        name=name,
        namespace=reader.text("namespace", LABEL, default=defaults.namespace),
        workload_namespace=namespace,
        service_account=account,
        principal=defaults.principal(namespace, account),
        selector=selector,
        servers=tuple(_server(item) for item in reader.sections("servers")),
    )
    if not gateway.servers and reader.sound("servers"):
        reader.fault("servers", "needs at least one host", "required")
    reader.finish()
    return gateway


def read_egress_gateway(
    reader: Reader | None, defaults: Defaults, installed: Sequence[InstalledGateway], problems: Problems
) -> EgressGateway | None:
    """``mesh_egress_gateway``; without it the one gateway of ``istio_gateways`` that is marked ``egress``."""
    if reader is None:
        if len([gateway for gateway in installed if gateway.egress]) != 1:
            return None
        reader = Reader({}, "mesh_egress_gateway", problems)
    workload = workload_of(reader, installed, egress=True)
    if not reader.sound("workload"):
        return None
    namespace = reader.text("workload_namespace", LABEL, default=workload.namespace if workload else None)
    account = reader.text(
        "service_account", SERVICE_ACCOUNT, default=workload.service_account if workload else None
    )
    service = reader.text("service", LABEL, default=workload.name if workload else None)
    selector = reader.labels("selector", default=workload.selector if workload else None)
    if not selector and not reader.has("selector"):
        reader.fault("selector", "is required", "required")
    gateway = EgressGateway(
        host=defaults.fqdn(namespace, service),
        port=reader.integer("port", 1, 65535, default=443),
        workload_namespace=namespace,
        service_account=account,
        principal=defaults.principal(namespace, account),
        selector=selector,
    )
    reader.finish()
    return gateway


def _server(reader: Reader) -> Server:
    host = reader.text("host", WILDCARD_HOST)
    certificate = reader.maybe_text("certificate", CREDENTIAL)
    mode = reader.choice("mode", MODES, default="SIMPLE")
    protocol = _protocol(reader, mode)
    encrypted = protocol in ("HTTPS", "TLS")
    server = Server(
        where=reader.where,
        host=host,
        protocol=protocol,
        certificate=certificate,
        mode=mode,
        https_redirect=reader.boolean("https_redirect", default=protocol == "HTTPS"),
        min_tls=_tls_version(reader, "min_tls") or "1.2",
        max_tls=_tls_version(reader, "max_tls"),
        cipher_suites=reader.choices("cipher_suites", CIPHER_SUITES),
        # A port for bytes of any kind has no usual number.
        port=reader.integer(
            "port", 1, 65535, default=443 if encrypted else None if protocol == "TCP" else 80
        ),
        http_port=reader.integer("http_port", 1, 65535, default=80),
    )
    _check_server(server, reader)
    reader.finish()
    return server


def _protocol(reader: Reader, mode: str) -> str:
    """``protocol``, by default the one that goes with ``mode`` and ``certificate``."""
    secure, passthrough = reader.has("certificate"), mode == "PASSTHROUGH"
    usual = "TLS" if passthrough else "HTTPS" if secure else "HTTP"
    protocol = reader.choice("protocol", PROTOCOLS, default=usual)
    if not reader.sound("protocol", "mode", "certificate"):
        return usual
    if passthrough and secure:
        reader.fault(
            "certificate", "has no use with mode PASSTHROUGH: TLS ends at the service", "tls-passthrough"
        )
    elif passthrough and protocol != "TLS":
        reader.fault("protocol", f"is {protocol}; mode PASSTHROUGH goes with TLS", "tls-passthrough")
    elif secure and protocol in ("HTTP", "TCP"):
        other = "HTTPS" if protocol == "HTTP" else "TLS"
        reader.fault("protocol", f"is {protocol}; with a certificate it is {other}", "tls-certificate")
    elif not secure and not passthrough and protocol in ("HTTPS", "TLS"):
        way_out = " or mode PASSTHROUGH" if protocol == "TLS" else ""
        reader.fault("protocol", f"{protocol} needs a certificate{way_out}", "tls-without-certificate")
    else:
        return protocol
    return usual


def _check_server(server: Server, reader: Reader) -> None:
    if not reader.sound("protocol", "mode", "certificate"):
        return
    if server.certificate is None:
        keys = _WITH_CERTIFICATE if server.is_passthrough else ("mode", *_WITH_CERTIFICATE)
        for key in keys:
            if reader.has(key):
                reader.fault(key, "needs a certificate", "tls-without-certificate")
    elif server.https_redirect and server.protocol != "HTTPS":
        reader.fault("https_redirect", f"needs protocol HTTPS, not {server.protocol}", "http-only")
    if server.max_tls and server.max_tls < server.min_tls:
        reader.fault("max_tls", f"{server.max_tls} is below min_tls {server.min_tls}", "tls-range")
    if server.min_tls == "1.3" and server.cipher_suites:
        reader.fault("cipher_suites", "have no effect with min_tls 1.3", "tls-range")
    if reader.has("http_port") and not server.https_redirect and reader.sound("https_redirect"):
        reader.fault("http_port", "is the port of a redirect to HTTPS, and there is none", "http-only")
    if server.certificate and server.https_redirect and server.port == server.http_port:
        reader.fault("http_port", f"{server.http_port} is also the HTTPS port", "port-clash")


def _tls_version(reader: Reader, key: str) -> str | None:
    value = reader.value(key)
    if value is None:
        return None
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if text not in ("1.2", "1.3"):
        reader.fault(key, f"is {text!r}, not 1.2 or 1.3", "tls-floor")
        return None
    return text
