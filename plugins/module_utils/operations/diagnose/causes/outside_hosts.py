# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress: hosts outside of the mesh that nobody declared, or that are declared in a way that cannot work."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import age_order, field, integer_at, labels_of, list_at, mappings_at, namespace_of, text_at
from ....istio.proxy.routes import parse_cluster_name
from ....model.installation.mesh_config import as_spelled
from ....model.security.pods import read_pod
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import EGRESS, LIKELY, POSSIBLE, SEEN, SURE, Cause
from .words import edit

DECLARE = "mesh_external_services: [{name: ..., hosts: [HOST], callers: [...]}], then servicemesh.istio.mesh"


def find(case: Case) -> Iterator[Cause]:
    """The symptom's host outside, or ServiceEntries about its callers. :returns: one cause each."""
    yield from _undeclared(case)
    for item in case.of("ServiceEntry"):
        if _concerned(case, item):
            yield from _entry(case, item)
            yield from _unreachable(case, item)
    yield from _protocols(case)


def _concerned(case: Case, item: Obj) -> bool:
    hosts = [str(host) for host in list_at(item, "spec", "hosts")]
    if case.symptom.anything:
        place = namespace_of(item)
        return place == case.symptom.namespace if case.symptom.namespace else place in case.meshed
    return case.concerns(*hosts)


def _undeclared(case: Case) -> Iterator[Cause]:
    """A host that is neither a Service nor a ServiceEntry, for callers that may call nothing else."""
    host = case.host
    if not host or case.is_local(host) or not case.symptom.source or case.entries(host):
        return
    if "ServiceEntry" in case.material.unread:
        return
    for proxy in case.running_of(case.callers):
        if proxy.gateway:
            continue
        sidecar = case.scopes.of(proxy)
        own = text_at(sidecar, "spec", "outboundTrafficPolicy", "mode")
        config = case.material.config
        mode = own or str(field(config, *as_spelled(config, "outboundTrafficPolicy", "mode")))
        if mode != "REGISTRY_ONLY":
            continue
        said_by = object_id(sidecar) if sidecar and own else "the mesh (outboundTrafficPolicy)"
        black = [seen for seen in case.material.lines if seen.line.cluster == "BlackHoleCluster"]
        shown = tuple(f"the access log of Pod {seen.proxy} shows BlackHoleCluster" for seen in black[:1])
        said = f"is declared by no ServiceEntry, and {said_by} lets Pod {proxy} call declared hosts only: 502"
        yield Cause(EGRESS, f"host {host}", said, DECLARE.replace("HOST", host), SURE, shown)
        return


def _entry(case: Case, item: Obj) -> Iterator[Cause]:
    subject = object_id(item)
    resolution = text_at(item, "spec", "resolution") or "NONE"
    hosts = [str(host) for host in list_at(item, "spec", "hosts")]
    ports = mappings_at(item, "spec", "ports")
    asked = case.symptom.port
    if (
        asked.isdigit()
        and case.concerns(*hosts)
        and int(asked) not in {integer_at(one, "number") for one in ports}
    ):
        known = few(str(integer_at(one, "number")) for one in ports)
        said = f"declares no port {asked} of {few(hosts)} (but {known}): calls there get 502"
        yield Cause(EGRESS, subject, said, edit(subject), SURE)
    if (
        resolution == "STATIC"
        and not list_at(item, "spec", "endpoints")
        and not item["spec"].get("workloadSelector")
    ):
        said = "has resolution STATIC and no endpoints: its hosts have none, requests get 503 UH"
        yield Cause(EGRESS, subject, said, f"endpoints: or resolution: DNS in {subject}", SURE)
    if text_at(item, "spec", "location") == "MESH_INTERNAL" and resolution == "DNS":
        outside = [host for host in hosts if not case.is_local(host)]
        if outside and not case.symptom.anything:
            said = (
                f"says that {few(outside)} is inside the mesh (MESH_INTERNAL): callers insist on mutual TLS"
            )
            yield Cause(EGRESS, subject, said, f"location: MESH_EXTERNAL in {subject}", LIKELY)
    for port in ports:
        yield from _port(case, item, port, hosts)


