# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules between the parts of a catalogue: names that must exist, things that must not clash."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ...errors import nearest
from ..reading.principals import parse_principal
from ..reading.problems import Problems
from .exposures import exposed_port, server_for
from .gateway_servers import check_gateway_ports, check_shared_certificates
from .mesh import Catalogue, Gateway, Server, all_callers
from .safety import check_service
from .services import Caller, Exposure, Service
from .streams import check_streams


def check_consistency(catalogue: Catalogue, problems: Problems) -> None:
    """Notes every fault that only shows when the whole catalogue is known."""
    _check_duplicates(catalogue, problems)
    _check_hosts(catalogue, problems)
    for service in catalogue.services:
        check_service(service, catalogue, problems)
        _check_headless(service, catalogue, problems)
        _check_callers(service, catalogue, problems)
        for exposure in service.exposed:
            _check_exposure(service, exposure, catalogue, problems)
    _check_exposure_clashes(catalogue, problems)
    _check_external(catalogue, problems)
    check_streams(catalogue, problems)


def _twice(
    entries: Iterable[tuple[object, str]], what: str, problems: Problems, rule: str = "duplicate"
) -> None:
    """``entries`` are (key, variable path); each key but the first of its kind is a fault."""
    seen: dict[object, str] = {}
    for key, where in entries:
        if key in seen:
            problems.add(where, f"{what} is already used by {seen[key]}", rule)
        else:
            seen[key] = where


def _check_duplicates(catalogue: Catalogue, problems: Problems) -> None:
    services = [service for service in catalogue.services if service.name]
    first: dict[str, str] = {}
    for service in services:
        earlier = first.setdefault(service.key, service.where)
        if earlier != service.where and not problems.within(f"{service.where}.namespace"):
            message = f"{service.key} is already defined by {earlier}"
            problems.add(f"{service.where}.name", message, "duplicate")
    gateways = ((item.name, f"{item.where}.name") for item in catalogue.gateways if item.name)
    _twice(gateways, "the name", problems)
    externals = (
        (f"{item.namespace}/{item.name}", f"{item.where}.name")
        for item in catalogue.external_services
        if item.name and not problems.within(f"{item.where}.namespace")
    )
    _twice(externals, "the name", problems)


def _check_hosts(catalogue: Catalogue, problems: Problems) -> None:
    """A host may be served once per gateway workload; Envoy would merge or drop the second silently."""
    by_workload: dict[str, list[tuple[Gateway, Server]]] = {}
    for gateway in catalogue.gateways:
        workload = f"{gateway.workload_namespace} {sorted(gateway.selector.items())}"
        sound = [(gateway, item) for item in gateway.servers if not problems.within(item.where)]
        by_workload.setdefault(workload, []).extend(sound)
    for served in by_workload.values():
        servers = [server for _gateway, server in served]
        _twice(((item.host, f"{item.where}.host") for item in servers), "the host", problems)
        check_gateway_ports(servers, problems)
        check_shared_certificates(served, problems)


