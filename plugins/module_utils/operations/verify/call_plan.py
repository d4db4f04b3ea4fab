# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans the calls that prove the allow-list on the wire, with as few probe pods as possible.

Per service somebody is let in and somebody is refused; whoever is called upon for one service makes all
harmless
calls that its rules allow, so that in a small mesh every rule is called. A call is never of a kind that
changes something unless that was asked for.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence

from ...istio.probe.pods import Identity
from ...model.catalogue.edges import Edge, service_edges
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Port, Service
from ...model.objects.peer_authentications import port_mode
from ...model.security.peer_authentication import STRICT
from .findings import Finding, not_tested, stated
from .planned_calls import (
    ALLOWED,
    DENIED,
    NOWHERE,
    OUTSIDE,
    PLAINTEXT,
    SAFE_METHODS,
    STRANGERS,
    CallPlan,
    PlannedCall,
    concrete_path,
    stranger_class,
)

CLASSES = len(STRANGERS) - 1
"""Classes of strangers inside the mesh."""
PROBES = 12
"""So many identities are made for the sake of single rules; more only where a service would go without a
call."""
_OUTSIDE = "nothing is sent to hosts outside the mesh, so whether one answers is not known"


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """A rule that can be called: by one identity, or with ``None`` by anybody of the mesh."""

    service: Service
    edge: Edge
    port: Port
    method: str
    identity: Identity | None

    def call(self, identity: Identity) -> PlannedCall:
        path = concrete_path(self.edge.paths)
        return PlannedCall(
            self.service, self.port, identity, self.method, path, ALLOWED, self.edge.caller, edge=self.edge
        )


def plan_calls(
    catalogue: Catalogue,
    accounts: frozenset[Identity],
    *,
    unsafe_methods: bool,
    pods: Mapping[str, Sequence[str]] | None = None,
) -> CallPlan:
    """The calls for every service.

    :param accounts: the ServiceAccounts that exist; probes run as no others.
    :param unsafe_methods: whether a probe may send POST, PUT or the like where a rule allows nothing else.
    :param pods: ``namespace/service`` -> ``name address`` of its ready pods, for calls that need no proxy.
    """
    places = frozenset(catalogue.namespaces)
    inside = sorted(identity for identity in accounts if identity.namespace in places)
    by_principal = {_principal(catalogue, identity): identity for identity in inside}
    ways: dict[str, list[_Way]] = {}
    findings: list[Finding] = []
    through_gateway: set[str] = set()
    for service in catalogue.services:
        edges = service_edges(catalogue, service)
        found = _ways(service, edges, by_principal, unsafe_methods=unsafe_methods)
        if found:
            ways[service.key] = found
        elif service.exposed:
            through_gateway.add(service.key)
        else:
            findings.append(not_tested("authorization", service.key, _why_no_call(edges, by_principal)))
    identities = _identities(ways, inside)
    calls, left = _allowed(ways, identities)
    findings += left
    known = dict.fromkeys(sorted({call.identity for call in calls}))
    for service in catalogue.services:
        refused = _denied(catalogue, service, inside, known)
        opening = catalogue.open_reason_of(service) or _open_to_anyone(service)
        if refused:
            known |= dict.fromkeys(call.identity for call in refused)
            calls += refused
        elif opening:
            findings.append(stated("authorization", service.key, f"everybody is let in: {opening}"))
        else:
            why = "no call can be refused: its rules leave nobody, or it has no port of HTTP"
            findings.append(not_tested("authorization", service.key, why))
    findings += [
        not_tested("authorization", f"external service {item.namespace}/{item.name}", _OUTSIDE)
        for item in catalogue.external_services
    ]
    plaintext = _plaintext(catalogue, pods or {})
    return CallPlan((*calls, *plaintext), tuple(findings), frozenset(through_gateway))


def _ways(
    service: Service,
    edges: Sequence[Edge],
    by_principal: Mapping[str, Identity],
    *,
    unsafe_methods: bool,
) -> list[_Way]:
    """The rules of a service that a probe can call, those of named callers first.

    On a port of another protocol than HTTP no call proves anything: a server that closes looks like a
    refusal.
    """
    named: list[_Way] = []
    opened: list[_Way] = []
    for edge in edges:
        port = next((one for one in service.ports if one.is_http and one.target_port in edge.ports), None)
        method = _method(edge, unsafe_methods=unsafe_methods)
        if port is None or not method or edge.ip_blocks:
            continue
        if not edge.asks_who:
            opened.append(_Way(service, edge, port, method, None))
        elif edge.principal in by_principal:
            named.append(_Way(service, edge, port, method, by_principal[edge.principal]))
    return named + opened


def _method(edge: Edge, *, unsafe_methods: bool) -> str:
    safe = next((method for method in SAFE_METHODS if not edge.methods or method in edge.methods), "")
    return safe or (edge.methods[0] if unsafe_methods else "")


