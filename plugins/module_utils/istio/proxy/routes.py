# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of a proxy: which requests go to which clusters, and which Istio object said so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...fields import integer_at, list_at, mapping_at, mappings_at, text_at
from ...model.virtual_services import Shares, held_form

# istio pilot/pkg/networking/util/util.go AddConfigInfoMetadata
_CONFIG = re.compile(r"/apis/[^/]+/[^/]+/namespaces/([^/]+)/([^/]+)/(.+)")


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyRoute:
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
    routes: tuple[ProxyRoute, ...]


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
    """The virtual hosts out of a dump of ``dynamic_route_configs``.

    :returns: one per virtual host, with its routes in their order.
    """
    return [
        VirtualHost(
            listener=text_at(config, "name"),
            name=text_at(host, "name"),
            domains=frozenset(str(domain) for domain in list_at(host, "domains")),
            routes=tuple(_route(route) for route in mappings_at(host, "routes")),
        )
        for config in (mapping_at(entry, "route_config") for entry in route_configs)
        for host in mappings_at(config, "virtual_hosts")
    ]


def routes_of(hosts: Iterable[VirtualHost], virtual_service: str) -> list[ProxyRoute]:
    """The routes that come from ``namespace/name``. :returns: in the order of the proxy's routes."""
    return [route for host in hosts for route in host.routes if route.virtual_service == virtual_service]


def held_shares(
    routes: Iterable[ProxyRoute], host: str, *, port: int | None = None, unnamed: bool = True
) -> frozenset[Shares]:
    """How each of ``routes`` that leads to ``host`` divides its requests among subsets.

    :param port: count clusters of this port only; ``None`` for all. :param unnamed: whether clusters of no
        subset count; istiod makes such routes by itself.
    """
    found = set()
    for route in routes:
        shares: dict[str, float] = {}
        for cluster, share in route.weights.items():
            name = parse_cluster_name(cluster)
            if name and name.host == host and port in (None, name.port):
                shares[name.subset] = shares.get(name.subset, 0.0) + share
        found.add(held_form(shares, unnamed=unnamed))
    return frozenset(found) - {frozenset()}


def cluster_names(clusters: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names in a dump of ``dynamic_active_clusters``."""
    return frozenset(text_at(entry, "cluster", "name") for entry in clusters) - {""}


def dangling_routes(
    hosts: Iterable[VirtualHost], clusters: frozenset[str]
) -> Iterator[tuple[VirtualHost, ProxyRoute, str]]:
    """Routes to a cluster that the proxy does not have: every request there is answered 503 NC."""
    for host in hosts:
        for route in host.routes:
            for name in sorted({*route.weights, *route.mirrors} - clusters):
                if parse_cluster_name(name):
                    yield host, route, name


def _route(route: Mapping[str, Any]) -> ProxyRoute:
    action = mapping_at(route, "route")
    found = _CONFIG.fullmatch(text_at(route, "metadata", "filter_metadata", "istio", "config"))
    return ProxyRoute(
        name=text_at(route, "name"),
        virtual_service=f"{found[1]}/{found[3]}" if found and found[2] == "virtual-service" else "",
        weights=_weights(action),
        mirrors=frozenset(
            text_at(mirror, "cluster")
            for mirror in mappings_at(action, "request_mirror_policies")
            if "cluster" in mirror
        ),
    )


def _weights(action: Mapping[str, Any]) -> dict[str, float]:
    if "cluster" in action:
        return {text_at(action, "cluster"): 100.0}
    weighted = mappings_at(action, "weighted_clusters", "clusters")
    total = sum(integer_at(entry, "weight") for entry in weighted)
    shares: dict[str, float] = {}
    for entry in weighted:  # the same cluster may stand twice, with different header changes
        name = text_at(entry, "name")
        shares[name] = shares.get(name, 0.0) + integer_at(entry, "weight") * 100.0 / (total or 1)
    return shares
