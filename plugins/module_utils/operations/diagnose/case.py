# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that was read for one diagnosis, and the questions that causes ask of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...fields import (
    integer_at,
    labels_of,
    list_at,
    mapping_at,
    mappings_at,
    name_of,
    namespace_of,
    text_at,
)
from ...istio.injection.webhooks import Injector, InjectorSettings
from ...istio.proxy.access_log import AccessLine
from ...istio.proxy.endpoints import Endpoint
from ...istio.proxy.running import RunningProxy
from ...istio.proxy.sidecar_scope import SidecarScopes
from ...istio.syncz import SyncState
from ...istio.workloads import controller_of, workload_of
from ...kube.clock import seconds_of
from ...kube.pods import faults, has_labels, is_active, is_ready, takes_requests
from ...model.catalogue.mesh import Catalogue
from ...model.host_patterns import takes_in
from ...model.installation.injection import SYSTEM_NAMESPACES
from ...model.security.authorization import PolicyIndex
from ...model.security.destination_rules import DestinationRules
from ...model.security.peer_authentication import PeerPolicies
from ...model.virtual_services import Destination, VirtualService, full_host, read_virtual_service
from ...object_id import object_id
from ..verify.dumps import ProxyDump
from ..verify.live_objects import LiveObjects
from ..verify.surroundings import is_injected
from .symptom import Symptom
from .throttling import Throttled

Obj = Mapping[str, Any]
BEGINNING = 120.0
"""Seconds after its creation in which a pod that is not ready is no fault."""


