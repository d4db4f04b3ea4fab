# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS: names that nothing answers: no Service of that name, no DNS server, a pod that asks another one."""

from __future__ import annotations

from collections.abc import Iterator

from ....errors import nearest
from ....fields import field, list_at, mappings_at, name_of, namespace_of, text_at
from ....istio.proxy.routes import parse_cluster_name
from ....istio.workloads import parse_pod
from ....kube.pods import has_labels, takes_requests, trouble
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import DNS, LIKELY, SEEN, SURE, Cause
from .words import edit, restart

SERVER = {"k8s-app": "kube-dns"}


def find(case: Case) -> Iterator[Cause]:
    """The names of the symptom, and who answers for them. :returns: one cause per object at fault."""
    yield from _missing(case)
    yield from _stands_for(case)
    yield from _servers(case)
    yield from _policies(case)
    yield from _unresolved(case)


def _missing(case: Case) -> Iterator[Cause]:
    """A Service of the symptom that does not exist."""
    place = case.destination
    if place is None or case.services or "Service" in case.material.unread or case.entries(case.host or "-"):
        return
    namespace, name = place
    same = [object_id(item) for item in case.of("Service") if name_of(item) == name]
    names = [name_of(item) for item in case.of("Service") if namespace_of(item) == namespace]
    if same:
        said = f"does not exist; {few(same)} does: a name without its namespace means the caller's own"
        remedy = f"call {name}.{same[0].split()[1].partition('/')[0]}"
    elif namespace not in case.namespaces and "Namespace" not in case.material.unread:
        said = (
            f"does not exist: there is no namespace {namespace}{nearest(namespace, sorted(case.namespaces))}"
        )
        remedy = "correct the name"
    else:
        said = f"does not exist{nearest(name, names)}: its name is not found (NXDOMAIN)"
        remedy = f"kubectl get services -n {namespace}"
    yield Cause(DNS, f"Service {namespace}/{name}", said, remedy, SURE)


def _stands_for(case: Case) -> Iterator[Cause]:
    """Services of type ExternalName: they only stand for another host."""
    for item in case.services:
        target = text_at(item, "spec", "externalName").rstrip(".")
        if text_at(item, "spec", "type") != "ExternalName":
            continue
        name = object_id(item)
        inside = case.is_local(target)
        if inside and case.service(target) is None:
            said = f"stands for {target}, a Service that does not exist"
            yield Cause(DNS, name, said, edit(name), SURE)
        elif not case.symptom.anything:
            external = next((one for one in case.catalogue.external_services if target in one.hosts), None)
            if external is not None:
                said = (
                    f"of type ExternalName only stands for {target}, a host of external service "
                    f"{external.name!r}: calls through that name fail with 502"
                )
                yield Cause(DNS, name, said, f"call {target} itself", SURE)
            elif not case.entries(target) and not inside:
                said = f"of type ExternalName only stands for {target}, which no ServiceEntry describes"
                remedy = "add it to mesh_external_services and call it by its own name"
                yield Cause(DNS, name, said, remedy, LIKELY + 10)


def _servers(case: Case) -> Iterator[Cause]:
    if case.material.places is not None and "kube-system" not in case.material.places:
        return
    for item in case.of("Service"):
        if namespace_of(item) != "kube-system" or name_of(item) not in ("kube-dns", "coredns"):
            continue
        pods = [pod for pod in case.live.of("Pod", "kube-system") if has_labels(pod, SERVER)]
        if (
            not case.was_read("kube-system")
            or "Pod" in case.material.unread
            or any(takes_requests(pod) for pod in pods)
        ):
            continue
        told = few(f"{name_of(pod)}: {trouble(pod) or 'not ready'}" for pod in pods) or "it has no pod"
        said = f"has no ready DNS server ({told}): no name is found in the cluster"
        remedy = "kubectl get pods -n kube-system -l k8s-app=kube-dns"
        yield Cause(DNS, object_id(item), said, remedy, SURE, late=any(case.begins(pod) for pod in pods))


def _policies(case: Case) -> Iterator[Cause]:
    """Callers that ask another DNS server than the cluster's."""
    for raw in (*case.callers, *case.named):
        policy = text_at(raw, "spec", "dnsPolicy") or "ClusterFirst"
        host_network = field(raw, "spec", "hostNetwork") is True
        if policy == "None":
            servers = list_at(raw, "spec", "dnsConfig", "nameservers")
            told = f"asks {few(map(str, servers)) or 'nobody'} for names (dnsPolicy: None)"
        elif policy == "Default" or (policy == "ClusterFirst" and host_network):
            told = (
                f"asks its node's DNS server (dnsPolicy: {policy}{', hostNetwork' if host_network else ''})"
            )
        else:
            continue
        subject = f"Pod {namespace_of(raw)}/{name_of(raw)}"
        remedy = "dnsPolicy: ClusterFirst (ClusterFirstWithHostNet with hostNetwork) in its template"
        more = (restart(parse_pod(raw)),)
        yield Cause(
            DNS, subject, f"{told}, which does not know the names of Services", remedy, SURE - 5, more
        )


def _unresolved(case: Case) -> Iterator[Cause]:
    """Hosts of ServiceEntries for which the callers' proxies have found no address."""
    told: set[str] = set()
    for view in case.proxies(case.callers) or case.proxies(case.subjects):
        for cluster, found in view.endpoints.items():
            name = parse_cluster_name(cluster)
            if name is None or found or name.direction != "outbound" or not case.concerns(name.host):
                continue
            for item in case.entries(name.host):
                if (
                    text_at(item, "spec", "resolution") not in ("DNS", "DNS_ROUND_ROBIN")
                    or object_id(item) in told
                ):
                    continue
                told.add(object_id(item))
                where = few(_addresses(item)) or name.host
                seen = SEEN if case.flagged("DF") or case.flagged("UH", name.host) else 0
                said = f"wants the address of {where}, which DNS does not know: requests get 503 (UH, DF)"
                shown = (f"cluster {cluster} of Pod {view.proxy} has no endpoint",)
                yield Cause(DNS, object_id(item), said, edit(object_id(item)), SURE + seen, shown, late=True)


def _addresses(item: Obj) -> list[str]:
    return [text_at(one, "address") for one in mappings_at(item, "spec", "endpoints")]


def searched(case: Case) -> Iterator[Cause]:
    """Hosts of VirtualServices that look like names of Services and are none (``reviews.shop``)."""
    for route in case.concerned_routes():
        for host in route.read.hosts:
            name, _dot, rest = host.partition(".")
            known = case.service(f"{name}.{rest}.svc.{case.domain}")
            if known is not None and rest and case.service(host) is None:
                said = f"is for {host}, which Istio takes as it stands: it is not {object_id(known)}"
                remedy = f"write {case.fqdn(known)}: {edit(route.id)}"
                yield Cause(DNS, route.id, said, remedy, LIKELY + 15 if case.symptom.anything else SURE - 1)
