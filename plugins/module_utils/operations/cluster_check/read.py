# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a catalogue talks about: Services and pods of its namespaces and of its gateways'."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ...fields import labels_of, mapping_at, name_of, namespace_of, text_at
from ...istio.probe.pods import is_probe
from ...kube.pods import has_labels, is_active
from ...model.catalogue.mesh import Catalogue

if TYPE_CHECKING:
    from ...kube.client import KubeClient

Obj = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Place:
    """One namespace.

    :param exists: whether it is there. :param unread: why it could not be read, ``""`` when it was.
    :param services: by name. :param pods: those that are neither ended nor going, probes of ours left out.
    """

    name: str
    exists: bool = True
    unread: str = ""
    services: Mapping[str, Obj] = dataclasses.field(default_factory=dict)
    pods: Sequence[Obj] = ()

    @functools.cached_property
    def _by_label(self) -> dict[tuple[str, str], list[Obj]]:
        """Pods by each of their labels."""
        found: dict[tuple[str, str], list[Obj]] = {}
        for pod in self.pods:
            for pair in labels_of(pod).items():
                found.setdefault(pair, []).append(pod)
        return found

    @functools.cached_property
    def _by_selector(self) -> dict[tuple[str, str], list[str]]:
        """Services by the first label that they select by."""
        found: dict[tuple[str, str], list[str]] = {}
        for name, service in self.services.items():
            for pair in list(selector_of(service).items())[:1]:
                found.setdefault(pair, []).append(name)
        return found

    def selected(self, labels: Mapping[str, str]) -> list[Obj]:
        """Its pods with all of ``labels``. :returns: in the order of their names."""
        if not labels:
            return list(self.pods)
        fewest = min((self._by_label.get(pair, []) for pair in labels.items()), key=len)
        return [pod for pod in fewest if has_labels(pod, labels)]

    def selecting(self, pods: Iterable[Obj]) -> list[Obj]:
        """The Services that select one of some pods. :returns: in the order of ``services``."""
        found = {
            name
            for pod in pods
            for pair in labels_of(pod).items()
            for name in self._by_selector.get(pair, ())
            if has_labels(pod, selector_of(self.services[name]))
        }
        return [service for name, service in self.services.items() if name in found]

    def behind(self, service: Obj) -> list[Obj]:
        """The pods that a Service selects. :returns: ``[]`` also for a Service without a selector."""
        selector = selector_of(service)
        return self.selected(selector) if selector else []


def selector_of(service: Obj) -> Mapping[str, str]:
    """``spec.selector`` of a Service. :returns: ``{}`` when its endpoints are somebody's own."""
    return mapping_at(service, "spec", "selector")


def account_of(pod: Obj) -> str:
    """The ServiceAccount that a pod runs as."""
    return text_at(pod, "spec", "serviceAccountName") or "default"


def places_of(catalogue: Catalogue) -> list[str]:
    """The namespaces of services and of gateways. :returns: sorted, each once."""
    return sorted({*catalogue.namespaces, *catalogue.gateway_namespaces})


def read_places(client: KubeClient, names: Iterable[str], *, to_come: Iterable[Obj] = ()) -> dict[str, Place]:
    """The namespaces as they are, with the Services that this run is going to make.

    :param to_come: objects that the same run writes; its Services count as there.
    :returns: namespace -> what it holds. What may not be read says so, and is no error.
    """
    wanted = list(names)
    found = client.in_parallel(lambda name: _read(client, name), wanted)
    places = dict(zip(wanted, found, strict=True))
    for obj in to_come:
        place = places.get(namespace_of(obj))
        if obj.get("kind") == "Service" and obj.get("apiVersion") == "v1" and place is not None:
            services = {**place.services, name_of(obj): obj}
            places[place.name] = dataclasses.replace(place, services=services)
    return places


def _read(client: KubeClient, name: str) -> Place:
    try:
        services = client.list("v1", "Service", name).items
        pods = client.list("v1", "Pod", name).items
    except ApiError as error:
        if not error.not_allowed:
            raise
        return Place(name, unread=error.message)
    return Place(
        name,
        exists=bool(services or pods) or _exists(client, name),
        services={name_of(obj): obj for obj in services},
        pods=[pod for pod in sorted(pods, key=name_of) if is_active(pod) and not is_probe(labels_of(pod))],
    )


def _exists(client: KubeClient, name: str) -> bool:
    """Of a namespace that holds nothing: whether it is there. Who may not ask takes it for there."""
    try:
        return client.get("v1", "Namespace", name) is not None
    except ApiError as error:
        if not error.not_allowed:
            raise
        return True
