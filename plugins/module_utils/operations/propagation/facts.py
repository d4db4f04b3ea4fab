# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one proxy holds of what is expected of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...istio.proxy.admin import CLUSTERS, LISTENERS, ROUTES, PodClient, config_dump
from ...istio.proxy.listeners import (
    CATCH_ALL,
    VIRTUAL_INBOUND,
    InboundPort,
    gateway_policies,
    inbound_ports,
    mode_fault,
    served_names,
    serving_port,
    stream_clusters,
)
from ...istio.proxy.rbac import RbacPolicy
from ...istio.proxy.routes import VirtualHost, cluster_names, held_shares, routes_of, virtual_hosts
from ...istio.proxy.running import RunningProxy
from ...model.objects.expectations import Expectation
from ...model.virtual_services import Shares

_JUDGING = frozenset({"rbac", "no_rbac"})
_POLICY = re.compile(r"ns\[([^\]]+)\]-policy\[([^\]]+)\]")


@dataclasses.dataclass(frozen=True, slots=True)
class ProxyFacts:
    """The parts of a proxy's configuration that were asked for.

    :param served: the rules of a gateway's own listeners; None while it has none, so that nothing is judged.
    :param namespace, labels: of its pod.
    """

    ports: Mapping[int, InboundPort] = dataclasses.field(default_factory=dict)
    served: frozenset[RbacPolicy] | None = None
    hosts: Sequence[VirtualHost] = ()
    clusters: frozenset[str] = frozenset()
    streams: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    together: frozenset[frozenset[str]] = frozenset()
    namespace: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_facts(client: PodClient, proxy: RunningProxy, expectations: Iterable[Expectation]) -> ProxyFacts:
    """Reads only what the expectations are about.

    :raises ApiError: the proxy cannot be read.
    """
    items = list(expectations)
    checks = {item.check for item in items}
    ports: Mapping[int, InboundPort] = {}
    hosts: Sequence[VirtualHost] = ()
    clusters: frozenset[str] = frozenset()
    served: frozenset[RbacPolicy] | None = None
    if proxy.gateway and checks & _JUDGING:
        served = gateway_policies(config_dump(client, proxy, LISTENERS))
    elif checks & {"mtls", "lifted", *_JUDGING}:
        ports = inbound_ports(config_dump(client, proxy, LISTENERS, VIRTUAL_INBOUND))
    if checks & {"route", "no_virtual_service"}:
        hosts = virtual_hosts(config_dump(client, proxy, ROUTES))
    if checks & {"subset", "no_subset"}:
        wanted = sorted({str(item.data["host"]) for item in items if item.check in ("subset", "no_subset")})
        names = "|".join(re.escape(host) for host in wanted)
        clusters = cluster_names(config_dump(client, proxy, CLUSTERS, rf"outbound\|.*\|({names})"))
    streams: Mapping[str, frozenset[str]] = {}
    together: frozenset[frozenset[str]] = frozenset()
    if checks & {"stream", "server"}:
        listeners = config_dump(client, proxy, LISTENERS)
        streams, together = stream_clusters(listeners), served_names(listeners)
    return ProxyFacts(
        ports, served, hosts, clusters, streams, together, namespace=proxy.namespace, labels=proxy.labels
    )


def is_concerned(held: ProxyFacts, expectation: Expectation) -> bool:
    """Whether the proxy has to do with it at all.

    One without a route to a host does not import it; a gateway that serves nothing yet judges nobody; where
    another policy says the same, one that is gone changes nothing.
    """
    if expectation.check == "lifted":
        return any(_lifted_ports(held, expectation.data))
    if expectation.scope.gateways and expectation.check in _JUDGING:
        return held.served is not None
    return not expectation.if_routed or bool(_held(held, expectation.data))


def missing(held: ProxyFacts, expectation: Expectation) -> str:
    """What a proxy lacks, as half a sentence; ``""`` when it holds what is expected."""
    return _CHECKS[expectation.check](held, expectation.data)


