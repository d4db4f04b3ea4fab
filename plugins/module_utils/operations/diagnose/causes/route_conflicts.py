# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: which of several VirtualServices counts, and requests that no route takes.

For the proxies of workloads the oldest VirtualService of a host counts and no other (istio
pilot/pkg/model/push_context.go, SelectVirtualServices); at gateways they are merged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ....fields import age_order, list_at, mapping_at, mappings_at, namespace_of
from ....model.virtual_services import MESH, bound_gateways
from ....words import few
from ..case import Case, LiveVirtualService
from ..cause import LIKELY, POSSIBLE, ROUTING, SEEN, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """VirtualServices of the symptom's hosts. :returns: conflicts first, then routes that take nothing."""
    by_host: dict[str, list[LiveVirtualService]] = {}
    for item in case.concerned_routes():
        if MESH in bound_gateways(item.raw):
            for host in item.read.hosts:
                by_host.setdefault(host, []).append(item)
    told: set[str] = set()
    for host, items in by_host.items():
        if not case.concerns(host):
            continue
        for first, loser in _losers(items):
            if loser.id not in told:
                told.add(loser.id)
                said = f"is ignored by sidecars: {first.id} for {host} is older, and counts alone"
                yield Cause(ROUTING, loser.id, said, f"join both into one: {edit(first.id)}", LIKELY + 10)
    if not case.symptom.anything:
        yield from _unmatched(case)


def exported(obj: Mapping[str, Any], namespace: str) -> bool:
    """Whether the proxies of a namespace are shown an object."""
    wanted = [str(item) for item in list_at(obj, "spec", "exportTo")] or ["*"]
    return "*" in wanted or namespace in wanted or ("." in wanted and namespace == namespace_of(obj))


def _losers(items: list[LiveVirtualService]) -> Iterator[tuple[LiveVirtualService, LiveVirtualService]]:
    ordered = sorted(items, key=_place)
    for index, item in enumerate(ordered):
        for first in ordered[:index]:
            places = {namespace_of(first.raw), namespace_of(item.raw)}
            if any(exported(first.raw, place) and exported(item.raw, place) for place in places):
                yield first, item
                break


def _place(item: LiveVirtualService) -> tuple[str, str, str]:
    return age_order(item.raw)


def _unmatched(case: Case) -> Iterator[Cause]:
    """The request of the symptom is taken by no route of the VirtualService in force: 404."""
    for host in sorted(case.hosts):
        items = [item for item in case.routes if host in item.read.hosts]
        merged = [item for item in items if MESH not in bound_gateways(item.raw)] if case.symptom.host else []
        inside = sorted((item for item in items if MESH in bound_gateways(item.raw)), key=_place)[:1]
        for group in ([merged] if merged else []) + ([inside] if inside else []):
            if any(_takes(case, item, set()) for item in group) or not any(item.read.http for item in group):
                continue
            asked = f"{case.symptom.method} {case.symptom.path}"
            seen = SEEN if case.flagged("NR") else 0
            said = f"has no route that takes {asked} to {host}: it gets 404 NR"
            names = few(item.id for item in group[1:])
            evidence = (f"so do {names}",) if names else ()
            yield Cause(ROUTING, group[0].id, said, edit(group[0].id), SURE + seen, evidence)


def _takes(case: Case, item: LiveVirtualService, known: set[str]) -> bool:
    """Whether any route takes the symptom's method and path; what is not known of a request may match."""
    if item.id in known:
        return False
    for route in item.read.http:
        if route.match and not any(_matches(match, case) for match in route.match):
            continue
        if route.delegate is None:
            return True
        for other in case.routes:
            if (other.read.namespace, other.read.name) == route.delegate and _takes(
                case, other, {*known, item.id}
            ):
                return True
    return False


def _matches(match: Mapping[str, Any], case: Case) -> bool:
    path, method = case.symptom.path, case.symptom.method
    ignores_case = bool(match.get("ignoreUriCase"))
    if not _text_matches(mapping_at(match, "uri"), path, ignores_case=ignores_case):
        return False
    if mapping_at(match, "headers") and case.symptom.anything:
        return False
    return _text_matches(mapping_at(match, "method"), method, ignores_case=False)


def _text_matches(match: Mapping[str, Any], text: str, *, ignores_case: bool) -> bool:
    """Istio's StringMatch (networking/v1 virtual_service.proto)."""
    for kind, wanted in match.items():
        want, have = (str(wanted).lower(), text.lower()) if ignores_case else (str(wanted), text)
        if kind == "exact" and have != want:
            return False
        if kind == "prefix" and not have.startswith(want):
            return False
        if kind == "regex":
            try:
                if not re.fullmatch(want, have):
                    return False
            except re.error:
                return False
    return True


def shadowed(case: Case) -> Iterator[Cause]:
    """Routes that no request reaches: one before them takes everything. :returns: one cause per object."""
    for item in case.concerned_routes():
        names = [
            route.name or f"http[{index}]"
            for index, route in enumerate(item.read.http)
            if not route.reachable
        ]
        if names:
            said = f"has routes that nothing reaches, because one before takes every request: {few(names)}"
            yield Cause(ROUTING, item.id, said, f"put them first: {edit(item.id)}", POSSIBLE)


def rules_of(item: LiveVirtualService) -> list[Mapping[str, Any]]:
    """The HTTP routes of a VirtualService, raw. :returns: in their order."""
    return list(mappings_at(item.raw, "spec", "http"))
