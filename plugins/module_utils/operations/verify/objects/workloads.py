# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: workloads beside the catalogue, wherever they are.

Namespaces of others are an inventory and no fault, as long as the mesh does not claim mutual TLS for all of
it (a PeerAuthentication of the root namespace). Whoever runs under the account of a service of the catalogue
has all of its rights, and that is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ....fields import namespace_of
from ....istio.workloads import controller_of
from ....kube.pods import is_active
from ....labels import is_selected
from ....model.catalogue.mesh import Gateway
from ....model.security.authorization import PolicyIndex, action_of, decides
from ....model.security.classes import ANY_OTHER_PORT
from ....model.security.outbound import uncaptured_outbound
from ....model.security.peer_authentication import STRICT, PeerPolicies, is_looser
from ....model.security.pods import MeshPod, read_pod
from ....words import few
from ..findings import Finding, beside, failed
from ..ours import Ours


def check_workloads_beside(ours: Ours) -> list[Finding]:
    """One finding per foreign namespace with meshed workloads, per object that undoes the mesh's mutual TLS
    there, per borrowed account, and per pod that calls past its proxy.

    :returns: faults first.
    """
    return [*_borrowed(ours), *_borrowed_of_gateways(ours), *_around_proxies(ours), *_namespaces(ours)]


def _around_proxies(ours: Ours) -> Iterator[Finding]:
    """Pods whose applications reach something without their proxy, although the mesh refuses what nobody
    declared."""
    if ours.picture.catalogue.outbound != "REGISTRY_ONLY":
        return
    for seen in ours.own_pods():
        left = uncaptured_outbound(seen.raw) if seen.pod.meshed and seen.services else ()
        if left:
            what = f"calls {few(left)} past its proxy (traffic.sidecar.istio.io), so nothing is refused there"
            yield failed("objects", f"Pod {seen.pod}", what)


def _borrowed(ours: Ours) -> Iterator[Finding]:
    catalogue = ours.picture.catalogue
    accounts = {
        (service.namespace, service.service_account): service
        for service in catalogue.services
        if catalogue.callees(service) or catalogue.external_callees(service)
    }
    accounts_of = {item.key: (item.namespace, item.service_account) for item in catalogue.services}
    entitled = {
        str(seen.pod)
        for seen in ours.picture.pods
        for item in seen.services
        if accounts_of[item.key] == (seen.pod.namespace, seen.pod.service_account)
    }
    for seen in ours.own_pods():
        pod = seen.pod
        service = accounts.get((pod.namespace, pod.service_account))
        if service is None or str(pod) in entitled:
            continue
        callees = [item.key for item in catalogue.callees(service)]
        callees += [f"external service {item.name}" for item in catalogue.external_callees(service)]
        what = f"runs as {pod.namespace}/{pod.service_account} and so may call {few(callees)}"
        kind = (controller_of(seen.raw.get("metadata") or {}) or ("", ""))[0]
        if kind == "Job":
            yield beside("objects", f"Pod {pod}", f"{what}, as a Job that is not in the catalogue")
        else:
            yield failed("objects", f"Pod {pod}", f"{what}, and is no workload of the catalogue")


def _borrowed_of_gateways(ours: Ours) -> Iterator[Finding]:
    """Whoever runs under the account of a gateway may call whatever is exposed there."""
    catalogue = ours.picture.catalogue
    doors: dict[tuple[str, str], list[Gateway]] = {}
    for gateway in catalogue.gateways:
        doors.setdefault((gateway.workload_namespace, gateway.service_account), []).append(gateway)
    for (place, account), gateways in doors.items():
        names = {gateway.name for gateway in gateways}
        callees = [item.key for item in catalogue.services if any(e.gateway in names for e in item.exposed)]
        for raw in ours.picture.live.of("Pod", place) if callees else ():
            pod = read_pod(raw)
            serves = pod.gateway and any(is_selected(pod.labels, item.selector) for item in gateways)
            if is_active(raw) and pod.service_account == account and not serves:
                what = f"runs as {place}/{account}, the account of gateway {gateways[0].name}, and is none of"
                yield failed("objects", f"Pod {pod}", f"{what} its pods: so it may call {few(callees)}")


def _namespaces(ours: Ours) -> Iterator[Finding]:
    root = ours.picture.catalogue.root_namespace
    modes = PeerPolicies(ours.around.of("PeerAuthentication"), root)
    policies = PolicyIndex(
        ours.around.of("AuthorizationPolicy"), root_namespace=root, trust_domains=ours.picture.trust_domains
    )
    claimed = modes.of_namespace(root) == STRICT
    places: dict[str, list[MeshPod]] = {}
    for raw in ours.around.pods:
        if is_active(raw) and namespace_of(raw) not in ours.picture.namespaces:
            places.setdefault(namespace_of(raw), []).append(read_pod(raw))
    undone: dict[str, dict[str, None]] = {}
    told = []
    for namespace in sorted(places):
        counted = _counted(namespace, places[namespace], modes, policies, undone)
        told.append(beside("objects", f"Namespace {namespace}", counted))
    if claimed:
        for subject, names in undone.items():
            what = f"takes mutual TLS, which the mesh claims for every namespace, from {few(names)}"
            yield failed("objects", subject, what)
    yield from told


def _counted(
    namespace: str,
    pods: list[MeshPod],
    modes: PeerPolicies,
    policies: PolicyIndex,
    undone: dict[str, dict[str, None]],
) -> str:
    """What the pods of a foreign namespace are, as one sentence; fills ``undone`` by object."""
    numbers: Counter[str] = Counter()
    for pod in pods:
        if not pod.meshed:
            numbers["without a sidecar"] += 1
            undone.setdefault(f"Namespace {namespace}", {})[str(pod)] = None
            continue
        ports = (*pod.ports, *modes.named_ports(namespace, pod.labels), ANY_OTHER_PORT)
        for port in ports:
            mode, decided = modes.mode(namespace, pod.labels, port or None)
            if is_looser(mode, STRICT):
                numbers["that take plaintext"] += 1
                undone.setdefault(decided, {})[str(pod)] = None
                break
        held = policies.of(namespace, pod.labels)
        if not any(decides(item) and action_of(item) in ("ALLOW", "CUSTOM") for item in held):
            numbers["that let everybody in"] += 1
    kinds = "".join(f", {number} {what}" for what, number in sorted(numbers.items()))
    return f"{len(pods)} pods in the mesh and not in the catalogue{kinds}"
