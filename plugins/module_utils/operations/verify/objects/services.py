# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: Kubernetes Services that no longer lead where the catalogue says.

Somebody who changes a Service's selector, port or protocol moves calls away from every policy, and no object
of Istio differs. What was compared before the catalogue was applied is compared again. It is told first: the
policies of the pods that such a Service leads to now are not to blame for whom they let in.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import annotations_of, integer_at, mappings_at, name_of, text_at
from ....kube.pods import is_active
from ....model.catalogue.mesh import Catalogue
from ....model.catalogue.services import Service
from ....model.security.destination_rules import EVERYONE, OWN_NAMESPACE
from ....object_id import object_id
from ....words import few
from ...cluster_check.findings import CUTS, Difference
from ...cluster_check.read import Place
from ...cluster_check.services import compare_services
from ..callers import callers_of
from ..findings import Finding, failed
from ..live_objects import LiveObjects
from ..ours import Ours

EXPORT_TO = "networking.istio.io/exportTo"
MISSING = "service-missing"
"""Told by check ``routes`` where something leads there; ``mesh_not_deployed`` may allow the rest."""


def check_services(ours: Ours) -> Iterator[Finding]:
    """One finding per difference that takes calls away from a service, or brings it some past its proxies."""
    live, catalogue = ours.picture.live, ours.picture.catalogue
    if "Service" in live.unread:
        return
    places = {name: _place(live, name) for name in catalogue.namespaces}
    for item in compare_services(catalogue, places)[0]:
        if item.weight == CUTS and item.rule != MISSING:
            yield failed("objects", f"Service {_key(catalogue, item)}", item.message, source=True)
    for service in catalogue.services:
        yield from _hidden(ours, service)
    yield from _datagrams(ours)


def _hidden(ours: Ours, service: Service) -> Iterator[Finding]:
    """Callers that no proxy tells of a Service call its address as if it were outside of the mesh."""
    live = ours.picture.live.find("Service", service.namespace, service.name)
    told = annotations_of(live).get(EXPORT_TO, "")
    exported = {word.strip() for word in told.split(",")} - {""}
    if not exported or EVERYONE in exported:
        return
    places = {caller_namespace for caller_namespace, _labels, _name in callers_of(ours.picture, service)}
    seen = {service.namespace if word == OWN_NAMESPACE else word for word in exported}
    if lost := sorted(places - seen):
        what = f"is hidden from its callers in {few(lost)} ({EXPORT_TO}: {told})"
        yield failed("objects", f"Service {service.key}", what, source=True)


def _datagrams(ours: Ours) -> Iterator[Finding]:
    """No proxy stands before anything but TCP, be it UDP or SCTP: neither mutual TLS nor a policy holds
    there."""
    live, catalogue = ours.picture.live, ours.picture.catalogue
    for namespace in catalogue.namespaces:
        for item in live.of("Service", namespace):
            numbers = [
                (text_at(port, "protocol"), integer_at(port, "port"))
                for port in mappings_at(item, "spec", "ports")
                if text_at(port, "protocol") not in ("", "TCP")
            ]
            if not numbers:
                continue
            behind = {id(pod) for pod in live.pods_of(namespace, name_of(item))}
            reached = [seen for seen in ours.picture.pods if id(seen.raw) in behind]
            keys = {service.key for seen in reached for service in seen.services}
            if keys:
                protocols = " and ".join(sorted({protocol for protocol, _port in numbers}))
                ports = few(str(number) for _protocol, number in numbers)
                what = f"leads {protocols} (port {ports}) to {few(sorted(keys))}, past their proxies"
                yield failed("objects", object_id(item), what)


def _place(live: LiveObjects, name: str) -> Place:
    return Place(
        name,
        services={name_of(item): item for item in live.of("Service", name)},
        pods=[pod for pod in live.of("Pod", name) if is_active(pod)],
    )


def _key(catalogue: Catalogue, item: Difference) -> str:
    return next(one.key for one in catalogue.services if item.where.split(".")[0] == one.where)
