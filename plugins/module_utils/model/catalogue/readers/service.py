# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``mesh_services``: identity, ports, versions, policies. Traffic settings are read by read_traffic."""

from __future__ import annotations

import dataclasses

from ...reading.durations import seconds
from ...reading.principals import Principal
from ...reading.reader import Reader
from ...reading.values import (
    EGRESS_HOST,
    HEADER,
    HOST,
    LABEL,
    PATH,
    PROXY_PORTS,
    REASON,
    SERVICE_ACCOUNT,
    WORKLOAD,
    amount,
    is_number,
)
from ..services import (
    MTLS_MODES,
    PROTOCOLS,
    Exposure,
    Headless,
    Mtls,
    Port,
    ProxyResources,
    RateLimit,
    Scrape,
    Service,
    Version,
)
from .callers import IDENTITIES, METHODS, UNKNOWN, read_callers
from .ports import check_distinct_ports
from .traffic import read_cors, read_fault, read_mirror, read_retries, read_routes, read_variants
from .traffic_policy import read_circuit_breaker, read_connection_pool, read_load_balancing

_LEAST_MEMORY = 1024 * 1024
"""Less is no size of a proxy: ``64m`` is a fraction of a byte."""

_CALLERS_PORTS = frozenset({15001, 15006, 15021, 15090})
"""Where a proxy listens on all addresses: istiod makes no other listener of that kind there
(istio pilot/pkg/model/context.go, conflictWithReservedListener)."""

GLOBAL_UNITS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
"""The periods that the rate limit service knows, by seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Defaults:
    """What services, gateways and external services inherit from the mesh."""

    namespace: str
    trust_domain: str
    cluster_domain: str

    def principal(self, namespace: str, service_account: str) -> str:
        """The SPIFFE identity without its scheme, as AuthorizationPolicies write it."""
        return str(Principal(self.trust_domain, namespace, service_account))

    def fqdn(self, namespace: str, service: str) -> str:
        """The name of a Service in the cluster's DNS."""
        return f"{service}.{namespace}.svc.{self.cluster_domain}"


def read_service(reader: Reader, defaults: Defaults) -> Service:
    """One entry of ``mesh_services``."""
    name = reader.text("name", LABEL)
    namespace = reader.text("namespace", LABEL, default=defaults.namespace)
    account = reader.text("service_account", SERVICE_ACCOUNT, default=name)
    versions = {key: _version(item, key, name) for key, item in reader.table("versions").items()}
    ports = _ports(reader)
    service = Service(
        where=reader.where,
        name=name,
        namespace=namespace,
        fqdn=defaults.fqdn(namespace, name),
        service_account=account,
        principal=defaults.principal(namespace, account),
        labels=reader.labels("labels", default={"app": name}),
        ports=ports,
        headless=_headless(reader, ports, namespace, defaults),
        versions=versions,
        initial_version=_initial_version(reader, versions),
        timeout=reader.timeout("timeout"),
        retries=read_retries(reader),
        circuit_breaker=read_circuit_breaker(reader.section("circuit_breaker")),
        connection_pool=read_connection_pool(reader.section("connection_pool")),
        load_balancing=read_load_balancing(reader.section("load_balancing")),
        callers=read_callers(reader, namespace),
        open_reason=read_open(reader, "open"),
        exposed=tuple(_exposure(item) for item in reader.sections("exposed")),
        mtls=_mtls(reader.section("mtls")),
        open_paths=reader.texts("open_paths", PATH),
        scrape=_scrape(reader.section("scrape"), namespace),
        rate_limit=_rate_limit(reader.section("rate_limit")),
        routes=read_routes(reader),
        variants=read_variants(reader),
        mirror=read_mirror(reader.section("mirror")),
        fault=read_fault(reader.section("fault")),
        cors=read_cors(reader.section("cors")),
        proxy=_proxy(reader.section("proxy")),
        sidecar_hosts=reader.texts("sidecar_hosts", EGRESS_HOST),
    )
    reader.finish()
    return service


