# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module ``resources`` does alike with and without a catalogue: labels, pruning, options, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import RefusedError
from ...labels import ownership_labels
from ...model.objects.base import API_VERSIONS
from .engine import Options, Wait
from .live import Live

# Records of rollouts carry the labels of the mesh and are never pruned.
_KEPT_NAMES = ("servicemesh-release-", "servicemesh-canary-")


def options_of(params: Mapping[str, Any]) -> Options:
    """The options of the write path that are the same in every mode of the module."""
    wait = Wait(float(params["wait_timeout"]), tuple(params["wait_for"])) if params["wait"] else None
    return Options(
        field_manager=params["field_manager"],
        force=params["force"],
        proof=params["proof"],
        namespace=params.get("namespace"),
        wait=wait,
    )


def labelled(objects: Sequence[dict[str, Any]], mesh: str) -> list[dict[str, Any]]:
    """The objects with the labels by which the mesh finds its own."""
    labels = ownership_labels(mesh)
    return [
        {
            **obj,
            "metadata": {**obj["metadata"], "labels": {**(obj["metadata"].get("labels") or {}), **labels}},
        }
        for obj in objects
    ]


def selector(mesh: str) -> str:
    """The label selector of a mesh's own objects."""
    return ",".join(f"{key}={value}" for key, value in ownership_labels(mesh).items())


def prunable_kinds(desired: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The kinds that are listed by label: those a catalogue can own, and those of this call."""
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
    :raises RefusedError: all of them would go, and ``everything`` was not asked for.
    """
    labels = ownership_labels(mesh)
    wanted = {(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in desired}
    ours = [
        obj
        for obj in live.objects.values()
        if labels.items() <= (obj["metadata"].get("labels") or {}).items()
        and not str(obj["metadata"]["name"]).startswith(_KEPT_NAMES)
        and not obj["metadata"].get("ownerReferences")
    ]
    doomed = [
        obj
        for obj in ours
        if (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) not in wanted
        and f"{obj['kind']} {obj['metadata'].get('namespace')}/{obj['metadata']['name']}" not in keep
    ]
    if doomed and len(doomed) == len(ours) and not everything:
        raise RefusedError(
            f"pruning would remove all {len(doomed)} objects of mesh '{mesh}'; prune_all allows that",
            rule="prune-all",
            count=len(doomed),
        )
    return doomed


def summary(counts: Mapping[str, int]) -> str:
    """The counts as one line."""
    said = [f"{number} {word}" for word, number in counts.items() if number]
    return ", ".join(said) or "nothing to do"
