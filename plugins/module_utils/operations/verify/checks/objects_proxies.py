# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: what the proxies hold, whoever told them.

Objects say what proxies should hold; these are their own tables. A route to a service, a way out, or an
endpoint that the catalogue does not know is found here whatever brought it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ....fields import integer_at, list_at, name_of
from ....istio.proxy.listeners import PASSTHROUGH
from ....istio.proxy.routes import Route, VirtualHost, parse_cluster_name
from ....istio.proxy.running import RunningProxy
from ....kube.pods import addresses as pod_addresses
from ....model.catalogue.exposures import exposed_port, server_of
from ....model.security.pods import target_ports
from ....object_id import object_id
from ..dumps import ProxyDump, ProxyDumps
from ..findings import Finding, failed, passed, unknown
from ..ours import Obj, Ours, few

ALLOW_ANY = "allow_any"
"""Name of the virtual host that sends any host on (istio pilot/pkg/networking/core/httproute.go)."""


Addresses = Mapping[str, frozenset[str]]


def check_proxies(ours: Ours, proxies: Iterable[RunningProxy], dumps: ProxyDumps) -> list[Finding]:
    """One finding per thing that a proxy holds beside the catalogue, one per proxy that was not read, or
    one pass for what all show.

    :returns: ways in first.
    """
    every = list(proxies)
    gateways = [proxy for proxy in every if proxy.gateway]
    found = [finding for proxy in gateways for finding in _ways_in(ours, proxy, dumps.held.get(str(proxy)))]
    entries, addresses = _entries(ours), _addresses(ours)
    read_of = _by_workload(every, dumps)
    read = 0
    for proxy in ours.workloads:
        dump = read_of.get((proxy.namespace, proxy.workload))
        if dump is None or dump.hosts is None:
            why = dumps.unread.get(str(proxy)) or "its proxy was not read (verify_max_proxies)"
            what = f"what the proxy of pod {proxy} knows of other hosts was not seen: {why}"
            found.append(unknown("objects", ours.name_of(proxy), what, late=True))
            continue
        read += 1
        found += [*_routes(ours, proxy, dump.hosts), *_ways_out(ours, proxy, dump, entries)]
        found += _endpoints(ours, proxy, dump, addresses)
    if read and not found:
        outside = "no host outside the catalogue, " if _is_registry_only(ours) else ""
        what = f"{outside}no foreign route and no foreign endpoint, in {read} proxies"
        found.append(passed("objects", "what callers know", what))
    return found


def _by_workload(every: Iterable[RunningProxy], dumps: ProxyDumps) -> Mapping[tuple[str, str], ProxyDump]:
    """Namespace and workload -> the dump with its routes, whichever of its proxies it is of."""
    found: dict[tuple[str, str], ProxyDump] = {}
    for proxy in every:
        dump = dumps.held.get(str(proxy))
        if dump is not None and dump.hosts is not None:
            found.setdefault((proxy.namespace, proxy.workload), dump)
    return found


def _is_registry_only(ours: Ours) -> bool:
    return ours.picture.catalogue.outbound == "REGISTRY_ONLY"


def _ways_in(ours: Ours, proxy: RunningProxy, dump: ProxyDump | None) -> Iterator[Finding]:
    """Routes of a gateway to services of the catalogue that the catalogue does not have."""
    if dump is None:
        return
    for host in dump.hosts or ():
        for route in host.routes:
            wanted = ours.targets.get(route.virtual_service, frozenset())
            reached = _services(ours, {*route.weights, *route.mirrors}, wanted)
            if reached:
                subject = f"VirtualService {route.virtual_service}" if route.virtual_service else host.name
                what = f"the proxy of pod {proxy} sends {few(sorted(host.domains))} to {few(reached)}"
                yield failed("objects", subject, f"{what}, past the catalogue", late=True)
    exposed = _streams(ours, proxy)
    for stream in dump.streams:
        name = parse_cluster_name(stream.cluster)
        if name is None or name.host not in ours.hosts:
            continue
        if (stream.port, stream.name, name.host, name.port) not in exposed:
            whose = f"{stream.name or 'any name'} at port {stream.port}"
            what = f"the proxy of pod {proxy} sends connections for {whose} to {ours.hosts[name.host]}"
            yield failed("objects", f"Pod {proxy}", f"{what}:{name.port}, past the catalogue", late=True)


def _services(ours: Ours, clusters: Iterable[str], wanted: frozenset[str] = frozenset()) -> list[str]:
    """The services that clusters lead to, without those at ``wanted`` hosts. :returns: each once."""
    names = [parse_cluster_name(cluster) for cluster in sorted(clusters)]
    hosts = [name.host for name in names if name and name.host not in wanted]
    return list(dict.fromkeys(ours.hosts[host] for host in hosts if host in ours.hosts))


def _streams(ours: Ours, proxy: RunningProxy) -> frozenset[tuple[int, str, str, int]]:
    """What the catalogue exposes by bytes at a gateway's pod, TLS that ends at the service, or TCP: port of
    the pod, name in the handshake, and the host and port of the service."""
    catalogue = ours.picture.catalogue
    found = set()
    for service in catalogue.services:
        for item in service.exposed:
            gateway, server = catalogue.gateway(item.gateway), server_of(catalogue, item)
            port = exposed_port(catalogue, service, item)
            if gateway is None or server is None or server.is_http or port is None:
                continue
            if proxy.namespace == gateway.workload_namespace and proxy.selected_by(gateway.selector):
                name = "" if server.protocol == "TCP" else item.host
                found |= {
                    (number, name, service.fqdn, port.number)
                    for number in _listened(ours, proxy, server.port)
                }
    return frozenset(found)


