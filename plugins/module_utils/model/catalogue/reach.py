# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an entry reaches: never beyond its own pods.

Istio selects by labels, so a selector that is part of another one selects the other's pods as well: what lets
callers in adds up, and one Sidecar of two wins. Objects of the root namespace hold in every namespace, with a
selector too (pilot/pkg/model, GetPeerAuthenticationsForWorkload and its like), and a Gateway selects pods of
all namespaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...labels import is_selected
from ..installation.gateways import InstalledGateway
from ..reading.problems import Problems
from .mesh import Catalogue, EgressGateway, Gateway
from .services import Service

_EGRESS = "mesh_egress_gateway"
# Labels that pods get from others than their template: whoever selects by them selects by accident.
_GIVEN = {
    "pod-template-hash": "Kubernetes, anew with each rollout",
    "controller-revision-hash": "Kubernetes, anew with each rollout",
    "pod-template-generation": "Kubernetes, anew with each rollout",
    "statefulset.kubernetes.io/pod-name": "Kubernetes, for each pod another one",
    "apps.kubernetes.io/pod-index": "Kubernetes, for each pod another one",
    "controller-uid": "Kubernetes, for each Job another one",
    "batch.kubernetes.io/controller-uid": "Kubernetes, for each Job another one",
    "batch.kubernetes.io/job-completion-index": "Kubernetes, for each pod another one",
    "security.istio.io/tlsMode": "the injector, to every pod with a sidecar",
    "istio.io/rev": "the injector, to every pod of a revision",
}
Labels = Mapping[str, str]


def check_reach(catalogue: Catalogue, installed: Sequence[InstalledGateway], problems: Problems) -> None:
    """Notes every entry whose objects would hold for the pods of another one.

    :param installed: the gateways of ``istio_gateways``.
    """
    _check_root_namespace(catalogue, problems)
    _check_given_labels(catalogue, problems)
    _check_selectors(catalogue, problems)
    _check_workloads(catalogue, problems)
    _check_gateways_and_services(catalogue, installed, problems)
    _check_gateways(catalogue, installed, problems)


def _check_root_namespace(catalogue: Catalogue, problems: Problems) -> None:
    root = catalogue.root_namespace
    if problems.within("mesh_root_namespace", "istio_namespace"):
        return
    inside = [service for service in catalogue.services if service.namespace == root]
    message = (
        f"{root} is the root namespace: there a policy holds in every namespace, also one with a selector;"
        " run {names} in another namespace, or leave them out and write their objects under"
        " mesh_resource_paths"
    )
    if root == catalogue.namespace and inside and not problems.within("mesh_namespace"):
        names = ", ".join(service.name for service in inside)
        problems.add("mesh_namespace", message.format(names=names), "root-namespace")
        return
    for service in inside:
        if not problems.within(f"{service.where}.namespace"):
            problems.add(f"{service.where}.namespace", message.format(names=service.name), "root-namespace")


def _check_given_labels(catalogue: Catalogue, problems: Problems) -> None:
    for service in catalogue.services:
        stated = [(f"{service.where}.labels", service.labels)]
        stated += [(f"{service.where}.versions.{n}.labels", v.labels) for n, v in service.versions.items()]
        for where, labels in stated:
            for key in sorted(labels.keys() & _GIVEN.keys()):
                if not problems.within(where):
                    message = f"{key} is given by {_GIVEN[key]}: select by labels of the workload's template"
                    problems.add(where, message, "given-label")


def pods_of(service: Service) -> list[dict[str, str]]:
    """The labels that pods of a service have: those of its selector, with them those of each version, and
    those that the injector adds.

    :returns: one mapping for the service, one per version.
    """
    own = dict(service.labels)
    pods = [own, *({**own, **version.labels} for version in service.versions.values())]
    return [{**_canonical(labels), **labels} for labels in pods]


def _canonical(labels: Labels) -> dict[str, str]:
    """The canonical name and revision of a pod (istio pkg/kube/labels/labels.go, CanonicalService), as far as
    its own labels say them; without any, the name is the workload's."""
    names = [labels[key] for key in ("app.kubernetes.io/name", "app") if key in labels]
    revisions = [labels[key] for key in ("app.kubernetes.io/version", "version") if key in labels]
    found = {"service.istio.io/canonical-revision": (*revisions, "latest")[0]}
    return {**found, "service.istio.io/canonical-name": names[0]} if names else found


def _check_selectors(catalogue: Catalogue, problems: Problems) -> None:
    services = [
        item
        for item in catalogue.services
        if item.labels
        and not problems.within(
            f"{item.where}.labels", f"{item.where}.name", f"{item.where}.namespace", f"{item.where}.versions"
        )
    ]
    # By one label of its pods: a mesh of thousands is not compared pair by pair.
    by_label: dict[tuple[str, str, str], dict[str, Service]] = {}
    for service in services:
        for pod in pods_of(service):
            for key, value in pod.items():
                by_label.setdefault((service.namespace, key, value), {})[service.where] = service
    told: set[frozenset[str]] = set()
    for service in services:
        candidates = min(
            (by_label[service.namespace, key, value] for key, value in service.labels.items()), key=len
        )
        for other in candidates.values():
            pair = frozenset((service.where, other.where))
            if len(pair) == 2 and pair not in told and _meets(service, other):
                told.add(pair)
                _tell(service, other, problems)


def _meets(service: Service, other: Service) -> bool:
    return service.key != other.key and any(is_selected(pod, service.labels) for pod in pods_of(other))


