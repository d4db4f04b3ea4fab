# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mesh, one inventory: two that have the same ``mesh_name`` would prune each other's objects in turn.

The objects of a mesh say which inventory applied them. Routes do not: rollouts write them as well, each time
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import annotations_of, labels_of
from ...inventory import Inventory, refusal
from ...labels import APPLIED_BY_ANNOTATION, ownership_labels
from ..apply.live import Live
from ..apply.plan import Plan, verb_of

_UNMARKED = ("VirtualService",)


def marked(objects: Sequence[dict[str, Any]], live: Live, inventory: Inventory) -> list[dict[str, Any]]:
    """The objects with the name of the inventory whose they are after this run.

    :returns: copies where there is something to add, in their order.
    """
    return [_marked(obj, live, inventory) for obj in objects]


def _marked(obj: dict[str, Any], live: Live, inventory: Inventory) -> dict[str, Any]:
    name = inventory.holder_after(_holder_of(live.get(obj)))
    if not name or obj["kind"] in _UNMARKED:
        return obj
    annotations = {**annotations_of(obj), APPLIED_BY_ANNOTATION: name}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def refuse_other_inventory(mesh: str, plan: Plan, inventory: Inventory) -> None:
    """To be called before the first write of a run that changes something.

    :raises RefusedError: the mesh, or a part of it, is applied by an inventory that has not been asked.
    """
    held = set(_holders(mesh, plan.live.objects.values()))
    foreign = sorted(holder for holder in held if inventory.must_leave(holder))
    changes = [f"{verb_of(item)} {item.id}" for item in plan.items if item.changes]
    if not changes or not foreign:
        return
    raise refusal(
        f"mesh {mesh!r} is applied",
        foreign[0],
        inventory,
        changes,
        annotation=APPLIED_BY_ANNOTATION,
        instead="give one of the two meshes another mesh_name, or both inventories the same istio_owner and "
        "catalogue",
        option="mesh_take_over",
    )


def _holders(mesh: str, objects: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    labels = ownership_labels(mesh)
    return (_holder_of(obj) for obj in objects if labels.items() <= labels_of(obj).items())


def _holder_of(obj: Mapping[str, Any] | None) -> str:
    return annotations_of(obj).get(APPLIED_BY_ANNOTATION, "")
