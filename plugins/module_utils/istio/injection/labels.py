# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespace labels that ask for injection: what is wanted, what is there, and whether it may be changed.

``istio-injection`` and ``istio.io/rev`` exclude each other: the first wins silently whatever its value is
(Istio mutatingwebhook.yaml), so a namespace that carries both does not do what one of its readers thinks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem
from ...fields import labels_of
from ...kube.owners import owners_of, steady_owners
from .webhooks import SYSTEM_NAMESPACES

INJECTION_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
AMBIENT_LABEL = "istio.io/dataplane-mode"
# Not the manager of the other objects: a server-side apply deletes what its manager set before and now omits,
# so another task of this collection that applies the same Namespace would take the label away.
FIELD_MANAGER = "servicemesh.istio.injection"
MODES = ("injection", "revision", "keep")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
KEYS = frozenset({"name", "mode", "revision", "create"})


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceRequest:
    """One namespace of the input.

    :param mode: ``injection`` (label istio-injection=enabled), ``revision`` (label istio.io/rev) or ``keep``
        (labels are left as they are, workloads are brought up to date: namespaces of gateways).
    :param create: create the namespace when it is missing.
    """

    name: str
    mode: str
    revision: str = ""
    create: bool = False

    @property
    def wanted(self) -> dict[str, str]:
        """The label that the namespace shall carry. :returns: label key -> value; empty for mode ``keep``."""
        if self.mode == "injection":
            return {INJECTION_LABEL: "enabled"}
        return {REVISION_LABEL: self.revision} if self.mode == "revision" else {}

    @property
    def other(self) -> str:
        """The label that must not be there beside the wanted one."""
        return REVISION_LABEL if self.mode == "injection" else INJECTION_LABEL


@dataclasses.dataclass(frozen=True, slots=True)
class LabelDecision:
    """What happens to the labels of one namespace.

    :param action: ``unchanged``, ``label`` (only our label is set), ``relabel`` (the other one goes in the
        same write), ``create`` or ``missing``.
    :param notes: sentences for the person, such as who had set the label that is replaced.
    :param refusal: why nothing may be done, or ``""``.
    """

    request: NamespaceRequest
    action: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    notes: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def changed(self) -> bool:
        """Whether a write is needed."""
        return self.action in ("label", "relabel", "create")


def parse_requests(items: Sequence[Any], where: str = "injection_namespaces") -> tuple[NamespaceRequest, ...]:
    """Requests out of ``items``: plain names, or ``{name, mode, revision, create}``.

    :returns: one per item, in their order.
    :raises InputError: with every problem of the list.
    """
    problems: list[Problem] = []
    requests: list[NamespaceRequest] = []
    for index, item in enumerate(items):
        place = f"{where}[{index}]"
        entry = {"name": item} if isinstance(item, str) else item
        if not isinstance(entry, Mapping):
            problems.append(Problem(place, "must be a namespace name or a dictionary", "type"))
            continue
        found = _problems_of(entry, place)
        problems += found
        if not found:
            mode = entry.get("mode") or ("revision" if entry.get("revision") else "injection")
            revision = str(entry.get("revision") or "")
            requests.append(
                NamespaceRequest(str(entry["name"]), mode, revision, bool(entry.get("create", False)))
            )
    problems += _duplicates(requests, where)
    if problems:
        raise InputError(problems)
    return tuple(requests)


def _problems_of(entry: Mapping[str, Any], place: str) -> list[Problem]:
    known = f"is not a known key (known: {', '.join(sorted(KEYS))})"
    problems = [Problem(f"{place}.{key}", known, "unknown-key") for key in sorted(set(entry) - KEYS)]
    name, mode, revision = entry.get("name"), entry.get("mode"), entry.get("revision")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        problems.append(Problem(f"{place}.name", f"{name!r} is not a namespace name", "dns-label"))
    elif name in SYSTEM_NAMESPACES:
        problems.append(Problem(f"{place}.name", f"Istio never injects into {name}", "system-namespace"))
    if mode is not None and mode not in MODES:
        problems.append(Problem(f"{place}.mode", f"{mode!r} is not one of {', '.join(MODES)}", "choice"))
    if revision and mode in ("injection", "keep"):
        message = f"mode {mode} and a revision: {INJECTION_LABEL} and {REVISION_LABEL} exclude each other"
        problems.append(Problem(f"{place}.revision", message, "one-label"))
    if mode == "revision" and not revision:
        problems.append(Problem(f"{place}.revision", "mode revision needs a revision or tag", "required"))
    if revision and (not isinstance(revision, str) or not NAME.fullmatch(revision)):
        problems.append(
            Problem(f"{place}.revision", f"{revision!r} is not a revision or tag name", "dns-label")
        )
    return problems


def _duplicates(requests: Sequence[NamespaceRequest], where: str) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for request in requests:
        if request.name in seen:
            problems.append(Problem(where, f"namespace {request.name} is listed twice", "unique"))
        seen.add(request.name)
    return problems


def decide_labels(
    request: NamespaceRequest, live: Mapping[str, Any] | None, *, replace_foreign: bool = False
) -> LabelDecision:
    """What to do about ``request`` on the live Namespace object (None: it does not exist).

    :param replace_foreign: replace labels even where another controller would put them back.
    """
    if live is None:
        action = "create" if request.create else "missing"
        return LabelDecision(request, action, {}, request.wanted)
    labels = dict(labels_of(live))
    before = {key: labels[key] for key in (INJECTION_LABEL, REVISION_LABEL) if key in labels}
    if request.mode == "keep":
        return LabelDecision(request, "unchanged", before, before)
    refusal = _refusal(request, live, labels)
    if refusal and replace_foreign and labels.get(AMBIENT_LABEL) != "ambient":
        refusal = ""
    if refusal:
        return LabelDecision(request, "unchanged", before, before, refusal=refusal)
    if before == request.wanted:
        return LabelDecision(request, "unchanged", before, before)
    action = "relabel" if request.other in before else "label"
    return LabelDecision(request, action, before, request.wanted, notes=_notes(request, live, before))


def _refusal(request: NamespaceRequest, live: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    if labels.get(AMBIENT_LABEL) == "ambient":
        return f"namespace {request.name} is in ambient mode ({AMBIENT_LABEL}): it cannot get sidecars"
    wanted = next(iter(request.wanted))
    for key in (request.other, wanted):
        if key not in labels or labels[key] == request.wanted.get(key):
            continue
        steady = steady_owners(owners_of(live, ("metadata", "labels", key)), FIELD_MANAGER)
        if not steady:
            continue
        consequence = (
            "both labels would end up present" if key == request.other else "it would put its value back"
        )
        return (
            f"namespace {request.name} carries {key}={labels[key]} from {', '.join(steady)}: {consequence}; "
            f"change it there, or set injection_replace_foreign_labels"
        )
    return ""


def _notes(request: NamespaceRequest, live: Mapping[str, Any], before: Mapping[str, str]) -> tuple[str, ...]:
    notes = []
    for key, value in sorted(before.items()):
        if request.wanted.get(key) == value:
            continue
        owners = (
            ", ".join(owner.manager for owner in owners_of(live, ("metadata", "labels", key)))
            or "an unknown writer"
        )
        verb = "removes" if key == request.other else "replaces"
        notes.append(f"namespace {request.name}: {verb} {key}={value}, set by {owners}")
    return tuple(notes)