def _route(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    host, wanted, shares = str(data["host"]), data["shares"], _held(held, data)
    if not shares:
        return f"no route of VirtualService {data['virtual_service']} to {host}"
    fault = wanted.fault(shares)
    return f"{host} {fault}" if fault else ""


def _held(held: ProxyFacts, data: Mapping[str, Any]) -> frozenset[Shares]:
    """How the routes of one VirtualService to the host are split; of any VirtualService when none is named,
    then without what istiod routes there by itself.
    """
    name = str(data["virtual_service"])
    routes = routes_of(held.hosts, name) if name else [route for host in held.hosts for route in host.routes]
    return held_shares(routes, str(data["host"]), port=data["port"], unnamed=bool(name))


def _stream(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    name, wanted = str(data["sni"]), set(data["clusters"])
    lacking = sorted(wanted - held.streams.get(name, frozenset()))
    where = f"{name} " if name else ""
    return f"no listener that sends {where}connections to {lacking[0]}" if lacking else ""


def _server(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    wanted = frozenset(map(str, data["hosts"]))
    if wanted in held.together:
        return ""
    return f"no filter chain for {', '.join(sorted(wanted))}" + (" together" if len(wanted) > 1 else "")


def _no_virtual_service(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    name = str(data["virtual_service"])
    return f"still routes by VirtualService {name}" if routes_of(held.hosts, name) else ""


def _subset(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    return "" if _cluster(data) in held.clusters else f"no cluster {_cluster(data)}"


def _no_subset(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    return f"still has cluster {_cluster(data)}" if _cluster(data) in held.clusters else ""


def _rbac(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    rules = _rules(held, str(data["policy"]))
    if set(rules) != set(range(max(int(data["rules"]), 1))):
        return f"AuthorizationPolicy {data['policy']} has {len(rules)} rules there, not {data['rules']}"
    for index, words in enumerate(data["words"]):
        if rules[index] != set(words):
            changed = sorted(rules[index] ^ set(words))[:3]
            return f"rule {index} of AuthorizationPolicy {data['policy']} differs in {', '.join(changed)}"
    return ""


def _no_rbac(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    return (
        f"still judges by AuthorizationPolicy {data['policy']}" if _rules(held, str(data["policy"])) else ""
    )


def _mtls(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    for port, mode in data.items():
        fault = mode_fault(held.ports, int(port), str(mode))
        if fault:
            return fault
    return ""


def _lifted(held: ProxyFacts, data: Mapping[str, Any]) -> str:
    for port, before, after in _lifted_ports(held, data):
        serving = serving_port(held.ports, port)
        if serving is not None and serving.mode == before:
            return f"{f'port {port}' if port else 'the rest of its ports'} is still {before}, not {after}"
    return ""


def _lifted_ports(held: ProxyFacts, data: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """The ports whose mode changes when a policy goes: number, mode before and mode after."""
    named = data["before"].named_ports(held.namespace, held.labels)
    for port in sorted({CATCH_ALL, *held.ports, *named}):
        before, after = (
            data[when].mode(held.namespace, held.labels, None if port == CATCH_ALL else port)[0]
            for when in ("before", "after")
        )
        if before != after:
            yield port, before, after


def _rules(held: ProxyFacts, policy: str) -> dict[int, set[str]]:
    """The words of a policy's rules by number; chains for HTTP know more of them than chains for TCP."""
    found = _POLICY.fullmatch(policy)
    namespace, name = (found[1], found[2]) if found else ("", "")
    rules: dict[int, set[str]] = {}
    known = [held.served or frozenset(), *(port.policies for port in held.ports.values())]
    for rule in (rule for policies in known for rule in policies):
        if (rule.namespace, rule.name) == (namespace, name):
            rules.setdefault(rule.rule, set()).update(rule.words)
    return rules


def _cluster(data: Mapping[str, Any]) -> str:
    return f"outbound|{data['port']}|{data['subset']}|{data['host']}"


_CHECKS: Mapping[str, Callable[[ProxyFacts, Mapping[str, Any]], str]] = {
    "route": _route,
    "stream": _stream,
    "server": _server,
    "no_virtual_service": _no_virtual_service,
    "subset": _subset,
    "no_subset": _no_subset,
    "rbac": _rbac,
    "no_rbac": _no_rbac,
    "mtls": _mtls,
    "lifted": _lifted,
}