def _ports(reader: Reader) -> tuple[Port, ...]:
    ports = tuple(_port(item) for item in reader.sections("ports"))
    if not ports and reader.sound("ports"):
        reader.fault("ports", "needs at least one port", "required")
    check_distinct_ports(reader, ports)
    return ports


def _port(reader: Reader) -> Port:
    number = reader.integer("number", 1, 65535)
    protocol = reader.choice("protocol", PROTOCOLS)
    port = Port(
        name=reader.text("name", LABEL, default=protocol),
        number=number,
        target_port=reader.integer("target_port", 1, 65535, default=number),
        protocol=protocol,
    )
    _check_proxy_ports(reader, port)
    reader.finish()
    return port


def _check_proxy_ports(reader: Reader, port: Port) -> None:
    if not reader.sound("number", "target_port", "protocol"):
        return
    if port.target_port in PROXY_PORTS:
        key = "target_port" if reader.has("target_port") else "number"
        message = f"{port.target_port} is a port of the sidecar itself: no application can listen there"
        reader.fault(key, message, "proxy-port")
    elif port.is_http and port.number in _CALLERS_PORTS:
        message = f"{port.number} is a port of every caller's sidecar, which would serve no calls to it"
        reader.fault("number", message, "proxy-port")


def _headless(reader: Reader, ports: tuple[Port, ...], namespace: str, defaults: Defaults) -> Headless | None:
    """``headless``: a name, or a name and the ports, where they are not those of the service."""
    raw = reader.value("headless")
    if raw is None:
        return None
    section = Reader({"name": raw} if isinstance(raw, str) else raw, reader.path("headless"), reader.problems)
    name = section.text("name", LABEL)
    own = _ports(section) if section.has("ports") else ports
    known = {port.name: port for port in ports}
    for port in own:
        sound = reader.sound("ports") and section.sound("ports")
        if known.get(port.name, port).target_port != port.target_port and sound:
            target = known[port.name].target_port
            message = f"port {port.name} has target_port {target} in the service, and both have the same pods"
            section.fault("ports", message, "headless")
    section.finish()
    return Headless(name, defaults.fqdn(namespace, name), own)


def read_open(reader: Reader, key: str) -> str | None:
    """``open`` and ``mesh_open``: the reason why everybody is let in, ``None`` when not everybody is."""
    section = reader.section(key)
    if section is None:
        return None
    reason = section.text("reason", REASON)
    section.finish()
    return reason


def _version(reader: Reader, name: str, service: str) -> Version:
    fault = LABEL.fault(name)
    if fault:
        reader.fault("", fault, LABEL.rule)
    version = Version(
        name=name,
        labels=reader.labels("labels", default={"version": name}),
        workload=reader.text("workload", WORKLOAD, default=f"{service}-{name}"),
    )
    reader.finish()
    return version


def _initial_version(reader: Reader, versions: dict[str, Version]) -> str | None:
    initial = reader.maybe_text("initial_version")
    if initial is None:
        if len(versions) > 1 and not reader.has("initial_version"):
            reader.fault("initial_version", "is required when there are several versions", "required")
        return next(iter(versions), None)
    if initial not in versions:
        if reader.sound("versions"):
            reader.fault("initial_version", f"{initial!r} is not one of the versions", "unknown-version")
        return next(iter(versions), None)
    return initial


def _exposure(reader: Reader) -> Exposure:
    exposure = Exposure(
        where=reader.where,
        gateway=reader.text("gateway", LABEL),
        host=reader.text("host", HOST),
        port=reader.maybe_text("port", LABEL),
        path=reader.text("path", PATH, default="/"),
        exact=reader.choice("match", ("prefix", "exact"), default="prefix") == "exact",
        rewrite=reader.maybe_text("rewrite", PATH),
        methods=reader.choices("methods", METHODS),
    )
    reader.not_empty("methods")
    for key in ("path", "rewrite"):
        value = reader.value(key)
        if reader.sound(key) and value is not None and len(value) > 1 and value.endswith("/"):
            reader.fault(
                key,
                f"{value!r} ends in '/'; {value.rstrip('/')!r} covers it and everything below",
                "path-boundary",
            )
    reader.finish()
    return exposure


