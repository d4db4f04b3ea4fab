# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects of a mesh say together, pod by pod: services, ports, modes, policies.

Built once per look, so that each question about a pod costs no further pass over all objects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import mappings_at, namespace_of, text_at
from ...kube.pods import is_active, is_leaving
from ...model.catalogue.edges import Edge, service_edges
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service
from ...model.objects.peer_authentications import port_mode
from ...model.security.attachment import selects
from ...model.security.authorization import Policy, PolicyIndex, WorkloadPolicies
from ...model.security.classes import ANY_OTHER_PORT, Trials, WorkloadPort, named_ports, port_label, trials
from ...model.security.destination_rules import DestinationRules
from ...model.security.peer_authentication import DISABLE, STRICT, PeerPolicies
from ...model.security.pods import TUNNEL_PORT, MeshPod, read_pod, target_ports
from ...model.security.protocols import HTTP, declared_protocol
from .live_objects import LiveObjects

_ROLLED = ("pod-template-hash", "controller-revision-hash")


@dataclasses.dataclass(frozen=True, slots=True)
class PodPort:
    """One port of a pod.

    :param mode: the mode that it is in. :param wanted: the mode that the catalogue wants. :param decided:
        the object that decided ``mode``. :param captured: whether a proxy stands before it.
    :param served: whether a Service leads to it.
    """

    number: int
    mode: str
    wanted: str
    decided: str
    captured: bool
    http: bool
    tcp: bool
    served: bool = False

    @property
    def label(self) -> str:
        """The port in messages."""
        return port_label(self.number)


