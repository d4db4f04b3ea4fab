# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proxies must hold once a set of Istio objects has reached them, and which proxies that concerns.

Computed from rendered objects, so that it can be asked for any step of a change: the union before a switch,
the routes, the narrowed rest. Nothing here talks to a proxy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...object_id import object_id
from ..catalogue.exposures import exposed_port, leads_to_delegate, server_of
from ..catalogue.mesh import Catalogue, Gateway
from ..catalogue.services import Exposure, Service
from ..security.trust_domains import with_aliases
from ..virtual_services import MESH, VirtualService, bound_gateways, expected_shares, read_virtual_service
from .base import Obj
from .names import NAMESPACE_WIDE, delegate_name, gateway_root_name, mesh_root_name, service_mtls_name
from .peer_authentications import port_mode


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """The proxies that matter for an expectation.

    :param clients_of: host whose callers' sidecars count, ``""`` for none. :param namespace: with
        ``selector``, the pods that count themselves. :param gateways: whether they are gateway pods.
    """

    clients_of: str = ""
    namespace: str = ""
    selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gateways: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """One fact to find in each proxy of ``scope``.

    ``check`` and its ``data``: ``route`` {host, port, virtual_service: the root that proxies name,
    shares: ExpectedShares},
    ``subset`` and ``no_subset`` {host, port, subset}, ``rbac`` {policy, rules, words: what each rule names},
    ``no_rbac`` {policy, rules}, ``mtls`` {port: mode}, ``no_virtual_service`` {virtual_service}, ``stream``
    {sni: name in the handshake or ``""``, clusters}, ``server`` {hosts: that one TLS connection serves},
    ``lifted`` {before, after: the PeerPolicies around a PeerAuthentication that is gone}.

    :param subject: the object that asks for it, ``Kind namespace/name``.
    :param if_routed: of ``route``: only of proxies that have a route to the host at all.
    """

    subject: str
    scope: Scope
    check: str
    data: Mapping[str, Any]
    if_routed: bool = False


def expectations(
    catalogue: Catalogue, objects: Sequence[Obj], absent: Sequence[Obj] = ()
) -> list[Expectation]:
    """The facts that ``objects`` call for.

    :param objects: objects as they stand after a step. :param absent: objects as they stood before it: what
        of them ``objects`` no longer contains must be gone. An object of ``objects`` may be among them, then
        only what it lost counts.
    :returns: one per fact, in the order of the objects.
    """
    found: list[Expectation] = []
    for obj in objects:
        found += _RULES.get(obj["kind"], _nothing)(catalogue, obj)
    kept = {object_id(obj): obj for obj in objects}
    for old in absent:
        found += _gone(catalogue, old, kept.get(object_id(old)))
    return found


def _nothing(_catalogue: Catalogue, _obj: Obj) -> list[Expectation]:
    return []


