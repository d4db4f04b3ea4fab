# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of the catalogue as values. Durations are strings as given, percentages run from 0 to 100.

A timeout is a duration, ``NO_TIMEOUT``, or ``None`` where the catalogue says nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..reading.durations import NO_TIMEOUT

HTTP_PROTOCOLS = ("http", "http2", "grpc", "grpc-web")
STREAM_PROTOCOLS = ("tcp", "tls", "mongo", "mysql", "redis")
PROTOCOLS = HTTP_PROTOCOLS + STREAM_PROTOCOLS
MTLS_MODES = ("STRICT", "PERMISSIVE", "DISABLE")
"""From the strictest on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """A port of the Kubernetes Service. ``target_port`` is the workload's port, always a number."""

    name: str
    number: int
    target_port: int
    protocol: str

    @property
    def is_http(self) -> bool:
        """Whether proxies parse its requests, so that methods, paths and headers can be matched."""
        return self.protocol in HTTP_PROTOCOLS

    @property
    def family(self) -> str:
        """How a workload's proxy reads the port and speaks to the application: http1, http2 or stream."""
        if not self.is_http:
            return "stream"
        return "http1" if self.protocol == "http" else "http2"

    @property
    def is_grpc(self) -> bool:
        """Whether every request is a POST, whatever it does."""
        return self.protocol.startswith("grpc")


