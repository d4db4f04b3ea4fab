# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalogue has on a cluster that others could act on: its objects, hosts, workloads and gateways."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...fields import labels_of, list_at, mapping_at, name_of, namespace_of, text_at
from ...istio.proxy.running import RunningProxy
from ...istio.proxy.sidecar_scope import Importers, SidecarScopes
from ...kube.pods import has_labels, is_active
from ...labels import is_selected
from ...model.catalogue.mesh import EgressGateway, ExternalService, Gateway
from ...model.catalogue.streams import Network
from ...model.host_patterns import takes_in
from ...model.objects.render import render
from ...model.security.attachment import selects
from ...model.virtual_services import VirtualService, read_virtual_service
from ...object_id import object_id
from .picture import Picture, SeenPod
from .surroundings import Surroundings

Obj = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayPods:
    """The pods of one gateway of the catalogue.

    :param labels: of each kind of pod that runs; the selector where none does.
    """

    name: str
    namespace: str
    labels: tuple[Mapping[str, str], ...]

    def serves(self, gateway: Obj) -> bool:
        """Whether an Istio Gateway is for these pods. istiod looks at labels, in every namespace (istio
        pilot/pkg/model/push_context.go mergeGateways)."""
        selector = mapping_at(gateway, "spec", "selector")
        return any(is_selected(labels, selector) for labels in self.labels)


class Ours:
    """What belongs to the catalogue.

    :ivar computed: by id, the objects that the catalogue computes. :ivar targets: ``namespace/name`` of a
        VirtualService among them -> the hosts that it leads to. :ivar target_ports: host of a service and
        its port -> the port of its pods. :ivar hosts: name of a service or an
        external host -> how messages call it. :ivar workloads: one running sidecar of each workload of a
        service of the catalogue.
    """

    def __init__(self, picture: Picture, around: Surroundings, proxies: Sequence[RunningProxy]) -> None:
        self.picture, self.around = picture, around
        catalogue = picture.catalogue
        self.computed: dict[str, Obj] = {object_id(item): item for item in render(catalogue)}
        self.targets = _targets(self.computed.values(), catalogue.cluster_domain)
        self.hosts = {service.fqdn: service.key for service in catalogue.services}
        self.hosts |= {item.headless.fqdn: item.key for item in catalogue.services if item.headless}
        self.target_ports = {
            (host, port.number): port.target_port
            for service in catalogue.services
            for host in (service.fqdn, *([service.headless.fqdn] if service.headless else []))
            for port in service.all_ports
        }
        self.externals = {
            host: f"external service {item.name}"
            for item in catalogue.external_services
            for host in item.hosts
        }
        self._known = {**self.hosts, **self.externals}
        self._services_by_name = dict(self.hosts)
        for fqdn, key in self.hosts.items():
            self._services_by_name |= dict.fromkeys(_short_names(fqdn, catalogue.cluster_domain), key)
        # Below pay.shop are pods when that is headless, and somebody's host in the internet when it is not.
        headless = {item.headless.fqdn for item in catalogue.services if item.headless}
        self._with_pods = {
            name
            for fqdn in self.hosts
            for name in (fqdn, *_short_names(fqdn, catalogue.cluster_domain))
            if fqdn in headless or ".svc" in name
        }
        services = {str(seen.pod): seen.services for seen in picture.pods}
        found: dict[tuple[str, str], RunningProxy] = {}
        for proxy in proxies:
            if services.get(str(proxy)) and not proxy.gateway:
                found.setdefault((proxy.namespace, proxy.workload), proxy)
        self.workloads = list(found.values())
        self._services = services
        root = catalogue.root_namespace
        self._scopes = SidecarScopes(around.of("Sidecar"), root)
        self._in_force = {str(proxy): self._scopes.of(proxy) for proxy in self.workloads}
        self._importers = Importers(
            [(proxy.namespace, self._in_force[str(proxy)]) for proxy in self.workloads], root
        )
        ways: list[tuple[str, Gateway | EgressGateway]] = [
            (f"gateway {item.name}", item) for item in catalogue.gateways
        ]
        ways += [("the egress gateway", catalogue.egress_gateway)] if catalogue.egress_gateway else []
        self.gateways = [self._pods_of(name, way) for name, way in ways]

    def _pods_of(self, name: str, way: Gateway | EgressGateway) -> GatewayPods:
        labels = [
            labels_of(pod)
            for pod in self.picture.live.of("Pod", way.workload_namespace)
            if is_active(pod) and has_labels(pod, way.selector)
        ]
        return GatewayPods(name, way.workload_namespace, tuple(labels) or (way.selector,))

    def is_own(self, obj: Obj) -> bool:
        """Whether the catalogue computes an object of that kind and name."""
        return object_id(obj) in self.computed

    def name_of(self, proxy: RunningProxy) -> str:
        """The service that a workload belongs to, else the pod."""
        services = self._services.get(str(proxy)) or ()
        return services[0].key if services else str(proxy)

    def own_pods(self) -> list[SeenPod]:
        """The pods of the catalogue's namespaces, of its services or not.

        :returns: in the order in which they were read.
        """
        namespaces = frozenset(self.picture.catalogue.namespaces)
        return [seen for seen in self.picture.pods if seen.pod.namespace in namespaces]

    def acted_on(self, obj: Obj) -> list[str]:
        """The services and gateways whose pods an object is for, by its selector or targetRefs.

        :returns: how messages call them, each once.
        """
        root = self.picture.catalogue.root_namespace
        names = dict.fromkeys(
            seen.services[0].key
            for seen in self.picture.pods
            if seen.services and selects(obj, seen.pod.namespace, seen.pod.labels, root)
        )
        names |= dict.fromkeys(
            pods.name
            for pods in self.gateways
            if any(selects(obj, pods.namespace, labels, root) for labels in pods.labels)
        )
        return list(names)

    def touched(self, hosts: Iterable[str]) -> dict[str, str]:
        """Hosts of the catalogue that patterns take, also by a shorter name that clients may use for a
        service (``pay.shop``), and of single pods. :returns: host -> how messages call it."""
        found: dict[str, str] = {}
        for pattern in hosts:
            name = self._known.get(pattern) or self._services_by_name.get(pattern)
            above = pattern.partition(".")[2]
            if above in self._with_pods:
                name = name or self._services_by_name[above]
            if name and not pattern.startswith("*"):
                found[pattern] = name
            elif pattern.startswith("*"):
                found |= {host: name for host, name in self._known.items() if takes_in(pattern, host)}
        return found

    def seen_by(self, obj: Obj, hosts: Iterable[str]) -> list[str]:
        """The services whose proxies are told about an object for one of ``hosts``.

        :returns: their names, each once.
        """
        exported = [str(item) for item in list_at(obj, "spec", "exportTo")] or ["*"]
        told = self._importers.of(hosts, namespace_of(obj), exported)
        return list(dict.fromkeys(self.name_of(self.workloads[number]) for number in told))

    @functools.cached_property
    def cluster_addresses(self) -> dict[str, list[Network]]:
        """The addresses of the catalogue's Services. :returns: by name of the service."""
        found: dict[str, list[Network]] = {}
        for service in self.picture.catalogue.services:
            held = self.picture.live.find("Service", service.namespace, service.name)
            texts = [text_at(held, "spec", "clusterIP"), *map(str, list_at(held, "spec", "clusterIPs"))]
            found[service.key] = networks(dict.fromkeys(texts))
        return found

    def lets_know(self, entry: Obj, host: str, service: str) -> bool:
        """Whether the catalogue itself lets a service know a host of somebody's ServiceEntry.

        That everything of the control plane's namespace is known is for telemetry, and declares no way out.

        :param service: ``namespace/name``.
        """
        catalogue = self.picture.catalogue
        home = namespace_of(entry)
        named = [*catalogue.sidecar_hosts]
        named += [text for item in catalogue.services if item.key == service for text in item.sidecar_hosts]
        if catalogue.open_reason is not None:
            named += [f"{namespace}/*" for namespace in catalogue.namespaces]
        for text in named:
            place, _slash, pattern = text.rpartition("/")
            whole = pattern == "*" and home in (catalogue.root_namespace, catalogue.istio_namespace)
            if place in ("*", home) and takes_in(pattern, host) and not whole:
                return True
        return False

    def externals_of(self, service: str) -> tuple[ExternalService, ...]:
        """What a service may call outside. :returns: in catalogue order.

        :param service: ``namespace/name``.
        """
        catalogue = self.picture.catalogue
        namespace, _slash, name = service.partition("/")
        found = catalogue.service(name, namespace)
        return catalogue.external_callees(found) if found else ()

    def sidecar(self, proxy: RunningProxy) -> Obj | None:
        """The Sidecar in force for a workload, None when there is none."""
        return self._in_force[str(proxy)]

    def sidecars_selecting(self, proxy: RunningProxy) -> list[Obj]:
        """The Sidecars whose selector takes a workload. :returns: the oldest first."""
        return list(self._scopes.selecting(proxy))

    def is_ours(self, obj: Obj) -> bool:
        """Whether an object lies in a namespace of the catalogue's services."""
        return namespace_of(obj) in self.picture.catalogue.namespaces


