# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one proxy holds of what is expected of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...istio.proxy.admin import CLUSTERS, LISTENERS, ROUTES, Executor, config_dump
from ...istio.proxy.listeners import VIRTUAL_INBOUND, InboundPort, inbound_ports, serving_port
from ...istio.proxy.routes import Route, VirtualHost, cluster_names, parse_cluster_name, virtual_hosts
from ...istio.proxy.running import RunningProxy
from ...model.objects.expectations import Expectation

TOLERANCE = 0.01
_POLICY = re.compile(r"ns\[([^\]]+)\]-policy\[([^\]]+)\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """The parts of a proxy's configuration that were asked for."""

    ports: Mapping[int, InboundPort] = dataclasses.field(default_factory=dict)
    hosts: Sequence[VirtualHost] = ()
    clusters: frozenset[str] = frozenset()


def read_facts(client: Executor, proxy: RunningProxy, expectations: Iterable[Expectation]) -> Facts:
    """Reads only what the expectations are about.

    :raises ApiError: the proxy cannot be read.
    """
    items = list(expectations)
    checks = {item.check for item in items}
    ports: Mapping[int, InboundPort] = {}
    hosts: Sequence[VirtualHost] = ()
    clusters: frozenset[str] = frozenset()
    if checks & {"mtls", "rbac", "no_rbac"}:
        ports = inbound_ports(config_dump(client, proxy, LISTENERS, VIRTUAL_INBOUND))
    if checks & {"route", "no_virtual_service"}:
        hosts = virtual_hosts(config_dump(client, proxy, ROUTES))
    if checks & {"subset", "no_subset"}:
        wanted = sorted({str(item.data["host"]) for item in items if item.check in ("subset", "no_subset")})
        names = "|".join(re.escape(host) for host in wanted)
        clusters = cluster_names(config_dump(client, proxy, CLUSTERS, rf"outbound\|.*\|({names})"))
    return Facts(ports, hosts, clusters)


def missing(held: Facts, expectation: Expectation) -> str:
    """What a proxy lacks, as half a sentence; ``""`` when it holds what is expected."""
    return _CHECKS[expectation.check](held, expectation.data)


def _route(held: Facts, data: Mapping[str, Any]) -> str:
    host, name = str(data["host"]), f"{str(data['host']).partition('.')[0]}-split"
    wanted = {str(subset): float(share) for subset, share in data["weights"].items() if float(share) > 0}
    routes = [
        route
        for route in _routes_of(held, str(data["virtual_service"]))
        if route.name in (name, "") and _shares(route, host, int(data["port"]))
    ]
    if not routes:
        return f"no route of VirtualService {data['virtual_service']} to {host}"
    for route in routes:
        shares = _shares(route, host, int(data["port"]))
        if any(abs(shares.get(key, 0.0) - wanted.get(key, 0.0)) > TOLERANCE for key in {*shares, *wanted}):
            return f"{host} is split {_spoken(shares)}, not {_spoken(wanted)}"
    return ""


def _no_virtual_service(held: Facts, data: Mapping[str, Any]) -> str:
    name = str(data["virtual_service"])
    return f"still routes by VirtualService {name}" if _routes_of(held, name) else ""


def _subset(held: Facts, data: Mapping[str, Any]) -> str:
    return "" if _cluster(data) in held.clusters else f"no cluster {_cluster(data)}"


def _no_subset(held: Facts, data: Mapping[str, Any]) -> str:
    return f"still has cluster {_cluster(data)}" if _cluster(data) in held.clusters else ""


def _rbac(held: Facts, data: Mapping[str, Any]) -> str:
    rules = _rules(held, str(data["policy"]))
    if set(rules) != set(range(max(int(data["rules"]), 1))):
        return f"AuthorizationPolicy {data['policy']} has {len(rules)} rules there, not {data['rules']}"
    for index, words in enumerate(data.get("words") or ()):
        if rules[index] != set(words):
            changed = sorted(rules[index] ^ set(words))[:3]
            return f"rule {index} of AuthorizationPolicy {data['policy']} differs in {', '.join(changed)}"
    return ""


def _no_rbac(held: Facts, data: Mapping[str, Any]) -> str:
    return (
        f"still judges by AuthorizationPolicy {data['policy']}" if _rules(held, str(data["policy"])) else ""
    )


def _mtls(held: Facts, data: Mapping[str, Any]) -> str:
    for port, mode in data.items():
        serving = serving_port(held.ports, int(port))
        if serving is None:
            return f"no inbound listener for port {port}"
        if serving.mode != mode:
            return f"port {port} is {serving.mode}, not {mode}"
    return ""


def _rules(held: Facts, policy: str) -> dict[int, set[str]]:
    """The words of a policy's rules by number; chains for HTTP know more of them than chains for TCP."""
    found = _POLICY.fullmatch(policy)
    namespace, name = (found[1], found[2]) if found else ("", "")
    rules: dict[int, set[str]] = {}
    for port in held.ports.values():
        for rule in port.policies:
            if (rule.namespace, rule.name) == (namespace, name):
                rules.setdefault(rule.rule, set()).update(rule.words)
    return rules


def _routes_of(held: Facts, virtual_service: str) -> list[Route]:
    return [route for host in held.hosts for route in host.routes if route.virtual_service == virtual_service]


def _shares(route: Route, host: str, port: int) -> dict[str, float]:
    """Percentages by subset, of a route that leads to ``host`` and nowhere else."""
    shares: dict[str, float] = {}
    for cluster, share in route.weights.items():
        name = parse_cluster_name(cluster)
        if name is None or (name.host, name.port) != (host, port):
            return {}
        if share > 0:
            shares[name.subset] = share
    return shares


def _cluster(data: Mapping[str, Any]) -> str:
    return f"outbound|{data['port']}|{data['subset']}|{data['host']}"


def _spoken(shares: Mapping[str, float]) -> str:
    return " / ".join(f"{share:g} % {subset or 'without subset'}" for subset, share in sorted(shares.items()))


_CHECKS: Mapping[str, Callable[[Facts, Mapping[str, Any]], str]] = {
    "route": _route,
    "no_virtual_service": _no_virtual_service,
    "subset": _subset,
    "no_subset": _no_subset,
    "rbac": _rbac,
    "no_rbac": _no_rbac,
    "mtls": _mtls,
}