@dataclasses.dataclass(frozen=True, slots=True)
class Headless:
    """A headless Service over the pods of a service, as StatefulSets have one (``serviceName``). Its clients
    choose the pod themselves.

    :param ports: its ports, those included that only it has.
    """

    name: str
    fqdn: str
    ports: tuple[Port, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """A subset: the pods with these labels, run by ``workload`` (a Deployment's name)."""

    name: str
    labels: Mapping[str, str]
    workload: str


@dataclasses.dataclass(frozen=True, slots=True)
class Retries:
    """``conditions`` hold Envoy's retry_on words. Unless ``non_idempotent``, methods that are not idempotent
    are retried only when the request cannot have reached the service (see ``virtual_service_delegates``)."""

    attempts: int
    per_try_timeout: str | None
    conditions: tuple[str, ...]
    non_idempotent: bool


@dataclasses.dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Outlier detection: only the fields that istiod hands on to Envoy."""

    consecutive_5xx: int | None
    consecutive_gateway_errors: int | None
    consecutive_local_origin_failures: int | None
    interval: str | None
    base_ejection_time: str | None
    max_ejection_percent: int | None
    min_health_percent: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionPool:
    """Limits per client proxy and service."""

    max_connections: int | None
    connect_timeout: str | None
    max_connection_duration: str | None
    keepalive: Mapping[str, str | int] | None
    max_pending: int | None
    max_requests: int | None
    max_requests_per_connection: int | None
    max_retries: int | None
    idle_timeout: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class LoadBalancing:
    """``policy`` or ``hash_on`` (one of header, query, cookie, source_ip), plus locality and warm-up."""

    policy: str | None
    hash_on: Mapping[str, str] | None
    locality: Mapping[str, object] | None
    warmup: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class StringMatch:
    """``kind`` is exact, prefix or regex."""

    kind: str
    text: str

    def as_istio(self) -> dict[str, str]:
        """An Istio StringMatch. :returns: ``exact``, ``prefix`` or ``regex`` -> the text."""
        return {self.kind: self.text}


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """What a request must look like; all parts must hold."""

    headers: Mapping[str, StringMatch]
    cookie: tuple[str, str] | None
    query: Mapping[str, StringMatch]
    path: str | None
    path_exact: bool

    @property
    def matches_all(self) -> bool:
        """Whether it has no parts at all."""
        return not (self.headers or self.cookie or self.query or self.path)

    def covers(self, other: Condition) -> bool:
        """Whether every request that meets ``other`` meets this one as well."""
        return (
            self.headers.items() <= other.headers.items()
            and self.cookie in (None, other.cookie)
            and self.query.items() <= other.query.items()
            and self._covers_path(other)
        )

    def _covers_path(self, other: Condition) -> bool:
        if self.path is None or other.path is None:
            return self.path is None
        if self.path == other.path:
            return other.path_exact or not self.path_exact
        return not self.path_exact and other.path.startswith(self.path.rstrip("/") + "/")


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """An A/B variant: requests that meet ``when`` go to version ``to`` whatever the split says."""

    name: str
    to: str
    when: Condition


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Requests that meet ``when`` get their own timeout, retries or version; ``None`` inherits."""

    name: str
    when: Condition
    to: str | None
    timeout: str | None
    retries: Retries | None


@dataclasses.dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of ``percent`` of the requests goes to version ``to``; its answers are dropped. Methods that
    change something are mirrored only with ``writes``."""

    to: str
    percent: float
    writes: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """Injected faults, for requests with header ``only_header`` (any value) or, without it, for all."""

    delay_percent: float | None
    delay: str | None
    abort_percent: float | None
    abort_status: int | None
    only_header: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin rules for browsers."""

    origins: tuple[StringMatch, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age: str | None
    credentials: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """One edge of the allow-list. Exactly one of ``service`` (with ``namespace``), ``principal``,
    ``gateway``, ``anonymous`` and ``ip_blocks`` is set. Empty ``methods``, ``paths`` and ``ports`` mean all
    (of the service's own ports).

    :param where: variable path, for messages. :param anonymous: everybody, with or without an identity.
    :param ip_blocks: everybody whose connection comes from these networks (CIDR).
    :param reason: why somebody is let in of whom nothing is known; of the last two kinds only.
    """

    where: str
    service: str | None = None
    namespace: str | None = None
    principal: str | None = None
    gateway: str | None = None
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    anonymous: bool = False
    ip_blocks: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def has_identity(self) -> bool:
        """Whether the caller has to show who it is."""
        return not (self.anonymous or self.ip_blocks)


@dataclasses.dataclass(frozen=True, slots=True)
class Exposure:
    """A path of a gateway host that leads to the service. ``rewrite`` replaces ``path``.

    :param port: name of the service's port; ``None`` for the first that fits the gateway's server.
    """

    where: str
    gateway: str
    host: str
    path: str
    exact: bool
    rewrite: str | None
    methods: tuple[str, ...]
    port: str | None = None

    @property
    def inner_path(self) -> str:
        """The path as the service sees it."""
        return self.rewrite or self.path


@dataclasses.dataclass(frozen=True, slots=True)
class Mtls:
    """``mode`` is ``None`` for the mesh's mode. ``ports`` maps target ports to modes."""

    mode: str | None
    ports: Mapping[int, str]
    reason: str | None

    def mode_of(self, target_port: int, mesh_mode: str) -> str:
        """The mode that holds for a port of the workload: STRICT, PERMISSIVE or DISABLE."""
        return self.ports.get(target_port) or self.mode or mesh_mode


@dataclasses.dataclass(frozen=True, slots=True)
class Scrape:
    """A metrics endpoint of the application: target port, path and who may read it."""

    port: int
    path: str
    callers: tuple[Caller, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimit:
    """``requests`` in each ``per``, for each value of ``header`` or for all together.

    ``scope: local`` counts per proxy (the real limit is ``requests`` times replicas), ``global`` asks the
    rate limit service. ``at`` is service or gateway. ``max_keys`` bounds the header values that are tracked.
    ``anonymous_requests`` is the limit shared by requests without the header.
    """

    scope: str
    at: str
    requests: int
    per: str
    header: str | None
    max_keys: int
    anonymous_requests: int


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyResources:
    """Requests and limits of the sidecar container, as Kubernetes quantities."""

    cpu: str | None
    memory: str | None
    cpu_limit: str | None
    memory_limit: str | None
    concurrency: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One service. ``where`` is its variable path (``mesh_services[3]``); ``fqdn`` its cluster name.

    :param open_reason: why everybody may call it; ``None`` for a service with an allow-list.
    """

    where: str
    name: str
    namespace: str
    fqdn: str
    service_account: str
    principal: str
    labels: Mapping[str, str]
    ports: tuple[Port, ...]
    versions: Mapping[str, Version]
    initial_version: str | None
    timeout: str | None
    retries: Retries | None
    circuit_breaker: CircuitBreaker | None
    connection_pool: ConnectionPool | None
    load_balancing: LoadBalancing | None
    callers: tuple[Caller, ...]
    exposed: tuple[Exposure, ...]
    mtls: Mtls
    open_paths: tuple[str, ...]
    scrape: Scrape | None
    rate_limit: RateLimit | None
    routes: tuple[Route, ...]
    variants: tuple[Variant, ...]
    mirror: Mirror | None
    fault: Fault | None
    cors: Cors | None
    proxy: ProxyResources | None
    sidecar_hosts: tuple[str, ...]
    headless: Headless | None = None
    open_reason: str | None = None

    @property
    def scraped_without_mtls(self) -> bool:
        """Whether the service waives mTLS where it is scraped, and names nobody who comes without: then the
        scraper is one without a sidecar. A mesh that is PERMISSIVE as a whole waives nothing here."""
        scrape = self.scrape
        if scrape is None or self.mtls.mode_of(scrape.port, "STRICT") == "STRICT":
            return False
        return all(caller.has_identity for caller in scrape.callers)

    @property
    def ordered_routes(self) -> tuple[Route, ...]:
        """The routes as proxies try them: the longest path first, and the path itself before what is below.

        :returns: each once.
        """
        return tuple(
            sorted(self.routes, key=lambda item: (-len(item.when.path or ""), not item.when.path_exact))
        )

    def timeout_of(self, route: Route) -> str | None:
        """The timeout of requests that take ``route``: its own, else the service's."""
        return route.timeout or self.timeout

    def retries_of(self, route: Route) -> Retries | None:
        """The retries of requests that take ``route``: its own, else the service's.

        Of these a route without timeout takes over no ``per_try_timeout``: it would end what has to last.
        """
        if route.retries or self.retries is None or route.timeout != NO_TIMEOUT:
            return route.retries or self.retries
        return dataclasses.replace(self.retries, per_try_timeout=None)

    @property
    def key(self) -> str:
        """``namespace/name``, the key of release records and results."""
        return f"{self.namespace}/{self.name}"

    @property
    def http_port(self) -> Port | None:
        """The routed port: the first one that speaks HTTP. Splits, variants and timeouts apply to it."""
        return next((port for port in self.ports if port.is_http), None)

    @property
    def routed_port(self) -> Port | None:
        """The port whose traffic is split between versions: the HTTP port, else the first port."""
        return self.http_port or next(iter(self.ports), None)

    @property
    def all_ports(self) -> tuple[Port, ...]:
        """The ports of the Service and of its headless companion. :returns: each name once."""
        known = {port.name for port in self.ports}
        more = self.headless.ports if self.headless else ()
        return self.ports + tuple(port for port in more if port.name not in known)

    def target_ports(self, names: tuple[str, ...] = ()) -> tuple[int, ...]:
        """Sorted target ports of the named ports, or of all.

        :returns: each once; empty for a service without ports.
        """
        return tuple(sorted({port.target_port for port in self.all_ports if not names or port.name in names}))
