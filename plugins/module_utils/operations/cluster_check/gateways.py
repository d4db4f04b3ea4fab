# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways, and hosts outside the mesh, beside the pods and Services of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ...errors import nearest
from ...fields import field, integer_at, labels_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ...kube.pods import has_labels
from ...model.catalogue.mesh import Catalogue, EgressGateway, Gateway
from ...model.security.pods import target_of
from ...object_id import object_id
from .findings import CUTS, NOTE, UNKNOWN, Difference, labels_text, listed
from .read import Obj, Place, account_of, selector_of

Described: TypeAlias = "tuple[str, str, Gateway | EgressGateway]"


def compare_gateways(
    catalogue: Catalogue,
    places: Mapping[str, Place],
    *,
    to_come: Iterable[tuple[str, str]] = (),
    may_come: bool = False,
) -> list[Difference]:
    """What is wrong with the gateways that the catalogue describes.

    :param to_come: (namespace, ServiceAccount) of gateways that an earlier part of the same run installs.
    :param may_come: whether one that nobody runs yet may come, as in check mode, which installs nothing.
    :returns: in catalogue order.
    """
    coming = set(to_come)
    found: list[Difference] = []
    described: list[Described] = [(item.where, item.name, item) for item in catalogue.gateways]
    if catalogue.egress_gateway is not None:
        described.append(("mesh_egress_gateway", "", catalogue.egress_gateway))
    for where, name, gateway in described:
        place = places[gateway.workload_namespace]
        if (gateway.workload_namespace, gateway.service_account) in coming:
            continue
        if place.unread:
            found.append(_unknown(where, name, f"cannot be compared: {place.unread}"))
        elif not place.exists or (may_come and not _runs(gateway, place)):
            found.append(_unknown(where, name, f"{place.name} holds no pod of it yet: it cannot be compared"))
        else:
            found += _compare(where, name, gateway, place)
    return found


def _unknown(where: str, name: str, message: str) -> Difference:
    return Difference(where, message, "cluster-gateway", UNKNOWN, name)


def _runs(gateway: Gateway | EgressGateway, place: Place) -> bool:
    """Whether pods run as the gateway, whatever their labels say."""
    return bool(place.selected(gateway.selector)) or any(
        account_of(pod) == gateway.service_account for pod in place.pods
    )


def _compare(where: str, name: str, gateway: Gateway | EgressGateway, place: Place) -> Iterator[Difference]:
    pods = place.selected(gateway.selector)
    if not pods:
        message = (
            f"{labels_text(gateway.selector)} selects no pod in {place.name}"
            f"{_nearest_pods(gateway.selector, place)}: nobody would serve its hosts"
        )
        yield Difference(f"{where}.selector", message, "cluster-gateway", CUTS, name)
        return
    accounts = sorted({account_of(pod) for pod in pods} - {gateway.service_account})
    if accounts:
        whole = all(account_of(pod) != gateway.service_account for pod in pods)
        message = (
            f"{gateway.service_account!r}, but its pods run as {', '.join(accounts)}: "
            "services would refuse its calls as a stranger's"
        )
        weight = CUTS if whole else NOTE
        yield Difference(f"{where}.service_account", message, "cluster-account", weight, name)
    yield from _gateway_ports(where, name, gateway, place, pods)


def _nearest_pods(selector: Mapping[str, str], place: Place) -> str:
    """What pods carry instead: for the first label that none has, the most similar value."""
    for key, value in sorted(selector.items()):
        values = sorted({labels_of(pod)[key] for pod in place.pods if key in labels_of(pod)})
        if value not in values:
            near = nearest(value, values)
            return near or (f" (pods there have {key}={'|'.join(values[:3])})" if values else "")
    return ""


def _gateway_ports(
    where: str, name: str, gateway: Gateway | EgressGateway, place: Place, pods: Sequence[Obj]
) -> Iterator[Difference]:
    services = [
        service
        for service in place.services.values()
        if selector_of(service) and any(has_labels(pod, selector_of(service)) for pod in pods)
    ]
    if not services:
        message = f"no Service in {place.name} leads to its pods, such as {name_of(pods[0])}"
        yield Difference(where, message, "cluster-gateway", NOTE, name)
        return
    entries = [entry for service in services for entry in mappings_at(service, "spec", "ports")]
    known = {integer_at(entry, "port") for entry in entries}
    # A server may also name the port of the pods that a Service sends to.
    behind = {target for entry in entries for pod in pods if (target := target_of(entry, pod))}
    for part, port, weight in _wanted_ports(where, gateway):
        if port in known | behind or any(_reaches_node(pod, port) for pod in pods):
            continue
        names = listed(sorted(f"{place.name}/{name_of(service)}" for service in services))
        message = (
            f"{port} is no port of Service {names} ({', '.join(map(str, sorted(known)))}): nobody gets there"
        )
        yield Difference(part, message, "cluster-gateway-port", weight, name)


def _wanted_ports(where: str, gateway: Gateway | EgressGateway) -> Iterator[tuple[str, int, str]]:
    """Place and number of each port, and what it means when nobody gets there."""
    if isinstance(gateway, EgressGateway):
        yield f"{where}.port", gateway.port, CUTS
        return
    for server in gateway.servers:
        yield f"{server.where}.port", server.port, CUTS
        if server.https_redirect:  # which only sends on to the other port
            yield f"{server.where}.http_port", server.http_port, NOTE


def _reaches_node(pod: Obj, port: int) -> bool:
    """Whether clients get to this port without a Service: by the node's network, or by a hostPort."""
    if field(pod, "spec", "hostNetwork") is True:
        return True
    return any(
        integer_at(entry, "hostPort") == port
        for container in mappings_at(pod, "spec", "containers")
        for entry in mappings_at(container, "ports")
    )


def idle_gateways(gateways: Iterable[Obj], pods: Iterable[Obj]) -> list[Difference]:
    """Gateway objects of anybody whose selector matches no pod: Istio accepts them, and nobody serves them.

    :returns: a note each, in their order.
    """
    running = list(pods)
    found = []
    for gateway in gateways:
        selector = mapping_at(gateway, "spec", "selector")
        if not selector or any(has_labels(pod, selector) for pod in running):
            continue
        message = f"its selector {labels_text(selector)} matches no pod: nobody serves its hosts"
        found.append(Difference(object_id(gateway), message, "gateway-selector", NOTE))
    return found


def external_names(catalogue: Catalogue, places: Mapping[str, Place]) -> list[Difference]:
    """Services of type ExternalName that stand for an external host of the catalogue.

    A call to such a Service carries the Service's own name: the ServiceEntry does not match it, and TLS and
    routing of the real host do not apply; callers get 502.

    :returns: a note each.
    """
    hosts = {host: external for external in catalogue.external_services for host in external.hosts}
    found = []
    for place in places.values():
        for service in place.services.values():
            target = text_at(service, "spec", "externalName").removesuffix(".")
            if text_at(service, "spec", "type") == "ExternalName" and target in hosts:
                message = (
                    f"{object_id(service)} of type ExternalName stands for {target}: calls through that name "
                    f"fail with 502; call {target} itself"
                )
                entry = hosts[target]
                found.append(Difference(f"{entry.where}.hosts", message, "external-name", NOTE, entry.name))
    return found


def foreign(gateways: Iterable[Obj], catalogue: Catalogue) -> list[Obj]:
    """The Gateways that the catalogue does not compute. :returns: in their order."""
    own = {(gateway.namespace, gateway.name) for gateway in catalogue.gateways}
    return [obj for obj in gateways if (namespace_of(obj), name_of(obj)) not in own]
