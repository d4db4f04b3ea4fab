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

from ...fields import annotations_of, labels_of
from ...inventory import Inventory, refusal
from ...kube.owners import owners_of, steady_owners
from ...labels import INJECTED_BY_ANNOTATION
from ...model.installation.injection import INJECTION_LABEL, REVISION_LABEL, NamespaceRequest

AMBIENT_LABEL = "istio.io/dataplane-mode"
# Not the manager of the other objects: a server-side apply deletes what its manager set before and now omits,
# so another task of this collection that applies the same Namespace would take the label away.
FIELD_MANAGER = "servicemesh.istio.injection"
_NOBODY = Inventory()


@dataclasses.dataclass(frozen=True, slots=True)
class LabelDecision:
    """What happens to the labels of one namespace.

    :param action: ``unchanged``, ``claim`` (the labels are right and it becomes ours), ``label`` (only our
        label is set), ``relabel`` (the other one goes in the same write), ``create`` or ``missing``.
    :param held_by: the inventory whose the namespace is; "" for nobody's in particular. :param holder: whose
        it is afterwards.
    :param notes: sentences for the person, such as who had set the label that is replaced.
    :param refusal: why nothing may be done, or ``""``.
    """

    request: NamespaceRequest
    action: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    notes: tuple[str, ...] = ()
    refusal: str = ""
    held_by: str = ""
    holder: str = ""

    @property
    def changed(self) -> bool:
        """Whether a write is needed."""
        return self.action == "claim" or self.labels_change

    @property
    def labels_change(self) -> bool:
        """Whether pods are created in another way afterwards."""
        return self.action in ("label", "relabel", "create")


def decide_labels(
    request: NamespaceRequest,
    live: Mapping[str, Any] | None,
    *,
    inventory: Inventory = _NOBODY,
    replace_foreign: bool = False,
) -> LabelDecision:
    """What to do about ``request`` on the live Namespace object (None: it does not exist).

    :param inventory: who asks.
    :param replace_foreign: replace labels even where another controller would put them back.
    """
    if live is None:
        action = "create" if request.create else "missing"
        holder = inventory.holder_after("") if request.wanted else ""
        return LabelDecision(request, action, {}, request.wanted, holder=holder)
    labels = dict(labels_of(live))
    before = _of_injection(labels)
    if request.mode == "keep":
        return LabelDecision(request, "unchanged", before, before)
    held_by = annotations_of(live).get(INJECTED_BY_ANNOTATION, "")
    refused = held_by_another(request, live, inventory)
    if not refused and not (replace_foreign and labels.get(AMBIENT_LABEL) != "ambient"):
        refused = _refusal(request, live, labels)
    if refused:
        return LabelDecision(request, "unchanged", before, before, refusal=refused)
    holder = inventory.holder_after(held_by)
    if before == request.wanted:
        action = "unchanged" if holder == held_by else "claim"
        return LabelDecision(request, action, before, before, held_by=held_by, holder=holder)
    action = "relabel" if request.other in before else "label"
    notes = _notes(request, live, before)
    return LabelDecision(request, action, before, request.wanted, notes, held_by=held_by, holder=holder)


def _of_injection(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: labels[key] for key in (INJECTION_LABEL, REVISION_LABEL) if key in labels}


def held_by_another(request: NamespaceRequest, live: Mapping[str, Any], inventory: Inventory) -> str:
    """Why the labels of a namespace are left to another inventory; "" where they are not.

    Two inventories that ask for different injectors would relabel it and restart its workloads in turn.
    """
    before = _of_injection(labels_of(live))
    holder = annotations_of(live).get(INJECTED_BY_ANNOTATION, "")
    if request.mode == "keep" or before == request.wanted or not inventory.must_leave(holder):
        return ""
    label = ", ".join(f"{key}={value}" for key, value in request.wanted.items())
    now = ", ".join(f"{key}={value}" for key, value in sorted(before.items())) or "no label of injection"
    return refusal(
        f"namespace {request.name} is labelled",
        holder,
        inventory,
        [f"{now} to {label}"],
        annotation=INJECTED_BY_ANNOTATION,
        instead="ask for the same label in injection_namespaces of both inventories, or mode: keep in one",
        option="injection_take_over",
    ).message


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
