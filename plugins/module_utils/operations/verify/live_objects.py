# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a verification reads from the API server, read once and in parallel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ApiError
from ...fields import age_order, labels_of, mapping_at, name_of, namespace_of, text_at
from ...istio.istiod import ISTIOD_SELECTOR, Istiod, ready_istiods
from ...istio.probe.pods import is_probe
from ...istio.proxy.certificates import ROOT_CONFIG_MAP, ROOT_KEY, serial_numbers
from ...istio.proxy.running import RunningProxy, running_proxies
from ...istio.proxy.secrets import certificates_of
from ...kube.client import KubeClient
from ...kube.pods import has_labels, is_active, takes_requests
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service

NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
KINDS = (
    ("v1", "Pod"),
    ("v1", "Service"),
    (NETWORKING, "VirtualService"),
    (NETWORKING, "DestinationRule"),
    (SECURITY, "PeerAuthentication"),
    (SECURITY, "AuthorizationPolicy"),
    (SECURITY, "RequestAuthentication"),
)
DECIDED_BY = {
    "policies": ("AuthorizationPolicy", "PeerAuthentication", "Service"),
    "mtls": ("PeerAuthentication", "DestinationRule", "Service"),
    "routes": ("VirtualService", "DestinationRule", "Service"),
    "sync": ("AuthorizationPolicy",),
}
"""The kinds of objects that decide what a check is about; without one of them it cannot tell."""
LENIENT = ("RequestAuthentication",)
"""Kinds without which everything can still be judged, a little more strictly."""
REVISION, TAG = "istio.io/rev", "istio.io/tag"


Objects = list[dict[str, Any]]


