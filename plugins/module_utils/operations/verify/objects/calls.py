# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: what decides about calls and their targets beside the catalogue's objects.

DestinationRules, Sidecars, ServiceEntries and WorkloadEntries of anybody, in any namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ....fields import labels_of, list_at, mapping_at, name_of, namespace_of, text_at
from ....kube.pods import has_labels
from ....labels import is_selected
from ....model.catalogue.streams import meet
from ....model.security.destination_rules import tls_mode
from ....model.security.pods import TLS_MODE
from ....model.security.transport import ISTIO_MUTUAL
from ....object_id import object_id
from ....words import few
from ..callers import callers_of, hosts_of
from ..findings import Finding, beside, failed, unknown
from ..ours import Obj, Ours, networks, ordered


def check_calls_beside(ours: Ours) -> list[Finding]:
    """One finding per foreign object that acts on calls of the catalogue.

    :returns: by kind.
    """
    found = [*_rules(ours), *_sidecars(ours)]
    for item in ordered(ours.around.of("ServiceEntry")):
        if not ours.is_own(item):
            found += _entry(ours, item)
    for item in ordered(ours.around.of("WorkloadEntry")):
        found += _workload(ours, item)
    return found


def _rules(ours: Ours) -> Iterator[Finding]:
    """DestinationRules that the proxy of a caller goes by; how they change its TLS to services, check
    ``mtls`` tells."""
    known = {object_id(item): item for item in ours.around.of("DestinationRule")}
    for subject, edges in _acting(ours, _inner_calls(ours)).items():
        tls = _tls_alone(known.get(subject))
        if tls is None:
            what = f"changes the calls {few(edges)}; of that only their encryption is judged, by mtls"
            yield unknown("objects", subject, what)
        elif tls == ISTIO_MUTUAL:
            yield beside("objects", subject, f"asks for mutual TLS from {few(edges)}, which they use anyway")
    for subject, edges in _acting(ours, _outer_calls(ours)).items():
        yield unknown("objects", subject, f"changes the calls {few(edges)}; nobody here judges that")


_Call = tuple[str, list[Obj]]


def _acting(ours: Ours, calls: Iterable[_Call]) -> dict[str, dict[str, None]]:
    """By foreign object, the calls that it decides about."""
    acting: dict[str, dict[str, None]] = {}
    for edge, rules in calls:
        for rule in rules:
            if not ours.is_own(rule):
                acting.setdefault(object_id(rule), {})[edge] = None
    return acting


def _inner_calls(ours: Ours) -> Iterator[_Call]:
    picture = ours.picture
    for service in picture.catalogue.services:
        for namespace, labels, name in callers_of(picture, service):
            for host, _ports in hosts_of(service):
                rules = picture.rules.deciding(namespace, labels, host, service.namespace)
                yield f"{name} -> {service.key}", list(rules)


def _outer_calls(ours: Ours) -> Iterator[_Call]:
    for proxy in ours.workloads:
        name = ours.name_of(proxy)
        for external in ours.externals_of(name):
            for host in external.hosts:
                rules = ours.picture.rules.deciding(proxy.namespace, proxy.labels, host, external.namespace)
                yield f"{name} -> {host}", list(rules)


def _tls_alone(rule: Obj | None) -> str | None:
    """The TLS mode of a rule that says nothing else; ``None`` for any other rule, also for one that names
    the identities or the CA that callers are to trust."""
    spec = mapping_at(rule, "spec")
    policy = mapping_at(spec, "trafficPolicy")
    if not policy or set(policy) != {"tls"} or list_at(spec, "subsets"):
        return None
    if set(mapping_at(policy, "tls")) - {"mode"}:
        return None
    return tls_mode(policy)


def _sidecars(ours: Ours) -> Iterator[Finding]:
    deciding: dict[str, tuple[Obj, dict[str, None]]] = {}
    idle: dict[str, dict[str, None]] = {}
    for proxy in ours.workloads:
        sidecar = ours.sidecar(proxy)
        for other in ours.sidecars_selecting(proxy):
            if other is not sidecar and not ours.is_own(other):
                idle.setdefault(object_id(other), {})[ours.name_of(proxy)] = None
        if sidecar is not None and not ours.is_own(sidecar):
            deciding.setdefault(object_id(sidecar), (sidecar, {}))[1][ours.name_of(proxy)] = None
    claimed = ours.picture.catalogue.outbound
    for subject, (sidecar, names) in deciding.items():
        mode = text_at(sidecar, "spec", "outboundTrafficPolicy", "mode")
        opens = claimed == "REGISTRY_ONLY" and mode != claimed
        told = f": it lets them call any host ({mode or 'the mode of the mesh'})" if opens else ""
        listens = ", and redefines what they listen on" if list_at(sidecar, "spec", "ingress") else ""
        what = f"decides for {few(names)} instead of the catalogue's Sidecar{told}{listens}"
        yield failed("objects", subject, what)
    for subject, names in idle.items():
        if subject not in deciding:
            yield beside("objects", subject, f"selects {few(names)}, for which an older Sidecar decides")


