# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module ``resources`` does alike with and without a catalogue: labels, pruning, summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...fields import annotations_of, labels_of, list_at, name_of
from ...kube.owners import is_written_by
from ...labels import FIELD_MANAGER, OWN_ANNOTATION, PART_OF_LABEL, ownership_labels
from ...model.objects.base import API_VERSIONS
from ...object_id import object_id, object_key
from ...words import some_of
from .live import Live

if TYPE_CHECKING:
    from ...context import Context

# Records of rollouts carry the labels of the mesh and are never pruned.
_KEPT_NAMES = ("servicemesh-release-", "servicemesh-canary-")
_HOLDING = frozenset(("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"))
"""What is in them goes with them, whosever it is."""
_COMPUTED = frozenset((version.rpartition("/")[0], kind) for kind, version in API_VERSIONS.items())


def labelled(objects: Sequence[dict[str, Any]], mesh: str) -> list[dict[str, Any]]:
    """A team's own objects, with the labels and the mark by which pruning finds them again.

    :returns: copies, in their order.
    """
    labels, mark = ownership_labels(mesh), {OWN_ANNOTATION: "true"}
    return [
        {
            **obj,
            "metadata": {
                **obj["metadata"],
                "labels": {**labels_of(obj), **labels},
                "annotations": {**annotations_of(obj), **mark},
            },
        }
        for obj in objects
    ]


def selector(mesh: str) -> str:
    """The label selector of a mesh's own objects."""
    return ",".join(f"{key}={value}" for key, value in ownership_labels(mesh).items())


def prunable_kinds(desired: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The kinds that are listed by label: those a catalogue can own, and those of this call.

    :returns: (apiVersion, kind), each once.
    """
    kinds = [(api_version, kind) for kind, api_version in API_VERSIONS.items()]
    return list(dict.fromkeys([*kinds, *((str(obj["apiVersion"]), str(obj["kind"])) for obj in desired)]))


@dataclasses.dataclass(frozen=True, slots=True)
class Pruning:
    """What may be removed from a mesh.

    :param everything: whether that may be all of it. :param computed: whether objects of the kinds that a
        catalogue computes go, too; without a catalogue nothing tells which of them it still describes.
    :param keep: ids (``Kind namespace/name``) to leave alone. :param field_manager: who writes them.
    """

    mesh: str
    everything: bool = False
    computed: bool = True
    keep: frozenset[str] = frozenset()
    field_manager: str = FIELD_MANAGER


def to_prune(
    live: Live, desired: Sequence[Mapping[str, Any]], pruning: Pruning, context: Context
) -> list[dict[str, Any]]:
    """Live objects of the mesh that are no longer described. What only looks like one is told and stays.

    :returns: in the order in which they were listed.
    :raises RefusedError: all of them would go, and that was not asked for.
    """
    wanted = {object_key(obj) for obj in desired}
    found = {object_key(obj): obj for obj in live.objects.values() if _is_of(obj, pruning)}
    managers = {FIELD_MANAGER, pruning.field_manager}
    left = {key: obj for key, obj in found.items() if key not in wanted}
    copies = {key: object_id(obj) for key, obj in left.items() if not is_written_by(obj, managers)}
    holders = {
        key: object_id(obj) for key, obj in left.items() if key not in copies and str(obj["kind"]) in _HOLDING
    }
    if copies:
        context.warn(told_copies(list(copies.values()), f"mesh '{pruning.mesh}'"))
    if holders:
        context.warn(
            f"{some_of(list(holders.values()))}: no longer described, and stays, because what it holds would"
            " go with it; delete it yourself where that is meant"
        )
    ours = [obj for key, obj in found.items() if key not in copies and key not in holders]
    to_delete = [obj for obj in ours if object_key(obj) not in wanted and object_id(obj) not in pruning.keep]
    if to_delete and len(to_delete) == len(ours) and not pruning.everything:
        raise RefusedError(
            f"pruning would remove all {len(to_delete)} objects of mesh '{pruning.mesh}'; prune_all (in role"
            " mesh: mesh_prune_all) allows that, and mesh_state: absent removes a mesh",
            rule="prune-all",
            count=len(to_delete),
        )
    return to_delete


def told_copies(copies: Sequence[str], whole: str) -> str:
    """A sentence about objects that bear the labels of a whole that never wrote them."""
    return (
        f"{some_of(copies)}: labelled as of {whole}, but never written by it (a copy?), so it stays;"
        f" delete it, or take its label {PART_OF_LABEL} away"
    )


def _is_of(obj: Mapping[str, Any], pruning: Pruning) -> bool:
    labels = labels_of(obj)
    if any(labels.get(name) != value for name, value in ownership_labels(pruning.mesh).items()):
        return False
    if name_of(obj).startswith(_KEPT_NAMES) or list_at(obj, "metadata", "ownerReferences"):
        return False
    # Credentials, CAs, Leases and Jobs of the mesh have its labels as well, and parts of their own keep them.
    computed = pruning.computed and (object_key(obj)[0], str(obj["kind"])) in _COMPUTED
    return computed or OWN_ANNOTATION in annotations_of(obj)


def warn_confined(live: Live, mesh: str, context: Context) -> None:
    """Says when pruning could not look into the whole cluster: what is not seen is not removed.

    ConfigMaps are not listed everywhere on purpose (docs/rbac): the one that a mesh prunes lies beside the
    service of its rate limits.
    """
    confined = {kind: places for (_unused, kind), places in live.confined.items() if kind != "ConfigMap"}
    if not confined:
        return
    kinds = ", ".join(sorted(confined))
    places = ", ".join(sorted(set().union(*confined.values())))
    where = f"is looked for in {places} only" if places else "is not looked for"
    context.warn(f"what left mesh '{mesh}' {where}: no right to list {kinds} in all namespaces")


def summary(counts: Mapping[str, int]) -> str:
    """The counts as one line."""
    said = [f"{number} {word}" for word, number in counts.items() if number]
    return ", ".join(said) or "nothing to do"