def _port(case: Case, item: Obj, port: Obj, hosts: list[str]) -> Iterator[Cause]:
    """TLS that nobody begins, or that is begun twice."""
    subject, number = object_id(item), integer_at(port, "number")
    protocol = text_at(port, "protocol").upper()
    target = integer_at(port, "targetPort") or number
    for host in hosts:
        modes = _modes(case, host, namespace_of(item), number)
        if protocol in ("HTTP", "HTTP2", "GRPC") and target == 443 and modes <= {"", "DISABLE", "AUTO"}:
            said = f"sends plain HTTP of port {number} to port 443 of {host}: nobody begins TLS (400)"
            remedy = f"a DestinationRule with tls.mode SIMPLE for {host}, or tls: of the external service"
            yield Cause(EGRESS, subject, said, remedy, SURE - 10)
        rules = [
            rule for rule in case.rules_for(host) if text_at(rule, "spec", "trafficPolicy", "tls", "mode")
        ]
        if protocol in ("HTTPS", "TLS") and modes & {"SIMPLE", "MUTUAL"} and rules:
            name = object_id(rules[0])
            said = (
                f"begins TLS on port {number} of {host}, where callers have begun it already: TLS inside TLS"
            )
            yield Cause(EGRESS, name, said, f"protocol: HTTP in {subject}, or no tls in {name}", SURE - 5)


def _modes(case: Case, host: str, owner: str, port: int) -> set[str]:
    pods = case.callers or [pod for pod in case.subjects if read_pod(pod).meshed][:1]
    found = {case.rules.mode(namespace_of(pod), labels_of(pod), host, owner, port).mode for pod in pods}
    for rule in case.rules_for(host) if not pods else ():
        found.add(text_at(rule, "spec", "trafficPolicy", "tls", "mode"))
    return found


def _unreachable(case: Case, item: Obj) -> Iterator[Cause]:
    """What callers' proxies say of the hosts: none known (DNS), or none that takes connections."""
    hosts = [str(host) for host in list_at(item, "spec", "hosts")]
    for view in case.proxies(case.callers) or case.proxies(case.subjects):
        for cluster, found in view.endpoints.items():
            name = parse_cluster_name(cluster)
            if name is None or name.host not in hosts or name.direction != "outbound" or not found:
                continue
            failed = sum(one.stats.get("cx_connect_fail", 0) for one in found)
            total = sum(one.stats.get("cx_total", 0) for one in found)
            if failed and failed * 2 >= total and case.flagged("UF", name.host):
                said = f"names {name.host}:{name.port}, to which {failed} of {total} connections failed"
                shown = (f"as Pod {view.proxy} shows; its addresses: {few(one.address for one in found)}",)
                remedy = f"check the address, the port and the firewall: {edit(object_id(item))}"
                yield Cause(EGRESS, object_id(item), said, remedy, LIKELY + SEEN, shown)
                return


def _protocols(case: Case) -> Iterator[Cause]:
    """One host and port in two ServiceEntries with different protocols: the older one counts."""
    taken: dict[tuple[str, int], tuple[Obj, str]] = {}
    entries = sorted(case.of("ServiceEntry"), key=age_order)
    for item in entries:
        for host in map(str, list_at(item, "spec", "hosts")):
            for port in mappings_at(item, "spec", "ports"):
                key, protocol = (host, integer_at(port, "number")), text_at(port, "protocol").upper()
                first, known = taken.setdefault(key, (item, protocol))
                if known != protocol and _concerned(case, item):
                    said = f"says {protocol} of {host}:{key[1]}, and {object_id(first)}, older, says {known}"
                    yield Cause(EGRESS, object_id(item), said, edit(object_id(item)), LIKELY)
                elif first is not item and not case.symptom.anything and _concerned(case, item):
                    said = (
                        f"declares {host}:{key[1]} like {object_id(first)}: only their endpoints are joined"
                    )
                    yield Cause(EGRESS, object_id(item), said, edit(object_id(item)), POSSIBLE)
