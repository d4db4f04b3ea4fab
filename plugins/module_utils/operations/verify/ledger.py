# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a mesh was proved, and at which level: by objects, at the proxies, by calls."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ...model.catalogue.edges import Edge, gateway_edge, service_edges
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Exposure, Service
from ...verdicts import CANNOT_TELL
from .cells import ProvedCell, levels_of, reasons_of
from .findings import NOT_TESTED, Finding
from .planned_calls import ALLOWED, DENIED, STRANGERS, PlannedCall, stranger_class

Outcome = tuple[PlannedCall, Finding]
Answered = tuple[Service, Exposure]
LET_IN, REFUSED, CUT_OFF = "let_in", "refused", "cut_off"


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """Counts of one run.

    :param callers: (stated, called) pairs of caller and service that the catalogue names. :param rules: the
        same of all its rules. :param cells: by level, see ``cells.levels_of``.
    :param not_called: why cells were not called -> how many.
    :param calls: ``namespace/service`` -> requests that it let in, refused with 403, or that its proxy cut
        off; of those that got an answer.
    :param uncalled: rules that were not called, as ``service: rule``. :param not_tested: reason -> how often.
    :param strangers: class of callers that are to be refused -> services at which one of it was.
    """

    callers: tuple[int, int]
    rules: tuple[int, int]
    cells: dict[str, int]
    not_called: dict[str, int]
    calls: dict[str, dict[str, int]]
    uncalled: tuple[str, ...]
    not_tested: dict[str, int]
    strangers: dict[str, int] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The ledger as it stands in results and reports.

        :returns: ``callers``, ``rules``, ``cells``, ``not_called``, ``calls``, ``uncalled``, ``not_tested``,
            ``strangers``.
        """
        return {
            "callers": {"stated": self.callers[0], "called": self.callers[1]},
            "rules": {"stated": self.rules[0], "called": self.rules[1]},
            "cells": self.cells,
            "not_called": self.not_called,
            "calls": self.calls,
            "uncalled": list(self.uncalled),
            "not_tested": self.not_tested,
            "strangers": self.strangers,
        }

    def __str__(self) -> str:
        sent = sum(sum(numbers.values()) for numbers in self.calls.values())
        return (
            f"{self.callers[1]} of {self.callers[0]} callers and {self.rules[1]} of {self.rules[0]} rules"
            f" were called, {sent} calls; of {self.cells['all']} cells {self.cells['called']} called,"
            f" {self.cells['at_the_proxies']} at the proxies, {self.cells['by_the_objects']} by the objects,"
            f" {self.cells['not_proved']} not proved"
        )


def draw_up(
    catalogue: Catalogue,
    findings: Iterable[Finding],
    outcomes: Sequence[Outcome],
    answered: Sequence[Answered],
    cells: Sequence[ProvedCell] = (),
) -> Ledger:
    """The ledger of a run.

    :param outcomes: every call that a probe made, with what it came to. :param answered: every request
        through a gateway that a service answered.
    """
    edges = {service.key: service_edges(catalogue, service) for service in catalogue.services}
    called = {(call.service.key, call.edge) for call, finding in outcomes if _let_in(call, finding)}
    called |= {(service.key, gateway_edge(catalogue, service, exposure)) for service, exposure in answered}
    stated = [(key, edge) for key, found in edges.items() for edge in found]
    pairs = {(key, edge.caller) for key, edge in stated if edge.kind == "caller"}
    met = {(key, edge.caller) for key, edge in called if edge is not None and edge.kind == "caller"}
    told = list(findings)
    return Ledger(
        (len(pairs), len(pairs & met)),
        (len(stated), sum(1 for pair in stated if pair in called)),
        levels_of(cells),
        reasons_of(cells),
        _calls(outcomes, answered),
        tuple(f"{key}: {_rule(edge)}" for key, edge in stated if (key, edge) not in called),
        dict(Counter(item.message for item in told if item.verdict == NOT_TESTED)),
        _strangers(outcomes),
    )


def _strangers(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Each service counts once in each class, however often it was called."""
    met = {
        (stranger_class(call.service, call.identity), call.service.key)
        for call, finding in outcomes
        if call.expect != ALLOWED and finding.verdict != CANNOT_TELL
    }
    found = Counter(name for name, _service in met)
    return {name: found[name] for name in STRANGERS}


def _let_in(call: PlannedCall, finding: Finding) -> bool:
    return call.expect == ALLOWED and finding.verdict != CANNOT_TELL


def _calls(outcomes: Sequence[Outcome], answered: Sequence[Answered]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    kinds = {ALLOWED: (LET_IN, REFUSED), DENIED: (REFUSED, LET_IN)}
    for call, finding in outcomes:
        if finding.verdict == CANNOT_TELL:
            continue
        as_wanted, otherwise = kinds.get(call.expect, (CUT_OFF, LET_IN))
        _count(found, call.service.key, as_wanted if finding.verdict == "pass" else otherwise)
    for service, _exposure in answered:
        _count(found, service.key, LET_IN)
    return dict(sorted(found.items()))


def _count(found: dict[str, dict[str, int]], key: str, kind: str) -> None:
    numbers = found.setdefault(key, {LET_IN: 0, REFUSED: 0, CUT_OFF: 0})
    numbers[kind] += 1


def _rule(edge: Edge) -> str:
    what = " ".join(", ".join(part) for part in (edge.methods, edge.paths) if part)
    return f"{edge.caller} {what}".strip()