def _mtls(reader: Reader | None) -> Mtls:
    if reader is None:
        return Mtls(None, {}, None)
    mode = reader.choice("mode", MTLS_MODES) if reader.has("mode") else None
    ports: dict[int, str] = {}
    section = reader.section("ports")
    for key in section.raw() if section else ():
        if not is_number(key) or str(int(key)) != key or not 1 <= int(key) <= 65535:
            reader.fault("ports", f"{key!r} is not a target port (1 to 65535)", "range")
        elif section:
            ports[int(key)] = section.choice(key, MTLS_MODES)
    mtls = Mtls(mode, ports, reader.maybe_text("reason", REASON))
    reader.finish()
    return mtls


def _scrape(reader: Reader | None, namespace: str) -> Scrape | None:
    if reader is None:
        return None
    scrape = Scrape(
        port=reader.integer("port", 1, 65535),
        path=reader.text("path", PATH, default="/metrics"),
        callers=read_callers(reader, namespace, with_requests=False, kinds=(*IDENTITIES, *UNKNOWN)),
    )
    if scrape.port in PROXY_PORTS:
        message = (
            f"{scrape.port} is a port of the sidecar itself, which no policy keeps anybody out of: leave"
            " scrape out, or name the application's own port"
        )
        reader.fault("port", message, "proxy-port")
    if not scrape.callers and reader.sound("callers"):
        reader.fault("callers", "needs at least one scraper", "required")
    reader.finish()
    return scrape


def _rate_limit(reader: Reader | None) -> RateLimit | None:
    if reader is None:
        return None
    requests = reader.integer("requests", 1, 1_000_000)
    by = reader.section("by")
    header = by.text("header", HEADER) if by else None
    if by:
        by.finish()
    for key in ("max_keys", "anonymous_requests"):
        if by is None and reader.has(key):
            reader.fault(key, "needs by.header", "rate-limit-key")
    scope = reader.choice("scope", ("local", "global"), default="local")
    if scope == "global" and by is not None and reader.has("max_keys"):
        reader.fault("max_keys", "has no effect with scope global: every value counts", "rate-limit-key")
    per = reader.duration("per", required=True)
    limit = RateLimit(
        scope=scope,
        at=reader.choice("at", ("service", "gateway"), default="service"),
        requests=requests,
        per=per or "60s",
        header=header,
        max_keys=reader.integer("max_keys", 1, 1_000_000, default=10_000),
        anonymous_requests=reader.integer("anonymous_requests", 1, 1_000_000, default=requests),
    )
    if scope == "global" and seconds(limit.per) not in GLOBAL_UNITS:
        reader.fault(
            "per",
            f"is {limit.per!r}; the rate limit service counts per 1s, 60s, 1h or 24h",
            "rate-limit-unit",
        )
    if scope == "local" and seconds(limit.per) < 0.05:
        reader.fault("per", f"is {limit.per!r}; Envoy refills no faster than every 50ms", "rate-limit-unit")
    reader.finish()
    return limit


def _proxy(reader: Reader | None) -> ProxyResources | None:
    if reader is None:
        return None
    proxy = ProxyResources(
        cpu=reader.quantity("cpu"),
        memory=reader.quantity("memory"),
        cpu_limit=reader.quantity("cpu_limit"),
        memory_limit=reader.quantity("memory_limit"),
        concurrency=reader.maybe_integer("concurrency", 0, 64),
    )
    for key, size, limit in (
        ("cpu", proxy.cpu, proxy.cpu_limit),
        ("memory", proxy.memory, proxy.memory_limit),
    ):
        if size and limit and amount(size) > amount(limit):
            message = f"is {size}, more than {key}_limit {limit}: the API server refuses such pods"
            reader.fault(key, message, "quantity")
    for key in ("memory", "memory_limit"):
        bytes_ = getattr(proxy, key)
        if bytes_ and amount(bytes_) < _LEAST_MEMORY:
            reader.fault(key, f"is {bytes_}, which is {amount(bytes_):f} bytes", "quantity")
    reader.finish()
    return proxy
