# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of a proxy: which requests go to which clusters, and which Istio object said so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# istio pilot/pkg/networking/util/util.go AddConfigInfoMetadata
_CONFIG = re.compile(r"/apis/[^/]+/[^/]+/namespaces/([^/]+)/([^/]+)/(.+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One route of a virtual host.

    :param virtual_service: ``namespace/name`` of the VirtualService it comes from (of a delegate: the root
        that refers to it), ``""`` for a route that istiod made up itself.
    :param weights: percent by cluster name; one entry with 100 for a plain route, empty for a redirect.
    """

    name: str
    virtual_service: str
    weights: Mapping[str, float]
    mirrors: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class VirtualHost:
    """The routes of one host. ``listener`` is the route configuration's name, such as ``3000``."""

    listener: str
    name: str
    domains: frozenset[str]
    routes: tuple[Route, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterName:
    """``outbound|port|subset|host`` taken apart (istio pkg/config/model BuildSubsetKey)."""

    direction: str
    port: int
    subset: str
    host: str


def parse_cluster_name(name: str) -> ClusterName | None:
    """The parts of an Istio cluster name; ``None`` for names of another form (``BlackHoleCluster``)."""
    parts = name.split("|")
    if len(parts) != 4 or not parts[1].isdigit():
        return None
    return ClusterName(parts[0], int(parts[1]), parts[2], parts[3])


def virtual_hosts(route_configs: Iterable[Mapping[str, Any]]) -> list[VirtualHost]:
    """The virtual hosts out of a dump of ``dynamic_route_configs``."""
    return [
        VirtualHost(
            listener=str(config.get("name", "")),
            name=str(host.get("name", "")),
            domains=frozenset(str(domain) for domain in host.get("domains") or ()),
            routes=tuple(_route(route) for route in host.get("routes") or ()),
        )
        for config in (entry.get("route_config") or {} for entry in route_configs)
        for host in config.get("virtual_hosts") or ()
    ]


def cluster_names(clusters: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names in a dump of ``dynamic_active_clusters``."""
    return frozenset(str((entry.get("cluster") or {}).get("name", "")) for entry in clusters) - {""}


def dangling_routes(
    hosts: Iterable[VirtualHost], clusters: frozenset[str]
) -> Iterator[tuple[VirtualHost, Route, str]]:
    """Routes to a cluster that the proxy does not have: every request there is answered 503 NC."""
    for host in hosts:
        for route in host.routes:
            for name in sorted({*route.weights, *route.mirrors} - clusters):
                if parse_cluster_name(name):
                    yield host, route, name


def _route(route: Mapping[str, Any]) -> Route:
    action = route.get("route") or {}
    config = (((route.get("metadata") or {}).get("filter_metadata") or {}).get("istio") or {}).get(
        "config", ""
    )
    found = _CONFIG.fullmatch(str(config))
    return Route(
        name=str(route.get("name", "")),
        virtual_service=f"{found[1]}/{found[3]}" if found and found[2] == "virtual-service" else "",
        weights=_weights(action),
        mirrors=frozenset(
            str(mirror["cluster"])
            for mirror in action.get("request_mirror_policies") or ()
            if "cluster" in mirror
        ),
    )


def _weights(action: Mapping[str, Any]) -> dict[str, float]:
    if "cluster" in action:
        return {str(action["cluster"]): 100.0}
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or ()
    total = sum(int(entry.get("weight") or 0) for entry in weighted)
    shares: dict[str, float] = {}
    for entry in weighted:  # the same cluster may stand twice, with different header changes
        name = str(entry.get("name", ""))
        shares[name] = shares.get(name, 0.0) + int(entry.get("weight") or 0) * 100.0 / (total or 1)
    return shares
