# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway: Gateways without pods, ports that nobody reaches, servers that take each other's host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....fields import (
    age_order,
    field,
    integer_at,
    labels_of,
    mapping_at,
    mappings_at,
    name_of,
    namespace_of,
    text_at,
)
from ....kube.pods import has_labels, takes_requests
from ....model.certificates.served import server_hosts
from ....model.security.pods import is_gateway, target_ports
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import GATEWAY, LIKELY, SURE, Cause
from ..gateway_pods import pods_of
from .gateway_hosts import concerned_gateways
from .words import edit

PATIENCE = 120.0
"""Seconds that a cloud may take to give a Service its address."""


def find(case: Case) -> Iterator[Cause]:
    """The Gateways of the symptom's host, or all. :returns: one cause per Gateway or Service at fault."""
    told: set[str] = set()
    for gateway in concerned_gateways(case):
        for cause in _gateway(case, gateway):
            if (key := f"{cause.object} {cause.said}") not in told:
                told.add(key)
                yield cause
    yield from _conflicts(case)


def _gateway(case: Case, gateway: Obj) -> Iterator[Cause]:
    subject = object_id(gateway)
    selector = mapping_at(gateway, "spec", "selector")
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector.items())) or "those of all gateways"
    pods = pods_of(gateway, case.live.of("Pod"))
    if not pods and case.material.places is None:
        near = sorted(
            {
                f"{key}={labels_of(pod)[key]}"
                for pod in case.live.of("Pod")
                if is_gateway(pod)
                for key in selector
                if key in labels_of(pod)
            }
        )
        told = f"; pods of gateways have {few(near)}" if near else ""
        said = f"selects no pod ({wanted}{told}): nobody serves its hosts"
        yield Cause(GATEWAY, subject, said, edit(subject), SURE)
        return
    if pods and not any(takes_requests(pod) for pod in pods):
        said = f"has no ready pod, of {len(pods)} that it selects ({wanted})"
        remedy = f"kubectl describe pod -n {namespace_of(pods[0])} {name_of(pods[0])}"
        late = any(case.begins(pod) for pod in pods)
        yield Cause(GATEWAY, subject, said, remedy, SURE, late=late)
        return
    yield from _ways_in(case, gateway, pods)


def _ways_in(case: Case, gateway: Obj, pods: list[Obj]) -> Iterator[Cause]:
    if not pods or "Service" in case.material.unread:
        return
    services = [
        item
        for item in case.of("Service")
        if mapping_at(item, "spec", "selector")
        and any(
            namespace_of(pod) == namespace_of(item) and has_labels(pod, mapping_at(item, "spec", "selector"))
            for pod in pods
        )
    ]
    subject = object_id(gateway)
    if not services:
        said = f"is served by {name_of(pods[0])}, to which no Service leads"
        remedy = f"kubectl get service -n {namespace_of(pods[0])}; its selector has to select these pods"
        yield Cause(GATEWAY, subject, said, remedy, SURE)
        return
    known = {integer_at(port, "port") for item in services for port in mappings_at(item, "spec", "ports")}
    known |= {number for item in services for pod in pods for number in target_ports(item, pod)}
    for server in mappings_at(gateway, "spec", "servers"):
        port = integer_at(server, "port", "number")
        if port not in known and case.concerns(*server_hosts(server)):
            names = few(object_id(item) for item in services)
            said = f"listens on port {port}, which {names} does not have: nobody gets there"
            yield Cause(GATEWAY, subject, said, f"istio_gateways: ports, or {edit(subject)}", SURE - 5)
    for item in services:
        waits = not field(item, "status", "loadBalancer", "ingress") and case.age(item) > PATIENCE
        if waits and text_at(item, "spec", "type") == "LoadBalancer":
            name = object_id(item)
            said = "waits for an address: nothing gives one to a Service of type LoadBalancer here"
            remedy = "istio_gateways: service_type: NodePort or ClusterIP, or install a load balancer"
            yield Cause(GATEWAY, name, said, remedy, LIKELY + 20)


def _conflicts(case: Case) -> Iterator[Cause]:
    """Two servers for one host and port on the same pods: the older Gateway counts (IST0145)."""
    taken: dict[tuple[Any, ...], Obj] = {}
    for gateway in sorted(case.of("Gateway"), key=age_order):
        selector = tuple(sorted(mapping_at(gateway, "spec", "selector").items()))
        for server in mappings_at(gateway, "spec", "servers"):
            for host in server_hosts(server):
                key = (selector, integer_at(server, "port", "number"), host)
                first = taken.setdefault(key, gateway)
                if first is gateway or not case.concerns(host) or _same_tls(first, gateway, key[1], host):
                    continue
                said = (
                    f"serves {host} on port {key[1]} on the same pods as {object_id(first)}, which is older"
                )
                remedy = f"leave the host to one of them: {edit(object_id(gateway))}"
                yield Cause(GATEWAY, object_id(gateway), f"{said} and counts", remedy, LIKELY + 15)


def _same_tls(first: Obj, second: Obj, port: int, host: str) -> bool:
    """Plain HTTP servers are merged (istio pilot/pkg/model/gateway.go mergeGateways)."""

    def tls(gateway: Obj) -> Mapping[str, Any]:
        for server in mappings_at(gateway, "spec", "servers"):
            if integer_at(server, "port", "number") == port and host in server_hosts(server):
                return mapping_at(server, "tls")
        return {}

    return not text_at(tls(first), "mode") and not text_at(tls(second), "mode")
