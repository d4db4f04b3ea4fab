# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``mesh_external_services``."""

from __future__ import annotations

import ipaddress

from ...reading.reader import Reader
from ...reading.values import (
    ADDRESS,
    EXTERNAL_HOST,
    HOST,
    LABEL,
    NETWORK,
    TEXT,
    covers_all,
    is_address,
    is_single_address,
)
from ..mesh import EXTERNAL_HTTP_PROTOCOLS, ExternalPort, ExternalService, OriginateTls
from ..streams import STREAMS, Network, meet
from .callers import IDENTITIES, read_callers
from .ports import check_distinct_ports
from .service import Defaults
from .traffic_policy import read_circuit_breaker, read_connection_pool

PROTOCOLS = (*EXTERNAL_HTTP_PROTOCOLS, "HTTPS", "TLS", *STREAMS)


def read_external_service(reader: Reader, defaults: Defaults) -> ExternalService:
    """One entry of ``mesh_external_services``."""
    hosts = reader.texts("hosts", EXTERNAL_HOST)
    addresses = reader.texts("addresses", NETWORK)
    endpoints = reader.texts("endpoints", ADDRESS)
    namespace = reader.text("namespace", LABEL, default=defaults.namespace)
    external = ExternalService(
        where=reader.where,
        name=reader.text("name", LABEL),
        namespace=namespace,
        hosts=hosts,
        ports=tuple(_port(item) for item in reader.sections("ports")),
        addresses=addresses,
        resolution=reader.choice(
            "resolution", ("DNS", "STATIC", "NONE"), default=_usual_resolution(hosts, addresses, endpoints)
        ),
        endpoints=endpoints,
        callers=read_callers(reader, namespace, with_requests=False, kinds=IDENTITIES),
        via_egress_gateway=reader.choice("via", ("sidecar", "egress_gateway"), default="sidecar")
        == "egress_gateway",
        originate_tls=_originate(reader.section("originate_tls")),
        timeout=reader.timeout("timeout"),
        circuit_breaker=read_circuit_breaker(reader.section("circuit_breaker")),
        connection_pool=read_connection_pool(reader.section("connection_pool")),
    )
    _check(external, reader)
    reader.finish()
    return external


def _usual_resolution(hosts: tuple[str, ...], addresses: tuple[str, ...], endpoints: tuple[str, ...]) -> str:
    """What is known by its address needs no DNS: a connection goes where the application sends it."""
    if addresses and endpoints and all(map(is_address, endpoints)):
        return "STATIC"
    known_by_address = addresses and not endpoints
    return "NONE" if known_by_address or any(host.startswith("*") for host in hosts) else "DNS"


def _port(reader: Reader) -> ExternalPort:
    number = reader.integer("number", 1, 65535)
    protocol = reader.choice("protocol", PROTOCOLS)
    port = ExternalPort(
        name=reader.text("name", LABEL, default=f"{protocol.lower()}-{number}"),
        number=number,
        protocol=protocol,
        target_port=reader.maybe_integer("target_port", 1, 65535),
    )
    reader.finish()
    return port


def _originate(reader: Reader | None) -> OriginateTls | None:
    if reader is None:
        return None
    tls = OriginateTls(
        sni=reader.maybe_text("sni", HOST),
        subject_alt_names=reader.texts("subject_alt_names", HOST),
        ca_certificates=reader.text("ca_certificates", TEXT, default="system"),
    )
    reader.finish()
    return tls


def _check(external: ExternalService, reader: Reader) -> None:
    """Rules of istiod's validator (pkg/config/validation/validation.go, ServiceEntry) and some of our own."""
    for key, value in (("hosts", external.hosts), ("ports", external.ports), ("callers", external.callers)):
        if not value and reader.sound(key):
            reader.fault(key, "needs at least one entry", "required")
    check_distinct_ports(reader, external.ports)
    if not reader.sound("hosts", "ports", "resolution", "endpoints", "addresses"):
        return
    _check_addresses(external, reader)
    _check_resolution(external, reader)
    _check_http(external, reader)
    if external.via_egress_gateway:
        _check_egress(external, reader)


def _wildcard(external: ExternalService) -> bool:
    return any(host.startswith("*") for host in external.hosts)


def _check_resolution(external: ExternalService, reader: Reader) -> None:
    resolution, endpoints = external.resolution, external.endpoints
    if resolution == "DNS" and _wildcard(external) and not endpoints:
        message = "DNS cannot resolve a wildcard host without endpoints; use NONE"
        reader.fault("resolution", message, "resolution")
    if resolution == "NONE" and endpoints:
        reader.fault("endpoints", "cannot be given with resolution NONE", "resolution")
    if resolution == "STATIC" and not endpoints:
        reader.fault("endpoints", "are required with resolution STATIC", "resolution")
    if resolution == "STATIC" and not all(is_address(endpoint) for endpoint in endpoints):
        reader.fault("endpoints", "must be addresses with resolution STATIC; use DNS for names", "resolution")
    streams = any(port.protocol in STREAMS for port in external.ports)
    if len(external.hosts) > 1 and resolution != "NONE" and streams:
        message = "a plain TCP port carries no host name, so only one host can be told apart"
        reader.fault("hosts", message, "tcp-host")


def _check_addresses(external: ExternalService, reader: Reader) -> None:
    if covers_all(external.addresses):
        reader.fault("addresses", "are every address there is, together", "address")
    networks = [text for text in external.addresses if not is_single_address(text)]
    known: list[Network] = []
    for text in external.addresses:
        network = ipaddress.ip_network(text)
        if any(meet(network, other) for other in known):
            reader.fault("addresses", f"{text} is already in another entry", "duplicate")
        known.append(network)
    if networks and external.resolution == "DNS":  # the CRD's own rule
        reader.fault("addresses", f"{networks[0]} is a network; use resolution NONE or STATIC", "resolution")
    if networks and any(port.is_http for port in external.ports):
        message = f"{networks[0]} is a network; HTTP is told apart by names and single addresses, so use TCP"
        reader.fault("addresses", message, "address")
    if external.addresses and external.via_egress_gateway:
        reader.fault("addresses", "an egress gateway tells hosts apart by name", "egress-tcp")


def _check_http(external: ExternalService, reader: Reader) -> None:
    if not any(port.is_http for port in external.ports):
        for key in ("originate_tls", "timeout"):
            if reader.has(key):
                reader.fault(key, "needs a port of protocol HTTP, HTTP2 or GRPC", "http-only")
    if (external.originate_tls or external.timeout) and _wildcard(external):
        reader.fault("hosts", "a wildcard host cannot be routed or given its own TLS settings", "wildcard")


def _check_egress(external: ExternalService, reader: Reader) -> None:
    if len(external.ports) > 1:
        reader.fault("ports", "an egress gateway tells hosts apart by name, so one port each", "egress-port")
    if _wildcard(external):
        reader.fault("via", "an egress gateway needs named hosts", "wildcard")
    if any(port.protocol in STREAMS for port in external.ports):
        message = "plain TCP ports cannot be told apart at an egress gateway; use TLS"
        reader.fault("via", message, "egress-tcp")
