# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: Gateways and VirtualServices beside the catalogue, and where they lead.

What another team serves at the same gateway is told and no fault. A route that reaches a service of the
catalogue, or takes the requests of one of its hosts, is one, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ....fields import (
    annotations_of,
    integer_at,
    list_at,
    mapping_at,
    mappings_at,
    name_of,
    namespace_of,
    text_at,
)
from ....model.host_patterns import takes_in
from ....model.virtual_services import MESH, VirtualService, bound_gateways, read_virtual_service
from ....object_id import object_id
from ....words import few
from ..findings import Finding, beside, failed, unknown
from ..ours import GatewayPods, Obj, Ours, narrower, ordered, targets

INGRESS_CLASS = "kubernetes.io/ingress.class"
ROUTES = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")
EXPERIMENTAL = ("TCPRoute", "TLSRoute")
"""Which istiod reads when it is told to (PILOT_ENABLE_ALPHA_GATEWAY_API), or is new enough."""


def check_routes_beside(ours: Ours) -> list[Finding]:
    """One finding per foreign Gateway, VirtualService or Gateway API route that could touch the catalogue.

    :returns: gateways first.
    """
    found: list[Finding] = []
    domain = ours.picture.catalogue.cluster_domain
    routes = ordered(ours.around.of("VirtualService"))
    read = {(namespace_of(item), name_of(item)): read_virtual_service(item, domain) for item in routes}
    for pods in ours.gateways:
        found += _gateways(ours, pods)
        for item in routes:
            if not ours.is_own(item):
                found += _through_gateway(ours, pods, item, read)
    for item in routes:
        if not ours.is_own(item):
            found += _in_mesh(ours, item, read[namespace_of(item), name_of(item)])
    for kind in ROUTES:
        for item in ordered(ours.around.of(kind)):
            found += _gateway_api(ours, item, kind)
    for item in ordered(ours.around.of("BackendTLSPolicy")):
        found += _backend_tls(ours, item)
    for item in ordered(ours.around.of("Ingress")):
        found += _ingress(ours, item)
    return found


def _servers(gateway: Obj) -> Iterator[tuple[int, str, str]]:
    """Port, host, and whose VirtualServices may use it (``*`` for all) of each server."""
    for server in mappings_at(gateway, "spec", "servers"):
        port = integer_at(server, "port", "number")
        for entry in list_at(server, "hosts"):
            place, _slash, host = str(entry).rpartition("/")
            yield port, host, namespace_of(gateway) if place == "." else place or "*"


def _gateways(ours: Ours, pods: GatewayPods) -> Iterator[Finding]:
    own = {
        (port, host)
        for item in ours.computed.values()
        if item["kind"] == "Gateway" and pods.serves(item)
        for port, host, _place in _servers(item)
    }
    for item in ordered(ours.around.of("Gateway")):
        if ours.is_own(item) or not pods.serves(item):
            continue
        served = [(port, host) for port, host, _place in _servers(item)]
        taken = [
            f"{host}:{port}" for port, host in served if any(takes_in(known, host) for _port, known in own)
        ]
        if taken:
            what = f"serves {few(taken)} at {pods.name}: a host of the catalogue"
            yield failed("objects", object_id(item), what)
        else:
            told = few(f"{host}:{port}" for port, host in served)
            yield beside("objects", object_id(item), f"serves {told} at the pods of {pods.name}")


def _bound(ours: Ours, pods: GatewayPods, item: Obj) -> Iterator[str]:
    """The hosts for which a VirtualService takes requests at the gateway's pods."""
    names = bound_gateways(item)
    for gateway in ours.around.of("Gateway"):
        if f"{namespace_of(gateway)}/{name_of(gateway)}" not in names or not pods.serves(gateway):
            continue
        for _port, host, place in _servers(gateway):
            if place in ("*", namespace_of(item)):
                shared = (narrower(host, str(one)) for one in list_at(item, "spec", "hosts"))
                yield from filter(None, shared)


def _through_gateway(
    ours: Ours, pods: GatewayPods, item: Obj, read: dict[tuple[str, str], VirtualService]
) -> Iterator[Finding]:
    hosts = list(dict.fromkeys(_bound(ours, pods, item)))
    if not hosts:
        return
    own = {
        host
        for gateway in ours.computed.values()
        if gateway["kind"] == "Gateway" and pods.serves(gateway)
        for _port, host, _place in _servers(gateway)
    }
    led = list(targets(read[namespace_of(item), name_of(item)], read))
    reached = [name for host, name in ours.touched(led).items() if host in ours.hosts]
    taken = [host for host in hosts if any(takes_in(known, host) for known in own)]
    subject = object_id(item)
    if reached:
        what = f"leads from {few(hosts)} at {pods.name} to {few(reached)}, past the catalogue"
        yield failed("objects", subject, what)
    if taken:
        yield failed("objects", subject, f"takes requests for {few(taken)} at {pods.name}")
    if not reached and not taken:
        where = f" to {few(led)}" if led else ""
        yield beside("objects", subject, f"leads from {few(hosts)} at {pods.name}{where}")