def _where(obj: Obj) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _virtual_service(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    """A delegate shows up under the name of each root that uses it."""
    namespace, name = _where(obj)
    service = catalogue.service(name.removesuffix(delegate_name("")), namespace)
    if service is None or service.http_port is None or name != delegate_name(service.name):
        return _further_ports(catalogue, obj)
    port = service.http_port.number
    shares = expected_shares(read_virtual_service(obj, catalogue.cluster_domain), service.fqdn, port=port)
    subject = object_id(obj)
    data = {"host": service.fqdn, "port": port, "shares": shares}
    found = [
        Expectation(
            subject,
            Scope(clients_of=service.fqdn),
            "route",
            data | {"virtual_service": f"{namespace}/{mesh_root_name(service.name)}"},
        )
    ]
    for gateway, root in _roots(catalogue, service):
        found.append(Expectation(subject, gateway, "route", data | {"virtual_service": root}))
    return found


def _roots(catalogue: Catalogue, service: Service) -> list[tuple[Scope, str]]:
    found: dict[str, Scope] = {}
    for exposure in service.exposed:
        gateway = catalogue.gateway(exposure.gateway)
        if gateway and leads_to_delegate(catalogue, service, exposure):
            root = f"{gateway.namespace}/{gateway_root_name(gateway.name, exposure.host)}"
            found[root] = _gateway_pods(gateway)
    return [(scope, root) for root, scope in found.items()]


def _gateway_pods(gateway: Gateway) -> Scope:
    return Scope(namespace=gateway.workload_namespace, selector=gateway.selector, gateways=True)


def _further_ports(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    """What the root of a gateway's host itself leads to: HTTP ports without a delegate, and streams."""
    if MESH in bound_gateways(obj):
        return []
    root = "/".join(_where(obj))
    read = read_virtual_service(obj, catalogue.cluster_domain)
    found: dict[tuple[str, int], Expectation] = {}
    for service in catalogue.services:
        for exposure in service.exposed:
            gateway, port = catalogue.gateway(exposure.gateway), exposed_port(catalogue, service, exposure)
            if gateway is None or port is None or port == service.http_port:
                continue
            if root == f"{gateway.namespace}/{gateway_root_name(gateway.name, exposure.host)}":
                check, data = _stream(catalogue, exposure, read)
                if port.is_http:
                    shares = expected_shares(read, service.fqdn, port=port.number)
                    wanted = {"host": service.fqdn, "port": port.number, "shares": shares}
                    check, data = "route", wanted | {"virtual_service": root}
                expectation = Expectation(object_id(obj), _gateway_pods(gateway), check, data)
                found[service.fqdn, port.number] = expectation
    return list(found.values())


def _stream(catalogue: Catalogue, exposure: Exposure, read: VirtualService) -> tuple[str, dict[str, Any]]:
    """The filter chain of a stream: by the name in the handshake, and of plain TCP by none."""
    server = server_of(catalogue, exposure)
    clusters = sorted(
        f"outbound|{item.port}|{item.subset}|{item.host}"
        for route in read.routes
        for item in route.destinations
        if item.share
    )
    name = "" if server and server.protocol == "TCP" else exposure.host
    return "stream", {"sni": name, "clusters": clusters}


def _subsets(obj: Obj | None) -> list[str]:
    return [subset["name"] for subset in (obj or {"spec": {}})["spec"].get("subsets", ())]


def _ports(catalogue: Catalogue, host: str) -> Iterable[int]:
    name, namespace = [*host.split("."), ""][:2]
    service = catalogue.service(name, namespace)
    return (port.number for port in service.ports) if service and service.fqdn == host else ()


def _destination_rule(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    return _subset_facts(catalogue, obj, "subset", _subsets(obj))


def _subset_facts(catalogue: Catalogue, obj: Obj, check: str, subsets: Iterable[str]) -> list[Expectation]:
    host = obj["spec"]["host"]
    return [
        Expectation(
            object_id(obj), Scope(clients_of=host), check, {"host": host, "port": port, "subset": subset}
        )
        for subset in subsets
        for port in _ports(catalogue, host)
    ]


def _selected(obj: Obj) -> Scope:
    selector = obj["spec"].get("selector", {}).get("matchLabels", {})
    return Scope(namespace=obj["metadata"]["namespace"], selector=selector)


def _judging(catalogue: Catalogue, obj: Obj) -> Scope:
    """The proxies that judge by a policy: sidecars, or the egress gateway that it selects."""
    scope, gateway = _selected(obj), catalogue.egress_gateway
    at_gateway = (
        gateway is not None
        and scope.namespace == gateway.workload_namespace
        and dict(scope.selector) == dict(gateway.selector)
    )
    return dataclasses.replace(scope, gateways=at_gateway)


def _authorization_policy(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    namespace, name = _where(obj)
    rules = obj["spec"].get("rules", ())
    data = {
        "policy": f"ns[{namespace}]-policy[{name}]",
        "rules": len(rules),
        "words": [_words(rule, (catalogue.trust_domain, *catalogue.trust_domain_aliases)) for rule in rules],
    }
    return [Expectation(object_id(obj), _judging(catalogue, obj), "rbac", data)]


def _words(rule: Mapping[str, Any], trust_domains: Sequence[str]) -> list[str]:
    """What a rule is about: a narrowed rule keeps its name and changes one of these.

    istiod repeats a principal of the mesh for each of its trust domains.
    """
    found: set[str] = set()
    for entry in rule.get("from", ()):
        found.update(with_aliases(entry["source"].get("principals", ()), trust_domains))
    for entry in rule.get("to", ()):
        found.update(entry["operation"].get("methods", ()))
        found.update(entry["operation"].get("paths", ()))
    for entry in rule.get("when", ()):
        found.update(entry.get("values", ()))
    return sorted(found)


def _peer_authentication(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    """The modes of the workloads' ports, exceptions included: what counts is what their listeners do."""
    namespace, name = _where(obj)
    found: list[Expectation] = []
    for service in catalogue.services:
        if service.namespace == namespace and name in (
            NAMESPACE_WIDE,
            service_mtls_name(service.name),
        ):
            modes = {str(port): port_mode(catalogue, service, port) for port in service.target_ports()}
            scope = Scope(namespace=namespace, selector=service.labels)
            found.append(Expectation(object_id(obj), scope, "mtls", modes))
    return found


def _gateway(catalogue: Catalogue, obj: Obj) -> list[Expectation]:
    """HTTPS servers: which hosts one connection serves decides what a reused one gets. Servers of streams
    have no filter chain before there is a route, and are expected with it."""
    gateway = catalogue.gateway(_where(obj)[1])
    if gateway is None or gateway.namespace != _where(obj)[0]:
        return []
    return [
        Expectation(
            object_id(obj),
            _gateway_pods(gateway),
            "server",
            {"hosts": [str(host).rpartition("/")[2] for host in server["hosts"]]},
        )
        for server in obj["spec"]["servers"]
        if server["port"]["protocol"] == "HTTPS" and "credentialName" in server["tls"]
    ]


_RULES = {
    "Gateway": _gateway,
    "VirtualService": _virtual_service,
    "DestinationRule": _destination_rule,
    "AuthorizationPolicy": _authorization_policy,
    "PeerAuthentication": _peer_authentication,
}


def _gone(catalogue: Catalogue, old: Obj, new: Obj | None) -> list[Expectation]:
    namespace, name = _where(old)
    if old["kind"] == "DestinationRule":
        kept = _subsets(new)
        return _subset_facts(
            catalogue, old, "no_subset", [item for item in _subsets(old) if item not in kept]
        )
    if new is not None:
        return []
    if old["kind"] == "AuthorizationPolicy":
        data = {"policy": f"ns[{namespace}]-policy[{name}]", "rules": 0}
        return [Expectation(object_id(old), _judging(catalogue, old), "no_rbac", data)]
    if old["kind"] == "VirtualService" and old["spec"].get("hosts"):
        scope = Scope(clients_of=old["spec"]["hosts"][0])
        return [
            Expectation(
                object_id(old), scope, "no_virtual_service", {"virtual_service": f"{namespace}/{name}"}
            )
        ]
    return []