def narrower(one: str, other: str) -> str:
    """The names that two patterns share; ``""`` when they share none."""
    if takes_in(one, other):
        return other
    return one if takes_in(other, one) else ""


def networks(texts: Iterable[object]) -> list[Network]:
    """Addresses and CIDR blocks, without what is neither. :returns: one network each."""
    found: list[Network] = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_network(str(text), strict=False))
    return found


def _short_names(fqdn: str, domain: str) -> tuple[str, ...]:
    """Other names of a Service that resolve in every namespace (Kubernetes DNS, with its search domains), and
    that a client may so put into its requests: what proxies hold of them decides about these.

    :returns: ``name.namespace.svc``, ``name.namespace``.
    """
    name = fqdn.removesuffix(f".{domain}")
    return name, name.removesuffix(".svc")


def targets(
    found: VirtualService, read: Mapping[tuple[str, str], VirtualService], *, delegates: bool = True
) -> Iterator[str]:
    """Hosts that requests, or copies of them, are sent to, a delegate's among them.

    :param read: by namespace and name, where delegates are looked up.
    """
    for route in found.routes:
        for destination in (*route.destinations, *route.mirrors):
            yield destination.host
        delegate = read.get(route.delegate) if route.delegate and delegates else None
        if delegate is not None:
            yield from targets(delegate, read, delegates=False)


def _targets(objects: Iterable[Obj], domain: str) -> dict[str, frozenset[str]]:
    """By ``namespace/name`` of a VirtualService, the hosts that it leads to."""
    read = {
        (namespace_of(item), name_of(item)): read_virtual_service(item, domain)
        for item in objects
        if item["kind"] == "VirtualService"
    }
    return {
        f"{namespace}/{name}": frozenset(targets(found, read)) for (namespace, name), found in read.items()
    }


def ordered(objects: Iterable[Obj]) -> list[Obj]:
    """Objects by namespace and name, so that a report does not change from run to run.

    :returns: each once.
    """
    return sorted(objects, key=lambda item: (namespace_of(item), name_of(item)))
