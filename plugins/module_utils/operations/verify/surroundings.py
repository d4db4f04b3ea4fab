# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies around the mesh: objects of every namespace that could act on its workloads.

Read of the whole cluster at once where the rights reach that far, else of the mesh's namespaces, and then it
is said what was not looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ApiError
from ...fields import labels_of, name_of, namespace_of, text_at
from ...istio.probe.pods import is_probe
from ...kube.client import KubeClient
from ...model.installation.injection import INJECTION_LABEL, REVISION_LABEL
from ..cluster_check.findings import Difference
from .live_objects import NETWORKING, SECURITY, Objects

KINDS = {
    "Gateway": NETWORKING,
    "VirtualService": NETWORKING,
    "DestinationRule": NETWORKING,
    "ServiceEntry": NETWORKING,
    "WorkloadEntry": NETWORKING,
    "Sidecar": NETWORKING,
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "ProxyConfig": "networking.istio.io/v1beta1",
    "WasmPlugin": "extensions.istio.io/v1alpha1",
    "TrafficExtension": "extensions.istio.io/v1alpha1",
    "Telemetry": "telemetry.istio.io/v1",
    "PeerAuthentication": SECURITY,
    "AuthorizationPolicy": SECURITY,
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
    "TCPRoute": "gateway.networking.k8s.io/v1",
    "TLSRoute": "gateway.networking.k8s.io/v1",
    "BackendTLSPolicy": "gateway.networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
}
_OLDER = dict.fromkeys(("TCPRoute", "TLSRoute"), "gateway.networking.k8s.io/v1alpha2")
"""What Gateway API before 1.5 has as nothing newer."""
BY_HAND = "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io"
"""The EndpointSlices that follow no selector: what lies in them, somebody wrote (Kubernetes
pkg/controller/endpointslice)."""
MESHED = "security.istio.io/tlsMode=istio"
"""The label that the injector gives to every pod (manifests/charts/istio-control/istio-discovery)."""


@dataclasses.dataclass(slots=True)
class Surroundings:
    """What was read.

    :param objects: by kind, of all namespaces that could be read. :param unread: kind -> why the other
        namespaces were not looked at. :param injected: namespaces whose pods get a sidecar.
    :param pods: those with a sidecar, and those of injected namespaces, beside the mesh's own.
    :param cluster: UID of namespace kube-system, which stands for the cluster. :param slices: EndpointSlices
        of the mesh's namespaces that no selector makes. :param settings: how Istio's configuration differs
        from what the catalogue states.
    """

    objects: Mapping[str, Objects]
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)
    injected: frozenset[str] = frozenset()
    pods: Objects = dataclasses.field(default_factory=list)
    cluster: str = ""
    slices: Objects = dataclasses.field(default_factory=list)
    settings: Sequence[Difference] = ()

    def of(self, kind: str) -> Objects:
        """The objects of one kind."""
        return self.objects.get(kind, [])


def is_injected(namespace: Mapping[str, Any]) -> bool:
    """Whether pods of a namespace get a sidecar, by its labels."""
    labels = labels_of(namespace)
    switch = labels.get(INJECTION_LABEL)
    return switch == "enabled" or (switch is None and bool(labels.get(REVISION_LABEL)))


def read_surroundings(client: KubeClient, namespaces: Sequence[str]) -> Surroundings:
    """Reads all kinds, in parallel.

    :param namespaces: the mesh's own, with the gateways' and the root namespace: read one by one where the
        whole cluster may not be.
    :raises ApiError: the API server does not answer.
    """
    kinds = list(KINDS)
    answers = client.in_parallel(lambda kind: read_everywhere(client, KINDS[kind], kind, namespaces), kinds)
    unread = {kind: why for kind, (_items, why) in zip(kinds, answers, strict=True) if why}
    found = Surroundings({kind: items for kind, (items, _why) in zip(kinds, answers, strict=True)}, unread)
    found.slices = _slices(client, namespaces, unread)
    try:
        places = client.list("v1", "Namespace").items
        found.cluster = next(
            (text_at(item, "metadata", "uid") for item in places if name_of(item) == "kube-system"), ""
        )
        found.injected = frozenset(name_of(item) for item in places if is_injected(item))
        found.pods = _pods(client, sorted(found.injected - {*namespaces}), namespaces)
    except ApiError as error:
        if not error.not_allowed:
            raise
        unread["Pod"] = error.message
    return found


def read_everywhere(
    client: KubeClient, api_version: str, kind: str, namespaces: Sequence[str]
) -> tuple[Objects, str]:
    """The objects of one kind in the whole cluster, else in some namespaces.

    :param namespaces: read one by one where the whole cluster may not be.
    :returns: the objects, and why not all were read; ``""`` when they were.
    :raises ApiError: the API server does not answer.
    """
    try:
        listed = client.list(api_version, kind)
        if listed.missing and kind in _OLDER and api_version != _OLDER[kind]:
            return read_everywhere(client, _OLDER[kind], kind, namespaces)
        return list(listed.items), ""
    except ApiError as error:
        if not error.not_allowed:
            raise
        why = error.message
    found: Objects = []
    for namespace in dict.fromkeys(namespaces):
        try:
            found += client.list(api_version, kind, namespace).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            why = error.message
    return found, why


def _slices(client: KubeClient, namespaces: Sequence[str], unread: dict[str, str]) -> Objects:
    def read(namespace: str) -> Objects:
        try:
            found = client.list("discovery.k8s.io/v1", "EndpointSlice", namespace, label_selector=BY_HAND)
        except ApiError as error:
            if not error.not_allowed:
                raise
            unread["EndpointSlice"] = error.message
            return []
        return list(found.items)

    return [item for items in client.in_parallel(read, list(dict.fromkeys(namespaces))) for item in items]


def _pods(client: KubeClient, injected: Sequence[str], own: Sequence[str]) -> Objects:
    """Those of injected namespaces, and those that were injected elsewhere."""
    lists = client.in_parallel(lambda name: client.list("v1", "Pod", name).items, injected)
    strays = client.list("v1", "Pod", label_selector=MESHED).items
    known = {*injected, *own}
    return [
        pod
        for pod in (
            *(pod for pods in lists for pod in pods),
            *(pod for pod in strays if namespace_of(pod) not in known),
        )
        if not is_probe(labels_of(pod))
    ]
