# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every route leads to endpoints: in the live objects, and in the proxies' own tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ....fields import mapping_at, mappings_at, namespace_of, text_at
from ....istio.proxy.routes import VirtualHost, dangling_routes, parse_cluster_name
from ....istio.proxy.running import RunningProxy
from ....kube.pods import has_labels, takes_requests
from ....model.virtual_services import (
    Destination,
    VirtualService,
    full_host,
    read_virtual_service,
)
from ..findings import Finding, failed, passed
from ..live_objects import LiveObjects


def check_virtual_services(
    live: LiveObjects, namespaces: Sequence[str], cluster_domain: str
) -> list[Finding]:
    """One finding per VirtualService: delegates, hosts, subsets and their endpoints.

    :returns: in the order of the objects.
    """
    subsets = _subsets(live, cluster_domain)
    objects = [read_virtual_service(item, cluster_domain) for item in live.of("VirtualService")]
    known = {(read.namespace, read.name) for read in objects}
    found = []
    for read in objects:
        if read.namespace not in namespaces:
            continue
        subject = f"VirtualService {read.namespace}/{read.name}"
        problems = [
            *_missing_delegates(read, known),
            *_missing_endpoints(live, read, subsets, cluster_domain),
        ]
        found += [failed("routes", subject, problem) for problem in dict.fromkeys(problems)]
        if not problems:
            found.append(passed("routes", subject, "delegates, subsets and endpoints are there"))
    return found


def check_proxy_routes(
    proxy: RunningProxy, hosts: Iterable[VirtualHost], clusters: frozenset[str]
) -> list[Finding]:
    """Routes of one proxy that lead nowhere: whoever calls there is answered 503 NC.

    :returns: one finding per route; empty when all lead somewhere.
    """
    found = {}
    for host, route, cluster in dangling_routes(hosts, clusters):
        parts = parse_cluster_name(cluster)
        subset = f" subset {parts.subset}" if parts and parts.subset else ""
        target = f"{parts.host}:{parts.port}{subset}" if parts else cluster
        subject = f"VirtualService {route.virtual_service}" if route.virtual_service else f"host {host.name}"
        found[(subject, target)] = failed(
            "routes",
            subject,
            f"the proxy of pod {proxy} has no cluster for {target}: requests get 503 NC",
            late=True,
        )
    return list(found.values())


def _destinations(read: VirtualService) -> Iterator[tuple[Destination, bool]]:
    """The destinations of a VirtualService and whether traffic really goes there."""
    for route in read.routes:
        for destination in (*route.destinations, *route.mirrors):
            yield destination, destination.share > 0


def _missing_delegates(read: VirtualService, known: set[tuple[str, str]]) -> Iterator[str]:
    for route in read.http:
        if route.delegate and route.delegate not in known:
            yield f"delegates to VirtualService {'/'.join(route.delegate)}, which does not exist"


def _missing_endpoints(
    live: LiveObjects,
    read: VirtualService,
    subsets: Mapping[str, Mapping[str, Mapping[str, str]]],
    cluster_domain: str,
) -> Iterator[str]:
    for destination, used in _destinations(read):
        host, subset = destination.host, destination.subset
        if subset and subset not in subsets.get(host, {}):
            yield f"sends to subset {subset} of {host}, which no DestinationRule defines: requests get 503 NC"
            continue
        name, _dot, rest = host.partition(".")
        namespace, _dot, domain = rest.partition(".")
        if domain != f"svc.{cluster_domain}" or not live.of("Pod", namespace):
            continue  # another cluster, an external service, or a namespace that was not read
        if live.find("Service", namespace, name) is None:
            yield f"sends to {host}, a Service that does not exist"
            continue
        labels = subsets.get(host, {}).get(subset, {})
        pods = live.pods_of(namespace, name)
        if used and not any(takes_requests(pod) and has_labels(pod, labels) for pod in pods):
            what = f"subset {subset} of {host}" if subset else host
            yield f"sends to {what}, which has no ready endpoint: requests get 503 UH"


def _subsets(live: LiveObjects, cluster_domain: str) -> dict[str, dict[str, Mapping[str, str]]]:
    """By full host: the subsets of all DestinationRules and their labels."""
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for rule in live.of("DestinationRule"):
        host = full_host(text_at(rule, "spec", "host"), namespace_of(rule), cluster_domain)
        for subset in mappings_at(rule, "spec", "subsets"):
            found.setdefault(host, {})[text_at(subset, "name")] = mapping_at(subset, "labels")
    return found
