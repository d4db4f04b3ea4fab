# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespace labels that ask for injection: what is there, and whether it may be changed.

``istio-injection`` and ``istio.io/rev`` exclude each other: the first wins silently whatever its value is
(Istio mutatingwebhook.yaml), so a namespace that carries both does not do what one of its readers thinks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...fields import labels_of
from ...kube.owners import owners_of, steady_owners
from ...model.installation.injection import INJECTION_LABEL, REVISION_LABEL, NamespaceRequest

AMBIENT_LABEL = "istio.io/dataplane-mode"
# Not the manager of the other objects: a server-side apply deletes what its manager set before and now omits,
# so another task of this collection that applies the same Namespace would take the label away.
FIELD_MANAGER = "servicemesh.istio.injection"


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
