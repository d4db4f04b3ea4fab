# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes make callers' proxies end the streams that they opened: those of outbound listeners.

HTTP of all hosts shares the listener of its port, and what differs comes by routes. A stream has a chain of
its own, made of the host's addresses and ports, its TCP and TLS routes, and of three settings of its
DestinationRule; hosts that a proxy does not know share one.

Sources: istio, pilot/pkg/networking/core/listener.go, networkfilter.go, tls.go; the listeners of the lab's
proxies before and after a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from ...equality import same
from ...fields import field, list_at, mapping_at, mappings_at, namespace_of, text_at
from ..catalogue.mesh import Catalogue
from ..virtual_services import MESH, bound_gateways
from .base import Obj

State = tuple[Optional[Obj], Optional[Obj]]  # noqa: UP045 - pylint of ansible-test takes no | here
"""An object before and after; equal where it stays."""
_REQUESTS = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")


def outbound(catalogue: Catalogue, states: Sequence[State]) -> Iterator[tuple[Obj, set[str]]]:
    """The changes that replace a chain of an outbound listener, and whose streams that ends.

    :param states: every object of the mesh, also those that stay.
    :returns: the object, and ``namespace/service`` of callers that run.
    """
    callers = _Callers(catalogue, states)
    streams = {host for before, _after in states if before for host in _stream_hosts(before)}
    streams |= _own_streams(catalogue)
    for before, after in states:
        obj = after or before
        if obj is None:
            continue
        kind = obj["kind"]
        if kind == "Sidecar" and before is not None:
            # Without its scope a proxy sees more, not less.
            gone = _hosts(before) - _hosts(after) if after is not None else set()
            lost = [host for host in gone if host.partition("/")[2] in streams]
            if lost or not same(_unknown(before), _unknown(after)):
                yield obj, callers.of_scope(obj)
        elif kind in _LISTENED and not same(_LISTENED[kind](before), _LISTENED[kind](after)):
            yield obj, callers.of_hosts(namespace_of(obj), streams & {*_named(before), *_named(after)})


class _Callers:
    """Who sees which hosts, by the scopes that proxies have before the change."""

    def __init__(self, catalogue: Catalogue, states: Iterable[State]) -> None:
        self._catalogue = catalogue
        self._scopes = [before for before, _after in states if before and before["kind"] == "Sidecar"]

    def of_scope(self, sidecar: Obj) -> set[str]:
        selector = mapping_at(sidecar, "spec", "workloadSelector", "labels")
        return {
            service.key
            for service in self._catalogue.services
            if service.namespace == namespace_of(sidecar) and selector.items() <= dict(service.labels).items()
        }

    def of_hosts(self, namespace: str, hosts: Iterable[str]) -> set[str]:
        wanted = [f"{namespace}/{host}" for host in hosts]
        return {
            name
            for scope in self._scopes
            if any(_sees(entry, host) for entry in _hosts(scope) for host in wanted)
            for name in self.of_scope(scope)
        }


def _sees(entry: str, host: str) -> bool:
    (place, name), (where, called) = entry.split("/", 1), host.split("/", 1)
    return place in (where, "*") and name in (called, "*")


def _hosts(sidecar: Obj | None) -> set[str]:
    """``namespace/host`` of a scope; ``./host`` as its own namespace."""
    if sidecar is None:
        return set()
    home = namespace_of(sidecar)
    entries = [
        str(host) for item in mappings_at(sidecar, "spec", "egress") for host in list_at(item, "hosts")
    ]
    return {entry.replace("./", f"{home}/", 1) if entry.startswith("./") else entry for entry in entries}


def _unknown(sidecar: Obj | None) -> Any:
    """What becomes of hosts that the proxy does not know."""
    return dict(mapping_at(sidecar, "spec", "outboundTrafficPolicy"))


def _own_streams(catalogue: Catalogue) -> set[str]:
    found = set()
    for service in catalogue.services:
        companion = service.headless
        if any(not port.is_http for port in service.ports):
            found.add(service.fqdn)
        if companion and any(not port.is_http for port in companion.ports):
            found.add(companion.fqdn)
    return found


def _stream_ports(entry: Obj | None) -> list[Mapping[str, Any]]:
    ports = mappings_at(entry, "spec", "ports")
    return [port for port in ports if text_at(port, "protocol") not in _REQUESTS]


def _stream_hosts(obj: Obj) -> Iterator[str]:
    if obj["kind"] == "ServiceEntry" and _stream_ports(obj):
        yield from map(str, list_at(obj, "spec", "hosts"))


def _named(obj: Obj | None) -> list[str]:
    """The hosts that an object is about."""
    host = text_at(obj, "spec", "host")
    return [host] if host else [str(item) for item in list_at(obj, "spec", "hosts")]


def _entry(obj: Obj | None) -> Any:
    """Of a ServiceEntry, what its streams are told apart by."""
    ports = [(field(port, "number"), text_at(port, "protocol")) for port in _stream_ports(obj)]
    if not ports:
        return None
    names = [list(list_at(obj, "spec", key)) for key in ("hosts", "addresses")]
    return [ports, *names, text_at(obj, "spec", "resolution") == "NONE"]


def _routes(obj: Obj | None) -> Any:
    """Of a VirtualService of sidecars, its routes of streams; at a gateway they are the gateway's."""
    if obj is None or MESH not in bound_gateways(obj):
        return None
    return [[dict(route) for route in mappings_at(obj, "spec", part)] for part in ("tcp", "tls")]


def _rule(obj: Obj | None) -> Any:
    """Of a DestinationRule, what becomes part of a chain: two times and whether the address is hashed."""
    policies = [mapping_at(obj, "spec", "trafficPolicy")]
    policies += [mapping_at(item, "trafficPolicy") for item in mappings_at(obj, "spec", "subsets")]
    kept = [
        [
            field(policy, "connectionPool", "tcp", "idleTimeout"),
            field(policy, "connectionPool", "tcp", "maxConnectionDuration"),
            field(policy, "loadBalancer", "consistentHash", "useSourceIp"),
        ]
        for policy in policies
    ]
    return [values for values in kept if any(values)]


_LISTENED = {"ServiceEntry": _entry, "VirtualService": _routes, "DestinationRule": _rule}
