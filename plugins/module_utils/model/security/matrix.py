# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may send what to a workload: what its live policies decide, against what the catalogue states.

Only cells in which the two differ are kept, gathered by the object that makes the difference.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
from collections.abc import Iterable, Sequence

from ..catalogue.edges import ANONYMOUS, Edge
from ..reading.principals import parse_principal
from .authorization import WorkloadPolicies
from .classes import ANY_OTHER_PORT, port_label
from .requests import ALLOW, DENY, UNKNOWN, Decision, Request
from .witnesses import FILLERS

OPENS, CLOSES, UNSURE = "opens", "closes", "unsure"
MAX_EXAMPLES = 50


@dataclasses.dataclass(frozen=True, slots=True)
class CellDifference:
    """Cells in which one object makes live policies answer otherwise than the catalogue.

    :param kind: OPENS, CLOSES, or UNSURE where nobody can tell. :param decision: of the first of them.
    :param requests: examples of the cells, the most telling first. :param cells: how many there are.
    """

    kind: str
    decision: Decision
    requests: tuple[Request, ...]
    cells: int


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One request to a workload. :param stated: whether the catalogue lets it in. :param decision: of the
    live policies."""

    request: Request
    stated: bool
    decision: Decision

    @property
    def as_stated(self) -> bool:
        """Whether the live policies decide as the catalogue says."""
        return self.decision.verdict == (ALLOW if self.stated else DENY)


@dataclasses.dataclass(frozen=True, slots=True)
class CellComparison:
    """:param cells: those that were compared."""

    cells: tuple[Cell, ...]
    differences: tuple[CellDifference, ...]


def is_stated(edges: Sequence[Edge], request: Request, trust_domains: Sequence[str]) -> bool:
    """Whether the catalogue lets a request in. A peer without a certificate is one of no named caller.

    :param trust_domains: the mesh's own one first; an identity of an alias is the same identity.
    """
    domains = tuple(trust_domains)
    caller = _at_home(request.principal, domains)
    for edge in edges:
        if not _is_from(edge, caller, domains) or request.port not in edge.ports:
            continue
        if edge.ip_blocks and not _comes_from(request.source_ip, edge.ip_blocks):
            continue
        if not request.http and (edge.methods or edge.paths):
            continue
        if edge.methods and request.method not in edge.methods:
            continue
        if not edge.paths or any(_covers(path, request.path) for path in edge.paths):
            return True
    return False


def _is_from(edge: Edge, caller: str, trust_domains: tuple[str, ...]) -> bool:
    if edge.asks_who:
        return bool(caller) and _at_home(edge.principal, trust_domains) == caller
    return bool(caller) or edge.principal == ANONYMOUS


def _comes_from(address: str | None, networks: Sequence[str]) -> bool:
    if address is None:
        return False
    peer = ipaddress.ip_address(address)
    return any(peer in ipaddress.ip_network(network) for network in networks)


def compare(
    held: WorkloadPolicies,
    edges: Sequence[Edge],
    requests: Iterable[Request],
    trust_domains: Sequence[str],
) -> CellComparison:
    """Every request, decided by the live policies and by the catalogue.

    :param requests: see ``classes.trials``.
    """
    cells = tuple(
        Cell(request, is_stated(edges, request, trust_domains), held.decide(request)) for request in requests
    )
    found: dict[tuple[str, str, int | None], list[tuple[Request, Decision]]] = {}
    for cell in cells:
        if not cell.as_stated:
            decision = cell.decision
            kind = UNSURE if decision.verdict == UNKNOWN else CLOSES if cell.stated else OPENS
            found.setdefault((kind, decision.policy, decision.rule), []).append((cell.request, decision))
    return CellComparison(cells, tuple(_gathered(found)))


def mark_of(edges: Sequence[Edge], cell: Cell, home: str, trust_domains: Sequence[str]) -> tuple[object, ...]:
    """What tells a cell from others: two of equal marks are alike to the catalogue and to the live policies,
    so a call of the one stands for the other.

    :param edges: of the service. :param home: its namespace.
    :returns: to be compared, and nothing else.
    """
    request, domains = cell.request, tuple(trust_domains)
    caller = _at_home(request.principal, domains)
    parsed = parse_principal(caller)
    return (
        request.port,
        request.method,
        bool(caller),
        parsed is not None and parsed.namespace == home,
        (cell.decision.verdict, cell.decision.policy, cell.decision.rule),
        tuple(
            (
                _is_from(edge, caller, domains),
                tuple(_covers(path, request.path) for path in edge.paths),
            )
            for edge in edges
        ),
    )


def flips(
    before: WorkloadPolicies, after: WorkloadPolicies, requests: Iterable[Request]
) -> tuple[CellDifference, ...]:
    """Only the cells whose answer changes from one set of policies to another.

    :returns: one per object that decides the new answer, or for CLOSES the one that decided the old one.
    """
    found: dict[tuple[str, str, int | None], list[tuple[Request, Decision]]] = {}
    for request in requests:
        old, new = before.decide(request), after.decide(request)
        if old.verdict == new.verdict:
            continue
        kind = {ALLOW: OPENS, DENY: CLOSES}.get(new.verdict, UNSURE)
        told = old if kind == CLOSES and not new.policy else new
        found.setdefault((kind, told.policy, told.rule), []).append((request, told))
    return tuple(_gathered(found))


def _gathered(
    found: dict[tuple[str, str, int | None], list[tuple[Request, Decision]]],
) -> Iterable[CellDifference]:
    for (kind, _policy, _rule), cells in found.items():
        ordered = sorted(cells, key=_closing if kind == CLOSES else _opening)
        examples = tuple(request for request, _decision in ordered[:MAX_EXAMPLES])
        yield CellDifference(kind, ordered[0][1], examples, len(cells))


def _opening(cell: tuple[Request, Decision]) -> tuple[int, ...]:
    """Whoever is nobody in particular first: the widest opening. Then ports and paths with a name."""
    request = cell[0]
    strangers = request.principal.count(FILLERS[0]) if request.principal else 1
    return (-strangers, *_place(request))


def _closing(cell: tuple[Request, Decision]) -> tuple[int, ...]:
    """Whoever has a name first, for an outage is theirs."""
    return (cell[0].principal.count(FILLERS[0]), *_place(cell[0]))


def _place(request: Request) -> tuple[int, ...]:
    return (
        request.port == ANY_OTHER_PORT,
        request.method != "POST",
        request.path.count(FILLERS[0]),
        len(request.headers),
    )


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


@functools.lru_cache(maxsize=4096)
def _at_home(principal: str, trust_domains: tuple[str, ...]) -> str:
    parsed = parse_principal(principal)
    if parsed is None or parsed.trust_domain not in trust_domains:
        return principal
    return str(dataclasses.replace(parsed, trust_domain=trust_domains[0]))


def describe(request: Request) -> str:
    """A cell in a few words: ``shop/web POST /x on port 3000``."""
    return f"{caller_of(request)} {request_of(request)}"


def request_of(request: Request) -> str:
    """What is asked for, without who asks: ``POST /x on port 3000``."""
    parts = []
    if request.http:
        where = "any other path" if any(word in request.path for word in FILLERS) else request.path
        parts.append(f"{request.method} {where}")
    word = "" if request.port == ANY_OTHER_PORT else "port "
    parts.append(f"on {word}{port_label(request.port)}")
    if request.source_ip or request.remote_ip:
        parts.append(f"from {request.remote_ip or request.source_ip}")
    if request.headers:
        parts.append("with " + ", ".join(f"{name}: {value}" for name, value in request.headers.items()))
    if request.token:
        parts.append("with a token")
    if request.sni:
        parts.append(f"to {request.sni}")
    return " ".join(parts)


def caller_of(request: Request) -> str:
    """Who asks: ``namespace/account``, or in words whom the identity stands for."""
    return _who(request.principal)


def _who(principal: str) -> str:
    caller = parse_principal(principal)
    if caller is None:
        return principal or "a caller without identity"
    if caller.namespace not in FILLERS and caller.service_account not in FILLERS:
        return f"{caller.namespace}/{caller.service_account}"
    place = "any namespace" if caller.namespace in FILLERS else f"namespace {caller.namespace}"
    account = "any account" if caller.service_account in FILLERS else f"account {caller.service_account}"
    return f"{account} of {place}"
