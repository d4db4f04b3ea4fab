# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes make proxies end connections: those that replace a listener or one of its filter chains.

Envoy finishes short requests on the old chain and closes what is left after its drain time
(``--drain-time-s``, 45 s unless ``drainDuration`` says otherwise): a WebSocket, a gRPC stream, a TCP
connection. Routes, clusters and endpoints come by APIs of their own and end nothing. What callers opened:
``drains_outbound``.

Sources: Envoy, ``ListenerImpl::supportUpdateFilterChain``; istio, pilot/pkg/networking/core/listener*.go, and
measured on the lab (``listener_manager.listener_modified``, and streams that were held open).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...equality import same
from ...fields import field, list_at, mapping_at, mappings_at, namespace_of, text_at
from ...object_id import object_id
from ...words import some_of
from ..catalogue.mesh import Catalogue, EgressGateway, Gateway
from ..virtual_services import MESH, bound_gateways
from .base import Obj
from .drains_outbound import outbound

_POLICIES = ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "Telemetry")
# What of an EnvoyFilter becomes part of a listener; routes and clusters do not.
_IN_LISTENERS = ("LISTENER", "LISTENER_FILTER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER")


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """An object whose change ends connections.

    :param subject: ``Kind namespace/name``. :param of: whose connections: ``namespace/service``, or
        ``gateway NAME``; sorted.
    """

    subject: str
    of: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a result. :returns: ``object`` and ``of``."""
        return {"object": self.subject, "of": list(self.of)}


def drains(catalogue: Catalogue, states: Iterable[tuple[Obj | None, Obj | None]]) -> list[Drain]:
    """The changes that end connections of proxies that run.

    :param states: objects before and after, None where there is none; those that stay say who sees whom.
    :returns: one per object, in their order.
    """
    pairs = list(states)
    whose: dict[str, set[str]] = {}
    for before, after in pairs:
        obj = after or before
        if obj is not None:
            whose[object_id(obj)] = (
                _whose(catalogue, [part for part in (before, after) if part is not None])
                if _replaces(before, after)
                else set()
            )
    for obj, callers in outbound(catalogue, pairs):
        whose[object_id(obj)] |= callers
    return [Drain(subject, tuple(sorted(names))) for subject, names in whose.items() if names]


def told(found: Sequence[Drain]) -> str:
    """A sentence without full stop; empty when nothing ends."""
    whose = sorted({name for drain in found for name in drain.of})
    if not whose:
        return ""
    changing = f"and {len(found) - 1} more change" if len(found) > 1 else "changes"
    return (
        f"cuts long streams of {some_of(whose, 6)} when their proxies have drained "
        f"({found[0].subject} {changing}; 45 s unless drainDuration says otherwise)"
    )


def _replaces(before: Obj | None, after: Obj | None) -> bool:
    kind = str((after or before or {}).get("kind"))
    if kind in _POLICIES:
        return not same(_spec(before), _spec(after))
    if kind == "EnvoyFilter":
        return not same(_in_listeners(before), _in_listeners(after))
    if kind == "Gateway":
        return before is not None and any(
            not _still_served(server, mappings_at(after, "spec", "servers"))
            for server in mappings_at(before, "spec", "servers")
        )
    if kind == "VirtualService":
        return before is not None and any(
            not same(list(list_at(before, "spec", part)), list(list_at(after, "spec", part)))
            for part in ("tcp", "tls")
        )
    return False


def _spec(obj: Obj | None) -> Any:
    return None if obj is None else dict(mapping_at(obj, "spec"))


def _in_listeners(obj: Obj | None) -> Any:
    patches = [
        dict(patch)
        for patch in mappings_at(obj, "spec", "configPatches")
        if text_at(patch, "applyTo") in _IN_LISTENERS
    ]
    return [patches, dict(mapping_at(obj, "spec", "workloadSelector"))] if patches else []


def _still_served(server: Mapping[str, Any], servers: Sequence[Mapping[str, Any]]) -> bool:
    """A port without TLS is one chain whatever hosts it has; with TLS each server has a chain of its own."""
    port = dict(mapping_at(server, "port"))
    if text_at(port, "protocol") in ("HTTP", "HTTP2", "GRPC"):
        return any(
            field(other, "port", "number") == port.get("number")
            and text_at(other, "port", "protocol") == port.get("protocol")
            for other in servers
        )
    return any(same(dict(server), dict(other)) for other in servers)


def _whose(catalogue: Catalogue, states: Iterable[Obj]) -> set[str]:
    found: set[str] = set()
    for obj in states:
        if obj["kind"] == "VirtualService":
            found |= {f"gateway {name.rpartition('/')[2]}" for name in bound_gateways(obj) if name != MESH}
            continue
        selector = _selector(obj)
        everywhere = namespace_of(obj) == catalogue.root_namespace and not selector
        if obj["kind"] != "Gateway":
            found |= {
                service.key
                for service in catalogue.services
                if everywhere
                or (
                    service.namespace == namespace_of(obj)
                    and selector.items() <= dict(service.labels).items()
                )
            }
        found |= {
            f"gateway {name}"
            for name, gateway in _gateways(catalogue)
            if everywhere
            or (
                (obj["kind"] == "Gateway" or gateway.workload_namespace == namespace_of(obj))
                and selector.items() <= dict(gateway.selector).items()
            )
        }
    return found


def _gateways(catalogue: Catalogue) -> list[tuple[str, Gateway | EgressGateway]]:
    found: list[tuple[str, Gateway | EgressGateway]] = [(item.name, item) for item in catalogue.gateways]
    if catalogue.egress_gateway is not None:
        found.append(("egress", catalogue.egress_gateway))
    return found


def _selector(obj: Obj) -> Mapping[str, Any]:
    if obj["kind"] == "Gateway":
        return mapping_at(obj, "spec", "selector")
    if obj["kind"] == "EnvoyFilter":
        return mapping_at(obj, "spec", "workloadSelector", "labels")
    return mapping_at(obj, "spec", "selector", "matchLabels")