@dataclasses.dataclass(slots=True)
class LiveObjects:
    """What the API server holds. Probe pods are left out.

    :param objects: by kind. :param unread: kinds that could not be read, with the reason.
    :param missing: kinds that the cluster does not know.
    :param root_certificates: the roots that istiod publishes (PEM); empty when they cannot be read.
    """

    objects: dict[str, Objects]
    istiods: list[Istiod]
    unread: dict[str, str]
    missing: frozenset[str]
    root_certificates: str = ""
    _index: dict[tuple[str, str], Objects] = dataclasses.field(default_factory=dict, repr=False)
    _services: dict[tuple[str, str], Objects] = dataclasses.field(default_factory=dict, repr=False)
    _catalogued: dict[str, list[Service]] = dataclasses.field(default_factory=dict, repr=False)

    def lacks(self, check: str) -> bool:
        """Whether a kind of objects could not be read that decides what a check is about."""
        return any(kind in self.unread for kind in DECIDED_BY[check])

    @property
    def published(self) -> frozenset[bytes]:
        """The roots that istiod publishes, in DER."""
        return certificates_of(self.root_certificates)

    @property
    def roots(self) -> frozenset[str]:
        """The serial numbers of the roots that istiod publishes."""
        return serial_numbers(self.root_certificates)

    def of(self, kind: str, namespace: str | None = None) -> Objects:
        """The objects of one kind, of one namespace or of all that were read."""
        if namespace is None:
            return self.objects.get(kind, [])
        if not self._index:
            for name, items in self.objects.items():
                for item in items:
                    self._index.setdefault((name, namespace_of(item)), []).append(item)
        return self._index.get((kind, namespace), [])

    def in_force(self, kind: str) -> Objects:
        """The objects of one kind that an istiod reads: with a label of another revision none does (istio
        pkg/config, LabelsInRevision). A tag of a revision is known by the Service that the chart gives it.

        :returns: in their order.
        """
        known = {istiod.revision for istiod in self.istiods} | {"", "default"}
        if not self.istiods:
            return self.of(kind)
        known |= {labels_of(item).get(TAG, "") for item in self.of("Service")}
        return [item for item in self.of(kind) if labels_of(item).get(REVISION, "") in known]

    def services_of(self, pod: Mapping[str, Any]) -> Objects:
        """The Services whose selector takes a pod, the oldest first, as istiod sorts them."""
        namespace = namespace_of(pod)
        labels = labels_of(pod)
        if not self._services:
            for item in sorted(self.of("Service"), key=age_order):
                for pair in list(mapping_at(item, "spec", "selector").items())[:1]:
                    self._services.setdefault((namespace_of(item), f"{pair[0]}={pair[1]}"), []).append(item)
        found = [
            item
            for key, value in labels.items()
            for item in self._services.get((namespace, f"{key}={value}"), ())
            if has_labels(pod, mapping_at(item, "spec", "selector"))
        ]
        return sorted(found, key=age_order)

    def addresses(self, catalogue: Catalogue) -> dict[str, list[str]]:
        """The ready pods behind each service of a catalogue.

        :returns: ``namespace/service`` -> ``name address``, in their order.
        """
        found: dict[str, list[str]] = {service.key: [] for service in catalogue.services}
        for namespace in catalogue.namespaces:
            for pod in self.of("Pod", namespace):
                address = text_at(pod, "status", "podIP")
                for item in self.services_of(pod) if address and takes_requests(pod) else ():
                    key = f"{namespace}/{name_of(item)}"
                    if key in found:
                        found[key].append(f"{name_of(pod)} {address}")
        return found

    def catalogued(self, catalogue: Catalogue, namespace: str) -> Sequence[Service]:
        """The services of a catalogue in one namespace. :returns: in their order."""
        if not self._catalogued:
            for service in catalogue.services:
                self._catalogued.setdefault(service.namespace, []).append(service)
        return self._catalogued.get(namespace, [])

    def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, if it was there. :returns: the object, None when it was not there."""
        return next((item for item in self.of(kind, namespace) if name_of(item) == name), None)

    @property
    def installed(self) -> bool:
        """Whether there is an Istio at all."""
        return bool(self.istiods) or "PeerAuthentication" not in self.missing

    def proxies(self) -> list[RunningProxy]:
        """The proxies that run. :returns: one per pod with a ready proxy."""
        return running_proxies(self.of("Pod"))

    def pods_of(self, namespace: str, service: str) -> Objects:
        """The pods behind a Service that are not on their way out."""
        found = self.find("Service", namespace, service)
        selector = mapping_at(found, "spec", "selector")
        if not selector:
            return []
        return [pod for pod in self.of("Pod", namespace) if has_labels(pod, selector) and is_active(pod)]


def read_live_objects(
    client: KubeClient, *, namespaces: Sequence[str], root_namespace: str, istio_namespace: str
) -> LiveObjects:
    """Reads the objects of ``KINDS`` in ``namespaces`` and the root namespace, and the istiod pods.

    Namespace by namespace, because that is how far the documented rights reach. A kind that may not be read
    is noted and does not stop the rest.

    :raises ApiError: the API server does not answer, or pods may not be read.
    """
    wanted = [
        (api_version, kind, namespace)
        for namespace in dict.fromkeys((*namespaces, root_namespace))
        for api_version, kind in KINDS
    ]
    results = client.in_parallel(lambda request: _read(client, *request), wanted)
    live = LiveObjects({}, [], {}, frozenset())
    missing: set[str] = set()
    for (_version, kind, namespace), (items, problem, absent) in zip(wanted, results, strict=True):
        live.objects.setdefault(kind, []).extend(
            item for item in items if kind != "Pod" or not is_probe(labels_of(item))
        )
        if problem:
            live.unread[kind] = f"{kind} of namespace {namespace}: {problem}"
        if absent:
            missing.add(kind)
    live.missing = frozenset(missing)
    istiods = client.list("v1", "Pod", istio_namespace, label_selector=ISTIOD_SELECTOR)
    live.istiods = ready_istiods(istiods.items)
    live.root_certificates = published_roots(client, istio_namespace)
    return live


def _read(client: KubeClient, api_version: str, kind: str, namespace: str) -> tuple[Objects, str, bool]:
    try:
        answer = client.list(api_version, kind, namespace)
    except ApiError as error:
        if kind == "Pod" or not error.not_allowed:
            raise
        return [], error.message, False
    return list(answer.items), "", bool(answer.missing)


def published_roots(client: KubeClient, istio_namespace: str) -> str:
    """The roots that istiod publishes, in PEM; ``""`` when they may not be read, or are not there."""
    try:
        found = client.get("v1", "ConfigMap", ROOT_CONFIG_MAP, istio_namespace)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ""
    return text_at(found, "data", ROOT_KEY)