def _check_headless(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    if service.headless is None or problems.within(f"{service.where}.headless"):
        return
    other = catalogue.service(service.headless.name, service.namespace)
    if other is not None:
        what = "the service itself" if other is service else f"{other.where}, a service of its own"
        problems.add(f"{service.where}.headless", f"{service.headless.name!r} is {what}", "headless")


def _check_caller_name(caller: Caller, catalogue: Catalogue, problems: Problems) -> None:
    if (
        caller.service
        and caller.namespace
        and not catalogue.service(caller.service, caller.namespace)
        and _all_named("mesh_services", catalogue.services, problems)
    ):
        elsewhere = sorted(item.namespace for item in catalogue.services if item.name == caller.service)
        hint = nearest(caller.service, [item.name for item in catalogue.services])
        if elsewhere:
            hint = f"; there is one in {', '.join(elsewhere)}"
        message = f"no service {caller.service!r} in namespace {caller.namespace}{hint}"
        problems.add(f"{caller.where}.service", message, "unknown-service")
    if caller.gateway:
        _check_gateway_name(caller.gateway, f"{caller.where}.gateway", catalogue, problems)
    if caller.principal and not problems.within("mesh_trust_domain", "mesh_trust_domain_aliases"):
        principal = parse_principal(caller.principal)
        known = (catalogue.trust_domain, *catalogue.trust_domain_aliases)
        if principal and principal.trust_domain not in known:
            message = f"the trust domain {principal.trust_domain!r} is not {' or '.join(known)}"
            problems.add(f"{caller.where}.principal", message, "trust-domain")


def _check_gateway_name(name: str, where: str, catalogue: Catalogue, problems: Problems) -> None:
    if not catalogue.gateway(name) and _all_named("mesh_gateways", catalogue.gateways, problems):
        hint = nearest(name, [item.name for item in catalogue.gateways])
        problems.add(where, f"no gateway {name!r}{hint}", "unknown-gateway")


def _all_named(variable: str, entries: Sequence[Service] | Sequence[Gateway], problems: Problems) -> bool:
    """Whether all of a list have their names. What is missing may be the entry whose name was refused."""
    return not problems.at(variable) and all(item.name and item.namespace for item in entries)


def _check_callers(service: Service, catalogue: Catalogue, problems: Problems) -> None:
    for caller in all_callers(service):
        _check_caller_name(caller, catalogue, problems)
    edges = (
        (
            (
                item.service,
                item.namespace,
                item.principal,
                item.gateway,
                item.ip_blocks,
                item.methods,
                item.paths,
                item.ports,
            ),
            item.where,
        )
        for item in service.callers
        if not problems.within(item.where)
    )
    _twice(edges, "the same edge", problems)
    if problems.within(f"{service.where}.ports"):
        return
    ports = {port.name: port for port in service.all_ports}
    for caller in service.callers:
        for name in caller.ports:
            if name not in ports:
                hint = nearest(name, list(ports))
                problems.add(
                    f"{caller.where}.ports", f"{service.name} has no port {name!r}{hint}", "unknown-port"
                )
        if problems.within(caller.where):
            continue
        chosen = [ports[name] for name in caller.ports] or list(ports.values())
        streams = [port.name for port in chosen if not port.is_http]
        if (caller.methods or caller.paths) and streams:
            message = "methods and paths exist on HTTP ports only; on TCP the rule would never match"
            if len(streams) < len(chosen):
                message = (
                    f"methods and paths exist on HTTP ports only, so {', '.join(streams)} would stay closed:"
                    " name the HTTP ports in ports, and give the others an entry of their own"
                )
            problems.add(caller.where, message, "http-only")


def _check_exposure(service: Service, exposure: Exposure, catalogue: Catalogue, problems: Problems) -> None:
    if not exposure.gateway or not exposure.host:
        return
    gateway = catalogue.gateway(exposure.gateway)
    if gateway is None:
        _check_gateway_name(exposure.gateway, f"{exposure.where}.gateway", catalogue, problems)
        return
    server = server_for(gateway, exposure.host)
    if problems.within(f"{gateway.where}.servers"):
        return
    if server is None:
        hosts = ", ".join(item.host for item in gateway.servers)
        problems.add(
            f"{exposure.where}.host",
            f"gateway {gateway.name} serves {hosts}, not {exposure.host}",
            "unknown-host",
        )
        return
    _check_exposed_port(service, exposure, server, catalogue, problems)
    _check_covered(exposure, server, problems)
    for caller in service.callers:
        if caller.gateway == exposure.gateway and not problems.within(caller.where, exposure.where):
            message = (
                f"{exposure.where} lets {gateway.name} in already, for what it exposes: give methods there,"
                " or leave it out and write the routes under mesh_resource_paths"
            )
            problems.add(caller.where, message, "two-ways-in")
    requests = exposure.path != "/" or exposure.exact or exposure.rewrite or exposure.methods
    if not server.is_http and requests and not problems.within(exposure.where):
        message = f"{server.protocol} has no requests, so path, match, rewrite and methods say nothing"
        problems.add(exposure.where, message, "http-only")


def _check_covered(exposure: Exposure, server: Server, problems: Problems) -> None:
    """Envoy's ``*.`` takes any number of labels, a certificate's only one (RFC 6125, section 6.4.3)."""
    deeper = server.host.startswith("*.") and "." in exposure.host.removesuffix(server.host[1:])
    if deeper and server.certificate and not problems.within(f"{exposure.where}.host", server.where):
        message = (
            f"{exposure.host} is not covered by the certificate of {server.host}, whose '*' is one label:"
            f" give it a server of its own, or *.{exposure.host.partition('.')[2]} one"
        )
        problems.add(f"{exposure.where}.host", message, "certificate-host")


def _check_exposed_port(
    service: Service, exposure: Exposure, server: Server, catalogue: Catalogue, problems: Problems
) -> None:
    if not service.ports or problems.within(f"{service.where}.ports", exposure.where):
        return
    port = exposed_port(catalogue, service, exposure)
    needs = "a port that speaks HTTP" if server.is_http else "a port of protocol tcp, tls or the like"
    if port is None and exposure.port is not None:
        names = [item.name for item in service.ports]
        hint = nearest(exposure.port, names) or f" ({', '.join(names)})"
        message = f"{service.name} has no port {exposure.port!r}{hint}"
        problems.add(f"{exposure.where}.port", message, "unknown-port")
    elif port is None:
        problems.add(exposure.where, f"needs {needs}: the gateway serves {server.protocol}", "http-only")
    elif port.is_http != server.is_http:
        message = f"{port.name} speaks {port.protocol}; a host served as {server.protocol} needs {needs}"
        problems.add(f"{exposure.where}.port", message, "http-only")


def _check_exposure_clashes(catalogue: Catalogue, problems: Problems) -> None:
    entries = (
        ((item.gateway, item.host, item.path, item.exact), item.where)
        for service in catalogue.services
        for item in service.exposed
        if not problems.within(item.where)
    )
    _twice(entries, "this path of the host", problems)


def _names_in_the_cluster(catalogue: Catalogue) -> set[str]:
    """The short names by which the catalogue's Services are called from other namespaces."""
    companions = [service for service in catalogue.services if service.headless]
    own = [(service.name, service.namespace) for service in catalogue.services]
    own += [(item.headless.name, item.namespace) for item in companions if item.headless]
    return {f"{name}.{namespace}" for name, namespace in own}


def _cluster_fault(host: str, catalogue: Catalogue, names: Collection[str]) -> str:
    """Why a host is none outside: istiod gives the short names of Services to their own routes, and a
    wildcard over the cluster's domain would take calls to whatever a proxy does not see for calls outside.
    """
    bare = host.removeprefix("*.")
    if bare.endswith(f".svc.{catalogue.cluster_domain}") or bare.endswith(".svc") or host in names:
        return f"{host} is a service of the cluster"
    if host != bare and f".svc.{catalogue.cluster_domain}".endswith(f".{bare}"):
        return f"{host} covers the services of the cluster: name the hosts that are meant"
    return ""


def _check_external(catalogue: Catalogue, problems: Problems) -> None:
    hosts = [
        (f"{external.namespace} {host}", f"{external.where}.hosts")
        for external in catalogue.external_services
        for host in external.hosts
    ]
    _twice(hosts, "the host", problems)
    outward = [
        (host, f"{external.where}.hosts")
        for external in catalogue.external_services
        if external.via_egress_gateway and not problems.within(f"{external.where}.hosts")
        for host in external.hosts
    ]
    # Told apart by name only, at the gateway and by its policy.
    _twice(outward, "at the egress gateway the host", problems)
    names = _names_in_the_cluster(catalogue)
    for external in catalogue.external_services:
        for host in external.hosts:
            if fault := _cluster_fault(host, catalogue, names):
                problems.add(f"{external.where}.hosts", fault, "external-host")
        for caller in external.callers:
            _check_caller_name(caller, catalogue, problems)
        missing = catalogue.egress_gateway is None and not problems.within("mesh_egress_gateway")
        if external.via_egress_gateway and missing:
            problems.add(f"{external.where}.via", "needs mesh_egress_gateway", "egress-gateway")
