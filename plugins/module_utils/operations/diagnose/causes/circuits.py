# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: circuit breakers that are open, and endpoints that outlier detection has thrown out."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import integer_at, labels_of, mapping_at, mappings_at, namespace_of
from ....istio.proxy.routes import parse_cluster_name
from ....object_id import object_id
from ....words import few
from ..case import Case, Obj
from ..cause import POSSIBLE, ROUTING, SEEN, SURE, Cause
from .words import edit

TIGHT = 5
"""A pool this small refuses the ordinary concurrency of one caller."""
POOLS = (
    ("tcp", "maxConnections"),
    ("http", "http1MaxPendingRequests"),
    ("http", "http2MaxRequests"),
)


def find(case: Case) -> Iterator[Cause]:
    """What callers' proxies show of the symptom's hosts. :returns: breakers first, then ejections."""
    yield from _open(case)
    yield from _ejected(case)


def rules_in_force(case: Case, service: Obj) -> list[Obj]:
    """The DestinationRules by which the callers of the symptom go; by anybody where it names none.

    :returns: each once.
    """
    host, place = case.fqdn(service), namespace_of(service)
    if not case.callers:
        return case.rules_for(host)
    found = {
        object_id(rule): rule
        for pod in case.callers
        for rule in case.rules.deciding(namespace_of(pod), labels_of(pod), host, place)
    }
    return list(found.values())


def policies_of(rule: Obj) -> list[Obj]:
    """The traffic policies of a DestinationRule: its own, its ports', its subsets'. :returns: raw."""
    own = mapping_at(rule, "spec", "trafficPolicy")
    subsets = [mapping_at(item, "trafficPolicy") for item in mappings_at(rule, "spec", "subsets")]
    found = [own, *mappings_at(own, "portLevelSettings")]
    return [item for item in (*found, *subsets) if item]


def _open(case: Case) -> Iterator[Cause]:
    for service in case.services:
        host = case.fqdn(service)
        lines = case.flagged("UO", host)
        for rule in rules_in_force(case, service):
            tight = {
                f"connectionPool.{part}.{name}: {integer_at(pool, part, name)}"
                for policy in policies_of(rule)
                for pool in (mapping_at(policy, "connectionPool"),)
                for part, name in POOLS
                if 0 < integer_at(pool, part, name) <= TIGHT
            }
            limited = lines and any(mapping_at(policy, "connectionPool") for policy in policies_of(rule))
            if not limited and (not tight or case.symptom.anything):
                continue
            name = object_id(rule)
            pools = f" ({few(sorted(tight))})" if tight else ""
            said = f"limits the connections or requests to {host}{pools}: what is beyond gets 503 UO"
            shown = (
                (f"{len(lines)} requests in the access log of Pod {lines[0].proxy} have the flag UO",)
                if lines
                else ()
            )
            remedy = f"connection_pool: of the service in mesh_services, or {edit(name)}"
            yield Cause(ROUTING, name, said, remedy, SURE + SEEN if lines else POSSIBLE, shown)


def _ejected(case: Case) -> Iterator[Cause]:
    told: set[str] = set()
    callers = case.proxies(case.callers) or list(case.material.views.values())
    for view in callers:
        for cluster, hosts in view.endpoints.items():
            name = parse_cluster_name(cluster)
            out = [item for item in hosts if "outlier" in item.trouble]
            if name is None or name.direction != "outbound" or not out or not case.concerns(name.host):
                continue
            service = case.service(name.host)
            rules = [
                rule
                for rule in (rules_in_force(case, service) if service else ())
                if any(mapping_at(policy, "outlierDetection") for policy in policies_of(rule))
            ]
            subject = object_id(rules[0]) if rules else f"host {name.host}"
            if subject in told:
                continue
            told.add(subject)
            addresses = few(item.address for item in out)
            said = f"has thrown {len(out)} of {len(hosts)} endpoints of {name.host} out: {addresses} failed"
            remedy = "mend the pods with these addresses"
            if rules:
                remedy += f"; circuit_breaker: of the service, or {edit(subject)}"
            whole = len(out) == len(hosts)
            yield Cause(
                ROUTING, subject, said, remedy, SURE if whole else SURE - 10, (f"as Pod {view.proxy} shows",)
            )