def _identities(ways: Mapping[str, Sequence[_Way]], inside: Sequence[Identity]) -> set[Identity]:
    """Few identities that give each service a caller of its own where it has one, and then up to
    ``PROBES``."""
    callers = {key: {way.identity for way in found if way.identity} for key, found in ways.items()}
    serves: dict[Identity, set[str]] = {}
    for key, found in callers.items():
        for identity in found:
            serves.setdefault(identity, set()).add(key)
    left = {key for key, found in callers.items() if found}
    chosen: set[Identity] = set()
    # What an identity is good for only shrinks: who is still the best after counting anew is the best of all.
    heap = [(-len(keys), identity) for identity, keys in serves.items()]
    heapq.heapify(heap)
    while left:
        _count, identity = heapq.heappop(heap)
        again = (-len(serves[identity] & left), identity)
        if heap and again > heap[0]:
            heapq.heappush(heap, again)
            continue
        chosen.add(identity)
        left -= serves[identity]
    for identity in sorted(serves, key=lambda identity: (-len(serves[identity]), identity)):
        if len(chosen) < PROBES:
            chosen.add(identity)
    if not chosen and any(not found for found in callers.values()):
        chosen.update(inside[:1])
    return chosen


def _allowed(
    ways: Mapping[str, Sequence[_Way]], identities: set[Identity]
) -> tuple[list[PlannedCall], list[Finding]]:
    """All calls that ``identities`` can make, each rule once, and what is left of every service."""
    anybody = min(identities, default=None)
    calls: list[PlannedCall] = []
    findings: list[Finding] = []
    for key, found in ways.items():
        left = 0
        for way in found:
            identity = way.identity or anybody
            if identity in identities and identity is not None:
                calls.append(way.call(identity))
            else:
                left += 1
        if left:
            why = f"{left} of its {len(found)} rules were not called, to keep to few probes"
            findings.append(not_tested("authorization", key, why))
    return calls, findings


def _denied(
    catalogue: Catalogue, service: Service, inside: Sequence[Identity], known: Mapping[Identity, None]
) -> list[PlannedCall]:
    """A request that a caller may make, sent by identities that may not, one of each class of strangers: only
    the identity is wrong. Further classes are left out where they would need further probes."""
    edges = service_edges(catalogue, service)
    port = service.http_port
    path = _closed_path(edges, port.target_port) if port else ""
    if port is None or not path:
        return []
    listed = {edge.principal for edge in edges if edge.kind != "open"}
    found: dict[str, Identity] = {}
    full = len(known) >= PROBES
    for identity in itertools.chain(known, (one for one in inside if one not in known)):
        if len(found) == CLASSES or (full and found and identity not in known):
            break
        kind = stranger_class(service, identity)
        own = (identity.namespace, identity.service_account) == (service.namespace, service.service_account)
        if kind not in found and not own and _principal(catalogue, identity) not in listed:
            found[kind] = identity
    calls: list[PlannedCall] = []
    for name, identity in found.items():
        more = sum(call.identity not in known for call in calls)
        if not calls or identity in known or len(known) + more < PROBES:
            why = f"not among its callers: {name}"
            calls.append(PlannedCall(service, port, identity, "GET", path, DENIED, why))
    return calls


def _closed_path(edges: Sequence[Edge], port: int) -> str:
    """A path of a caller's, or any other, that is not open to everybody; ``""`` when all of them may be.

    Where a probe's address is, nobody knows before: it may be in one of the networks that are let in.
    """
    opens = [edge for edge in edges if not edge.asks_who]
    models = [edge for edge in edges if edge.asks_who and edge.kind == "caller" and port in edge.ports]
    paths = [*(concrete_path(edge.paths) for edge in models[:1]), "/", f"/{NOWHERE}"]
    closed = (path for path in paths if not any(edge.takes("GET", path, port) for edge in opens))
    return next(closed, "")


def _open_to_anyone(service: Service) -> str:
    """The reasons of callers without an identity, who leave nobody to be refused; ``""`` without them."""
    reasons = (caller.reason for caller in service.callers if not caller.has_identity)
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _plaintext(catalogue: Catalogue, pods: Mapping[str, Sequence[str]]) -> Iterable[PlannedCall]:
    """One call per port through the Service, and one per pod where it has several: each has its own
    proxy."""
    outside = Identity(catalogue.namespace, OUTSIDE, meshed=False)
    for service in catalogue.services:
        several = pods.get(service.key, ())
        for port in service.ports:
            if port_mode(catalogue, service, port.target_port) != STRICT:
                continue
            yield PlannedCall(service, port, outside, "GET", "/", PLAINTEXT, "plaintext")
            for pod in several if len(several) > 1 else ():
                yield PlannedCall(service, port, outside, "GET", "/", PLAINTEXT, "plaintext", pod)


def _principal(catalogue: Catalogue, identity: Identity) -> str:
    return f"{catalogue.trust_domain}/ns/{identity.namespace}/sa/{identity.service_account}"


def _why_no_call(edges: Sequence[Edge], by_principal: Mapping[str, Identity]) -> str:
    if not edges:
        return "the catalogue lets nobody in, so no allowed call can be shown"
    callers = [edge for edge in edges if edge.asks_who and edge.principal in by_principal]
    if not callers:
        return "none of its callers has a ServiceAccount in the mesh's namespaces"
    return (
        "its callers may only use methods that change something (see verify_unsafe_methods), or ports on"
        " which a call proves nothing; policies and sync tell what its policies and proxies decide"
    )