@dataclasses.dataclass(frozen=True, slots=True)
class LiveVirtualService:
    """A VirtualService, read and raw."""

    raw: Obj
    read: VirtualService

    @property
    def id(self) -> str:
        """``VirtualService namespace/name``."""
        return object_id(self.raw)


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What one proxy shows.

    :param endpoints: by cluster, with what the proxy says of each host.
    """

    proxy: RunningProxy
    dump: ProxyDump
    endpoints: Mapping[str, Sequence[Endpoint]]


@dataclasses.dataclass(frozen=True, slots=True)
class SeenLine:
    """A line of a proxy's access log. :param proxy: ``namespace/pod``."""

    proxy: str
    line: AccessLine


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What was read.

    :param objects: by kind. :param unread: kind or ``access logs``, ``proxies``, ``istiod`` -> why it was not
        read. :param istiods: raw pods of the control plane, ready or not. :param sync: istiod's table of
        proxies by ``pod.namespace``; None when it was not read. :param figures: istiod's own metrics.
    :param config: mesh configuration. :param config_name: of its ConfigMap. :param throttling: by
        ``namespace/pod`` and container, of those with a limit that say it.
    :param places: namespaces whose pods were read; None for all. :param secrets: ``namespace/name`` ->
        Secret, None for one that is missing; those of Gateways alone.
    """

    objects: Mapping[str, Sequence[Obj]]
    unread: Mapping[str, str]
    live: LiveObjects
    istiods: Sequence[Obj]
    places: frozenset[str] | None
    config: Obj
    config_name: str
    secrets: Mapping[str, Obj | None]
    sync: Mapping[str, SyncState] | None = None
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    injectors: Sequence[Injector] | None = None
    settings: Mapping[str, InjectorSettings] = dataclasses.field(default_factory=dict)
    views: Mapping[str, View] = dataclasses.field(default_factory=dict)
    lines: Sequence[SeenLine] = ()
    throttling: Mapping[tuple[str, str], Throttled] = dataclasses.field(default_factory=dict)


class Case:
    """One symptom and the material about it; what proxies show may be added to the material later.

    :ivar callers: pods of the source. :ivar callees: pods of the destination. :ivar subjects: all pods that
        it is about. :ivar services: the Services that it is about. :ivar hosts: names under which they, or
        what is outside, are called.
    """

    def __init__(self, symptom: Symptom, catalogue: Catalogue, material: Material, now: float) -> None:
        self.symptom, self.catalogue, self.material, self.now = symptom, catalogue, material, now
        self.live = material.live
        root, domain = catalogue.root_namespace, catalogue.cluster_domain
        self.root, self.domain = root, domain
        self.scopes = SidecarScopes(self.of("Sidecar"), root)
        self.rules = DestinationRules(self.of("DestinationRule"), root_namespace=root, domain=domain)
        self.modes = PeerPolicies(self.of("PeerAuthentication"), root)
        self.trust_domains = (catalogue.trust_domain, *catalogue.trust_domain_aliases)
        self.policies = PolicyIndex(
            self.of("AuthorizationPolicy"), root_namespace=root, trust_domains=self.trust_domains
        )
        self.routes = [
            LiveVirtualService(item, read_virtual_service(item, domain)) for item in self.of("VirtualService")
        ]
        self.namespaces = {name_of(item): item for item in self.of("Namespace")}
        self._services = {self.fqdn(item): item for item in self.of("Service")}
        self._entries: dict[str, list[Obj]] = {}
        for item in self.of("ServiceEntry"):
            for host in list_at(item, "spec", "hosts"):
                self._entries.setdefault(str(host), []).append(item)
        self._behind_of: dict[tuple[str, str], list[Obj]] = {}
        self._labelled: dict[tuple[str, str, str], list[Obj]] = {}
        self._rules: dict[str, list[Obj]] = {}
        self._wild_rules: dict[str, list[Obj]] = {}
        for rule in self.of("DestinationRule"):
            name = full_host(text_at(rule, "spec", "host"), namespace_of(rule), domain)
            (self._wild_rules if name.startswith("*") else self._rules).setdefault(name, []).append(rule)
        self._leading: dict[str, list[tuple[LiveVirtualService, Destination]]] = {}
        for one in self.routes:
            for target in (target for route in one.read.routes for target in route.destinations):
                if target.share > 0:
                    self._leading.setdefault(target.host, []).append((one, target))
        self.meshed = self._meshed_namespaces()
        self.callers = self._pods_called(symptom.source)
        self.named = self._pods_called(symptom.pod)
        self.services = self._concerned_services()
        self.callees = self._behind(self.services) if not symptom.anything else []
        self.subjects = self._subjects()
        self.hosts = frozenset(
            [self.fqdn(item) for item in self.services] + ([self.host] if self.host else [])
        )

    def of(self, kind: str) -> Sequence[Obj]:
        """The objects of one kind that were read. :returns: in the order of the API server."""
        return self.material.objects.get(kind, ())

    def fqdn(self, service: Obj) -> str:
        """The full name of a Service."""
        return f"{name_of(service)}.{namespace_of(service)}.svc.{self.domain}"

    @property
    def home(self) -> str:
        """Where a mere name is looked for: the namespace of the symptom's caller, or of the catalogue."""
        return self.symptom.namespace or next(iter(self.symptom.namespaces), "") or self.catalogue.namespace

    @property
    def host(self) -> str:
        """The host of the symptom in full; ``""`` when it names none."""
        host = self.symptom.host.partition(":")[0].rstrip(".")
        if not host:
            return ""
        parts = host.split(".")
        if len(parts) == 2 and f"{host}.svc.{self.domain}" in self._services:
            return f"{host}.svc.{self.domain}"
        if len(parts) == 3 and parts[2] == "svc":
            return f"{host}.{self.domain}"
        return full_host(host, self.home, self.domain)

    @property
    def destination(self) -> tuple[str, str] | None:
        """The Service that the symptom names. :returns: ``(namespace, name)``; None when it names none."""
        if self.symptom.destination:
            return self.symptom.place_of(self.symptom.destination, self.home)
        name, _dot, rest = self.host.partition(".")
        namespace, _dot, end = rest.partition(".")
        return (namespace, name) if end == f"svc.{self.domain}" else None

    def service(self, host: str) -> Obj | None:
        """The Service of a full host."""
        return self._services.get(host)

    def entries(self, host: str) -> list[Obj]:
        """The ServiceEntries that name a host, exactly or by a wildcard. :returns: the exact ones first."""
        wild = [
            item
            for name, items in self._entries.items()
            if name != host and takes_in(name, host)
            for item in items
        ]
        return [*self._entries.get(host, ()), *wild]

    def rules_for(self, host: str) -> list[Obj]:
        """All DestinationRules for a host, exactly or by a wildcard. :returns: of any namespace."""
        wild = [rule for name, rules in self._wild_rules.items() if takes_in(name, host) for rule in rules]
        return [*self._rules.get(host, ()), *wild]

    def leading_to(self, host: str) -> list[tuple[LiveVirtualService, Destination]]:
        """The destinations of VirtualServices that lead to a host and get requests.

        :returns: each with its VirtualService.
        """
        return self._leading.get(host, [])

    def is_local(self, host: str) -> bool:
        """Whether a host has the form of a Service of this cluster."""
        return host.endswith(f".svc.{self.domain}")

    def pods_behind(self, service: Obj) -> list[Obj]:
        """The active pods that a Service selects. :returns: raw, in the order that they were read."""
        key = namespace_of(service), name_of(service)
        if key not in self._behind_of:
            self._behind_of[key] = self._selected(service)
        return self._behind_of[key]

    def _selected(self, service: Obj) -> list[Obj]:
        """Through the rarest label of the selector: a namespace may have thousands of pods."""
        selector = mapping_at(service, "spec", "selector")
        if not selector:
            return []
        place = namespace_of(service)
        if not self._labelled:
            for pod in self.live.of("Pod"):
                for label in labels_of(pod).items() if is_active(pod) else ():
                    self._labelled.setdefault((namespace_of(pod), *label), []).append(pod)
        fewest = min((self._labelled.get((place, *label), []) for label in selector.items()), key=len)
        return [pod for pod in fewest if has_labels(pod, selector)]

    def was_read(self, namespace: str) -> bool:
        """Whether the pods of a namespace were read, so that their absence means something."""
        return self.material.places is None or namespace in self.material.places

    def concerns(self, *hosts: str) -> bool:
        """Whether one of these hosts is what the symptom is about."""
        if self.symptom.anything:
            return True
        return any(takes_in(pattern, host) for pattern in hosts for host in self.hosts)

    def concerned_routes(self) -> list[LiveVirtualService]:
        """The VirtualServices for a host of the symptom, or that lead to one. :returns: each once."""
        return [
            item
            for item in self.routes
            if self.concerns(*item.read.hosts)
            or self.concerns(*(target.host for route in item.read.routes for target in route.destinations))
        ]

    def proxies(self, pods: Iterable[Obj]) -> list[View]:
        """What the proxies of some pods show. :returns: of those that were asked."""
        names = map(full_name, pods)
        return [self.material.views[name] for name in names if name in self.material.views]

    @functools.cached_property
    def running(self) -> list[RunningProxy]:
        """The proxies that run, of all pods that were read. :returns: in the order of their pods."""
        return self.live.proxies()

    def running_of(self, pods: Iterable[Obj]) -> list[RunningProxy]:
        """The proxies of some pods that run. :returns: in the order in which all pods were read."""
        names = set(map(full_name, pods))
        return [proxy for proxy in self.running if str(proxy) in names]

    def inbound_lines(self) -> list[SeenLine]:
        """The lines of access logs that proxies wrote as callees. :returns: in the order of the logs."""
        return [seen for seen in self.material.lines if seen.line.inbound]

    def flagged(self, flag: str, *hosts: str) -> list[SeenLine]:
        """Lines with a response flag.

        :param hosts: of the upstream, or the authority; any when there are none.
        :returns: in the order of the logs, each once.
        """
        return [
            seen
            for seen in self.material.lines
            if flag in seen.line.flags and (not hosts or any(_is_about(seen.line, host) for host in hosts))
        ]

    def age(self, obj: Obj) -> float:
        """Seconds since the creation of an object; a long time when that is not known."""
        born = seconds_of(text_at(obj, "metadata", "creationTimestamp"))
        return self.now - born if born is not None else 86400.0

    def begins(self, pod: Obj) -> bool:
        """Whether a pod may become ready by itself: young, and nothing wrong with it."""
        return not is_ready(pod) and not faults(pod) and self.age(pod) < BEGINNING

    def ready(self, service: Obj) -> list[Obj]:
        """The pods of a Service that take requests. :returns: raw."""
        return [pod for pod in self.pods_behind(service) if takes_requests(pod)]

    def port_entries(self, service: Obj) -> list[Obj]:
        """The ports of a Service that the symptom is about. :returns: all when it names none."""
        wanted = self.symptom.port
        return [
            port
            for port in mappings_at(service, "spec", "ports")
            if not wanted or wanted in (text_at(port, "name"), str(integer_at(port, "port")))
        ]

    def _meshed_namespaces(self) -> frozenset[str]:
        """Namespaces that take part: those of the catalogue, and those with a sidecar in them."""
        found = set(self.catalogue.namespaces)
        for pod in self.live.of("Pod"):
            if "sidecar.istio.io/status" in mapping_at(pod, "metadata", "annotations"):
                found.add(namespace_of(pod))
        found |= {name for name, item in self.namespaces.items() if is_injected(item)}
        return frozenset(found - SYSTEM_NAMESPACES)

    def _pods_called(self, text: str) -> list[Obj]:
        """Pods of a name: itself, behind the Service of that name, or of the workload of that name."""
        if not text:
            return []
        namespace, name = self.symptom.place_of(text, self.home)
        pods: list[Obj] = [pod for pod in self.live.of("Pod", namespace) if is_active(pod)]
        exact = [pod for pod in pods if name_of(pod) == name]
        if exact:
            return exact
        service = self._services.get(f"{name}.{namespace}.svc.{self.domain}")
        if service is not None and mapping_at(service, "spec", "selector"):
            return self.pods_behind(service)
        return [pod for pod in pods if _workload_of(pod) == name or labels_of(pod).get("app") == name]

    def _concerned_services(self) -> list[Obj]:
        place = self.destination
        if place is not None:
            found = self._services.get(f"{place[1]}.{place[0]}.svc.{self.domain}")
            return [found] if found is not None else []
        if self.host:
            hosts = {
                target.host
                for item in self.routes
                if self.host in item.read.hosts
                for route in self._with_delegates(item)
                for target in route.destinations
            }
            return [self._services[host] for host in sorted(hosts) if host in self._services]
        if self.named:
            return [
                item
                for item in self.of("Service")
                if any(
                    namespace_of(pod) == namespace_of(item)
                    and mapping_at(item, "spec", "selector")
                    and has_labels(pod, mapping_at(item, "spec", "selector"))
                    for pod in self.named
                )
            ]
        if self.symptom.source:
            return []
        places = {self.symptom.namespace} if self.symptom.namespace else self.meshed
        return [item for item in self.of("Service") if namespace_of(item) in places]

    def _with_delegates(self, item: LiveVirtualService) -> Iterator[Any]:
        for route in item.read.routes:
            yield route
            for other in self.routes:
                if route.delegate == (other.read.namespace, other.read.name):
                    yield from other.read.routes

    def _behind(self, services: Sequence[Obj]) -> list[Obj]:
        return [pod for item in services for pod in self.pods_behind(item)]

    def _subjects(self) -> list[Obj]:
        if not self.symptom.anything:
            found = [*self.callers, *self.callees, *self.named]
        else:
            places = {self.symptom.namespace} if self.symptom.namespace else self.meshed
            found = [pod for name in sorted(places) for pod in self.live.of("Pod", name) if is_active(pod)]
        return list({full_name(pod): pod for pod in found}.values())


def full_name(obj: Obj) -> str:
    """``namespace/name`` of an object."""
    return f"{namespace_of(obj)}/{name_of(obj)}"


def _is_about(line: AccessLine, host: str) -> bool:
    if line.cluster.endswith(f"|{host}"):
        return True
    name = line.authority.partition(":")[0]
    return bool(name) and (name == host or host.startswith(f"{name}."))


def _workload_of(pod: Obj) -> str:
    return workload_of(controller_of(mapping_at(pod, "metadata")), labels_of(pod))[1]
