# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: what the proxies hold, whoever told them.

Objects say what proxies should hold; these are their own tables. A route to a service, a way out, or an
endpoint that the catalogue does not know is found here whatever brought it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ....fields import list_at, name_of
from ....istio.proxy.listeners import PASSTHROUGH
from ....istio.proxy.routes import VirtualHost, parse_cluster_name
from ....istio.proxy.running import RunningProxy
from ....kube.pods import addresses as pod_addresses
from ....model.catalogue.exposures import server_of
from ....model.catalogue.mesh import Catalogue
from ....object_id import object_id
from ..dumps import ProxyDump, ProxyDumps
from ..findings import Finding, failed, passed, unknown
from ..ours import Obj, Ours, few

ALLOW_ANY = "allow_any"
"""Name of the virtual host that sends any host on (istio pilot/pkg/networking/core/httproute.go)."""


def check_proxies(ours: Ours, proxies: Iterable[RunningProxy], dumps: ProxyDumps) -> list[Finding]:
    """One finding per thing that a proxy holds beside the catalogue, one per proxy that was not read, or
    one pass for what all show.

    :returns: ways in first.
    """
    every = list(proxies)
    gateways = [proxy for proxy in every if proxy.gateway]
    found = [finding for proxy in gateways for finding in _ways_in(ours, proxy, dumps.held.get(str(proxy)))]
    entries, addresses = _entries(ours), _addresses(ours)
    read = 0
    for proxy in ours.workloads:
        dump = dumps.held.get(str(proxy)) or _of_workload(proxy, every, dumps)
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


def _of_workload(proxy: RunningProxy, every: Iterable[RunningProxy], dumps: ProxyDumps) -> ProxyDump | None:
    """The dump with the routes of the same workload, whichever of its proxies it is of."""
    return next(
        (
            dump
            for other in every
            if (other.namespace, other.workload) == (proxy.namespace, proxy.workload)
            and (dump := dumps.held.get(str(other))) is not None
            and dump.hosts is not None
        ),
        None,
    )


def _is_registry_only(ours: Ours) -> bool:
    return ours.picture.catalogue.outbound == "REGISTRY_ONLY"


def _ways_in(ours: Ours, proxy: RunningProxy, dump: ProxyDump | None) -> Iterator[Finding]:
    """Routes of a gateway to services of the catalogue that the catalogue does not have."""
    if dump is None:
        return
    own = ours.routes
    for host in dump.hosts or ():
        for route in host.routes:
            if route.virtual_service in own:
                continue
            reached = _services(ours, {*route.weights, *route.mirrors})
            if reached:
                subject = f"VirtualService {route.virtual_service}" if route.virtual_service else host.name
                what = f"the proxy of pod {proxy} sends {few(sorted(host.domains))} to {few(reached)}"
                yield failed("objects", subject, f"{what}, past the catalogue", late=True)
    exposed = _streams(ours.picture.catalogue)
    for name, clusters in dump.streams.items():
        reached = [key for key in _services(ours, clusters) if key not in exposed]
        if reached:
            what = f"the proxy of pod {proxy} sends connections for {name or 'any name'} to {few(reached)}"
            yield failed("objects", f"Pod {proxy}", f"{what}, past the catalogue", late=True)


def _services(ours: Ours, clusters: Iterable[str]) -> list[str]:
    names = [parse_cluster_name(cluster) for cluster in sorted(clusters)]
    return list(dict.fromkeys(ours.hosts[name.host] for name in names if name and name.host in ours.hosts))


def _streams(catalogue: Catalogue) -> frozenset[str]:
    """The services that the catalogue exposes by bytes: TLS that ends at the service, or TCP."""
    return frozenset(
        service.key
        for service in catalogue.services
        for item in service.exposed
        if (server := server_of(catalogue, item)) and not server.is_http
    )


def _routes(ours: Ours, proxy: RunningProxy, hosts: Iterable[VirtualHost]) -> Iterator[Finding]:
    own = ours.routes
    for host in hosts:
        names = {domain.partition(":")[0] for domain in host.domains}
        touched = ours.touched(name for name in names if not name.startswith("*"))
        for route in host.routes if touched else ():
            if route.virtual_service and route.virtual_service not in own:
                what = f"decides where pod {proxy} sends calls to {few(touched.values())}"
                yield failed("objects", f"VirtualService {route.virtual_service}", what, late=True)
                break


def _entries(ours: Ours) -> Mapping[str, Obj]:
    """ServiceEntries by host."""
    return {
        str(host): item for item in ours.around.of("ServiceEntry") for host in list_at(item, "spec", "hosts")
    }


def _ways_out(
    ours: Ours, proxy: RunningProxy, dump: ProxyDump, entries: Mapping[str, Obj]
) -> Iterator[Finding]:
    """Hosts outside the mesh that a proxy knows, and whether it sends on what it does not know."""
    if not _is_registry_only(ours):
        return
    subject = ours.name_of(proxy)
    if dump.passes_through or any(host.name.startswith(ALLOW_ANY) for host in dump.hosts or ()):
        what = f"the proxy of pod {proxy} sends on calls to hosts that nobody declared ({PASSTHROUGH})"
        yield failed("objects", subject, what, late=True)
    inside = f".svc.{ours.picture.catalogue.cluster_domain}"
    names = {
        name.host
        for name in map(parse_cluster_name, dump.clusters)
        if name and name.direction == "outbound" and not name.host.endswith(inside)
    }
    for host in sorted(names - _declared_hosts(ours, subject)):
        entry = entries.get(host)
        if entry is not None and ours.lets_know(entry, host, subject):
            continue
        by = object_id(entry) if entry else subject
        what = f"the proxy of pod {proxy} knows {host}, which the catalogue does not declare for {subject}"
        yield failed("objects", by, what, late=True)


def _declared_hosts(ours: Ours, subject: str) -> frozenset[str]:
    catalogue = ours.picture.catalogue
    return frozenset(
        host
        for service in catalogue.services
        if service.key == subject
        for item in catalogue.external_callees(service)
        for host in item.hosts
    )


def _endpoints(
    ours: Ours, proxy: RunningProxy, dump: ProxyDump, known: Mapping[str, frozenset[str]]
) -> Iterator[Finding]:
    """Addresses that calls to a service go to and that no pod of it has."""
    strange: dict[str, set[str]] = {}
    for cluster, addresses in dump.endpoints.items():
        name = parse_cluster_name(cluster)
        if name is None or name.direction != "outbound" or name.host not in ours.hosts:
            continue
        left = addresses - known.get(name.host, frozenset())
        if left:
            strange.setdefault(ours.hosts[name.host], set()).update(left)
    for key, found in strange.items():
        what = f"pod {proxy} sends calls to {few(sorted(found))}, which no pod of it has"
        yield failed("objects", key, f"{what}: see its EndpointSlices and WorkloadEntries", late=True)


def _addresses(ours: Ours) -> Mapping[str, frozenset[str]]:
    """By host of a service, the addresses of its pods, also of those that are ending."""
    live, domain = ours.picture.live, ours.picture.catalogue.cluster_domain
    found: dict[str, set[str]] = {}
    for namespace in ours.picture.catalogue.namespaces:
        for pod in live.of("Pod", namespace):
            own = pod_addresses(pod)
            for item in live.services_of(pod) if own else ():
                found.setdefault(f"{name_of(item)}.{namespace}.svc.{domain}", set()).update(own)
    return {host: frozenset(addresses) for host, addresses in found.items()}