@dataclasses.dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod with all that objects say about it.

    :param raw: as the API has it. :param services: of the catalogue, whose pods it is among.
    :param key: equal for pods that all of this but the pod itself is equal for.
    """

    pod: MeshPod
    raw: Mapping[str, Any]
    services: tuple[Service, ...]
    ports: tuple[PodPort, ...]
    policies: tuple[Policy, ...]
    held: WorkloadPolicies
    key: tuple[Any, ...]

    def port(self, number: int) -> PodPort | None:
        """The port of that number, if anything names it."""
        return next((port for port in self.ports if port.number == number), None)

    def is_kept_away(self, port: PodPort, *, named: bool = True) -> bool:
        """Whether the proxy does not stand before a port that it should.

        :param named: whether to ask of ports that the catalogue, a Service or a container names, or of the
            others, at which anything may listen.
        """
        known = port.number in self.pod.ports or any(port.number in _numbers(one) for one in self.services)
        return not port.captured and port.wanted != DISABLE and (known or port.served) is named


class Picture:
    """One look at a mesh.

    :param namespaces: those that are to be looked at, catalogued or not.
    """

    def __init__(self, catalogue: Catalogue, live: LiveObjects, namespaces: Sequence[str]) -> None:
        self.catalogue, self.live, self.namespaces = catalogue, live, tuple(namespaces)
        self.trust_domains = (catalogue.trust_domain, *catalogue.trust_domain_aliases)
        root = catalogue.root_namespace
        self.modes = PeerPolicies(live.in_force("PeerAuthentication"), root)
        self.policies = PolicyIndex(
            live.in_force("AuthorizationPolicy"), root_namespace=root, trust_domains=self.trust_domains
        )
        self.rules = DestinationRules(
            live.in_force("DestinationRule"), root_namespace=root, domain=catalogue.cluster_domain
        )
        self._edges: dict[str, tuple[Edge, ...]] = {}
        self._seen: dict[tuple[Any, ...], SeenPod] = {}
        self.pods: list[SeenPod] = []
        self.leaving: list[SeenPod] = []
        """Those that were deleted and still run: what they leave open is open until they end."""
        self._pods_of: dict[str, list[SeenPod]] = {}
        for raw in (raw for name in self.namespaces for raw in live.of("Pod", name)):
            if is_leaving(raw):
                self.leaving.append(self._see(raw))
            if not is_active(raw):
                continue
            seen = self._see(raw)
            self.pods.append(seen)
            for service in seen.services:
                self._pods_of.setdefault(service.key, []).append(seen)

    def edges(self, service: Service) -> tuple[Edge, ...]:
        """What the catalogue states about a service. :returns: its edges."""
        if service.key not in self._edges:
            self._edges[service.key] = service_edges(self.catalogue, service)
        return self._edges[service.key]

    def pods_of(self, service: Service) -> list[SeenPod]:
        """The pods of a service, by its own selector and by that of its Kubernetes Service.

        :returns: in the order in which they were read.
        """
        return self._pods_of.get(service.key, [])

    def _see(self, raw: Mapping[str, Any]) -> SeenPod:
        """Pods of one rollout differ in their names only, and are worked out once."""
        pod = read_pod(raw)
        labels = {name: value for name, value in pod.labels.items() if name not in _ROLLED}
        kubernetes = self.live.services_of(raw)
        policies = tuple(self.policies.of(pod.namespace, pod.labels))
        key = (
            pod.namespace,
            pod.service_account,
            tuple(sorted(labels.items())),
            (pod.meshed, pod.gateway, pod.ambient, pod.included, pod.excluded, pod.ports, pod.taken),
            tuple(id(item) for item in (*policies, *kubernetes)),
        )
        known = self._seen.get(key)
        if known is not None:
            return dataclasses.replace(known, pod=pod, raw=raw)
        services = self._services(pod, kubernetes)
        seen = SeenPod(
            pod,
            raw,
            services,
            self._ports(pod, raw, services, kubernetes, policies),
            policies,
            WorkloadPolicies(policies, self.trust_domains),
            key,
        )
        self._seen[key] = seen
        return seen

    def _services(self, pod: MeshPod, kubernetes: Sequence[Mapping[str, Any]]) -> tuple[Service, ...]:
        names = {(namespace_of(item), text_at(item, "metadata", "name")) for item in kubernetes}
        return tuple(
            service
            for service in self.live.catalogued(self.catalogue, pod.namespace)
            if (service.namespace, service.name) in names or service.labels.items() <= pod.labels.items()
        )

    def _ports(
        self,
        pod: MeshPod,
        raw: Mapping[str, Any],
        services: Sequence[Service],
        kubernetes: Sequence[Mapping[str, Any]],
        policies: Sequence[Policy],
    ) -> tuple[PodPort, ...]:
        protocols: dict[int, set[bool | None]] = {}
        for service in services:
            for port in service.all_ports:
                protocols.setdefault(port.target_port, set()).add(port.is_http)
            if service.scrape:
                protocols.setdefault(service.scrape.port, set())
        for item in kubernetes:
            for number, entry in target_ports(item, raw).items():
                protocols.setdefault(number, set()).add(_speaks_http(entry))
        kept_away = pod.excluded - {TUNNEL_PORT}  # of every pod: it counts where something names it
        rest = {*pod.ports, *self.modes.named_ports(pod.namespace, pod.labels), *kept_away}
        rest.update(named_ports(policies))
        rest.add(ANY_OTHER_PORT)
        served = frozenset(protocols)
        for number in rest:
            protocols.setdefault(number, set())
        return tuple(
            self._port(pod, services, number, protocols[number], served=number in served)
            for number in sorted(protocols)
            if number not in pod.taken
        )

    def _port(
        self,
        pod: MeshPod,
        services: Sequence[Service],
        number: int,
        http: set[bool | None],
        *,
        served: bool,
    ) -> PodPort:
        mode, decided = self.modes.mode(pod.namespace, pod.labels, number)
        wanted = {port_mode(self.catalogue, service, number) for service in services}
        sniffed = not http or None in http
        return PodPort(
            number,
            mode,
            wanted.pop() if len(wanted) == 1 else self.catalogue.mtls_mode,
            decided,
            pod.captures(number),
            http=sniffed or True in http,
            tcp=sniffed or False in http,
            served=served,
        )

    def trials(self, seen: SeenPod, edges: Sequence[Edge]) -> Trials:
        """The requests to try on a pod: each port as it is served, with and without identity."""
        ports = [
            WorkloadPort(
                port.number,
                http=port.http,
                tcp=port.tcp,
                plaintext=port.mode != STRICT,
                mtls=port.mode != DISABLE,
            )
            for port in seen.ports
            if port.captured
        ]
        root = self.catalogue.root_namespace
        issuers = tuple(
            text_at(rule, "issuer")
            for item in self.live.in_force("RequestAuthentication")
            if selects(item, seen.pod.namespace, seen.pod.labels, root)
            for rule in mappings_at(item, "spec", "jwtRules")
        )
        return trials(
            seen.policies,
            edges,
            ports,
            namespace=seen.pod.namespace,
            trust_domains=self.trust_domains,
            issuers=None if "RequestAuthentication" in self.live.unread else issuers,
        )


def _speaks_http(port: Mapping[str, Any]) -> bool | None:
    """Whether a Service port is HTTP by its ``appProtocol`` or name; ``None`` when proxies find out."""
    declared = declared_protocol(port)
    return declared in HTTP if declared else None


def _numbers(service: Service) -> set[int]:
    scraped = {service.scrape.port} if service.scrape else set()
    return set(service.target_ports()) | scraped