def _entry(ours: Ours, item: Obj) -> Iterator[Finding]:
    subject = object_id(item)
    hosts = [str(host) for host in list_at(item, "spec", "hosts")]
    touched = ours.touched(hosts)
    if touched:
        told = ours.seen_by(item, touched)
        names = few(touched.values())
        if told:
            what = f"says where {names} is, too, and {few(told)} may follow"
            yield failed("objects", subject, what)
        else:
            yield beside("objects", subject, f"names a host of {names}, which no proxy of ours is told")
    yield from _addresses(ours, item, hosts)
    selector = mapping_at(item, "spec", "workloadSelector", "labels")
    if selector and ours.is_ours(item):
        taken = [
            seen.services[0].key
            for seen in ours.picture.pods
            if seen.services
            and seen.pod.namespace == namespace_of(item)
            and is_selected(seen.pod.labels, selector)
        ]
        if taken:
            yield beside("objects", subject, f"is another name, {few(hosts)}, for the pods of {few(taken)}")
    domain = f".svc.{ours.picture.catalogue.cluster_domain}"
    outside = [host for host in hosts if host not in touched and not host.endswith(domain)]
    told = ours.seen_by(item, outside) if outside else []
    if told and ours.picture.catalogue.outbound == "REGISTRY_ONLY":
        what = f"opens the way to {few(outside)} for {few(told)}"
        if all(ours.lets_know(item, host, name) for host in outside for name in told):
            yield beside("objects", subject, f"{what}: the catalogue's sidecar_hosts say so")
        else:
            yield failed("objects", subject, f"{what}, which the catalogue does not declare")


def _addresses(ours: Ours, item: Obj, hosts: Sequence[str]) -> Iterator[Finding]:
    """A ServiceEntry with the address of a Service gets what is sent there in bytes: its listener is for that
    address, that of HTTP for all (istio pilot/pkg/networking/core/listener.go)."""
    taken = networks(list_at(item, "spec", "addresses"))
    if not taken:
        return
    names = [
        key
        for key, addresses in ours.cluster_addresses.items()
        if any(meet(one, net) for one in addresses for net in taken)
    ]
    told = ours.seen_by(item, hosts) if names else []
    if told:
        what = f"has the addresses of {few(names)}, and {few(told)} may send there what is meant for them"
        yield failed("objects", object_id(item), what)


def _workload(ours: Ours, item: Obj) -> Iterator[Finding]:
    """A WorkloadEntry is an endpoint of each Service whose selector takes it (istio
    pilot/pkg/serviceregistry/kube/controller WorkloadInstanceHandler). Its own labels count before those of
    its ``spec``, and one with an account is announced with mutual TLS unless a label says otherwise
    (serviceentry/conversion.go, ConvertWorkloadEntry and getTLSModeFromWorkloadEntry)."""
    labels: Mapping[str, str] = {**mapping_at(item, "spec", "labels"), **labels_of(item)}
    carrier = {"metadata": {"labels": labels}}
    catalogue, home = ours.picture.catalogue, namespace_of(item)
    taken = [
        f"{home}/{name_of(service)}"
        for service in ours.picture.live.of("Service", home)
        if mapping_at(service, "spec", "selector")
        and has_labels(carrier, mapping_at(service, "spec", "selector"))
        and catalogue.service(name_of(service), home)
    ]
    if not taken:
        return
    where = text_at(item, "spec", "address") or "an address of another network"
    what = f"gets calls for {few(taken)} at {where}"
    if labels.get(TLS_MODE, "istio" if text_at(item, "spec", "serviceAccount") else "") == "istio":
        yield unknown("objects", object_id(item), f"{what}, and nobody can look at a proxy there")
    else:
        yield failed(
            "objects", object_id(item), f"{what}, in plaintext: it is not labelled {TLS_MODE}: istio"
        )
