# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole catalogue as values, and the look-ups that every renderer shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from .services import Caller, CircuitBreaker, ConnectionPool, Service

EXTERNAL_HTTP_PROTOCOLS = ("HTTP", "HTTP2", "GRPC")


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """One host of a gateway.

    :param protocol: HTTP, HTTPS, TLS or TCP; what the gateway reads of HTTPS and HTTP are requests, of the
        other two bytes. :param certificate: the Secret beside the gateway's pods, of HTTPS and of TLS that
        ends at the gateway. :param mode: SIMPLE, MUTUAL, OPTIONAL_MUTUAL, or PASSTHROUGH: TLS ends at the
        service, and the gateway reads the name in the handshake (SNI) only.
    :param min_tls: 1.2 or 1.3. :param port: of the gateway. :param http_port: of the redirect.
    """

    where: str
    host: str
    protocol: str
    certificate: str | None
    mode: str
    https_redirect: bool
    min_tls: str
    max_tls: str | None
    cipher_suites: tuple[str, ...]
    port: int
    http_port: int

    @property
    def is_http(self) -> bool:
        """Whether the gateway reads requests, so that paths and methods can be told apart."""
        return self.protocol in ("HTTP", "HTTPS")

    @property
    def is_passthrough(self) -> bool:
        """Whether TLS ends at the service and not at the gateway."""
        return self.mode == "PASSTHROUGH"


@dataclasses.dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway object in ``namespace``, bound to the pods ``selector`` in ``workload_namespace``."""

    where: str
    name: str
    namespace: str
    workload_namespace: str
    service_account: str
    principal: str
    selector: Mapping[str, str]
    servers: tuple[Server, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class EgressGateway:
    """The egress gateway that ``via: egress_gateway`` uses. ``host`` and ``port`` are its Service's."""

    host: str
    port: int
    workload_namespace: str
    service_account: str
    principal: str
    selector: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalPort:
    """A port that callers use. With ``target_port`` the traffic leaves for another one."""

    name: str
    number: int
    protocol: str
    target_port: int | None

    @property
    def is_http(self) -> bool:
        """Whether the application's proxy parses its requests; HTTPS is opaque to it."""
        return self.protocol in EXTERNAL_HTTP_PROTOCOLS


