# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every route leads to endpoints: in the live objects, and in the proxies' own tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ....istio.proxy.routes import VirtualHost, dangling_routes, parse_cluster_name
from ....istio.proxy.running import RunningProxy
from ....kube.pods import has_labels, takes_requests
from ..findings import Finding, failed, passed
from ..inventory import Inventory


def check_virtual_services(
    inventory: Inventory, namespaces: Sequence[str], cluster_domain: str
) -> list[Finding]:
    """One finding per VirtualService: delegates, hosts, subsets and their endpoints."""
    subsets = _subsets(inventory, cluster_domain)
    known = {
        (item["metadata"]["namespace"], item["metadata"]["name"]) for item in inventory.of("VirtualService")
    }
    found = []
    for item in inventory.of("VirtualService"):
        metadata = item["metadata"]
        if metadata["namespace"] not in namespaces:
            continue
        subject = f"VirtualService {metadata['namespace']}/{metadata['name']}"
        problems = [
            *_missing_delegates(item, known),
            *_missing_endpoints(inventory, item, subsets, cluster_domain),
        ]
        found += [failed("routes", subject, problem) for problem in dict.fromkeys(problems)]
        if not problems:
            found.append(passed("routes", subject, "delegates, subsets and endpoints are there"))
    return found


def check_proxy_routes(
    proxy: RunningProxy, hosts: Iterable[VirtualHost], clusters: frozenset[str]
) -> list[Finding]:
    """Routes of one proxy that lead nowhere: whoever calls there is answered 503 NC."""
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


def _destinations(item: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """The destinations of a VirtualService and whether traffic really goes there."""
    spec = item.get("spec") or {}
    for field in ("http", "tcp", "tls"):
        for rule in spec.get(field) or ():
            routes = rule.get("route") or ()
            for route in routes:
                used = len(routes) == 1 or int(route.get("weight") or 0) > 0
                yield route.get("destination") or {}, used
            mirrors = [rule.get("mirror"), *(entry.get("destination") for entry in rule.get("mirrors") or ())]
            for mirror in mirrors:
                if mirror:
                    yield mirror, True


def _missing_delegates(item: Mapping[str, Any], known: set[tuple[str, str]]) -> Iterator[str]:
    for rule in (item.get("spec") or {}).get("http") or ():
        delegate = rule.get("delegate")
        if not delegate:
            continue
        namespace = delegate.get("namespace") or item["metadata"]["namespace"]
        if (namespace, delegate.get("name")) not in known:
            yield f"delegates to VirtualService {namespace}/{delegate.get('name')}, which does not exist"


def _missing_endpoints(
    inventory: Inventory,
    item: Mapping[str, Any],
    subsets: Mapping[str, Mapping[str, Mapping[str, str]]],
    cluster_domain: str,
) -> Iterator[str]:
    for destination, used in _destinations(item):
        host = full_host(str(destination.get("host", "")), item["metadata"]["namespace"], cluster_domain)
        subset = destination.get("subset")
        if subset and subset not in subsets.get(host, {}):
            yield f"sends to subset {subset} of {host}, which no DestinationRule defines: requests get 503 NC"
            continue
        name, _dot, rest = host.partition(".")
        namespace, _dot, domain = rest.partition(".")
        if domain != f"svc.{cluster_domain}" or not inventory.of("Pod", namespace):
            continue  # another cluster, an external service, or a namespace that was not read
        if inventory.find("Service", namespace, name) is None:
            yield f"sends to {host}, a Service that does not exist"
            continue
        labels = subsets.get(host, {}).get(subset or "", {})
        pods = inventory.pods_of(namespace, name)
        if used and not any(takes_requests(pod) and has_labels(pod, labels) for pod in pods):
            what = f"subset {subset} of {host}" if subset else host
            yield f"sends to {what}, which has no ready endpoint: requests get 503 UH"


def _subsets(inventory: Inventory, cluster_domain: str) -> dict[str, dict[str, Mapping[str, str]]]:
    """By full host: the subsets of all DestinationRules and their labels."""
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for rule in inventory.of("DestinationRule"):
        spec = rule.get("spec") or {}
        host = full_host(str(spec.get("host", "")), rule["metadata"]["namespace"], cluster_domain)
        for subset in spec.get("subsets") or ():
            found.setdefault(host, {})[str(subset.get("name", ""))] = subset.get("labels") or {}
    return found


def full_host(host: str, namespace: str, cluster_domain: str) -> str:
    """A short host belongs to the namespace of the object that uses it (istio pkg/config/resource)."""
    return f"{host}.{namespace}.svc.{cluster_domain}" if host and "." not in host else host