def _tell(service: Service, other: Service, problems: Problems) -> None:
    if service.labels == other.labels:
        first, second = sorted((service, other), key=lambda item: _index(item.where))
        message = (
            f"the selector of these pods is already used by {first.where}.labels: one entry describes them; a"
            " headless Service over them is its headless, ports of another one are further ports"
        )
        problems.add(f"{second.where}.labels", message, "selector-clash")
        return
    extra = ", ".join(f"{key}: {value}" for key, value in other.labels.items() if key not in service.labels)
    if not extra:
        extra = "its versions' labels"
    message = (
        f"also selects the pods of {other.key} ({other.where}), which only has {extra} besides: what lets"
        " callers in to one would let them in to the other; give both a label with different values"
    )
    problems.add(f"{service.where}.labels", message, "selector-clash")


def _index(where: str) -> int:
    return int(where.partition("[")[2].rstrip("]"))


def _check_workloads(catalogue: Catalogue, problems: Problems) -> None:
    """Two entries must not patch or scale one Deployment."""
    seen: dict[tuple[str, str], str] = {}
    for service in catalogue.services:
        if problems.within(f"{service.where}.name", f"{service.where}.namespace"):
            continue
        owners = [
            (version.workload, f"{service.where}.versions.{name}")
            for name, version in service.versions.items()
        ]
        if service.proxy and not service.versions:
            owners = [(service.name, service.where)]
        for workload, where in owners:
            first = seen.setdefault((service.namespace, workload), where)
            other_service = first.partition(".")[0] != where.partition(".")[0]
            if workload and other_service and not problems.within(where):
                message = f"the Deployment {workload} is already that of {first}: give workload"
                problems.add(where, message, "duplicate")


def _check_gateways_and_services(
    catalogue: Catalogue, installed: Sequence[InstalledGateway], problems: Problems
) -> None:
    for where, gateway in _gateways(catalogue, problems):
        pods = _pods_of_gateway(gateway, installed)
        # Its policies hold for whom they select, from the root namespace everywhere.
        home = gateway.workload_namespace
        everywhere = home == catalogue.root_namespace
        for service in catalogue.services:
            if problems.within(f"{service.where}.labels", f"{service.where}.namespace"):
                continue
            if (everywhere or service.namespace == home) and any(
                is_selected(pod, gateway.selector) for pod in pods_of(service)
            ):
                message = f"also selects the pods of {service.key}: what holds for a gateway would hold there"
                problems.add(where, message, "selector-clash")
            elif service.namespace == home and any(is_selected(pod, service.labels) for pod in pods):
                message = f"also selects the pods of the gateway {where.removesuffix('.selector')}"
                problems.add(f"{service.where}.labels", message, "selector-clash")


def _check_gateways(catalogue: Catalogue, installed: Sequence[InstalledGateway], problems: Problems) -> None:
    described = list(_gateways(catalogue, problems))
    for where, gateway in described:
        selected = [other for other in installed if is_selected(other.labels, gateway.selector)]
        # Where none of them has its account, somebody else installed it, and istio_gateways does not tell.
        own = any(_is_own(gateway, other) for other in selected)
        for other in selected:
            if message := _reaches(gateway, other, own_is_known=own):
                problems.add(where, message, "gateway-reach")
                break
    for index, (where, gateway) in enumerate(described):
        for earlier, other_gateway in described[:index]:
            if not _overlap(gateway, other_gateway) or problems.within(where, earlier):
                continue
            if gateway.workload_namespace != other_gateway.workload_namespace:
                message = f"selects pods of {earlier} in another namespace as well: a Gateway selects in all"
                problems.add(where, message, "gateway-reach")
            elif where.startswith(_EGRESS):
                message = f"selects pods of {earlier} as well, and its policy keeps everybody else out there"
                problems.add(where, message, "gateway-reach")


def _is_own(gateway: Gateway | EgressGateway, other: InstalledGateway) -> bool:
    """Whether an installed gateway is the workload of one that is described."""
    there = (gateway.workload_namespace, gateway.service_account)
    return there == (other.namespace, other.service_account)


def _reaches(gateway: Gateway | EgressGateway, other: InstalledGateway, *, own_is_known: bool) -> str:
    """What is wrong with selecting the pods of an installed gateway; ``""`` when they may be its own.

    Names alone can meet: ``edge`` and ``istio-edge`` get one label.
    """
    advice = f"give one of the two a label of its own, such as {other.where}.labels: {{istio: "
    if other.namespace != gateway.workload_namespace:
        return (
            f"also selects the pods of {other.where} in {other.namespace}: a Gateway selects in every"
            f" namespace; {advice}{other.name}-{other.namespace}}}"
        )
    if not own_is_known or _is_own(gateway, other):
        return ""
    return (
        f"also selects the pods of {other.where}, which run as {other.service_account}: they would serve the"
        f" same hosts, and no policy knows them; {advice}{other.name}-gateway}}"
    )


def _overlap(gateway: Gateway | EgressGateway, other: Gateway | EgressGateway) -> bool:
    return is_selected(other.selector, gateway.selector) or is_selected(gateway.selector, other.selector)


def _gateways(catalogue: Catalogue, problems: Problems) -> Iterator[tuple[str, Gateway | EgressGateway]]:
    """(path of the selector, gateway) of all that could be read."""
    found: list[tuple[str, Gateway | EgressGateway | None]] = [
        (gateway.where, gateway) for gateway in catalogue.gateways
    ]
    found.append((_EGRESS, catalogue.egress_gateway))
    for where, gateway in found:
        if gateway and gateway.selector and not problems.within(where):
            yield f"{where}.selector", gateway


def _pods_of_gateway(gateway: Gateway | EgressGateway, installed: Sequence[InstalledGateway]) -> list[Labels]:
    """The labels of a gateway's pods, as far as they are known."""
    return [
        gateway.selector,
        *(
            item.labels
            for item in installed
            if item.namespace == gateway.workload_namespace and is_selected(item.labels, gateway.selector)
        ),
    ]