def _in_mesh(ours: Ours, item: Obj, read: VirtualService) -> Iterator[Finding]:
    if MESH not in bound_gateways(item):
        return
    touched = ours.touched(read.hosts)
    if not touched:
        return
    subject, names = object_id(item), few(touched.values())
    told = ours.seen_by(item, touched)
    if told:
        yield failed("objects", subject, f"has routes for calls to {names}, which {few(told)} may follow")
    else:
        yield beside("objects", subject, f"has routes for calls to {names}, which no proxy of ours is told")


def _gateway_api(ours: Ours, item: Obj, kind: str) -> Iterator[Finding]:
    """Routes of the Gateway API: of a Service they are routes of the mesh (GAMMA)."""
    subject, home = object_id(item), namespace_of(item)
    touched = ours.touched(_hosts(ours, mappings_at(item, "spec", "parentRefs"), home, default="Gateway"))
    if touched and kind in EXPERIMENTAL:
        what = f"has routes for calls to {few(touched.values())}; whether istiod reads it"
        yield unknown("objects", subject, f"{what}, nobody here can tell")
        return
    if touched:
        yield failed("objects", subject, f"has routes for calls to {few(touched.values())}")
        return
    backends = [
        ref for rule in mappings_at(item, "spec", "rules") for ref in mappings_at(rule, "backendRefs")
    ]
    reached = ours.touched(_hosts(ours, backends, home, default="Service"))
    if reached:
        gateways = few(text_at(ref, "name") for ref in mappings_at(item, "spec", "parentRefs"))
        what = f"leads from Gateway {gateways} to {few(reached.values())}, whose policies judge that gateway"
        yield beside("objects", subject, what)


def _backend_tls(ours: Ours, item: Obj) -> Iterator[Finding]:
    """istiod makes DestinationRules of mode SIMPLE out of it, which come before all others of the namespace
    (istio pilot/pkg/config/kube/gateway/backend_policies.go)."""
    targeted = mappings_at(item, "spec", "targetRefs")
    if touched := ours.touched(_hosts(ours, targeted, namespace_of(item), default="Service")):
        what = f"says that calls to {few(touched.values())} use TLS of another kind; what comes of that"
        yield unknown("objects", object_id(item), f"{what}, nobody here can tell")


def _ingress(ours: Ours, item: Obj) -> Iterator[Finding]:
    """An Ingress of class istio is a Gateway and routes at the ingress gateway (istio
    pilot/pkg/config/kube/ingress); those of other classes come from outside the mesh."""
    rules = mappings_at(item, "spec", "rules")
    paths = [path for rule in rules for path in mappings_at(rule, "http", "paths")]
    backends = [mapping_at(path, "backend", "service") for path in paths]
    backends.append(mapping_at(item, "spec", "defaultBackend", "service"))
    home, domain = namespace_of(item), ours.picture.catalogue.cluster_domain
    services = [f"{text_at(one, 'name')}.{home}.svc.{domain}" for one in backends]
    reached = ours.touched(services)
    if not reached:
        return
    named = text_at(item, "spec", "ingressClassName") or annotations_of(item).get(INGRESS_CLASS, "")
    hosts = few(text_at(rule, "host") or "*" for rule in rules) or "*"
    what = f"leads from {hosts} (class {named or 'of the cluster'}) to {few(reached.values())}"
    if named == "istio":
        yield failed("objects", object_id(item), f"{what}, past the catalogue")
    else:
        yield beside("objects", object_id(item), f"{what}, whose proxies judge what its controller sends")


def _hosts(ours: Ours, refs: Iterable[Obj], home: str, *, default: str) -> Iterator[str]:
    """What references of the Gateway API stand for that have a name to call: a Service, a ServiceEntry, or
    the name itself (istio pilot/pkg/config/kube/gateway/conversion.go)."""
    domain = ours.picture.catalogue.cluster_domain
    for ref in refs:
        kind, name = text_at(ref, "kind") or default, text_at(ref, "name")
        place = text_at(ref, "namespace") or home
        if kind == "Service":
            yield f"{name}.{place}.svc.{domain}"
        elif kind == "Hostname":
            yield name
        elif kind == "ServiceEntry":
            for entry in ours.around.of(kind):
                if (namespace_of(entry), name_of(entry)) == (place, name):
                    yield from map(str, list_at(entry, "spec", "hosts"))
