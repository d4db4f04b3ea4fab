# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway: hosts that no Gateway and VirtualService bind together."""

from __future__ import annotations

from collections.abc import Iterator

from ....errors import nearest
from ....fields import integer_at, list_at, mappings_at, namespace_of, text_at
from ....model.certificates.served import server_hosts
from ....model.host_patterns import takes_in
from ....model.virtual_services import MESH, bound_gateways
from ....object_id import object_id
from ....words import few
from ..case import Case, LiveVirtualService, Obj, full_name
from ..cause import GATEWAY, LIKELY, SURE, Cause
from .route_conflicts import exported
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """VirtualServices at gateways, and the symptom's host. :returns: one cause per object at fault."""
    if "Gateway" in case.material.unread:
        return
    known = {full_name(item): item for item in case.of("Gateway")}
    for item in case.concerned_routes():
        names = [name for name in bound_gateways(item.raw) if name != MESH]
        for name in names:
            if name not in known:
                said = f"is bound to Gateway {name}, which istiod does not know{nearest(name, sorted(known))}"
                yield Cause(GATEWAY, item.id, f"{said}: its hosts get 404", edit(item.id), SURE)
        yield from _outside(case, item, [known[name] for name in names if name in known])
    yield from _unbound(case)
    yield from _streams(case)


def takes(pattern: str, host: str) -> bool:
    """Whether a host of a Gateway and one of a VirtualService meet (pkg/config/host Matches)."""
    return any(takes_in(wide, narrow) for wide, narrow in ((pattern, host), (host, pattern)))


def concerned_gateways(case: Case) -> list[Obj]:
    """The Gateways that the symptom is about. :returns: for its host, or all where it says nothing."""
    if case.symptom.anything and not case.symptom.namespace:
        return list(case.of("Gateway"))
    if case.symptom.anything:
        return [item for item in case.of("Gateway") if namespace_of(item) == case.symptom.namespace]
    bound = {
        name
        for item in case.concerned_routes()
        for name in bound_gateways(item.raw)
        if case.host in item.read.hosts or not case.host
    }
    return [
        item
        for item in case.of("Gateway")
        if full_name(item) in bound
        or (case.host and any(takes(host, case.host) and host != "*" for host in _hosts(item)))
    ]


def _hosts(gateway: Obj) -> list[str]:
    return [host for server in mappings_at(gateway, "spec", "servers") for host in server_hosts(server)]


def _outside(case: Case, item: LiveVirtualService, gateways: list[Obj]) -> Iterator[Cause]:
    """Hosts of a VirtualService that none of its Gateways serves (IST0132)."""
    for gateway in gateways:
        served = _hosts(gateway)
        lost = [host for host in item.read.hosts if not any(takes(pattern, host) for pattern in served)]
        if lost and len(lost) == len(item.read.hosts):
            name = object_id(gateway)
            said = f"is for {few(lost)}, and {name} serves {few(served)}: the gateway answers 404"
            yield Cause(GATEWAY, item.id, said, f"hosts: in {name}, or {edit(item.id)}", SURE)
            continue
        if not exported(item.raw, namespace_of(gateway)) and case.concerns(*item.read.hosts):
            said = f"is not shown to namespace {namespace_of(gateway)} (exportTo), where its Gateway is"
            yield Cause(GATEWAY, item.id, said, edit(item.id), SURE - 5)
        limited = [
            str(entry)
            for server in mappings_at(gateway, "spec", "servers")
            for entry in list_at(server, "hosts")
            if "/" in str(entry)
            and any(takes(str(entry).rpartition("/")[2], host) for host in item.read.hosts)
        ]
        places = {entry.partition("/")[0] for entry in limited}
        own = namespace_of(item.raw)
        if places and not places & {"*", own} and not ("." in places and own == namespace_of(gateway)):
            name = object_id(gateway)
            said = f"takes VirtualServices for {few(limited)} only, and {item.id} is in namespace {own}"
            yield Cause(GATEWAY, name, said, edit(name), SURE)


def _unbound(case: Case) -> Iterator[Cause]:
    """The symptom's host is served by no Gateway, or routed by no VirtualService there."""
    host = case.host
    if not host or case.is_local(host) or case.symptom.source or case.entries(host):
        return
    serving = [item for item in case.of("Gateway") if any(takes(one, host) for one in _hosts(item))]
    routed = [item for item in case.routes if any(takes(one, host) for one in item.read.hosts)]
    at_gateways = [item for item in routed if any(name != MESH for name in bound_gateways(item.raw))]
    if not serving:
        names = sorted({one for item in case.of("Gateway") for one in _hosts(item)})
        said = f"is served by no Gateway{nearest(host, names)}: it gets 404, or no TLS connection at all"
        yield Cause(GATEWAY, f"host {host}", said, "mesh_gateways: servers: [{host: ...}]", SURE)
    elif not at_gateways and "VirtualService" not in case.material.unread:
        subject = routed[0].id if routed else object_id(serving[0])
        said = (
            f"names no gateway, so {object_id(serving[0])} has no route for {host}: it gets 404"
            if routed
            else f"serves {host}, for which no VirtualService has a route there: it gets 404"
        )
        yield Cause(GATEWAY, subject, said, "exposed: of the service in mesh_services", SURE)


def _streams(case: Case) -> Iterator[Cause]:
    """HTTP routes at a server that does not read HTTP (TLS passthrough), or TLS routes at one that does."""
    by_name = {full_name(item): item for item in case.of("Gateway")}
    for item in case.concerned_routes():
        for name in bound_gateways(item.raw):
            servers = [
                server
                for server in mappings_at(by_name.get(name), "spec", "servers")
                if any(takes(one, host) for one in server_hosts(server) for host in item.read.hosts)
            ]
            blind = [server for server in servers if "PASSTHROUGH" in text_at(server, "tls", "mode")]
            if servers and len(blind) == len(servers) and item.read.http and not _has_tls(item):
                port = integer_at(blind[0], "port", "number")
                said = f"has http routes, and port {port} of Gateway {name} does not read TLS (PASSTHROUGH)"
                remedy = f"give it tls routes with sniHosts, or end TLS at the gateway: {edit(item.id)}"
                yield Cause(GATEWAY, item.id, said, remedy, LIKELY + 20)


def _has_tls(item: LiveVirtualService) -> bool:
    return any(route.protocol == "tls" for route in item.read.routes)
