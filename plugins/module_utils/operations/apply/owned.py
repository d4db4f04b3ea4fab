# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module ``resources`` does alike with and without a catalogue: labels, pruning, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...fields import labels_of, list_at, name_of
from ...labels import ownership_labels
from ...model.objects.base import API_VERSIONS
from ...object_id import object_id, object_key
from .live import Live

if TYPE_CHECKING:
    from ...context import Context

# Records of rollouts carry the labels of the mesh and are never pruned.
_KEPT_NAMES = ("servicemesh-release-", "servicemesh-canary-")


def labelled(objects: Sequence[dict[str, Any]], mesh: str) -> list[dict[str, Any]]:
    """The objects with the labels by which the mesh finds its own. :returns: copies, in their order."""
    labels = ownership_labels(mesh)
    return [
        {**obj, "metadata": {**obj["metadata"], "labels": {**labels_of(obj), **labels}}} for obj in objects
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


def to_prune(
    live: Live,
    desired: Sequence[Mapping[str, Any]],
    mesh: str,
    *,
    everything: bool,
    keep: frozenset[str] = frozenset(),
) -> list[dict[str, Any]]:
    """Live objects of the mesh that are no longer described.

    :param keep: ids (``Kind namespace/name``) to leave alone.
    :returns: in the order in which they were listed.
    :raises RefusedError: all of them would go, and ``everything`` was not asked for.
    """
    labels = ownership_labels(mesh)
    wanted = {object_key(obj) for obj in desired}
    found = {
        object_key(obj): obj
        for obj in live.objects.values()
        if labels.items() <= labels_of(obj).items()
        and not name_of(obj).startswith(_KEPT_NAMES)
        and not list_at(obj, "metadata", "ownerReferences")
    }
    ours = list(found.values())
    to_delete = [obj for key, obj in found.items() if key not in wanted and object_id(obj) not in keep]
    if to_delete and len(to_delete) == len(ours) and not everything:
        raise RefusedError(
            f"pruning would remove all {len(to_delete)} objects of mesh '{mesh}'; prune_all (in role mesh: "
            "mesh_prune_all) allows that, and mesh_state: absent removes a mesh",
            rule="prune-all",
            count=len(to_delete),
        )
    return to_delete


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
