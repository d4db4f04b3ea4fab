# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``mesh_gateways`` and the ``istio_gateways`` from which they take their defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...reading.reader import Reader
from ...reading.values import LABEL, SERVICE_ACCOUNT, WILDCARD_HOST
from ..mesh import Gateway, Server
from .service import Defaults

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Forward-secret AEAD suites of TLS 1.2; TLS 1.3 suites cannot be chosen in Envoy."""


@dataclasses.dataclass(frozen=True, slots=True)
class InstalledGateway:
    """A gateway that role ``istio`` installs. ``labels`` are those by which its pods are selected."""

    name: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    egress: bool


def read_installed_gateways(reader: Reader) -> dict[str, InstalledGateway]:
    """``istio_gateways`` by name. Role ``istio`` checks that variable; unusable entries are left out here.

    :returns: gateway name -> the gateway.
    """
    found: dict[str, InstalledGateway] = {}
    value: Any = reader.value("istio_gateways")
    for item in value if isinstance(value, (list, tuple)) else ():
        if not isinstance(item, Mapping):
            continue
        name, labels = str(item.get("name") or ""), item.get("labels")
        given = labels.get("istio") if isinstance(labels, Mapping) else None
        found[name] = InstalledGateway(
            name=name,
            namespace=str(item.get("namespace") or "istio-system"),
            service_account=str(item.get("service_account") or f"{name}-service-account"),
            labels={"istio": str(given or name.removeprefix("istio-"))},
            egress=item.get("egress") is True,
        )
    return found


def read_gateway(reader: Reader, defaults: Defaults, installed: Mapping[str, InstalledGateway]) -> Gateway:
    """One entry of ``mesh_gateways``."""
    name = reader.text("name", LABEL)
    workload = _workload(reader, installed)
    namespace = reader.text("workload_namespace", LABEL, default=workload.namespace if workload else None)
    account = reader.text(
        "service_account", SERVICE_ACCOUNT, default=workload.service_account if workload else None
    )
    selector = reader.labels("selector", default=workload.labels if workload else None)
    if not selector and not reader.has("selector"):
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


def _workload(reader: Reader, installed: Mapping[str, InstalledGateway]) -> InstalledGateway | None:
    """The installed gateway named by ``workload``; the only one there is when nothing names any."""
    name = reader.maybe_text("workload", LABEL)
    if name:
        if name in installed:
            return installed[name]
        reader.fault("workload", f"istio_gateways has no gateway {name!r}", "unknown-gateway")
        return InstalledGateway(name, "", "", {"istio": name}, egress=False)  # a stand-in
    explicit = all(reader.has(key) for key in ("workload_namespace", "service_account", "selector"))
    entries = [gateway for gateway in installed.values() if not gateway.egress]
    return entries[0] if len(entries) == 1 and not explicit else None


def _server(reader: Reader) -> Server:
    host = reader.text("host", WILDCARD_HOST)
    certificate = reader.maybe_text("certificate", LABEL)
    secure = reader.has("certificate")
    if not secure:
        for key in ("mode", "https_redirect", "min_tls", "max_tls", "cipher_suites"):
            if reader.has(key):
                reader.fault(key, "needs a certificate", "tls-without-certificate")
    server = Server(
        where=reader.where,
        host=host,
        certificate=certificate,
        mode=reader.choice("mode", ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"), default="SIMPLE"),
        https_redirect=reader.boolean("https_redirect", default=secure),
        min_tls=_tls_version(reader, "min_tls") or "1.2",
        max_tls=_tls_version(reader, "max_tls"),
        cipher_suites=reader.choices("cipher_suites", CIPHER_SUITES),
        port=reader.integer("port", 1, 65535, default=443 if secure else 80),
        http_port=reader.integer("http_port", 1, 65535, default=80),
    )
    if server.max_tls and server.max_tls < server.min_tls:
        reader.fault("max_tls", f"{server.max_tls} is below min_tls {server.min_tls}", "tls-range")
    if server.min_tls == "1.3" and server.cipher_suites:
        reader.fault("cipher_suites", "have no effect with min_tls 1.3", "tls-range")
    if secure and server.https_redirect and server.port == server.http_port:
        reader.fault("http_port", f"{server.http_port} is also the HTTPS port", "port-clash")
    reader.finish()
    return server


def _tls_version(reader: Reader, key: str) -> str | None:
    value = reader.value(key)
    if value is None:
        return None
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if text not in ("1.2", "1.3"):
        reader.fault(key, f"is {text!r}, not 1.2 or 1.3", "tls-floor")
        return None
    return text