def _listened(ours: Ours, proxy: RunningProxy, port: int) -> set[int]:
    """The ports of a gateway's pod at which a port of its Service is served: where none leads there, the
    same (istio pilot/pkg/model/push_context.go mergeGateways)."""
    live = ours.picture.live
    pod = live.find("Pod", proxy.namespace, proxy.pod) or {}
    led = [
        number
        for item in live.services_of(pod)
        for number, entry in target_ports(item, pod).items()
        if integer_at(entry, "port") == port
    ]
    return {*led} or {port}


def _routes(ours: Ours, proxy: RunningProxy, hosts: Iterable[VirtualHost]) -> Iterator[Finding]:
    for host in hosts:
        names = {domain.partition(":")[0] for domain in host.domains}
        touched = ours.touched(name for name in sorted(names) if not name.startswith("*"))
        for route in host.routes if touched else ():
            wanted = ours.targets.get(route.virtual_service)
            if route.virtual_service and (wanted is None or not _leads_to(route, wanted)):
                what = f"decides where pod {proxy} sends calls to {few(touched.values())}"
                yield failed("objects", f"VirtualService {route.virtual_service}", what, late=True)
                break


def _leads_to(route: Route, wanted: frozenset[str]) -> bool:
    """Whether a route leads to no other hosts than ``wanted``."""
    names = map(parse_cluster_name, (*route.weights, *route.mirrors))
    return all(name is None or name.host in wanted for name in names)


def _entries(ours: Ours) -> Mapping[str, list[Obj]]:
    """ServiceEntries by host."""
    found: dict[str, list[Obj]] = {}
    for item in ours.around.of("ServiceEntry"):
        for host in list_at(item, "spec", "hosts"):
            found.setdefault(str(host), []).append(item)
    return found


def _ways_out(
    ours: Ours, proxy: RunningProxy, dump: ProxyDump, entries: Mapping[str, list[Obj]]
) -> Iterator[Finding]:
    """Hosts outside the mesh that a proxy knows, and whether it sends on what it does not know."""
    if not _is_registry_only(ours):
        return
    subject = ours.name_of(proxy)
    if dump.passes_through or any(host.name.startswith(ALLOW_ANY) for host in dump.hosts or ()):
        what = f"the proxy of pod {proxy} sends on calls to hosts that nobody declared ({PASSTHROUGH})"
        yield failed("objects", subject, what, late=True)
    inside = f".svc.{ours.picture.catalogue.cluster_domain}"
    known = {
        (name.host, name.port)
        for name in map(parse_cluster_name, dump.clusters)
        if name and name.direction == "outbound" and not name.host.endswith(inside)
    }
    declared = {
        (host, port.number)
        for item in ours.externals_of(subject)
        for host in item.hosts
        for port in item.ports
    }
    for host, port in sorted(known - declared):
        by = sorted(entries.get(host, ()), key=ours.is_own, reverse=True)  # somebody else's last
        if any(ours.lets_know(entry, host, subject) for entry in by):
            continue
        named = object_id(by[-1]) if by else subject
        where = f"{host}:{port}"
        what = f"the proxy of pod {proxy} knows {where}, which the catalogue does not declare for {subject}"
        yield failed("objects", named, what, late=True)


def _endpoints(ours: Ours, proxy: RunningProxy, dump: ProxyDump, known: Addresses) -> Iterator[Finding]:
    """Addresses that calls to a service go to and that no pod of it has, or at another port than the
    catalogue's."""
    strange: dict[str, set[str]] = {}
    ports: dict[tuple[str, int, int], set[int]] = {}
    for cluster, held in dump.endpoints.items():
        name = parse_cluster_name(cluster)
        if name is None or name.direction != "outbound" or name.host not in ours.hosts:
            continue
        left = {address for address, _port in held} - known.get(name.host, frozenset())
        if left:
            strange.setdefault(ours.hosts[name.host], set()).update(left)
        wanted = ours.target_ports.get((name.host, name.port))
        other = {port for _address, port in held} - {wanted, 0}
        if wanted is not None and other:
            ports.setdefault((ours.hosts[name.host], name.port, wanted), set()).update(other)
    for key, found in strange.items():
        what = f"pod {proxy} sends calls to {few(sorted(found))}, which no pod of it has"
        yield failed("objects", key, f"{what}: see its EndpointSlices and WorkloadEntries", late=True)
    for (key, number, wanted), others in ports.items():
        told = few(str(port) for port in sorted(others))
        what = f"pod {proxy} sends calls to its port {number} to {told} of its pods, not to {wanted}"
        yield failed("objects", key, f"{what}: see the Service and its EndpointSlices", late=True)


def _addresses(ours: Ours) -> Addresses:
    """By host of a service, the addresses of its pods, also of those that are ending."""
    live, domain = ours.picture.live, ours.picture.catalogue.cluster_domain
    found: dict[str, set[str]] = {}
    for namespace in ours.picture.catalogue.namespaces:
        for pod in live.of("Pod", namespace):
            own = pod_addresses(pod)
            for item in live.services_of(pod) if own else ():
                found.setdefault(f"{name_of(item)}.{namespace}.svc.{domain}", set()).update(own)
    return {host: frozenset(addresses) for host, addresses in found.items()}