@dataclasses.dataclass(frozen=True, slots=True)
class OriginateTls:
    """TLS that the proxy adds: SNI and accepted names default to the host, the CA to the system's."""

    sni: str | None
    subject_alt_names: tuple[str, ...]
    ca_certificates: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalService:
    """Something outside the mesh.

    :param addresses: addresses and networks (CIDR) that applications connect to; empty where the name is
        enough. :param resolution: DNS, STATIC or NONE (to the address that the application chose).
    :param endpoints: addresses or names to which the proxy sends instead.
    """

    where: str
    name: str
    namespace: str
    hosts: tuple[str, ...]
    ports: tuple[ExternalPort, ...]
    resolution: str
    endpoints: tuple[str, ...]
    callers: tuple[Caller, ...]
    via_egress_gateway: bool
    originate_tls: OriginateTls | None
    timeout: str | None
    circuit_breaker: CircuitBreaker | None
    connection_pool: ConnectionPool | None
    addresses: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class MetricTags:
    """Changes to the mesh's metrics: ``remove`` drops tags, ``add`` maps tags to bounded expressions."""

    provider: str
    remove: tuple[str, ...]
    add: Mapping[str, str]
    disabled: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Telemetry:
    """``access_log`` is errors, all or none; ``None`` anywhere leaves the mesh's own setting."""

    access_log: str | None
    access_log_provider: str
    trace_sampling_percent: float | None
    tracing_provider: str | None
    metrics: MetricTags | None


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimitService:
    """The shared rate limit service (envoyproxy/ratelimit) behind ``scope: global``."""

    host: str
    port: int
    namespace: str
    timeout: str
    deny_on_failure: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Catalogue:
    """A mesh. Services, gateways and external services keep the order in which they were given.

    :param namespace: of services that name none. :param istio_namespace: where istiod runs.
    :param default_deny: whether a workload without an allow-list lets nobody in.
    :param open_reason: why nothing is authorized in the whole mesh; ``None`` when it is.
    :param root_namespace: where istiod looks for mesh-wide objects.
    """

    name: str
    namespace: str
    istio_namespace: str
    root_namespace: str
    mtls_mode: str
    outbound: str
    trust_domain: str
    trust_domain_aliases: tuple[str, ...]
    cluster_domain: str
    default_deny: bool
    sidecar_hosts: tuple[str, ...]
    services: tuple[Service, ...]
    gateways: tuple[Gateway, ...]
    external_services: tuple[ExternalService, ...]
    egress_gateway: EgressGateway | None
    telemetry: Telemetry | None
    rate_limit_service: RateLimitService | None
    open_reason: str | None = None

    _services: Mapping[str, Service] = dataclasses.field(init=False, repr=False, compare=False)
    _callees: Mapping[str, tuple[Service, ...]] = dataclasses.field(init=False, repr=False, compare=False)
    _open: tuple[Service, ...] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Indexes the services: a mesh of thousands is asked thousands of times who calls whom."""
        services: dict[str, Service] = {}
        for service in self.services:
            services.setdefault(service.key, service)
        object.__setattr__(self, "_services", services)
        callees: dict[str, dict[str, Service]] = {}
        for service in self.services:
            for caller in filter(lambda item: item.has_identity, all_callers(service)):
                callees.setdefault(self.principal_of(caller), {})[service.key] = service
        found = {principal: tuple(entries.values()) for principal, entries in callees.items()}
        object.__setattr__(self, "_callees", found)
        opened = tuple(service for service in self.services if self.open_reason_of(service) is not None)
        object.__setattr__(self, "_open", opened)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that hold services, sorted. :returns: each once."""
        return tuple(sorted({service.namespace for service in self.services}))

    @property
    def object_namespaces(self) -> tuple[str, ...]:
        """Where objects of the mesh lie, but for those beside gateways' pods. :returns: sorted, each once."""
        found = {gateway.namespace for gateway in self.gateways}
        found |= {external.namespace for external in self.external_services}
        return tuple(sorted(found | set(self.namespaces)))

    @property
    def gateway_namespaces(self) -> tuple[str, ...]:
        """The namespaces of the gateways' pods, sorted. :returns: each once."""
        found = {gateway.workload_namespace for gateway in self.gateways}
        if self.egress_gateway is not None:
            found.add(self.egress_gateway.workload_namespace)
        return tuple(sorted(found))

    @property
    def caller_namespaces(self) -> tuple[str, ...]:
        """The namespaces of callers, sorted; one may have no service. :returns: each once."""
        principals = {
            self.principal_of(caller) for service in self.services for caller in all_callers(service)
        }
        # TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT; a pattern names no namespace
        parts = (text.split("/") for text in principals)
        return tuple(sorted({found[2] for found in parts if len(found) == 5} - {"*"}))

    def service(self, name: str, namespace: str | None = None) -> Service | None:
        """The service of that name, in ``mesh_namespace`` unless told otherwise."""
        return self._services.get(f"{namespace or self.namespace}/{name}")

    def gateway(self, name: str) -> Gateway | None:
        """The gateway of that name."""
        return next((item for item in self.gateways if item.name == name), None)

    def principal_of(self, caller: Caller) -> str:
        """The identity behind an edge; ``""`` for a name that does not exist."""
        if caller.principal:
            return caller.principal
        if caller.gateway:
            gateway = self.gateway(caller.gateway)
            return gateway.principal if gateway else ""
        service = self.service(caller.service or "", caller.namespace)
        return service.principal if service else ""

    def open_reason_of(self, service: Service) -> str | None:
        """Why everybody may call a service; ``None`` when it has an allow-list."""
        if self.open_reason is not None or service.open_reason is not None:
            return service.open_reason if self.open_reason is None else self.open_reason
        ways_in = service.exposed or service.open_paths or all_callers(service)
        return None if self.default_deny or ways_in else "mesh_default_deny is false, and it lists nobody"

    def callees(self, service: Service) -> tuple[Service, ...]:
        """The services that let ``service`` in, in catalogue order. :returns: each once."""
        return self._callees.get(service.principal, ())

    @property
    def open_services(self) -> tuple[Service, ...]:
        """The services that everybody may call. :returns: in catalogue order."""
        return self._open

    def external_callees(self, service: Service) -> tuple[ExternalService, ...]:
        """The external services that list ``service`` as a caller.

        :returns: each once, in catalogue order.
        """
        return tuple(
            external
            for external in self.external_services
            if any(self.principal_of(caller) == service.principal for caller in external.callers)
        )


def all_callers(service: Service) -> tuple[Caller, ...]:
    """The allow-list with the scrapers of the service's own metrics endpoint.

    :returns: the callers as listed, then the scrapers.
    """
    return service.callers + (service.scrape.callers if service.scrape else ())
