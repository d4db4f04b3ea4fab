# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: VirtualServices that lead to hosts, subsets or delegates that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from ....errors import nearest
from ....fields import mapping_at, mappings_at, name_of, namespace_of, text_at
from ....kube.pods import has_labels, takes_requests
from ....model.virtual_services import Destination, full_host
from ....object_id import object_id
from ....words import few
from ..case import Case, LiveVirtualService, Obj
from ..cause import DNS, LIKELY, ROUTING, SEEN, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """VirtualServices for a host of the symptom, or that lead there. :returns: one cause per target."""
    known = {(item.read.namespace, item.read.name) for item in case.routes}
    for item in case.concerned_routes():
        for route in item.read.routes:
            if route.delegate and route.delegate not in known:
                said = f"delegates to VirtualService {'/'.join(route.delegate)}, which does not exist"
                yield Cause(ROUTING, item.id, f"{said}: its requests get 404", edit(item.id), SURE)
            for target in (*route.destinations, *route.mirrors):
                if target.share > 0:
                    yield from _target(case, item, target)


def _target(case: Case, item: LiveVirtualService, target: Destination) -> Iterator[Cause]:
    """What is wrong with one destination."""
    host, weight = target.host, SURE if target.share >= 100 else LIKELY + 20
    service, entries = case.service(host), case.entries(host)
    if service is None and not entries:
        if "Service" in case.material.unread or "ServiceEntry" in case.material.unread:
            return
        yield _unknown_host(case, item, target, weight)
        return
    if target.subset and "DestinationRule" not in case.material.unread:
        yield from _subset(case, item, target, service, weight)
    port = target.port
    if service is not None and port and port not in _ports(service):
        said = f"sends to port {port} of {host}, which {object_id(service)} does not have"
        yield Cause(ROUTING, item.id, f"{said}: requests get 503 NC", edit(item.id), weight)


def _unknown_host(case: Case, item: LiveVirtualService, target: Destination, weight: int) -> Cause:
    host = target.host
    names = [name_of(one) for one in case.of("Service")]
    short, _dot, rest = host.partition(".")
    elsewhere = [object_id(one) for one in case.of("Service") if name_of(one) == short]
    if case.is_local(host) and elsewhere:
        place = rest.partition(".")[0]
        said = f"sends to {short}, which means {host}: there is none in namespace {place}"
        remedy = f"write the full name of {few(elsewhere)}: {edit(item.id)}"
        return Cause(DNS, item.id, said, remedy, weight)
    said = f"sends to {host}, which is no Service and no ServiceEntry{nearest(short, names)}"
    return Cause(ROUTING, item.id, f"{said}: requests get 503 NC", edit(item.id), weight)


def _subset(
    case: Case, item: LiveVirtualService, target: Destination, service: Obj | None, weight: int
) -> Iterator[Cause]:
    defined = [
        (rule, subset)
        for rule in case.of("DestinationRule")
        if full_host(text_at(rule, "spec", "host"), namespace_of(rule), case.domain) == target.host
        for subset in mappings_at(rule, "spec", "subsets")
    ]
    if "DestinationRule" in case.material.unread:
        return
    own = [(rule, subset) for rule, subset in defined if text_at(subset, "name") == target.subset]
    if not own:
        names = sorted({text_at(subset, "name") for _rule, subset in defined})
        said = f"sends to subset {target.subset} of {target.host}, which no DestinationRule defines"
        told = f" (there are: {', '.join(names)})" if names else ""
        seen = SEEN if case.flagged("NC") else 0
        yield Cause(ROUTING, item.id, f"{said}{told}: requests get 503 NC", edit(item.id), weight + seen)
        return
    if service is None or not case.was_read(namespace_of(service)):
        return
    if not case.pods_behind(service):  # then it is the Service that is at fault
        return
    rule, subset = own[0]
    labels = mapping_at(subset, "labels")
    pods = [pod for pod in case.pods_behind(service) if has_labels(pod, labels)]
    if not pods:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
        said = f"defines subset {target.subset} as {wanted}, which no pod of {object_id(service)} carries"
        name = object_id(rule)
        yield Cause(
            ROUTING, name, f"{said}: requests get 503 UH", edit(name), weight, (f"{item.id} sends there",)
        )
    elif not any(takes_requests(pod) for pod in pods):
        said = f"sends to subset {target.subset} of {target.host}, none of whose {len(pods)} pods is ready"
        yield Cause(
            ROUTING, item.id, said, f"kubectl describe pod -n {namespace_of(service)}", weight, late=True
        )


def _ports(service: Obj) -> set[int]:
    return {int(port.get("port") or 0) for port in mappings_at(service, "spec", "ports")}
