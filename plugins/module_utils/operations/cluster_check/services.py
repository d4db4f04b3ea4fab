# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a catalogue beside the Kubernetes Services and pods that they describe.

A policy acts on pods by the catalogue's labels, on ports by its target ports, and on callers by their
ServiceAccounts. Where those are not the ones that the Service leads to, everything is applied without a
complaint, and real calls get 403 or no answer.
"""

from __future__ import annotations

import collections
import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence

from ...errors import nearest
from ...fields import field, integer_at, labels_of, mappings_at, name_of, text_at
from ...kube.pods import has_labels
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Headless, Port, Service
from ...model.security.pods import named_port
from ...model.security.protocols import are_alike, declared_protocol, needs_http2
from ...object_id import object_id
from .bystanders import beside
from .findings import CUTS, NOTE, UNKNOWN, Difference, labels_text, listed
from .read import Obj, Place, account_of, selector_of

Weights = Mapping[str, Mapping[str, int]]


def is_listed(catalogue: Catalogue, service: Service, patterns: Collection[str]) -> bool:
    """Whether ``mesh_not_deployed`` names it: ``namespace/name``, or a name in ``mesh_namespace``."""
    return any(fnmatch.fnmatchcase(service.key, whole_pattern(catalogue, pattern)) for pattern in patterns)


def whole_pattern(catalogue: Catalogue, pattern: str) -> str:
    """A pattern with its namespace."""
    return pattern if "/" in pattern else f"{catalogue.namespace}/{pattern}"


def compare_services(
    catalogue: Catalogue,
    places: Mapping[str, Place],
    *,
    not_deployed: Collection[str] = (),
    weights: Weights | None = None,
    may_come: bool = False,
) -> tuple[list[Difference], frozenset[str]]:
    """The differences of all services, and which of them have no Kubernetes Service.

    :param weights: the split that is going to be rendered, by ``namespace/name``; None where it is not known.
    :param may_come: whether files that were not read may still bring a Service that is missing.
    :returns: differences in catalogue order, and ``namespace/name`` of the missing ones.
    """
    found: list[Difference] = []
    missing: set[str] = set()
    for service in catalogue.services:
        place = places[service.namespace]
        if place.unread:
            found.append(_about(service, "", f"cannot be compared: {place.unread}", UNKNOWN))
            continue
        live = place.services.get(service.name)
        listed_as_missing = is_listed(catalogue, service, not_deployed)
        if live is not None:
            shares = None if weights is None else weights.get(service.key, {})
            found += _compare(catalogue, service, live, place, shares)
            if service.headless is not None:
                found += _headless(service, service.headless, place, needed=not listed_as_missing)
            continue
        missing.add(service.key)
        if not listed_as_missing:
            found.append(_missing(service, place, may_come=may_come))
    return found, frozenset(missing)


def _about(
    service: Service, part: str, message: str, weight: str = CUTS, rule: str = "cluster-service"
) -> Difference:
    where = ".".join(item for item in (service.where, part) if item)
    return Difference(where, message, rule, weight, service.name)


def _missing(service: Service, place: Place, *, may_come: bool) -> Difference:
    if not place.exists:
        message = f"namespace {place.name} does not exist yet: its services cannot be compared"
        return _about(service, "namespace", message, UNKNOWN, "cluster-namespace")
    message = f"there is no Service {service.key}{nearest(service.name, sorted(place.services))}"
    if may_come:
        return _about(
            service, "name", f"{message}: mesh_resource_paths would have to make it", NOTE, "service-missing"
        )
    return _about(
        service,
        "name",
        f"{message}: its callers would get no answer; deploy it first, describe it in mesh_resource_paths, "
        "or name it in mesh_not_deployed",
        rule="service-missing",
    )


def _compare(
    catalogue: Catalogue, service: Service, live: Obj, place: Place, shares: Mapping[str, int] | None
) -> Iterator[Difference]:
    if text_at(live, "spec", "type") == "ExternalName":
        target = text_at(live, "spec", "externalName")
        message = (
            f"Service {service.key} only stands for {target}, outside the mesh (type ExternalName): "
            "describe that host in mesh_external_services"
        )
        yield _about(service, "name", message, rule="external-name")
        return
    behind = place.behind(live)
    labels = list(_labels(service, live, place, behind))
    yield from labels
    yield from _ports(service, service.ports, "ports", live, behind)
    yield from _account(catalogue, service, behind)
    for part, message, rule in beside(service, live, place, behind):
        yield _about(service, part, message, NOTE, rule)
    # Of labels that select other pods, their versions would be told as wrong once more.
    if not any(item.weight == CUTS for item in labels):
        yield from _versions(service, behind, shares)


def _headless(service: Service, stated: Headless, place: Place, *, needed: bool) -> Iterator[Difference]:
    """The companion over the same pods: its clients choose a pod themselves."""
    live = place.services.get(stated.name)
    if live is None:
        if needed:
            near = nearest(stated.name, sorted(place.services))
            message = f"there is no Service {place.name}/{stated.name}{near}"
            yield _about(service, "headless.name", message, rule="service-missing")
        return
    if text_at(live, "spec", "clusterIP") != "None":
        message = f"Service {place.name}/{stated.name} is not headless: its clusterIP is not None"
        yield _about(service, "headless.name", message, NOTE, "cluster-service")
    behind = place.behind(live)
    others = [name_of(pod) for pod in behind if not has_labels(pod, service.labels)]
    if others:
        message = f"Service {place.name}/{stated.name} leads to pods of another service: {listed(others)}"
        yield _about(service, "headless.name", message, NOTE, "cluster-labels")
    yield from _ports(service, stated.ports, "headless.ports", live, behind)


def _labels(service: Service, live: Obj, place: Place, behind: Sequence[Obj]) -> Iterator[Difference]:
    selector, wanted = selector_of(live), labels_text(service.labels)
    if not selector:
        return
    selected = place.selected(service.labels)
    names = {name_of(pod) for pod in behind}
    outside = [name_of(pod) for pod in behind if not has_labels(pod, service.labels)]
    beyond = [name_of(pod) for pod in selected if name_of(pod) not in names]
    its = f"Service {service.key} ({labels_text(selector)})"
    if behind and len(outside) == len(behind):
        message = (
            f"{wanted} selects none of the {len(behind)} pods behind {its}: "
            "no rule of this entry would reach them, and every call would be denied"
        )
        yield _about(service, "labels", message, rule="cluster-labels")
    elif outside:
        message = (
            f"{wanted} leaves out {len(outside)} of the {len(behind)} pods behind {its}, "
            f"such as {outside[0]}: calls to those would be denied"
        )
        yield _about(service, "labels", message, rule="cluster-labels")
    elif not behind and _contradict(service.labels, selector):
        yield _about(
            service,
            "labels",
            f"{wanted} and the selector of {its} exclude each other",
            rule="cluster-labels",
        )
    elif not behind:
        yield _about(service, "labels", f"no pod is behind {its}", NOTE, "cluster-labels")
    if beyond and behind:
        message = f"{wanted} also selects pods that {its} does not lead to: {listed(beyond)}"
        yield _about(service, "labels", message, NOTE, "cluster-labels")


def _contradict(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return any(other.get(key, value) != value for key, value in one.items())


def _ports(
    service: Service, ports: Sequence[Port], where: str, live: Obj, behind: Sequence[Obj]
) -> Iterator[Difference]:
    entries = [
        entry for entry in mappings_at(live, "spec", "ports") if (entry.get("protocol") or "TCP") == "TCP"
    ]
    known = {integer_at(entry, "port"): entry for entry in entries}
    name = object_id(live)
    for index, port in enumerate(ports):
        entry = known.get(port.number)
        part = f"{where}[{index}]"
        if entry is None:
            there = ", ".join(map(str, sorted(known))) or "none"
            message = f"{port.number} is no TCP port of {name} (it has {there})"
            yield _about(service, f"{part}.number", message, rule="cluster-port")
            continue
        yield from _target_port(service, port, entry, part, live, behind)
        yield from _protocol(service, port, entry, part, name)


def _target_port(
    service: Service, port: Port, entry: Obj, part: str, live: Obj, behind: Sequence[Obj]
) -> Iterator[Difference]:
    name = object_id(live)
    if not selector_of(live):  # its endpoints name ports of their own
        return
    target = field(entry, "targetPort")
    if target is None:
        target = port.number
    if isinstance(target, str) and not target.isdigit():
        if not behind:
            return
        resolved = {number for pod in behind if (number := named_port(pod, target))}
        if not resolved:
            message = (
                f"{name} sends port {port.number} to the port named {target!r}, "
                f"which no pod behind it has, such as {name_of(behind[0])}"
            )
            yield _about(service, f"{part}.target_port", message, rule="cluster-target-port")
            return
    else:
        resolved = {int(target)}
    if resolved != {port.target_port}:
        there = ", ".join(map(str, sorted(resolved)))
        named = f" (named {target!r})" if isinstance(target, str) else ""
        message = (
            f"{port.target_port} is not where {name} sends port {port.number}: that is "
            f"{there}{named}; policies of this entry would name a port that gets no request"
        )
        yield _about(service, f"{part}.target_port", message, rule="cluster-target-port")


def _protocol(service: Service, port: Port, entry: Obj, part: str, name: str) -> Iterator[Difference]:
    declared = declared_protocol(entry)
    by = (
        f"appProtocol {entry['appProtocol']!r}" if entry.get("appProtocol") else f"name {entry.get('name')!r}"
    )
    if not are_alike(port.protocol, declared):
        message = (
            f"{port.protocol}, but istiod takes port {port.number} of {name} for {declared} "
            f"(by its {by}): routes and rules of this entry would not apply to it"
        )
        yield _about(service, f"{part}.protocol", message, rule="cluster-protocol")
    elif needs_http2(port.protocol, declared):
        message = f"{port.protocol}, but istiod sends HTTP/1.1 to port {port.number} of {name} (by its {by})"
        yield _about(service, f"{part}.protocol", message, NOTE, "cluster-protocol")


def _account(catalogue: Catalogue, service: Service, behind: Sequence[Obj]) -> Iterator[Difference]:
    accounts = collections.Counter(account_of(pod) for pod in behind)
    others = sorted(set(accounts) - {service.service_account})
    if not others:
        return
    calls = catalogue.callees(service) or catalogue.external_callees(service)
    whole = service.service_account not in accounts
    share = "its pods run" if whole else f"{sum(accounts[name] for name in others)} of its pods run"
    effect = "calls of this service would be refused as a stranger's" if calls else "it calls nobody so far"
    yield _about(
        service,
        "service_account",
        f"{service.service_account!r}, but {share} as {', '.join(others)}: {effect}",
        CUTS if whole and calls else NOTE,
        "cluster-account",
    )


def _versions(
    service: Service, behind: Sequence[Obj], shares: Mapping[str, int] | None
) -> Iterator[Difference]:
    if not service.versions or not behind:
        return
    pods = {
        name: [pod for pod in behind if has_labels(pod, version.labels)]
        for name, version in service.versions.items()
    }
    if not any(pods.values()):
        seen = sorted({_shown(pod, service) for pod in behind})
        message = (
            f"no pod behind Service {service.key} carries the labels of a version (they have {listed(seen)})"
        )
        yield _about(service, "versions", message, rule="cluster-version")
        return
    for name, selected in pods.items():
        if selected:
            continue
        labels, share = labels_text(service.versions[name].labels), (shares or {}).get(name, 0)
        gets = f"it gets {share} % of the requests" if share else "nothing would answer for it"
        message = f"no pod behind Service {service.key} carries {labels}: {gets}"
        yield _about(service, f"versions.{name}", message, CUTS if share else NOTE, "cluster-version")
    lost = [name_of(pod) for pod in behind if not any(pod in selected for selected in pods.values())]
    if lost:
        message = f"pods behind Service {service.key} belong to no version and get no request: {listed(lost)}"
        yield _about(service, "versions", message, NOTE, "cluster-version")


def _shown(pod: Obj, service: Service) -> str:
    keys = {key for version in service.versions.values() for key in version.labels}
    own = labels_of(pod)
    return labels_text({key: own[key] for key in keys if key in own}) or f"none of {', '.join(sorted(keys))}"
