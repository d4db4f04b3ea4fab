# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check who may call whom: what all live AuthorizationPolicies decide, against what the catalogue states.

Cell by cell: every identity that matters, port, method and path of every workload of the mesh's
namespaces, also of those that the catalogue does not know. What differs is told once for each object that
makes the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ....fields import name_of, namespace_of
from ....model.objects.authorization_policies import authorization_objects
from ....model.objects.names import DEFAULT_DENY
from ....model.security import matrix
from ....model.security.classes import INCOMPLETE
from ....model.security.matrix import CLOSES, OPENS, UNSURE, Cell, CellDifference
from ....model.security.requests import ALLOW, Request
from ....model.security.witnesses import FILLERS
from ....object_id import object_id
from ....words import some_of
from ..cells import Cells
from ..findings import Finding, failed, passed, unknown
from ..picture import Picture, SeenPod
from ..policies.own import OwnPolicies


@dataclasses.dataclass(slots=True)
class _Cause:
    """What one object makes differ. ``examples`` are by workload."""

    kind: str
    subject: str
    reason: str
    examples: dict[str, Request] = dataclasses.field(default_factory=dict)
    cells: int = 0


def check_policies(picture: Picture, cells: Cells) -> list[Finding]:
    """One finding per object that makes live policies differ from the catalogue, and one per workload they
    hold in.

    :param cells: gets every cell that was compared.
    :returns: what opens first, then what closes, then what nobody can tell.
    """
    own = OwnPolicies(picture)
    causes: dict[tuple[str, str], _Cause] = {}
    good: list[Finding] = []
    done: set[tuple[Any, ...]] = set()
    for seen in picture.pods:
        if seen.key in done:
            continue
        done.add(seen.key)
        for name, found in _workloads(picture, own, seen, cells):
            for difference in found.differences:
                _note(causes, own, seen, name, difference)
            if not found.complete:
                good.append(unknown("policies", name, INCOMPLETE))
            elif not found.differences:
                good.append(
                    passed(
                        "policies", name, f"{found.cells} cells as the catalogue states", cells=found.cells
                    )
                )
    order = (OPENS, CLOSES, UNSURE)
    blamed = [_told(cause) for cause in sorted(causes.values(), key=lambda cause: order.index(cause.kind))]
    left = _missing(picture, own, blamed)
    return [*blamed, *left, *_once(good)] or [
        passed("policies", picture.catalogue.name, "there is no workload")
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class _Compared:
    differences: tuple[CellDifference, ...]
    cells: int
    complete: bool


def _workloads(
    picture: Picture, own: OwnPolicies, seen: SeenPod, cells: Cells
) -> Iterable[tuple[str, _Compared]]:
    """Each service that a pod is behind, or the pod itself; gateways are everybody's way in and are left
    out."""
    if not seen.pod.meshed or seen.pod.gateway or seen.pod.ambient:
        return
    for service in seen.services:
        edges = picture.edges(service)
        tried = picture.trials(seen, edges)
        found = matrix.compare(seen.held, edges, tried.requests, picture.trust_domains)
        stated, decided = found.differences, found.cells
        if not own.guards(service):  # everybody may call it, on whatever port
            stated = tuple(item for item in stated if item.kind != OPENS)
            decided = tuple(_opened(cell) for cell in decided)
        cells.compared(seen, service.key, edges, decided)
        yield service.key, _Compared(stated, len(decided), tried.complete)
    if not seen.services and own.guards_rest_of(seen.pod.namespace):
        tried = picture.trials(seen, ())
        found = matrix.compare(seen.held, (), tried.requests, picture.trust_domains)
        wide = tuple(item for item in found.differences if item.kind == OPENS and _to_strangers(item))
        cells.compared(seen, "", (), found.cells)
        yield (
            f"{seen.pod.namespace}/{_workload_name(seen)} (not in the catalogue)",
            _Compared(wide, len(found.cells), tried.complete),
        )


def _opened(cell: Cell) -> Cell:
    return dataclasses.replace(cell, stated=True) if cell.decision.verdict == ALLOW else cell


def _workload_name(seen: SeenPod) -> str:
    return seen.pod.labels.get("app") or seen.pod.labels.get("app.kubernetes.io/name") or seen.pod.name


def _to_strangers(difference: CellDifference) -> bool:
    """Whether somebody gets in whom no rule names: a workload of its own may well name its callers."""
    return any(
        not request.principal or any(word in request.principal for word in FILLERS)
        for request in difference.requests
    )


def _note(
    causes: dict[tuple[str, str], _Cause],
    own: OwnPolicies,
    seen: SeenPod,
    workload: str,
    difference: CellDifference,
) -> None:
    subject, reason = difference.decision.policy, difference.decision.reason
    culprit, fault = own.culprit(seen.pod.namespace, workload.partition("/")[2] if seen.services else "")
    if subject:
        reason = own.fault(subject)
    elif culprit:
        subject, reason = culprit, fault
    else:
        subject = workload
    cause = causes.setdefault((difference.kind, subject), _Cause(difference.kind, subject, reason))
    cause.examples.setdefault(workload, difference.requests[0])
    cause.cells += difference.cells


def _told(cause: _Cause) -> Finding:
    workloads = list(cause.examples)
    first = matrix.describe(cause.examples[workloads[0]])
    where = some_of(workloads, before=", ", kind="workloads") if workloads != [cause.subject] else ""
    reason = f"{cause.reason}: " if cause.reason else ""
    count = f" ({cause.cells} cells)" if cause.cells > 1 else ""
    if cause.kind == OPENS:
        return failed(
            "policies",
            cause.subject,
            f"{reason}opens {where or 'itself'} to {first}{count}",
            cells=cause.cells,
        )
    if cause.kind == CLOSES:
        return failed(
            "policies",
            cause.subject,
            f"{reason}refuses {first} at {where or 'itself'}{count}",
            cells=cause.cells,
        )
    return unknown(
        "policies", cause.subject, f"{cause.reason or 'it decides on more than is known'}: {first}{count}"
    )


def _missing(picture: Picture, own: OwnPolicies, told: Iterable[Finding]) -> list[Finding]:
    """A default deny that is not there matters also where no pod shows it yet."""
    known = {finding.subject for finding in told}
    found = []
    for item in authorization_objects(picture.catalogue):
        subject = object_id(item)
        if name_of(item) != DEFAULT_DENY or subject in known:
            continue
        fault = own.fault(subject)
        if fault and "AuthorizationPolicy" not in picture.live.unread:
            place = f"what is started in {namespace_of(item)} is open to everyone"
            found.append(failed("policies", subject, f"{fault}: {place}"))
    return found


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """One finding per workload, the worst of its kinds of pods first."""
    found: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda item: item.verdict):
        found.setdefault(finding.subject, finding)
    return list(found.values())
