# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the sidecars of a catalogue's services their sizes: annotations of pod templates, nothing else.

The workloads are somebody else's, so they are patched, never created or owned. A change rolls a Deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import inventory
from ..context import Context
from ..errors import ApiError
from ..fields import annotations_of, mapping_at, name_of, namespace_of
from ..kube.access import AccessNeed
from ..kube.client import KubeClient
from ..kube.comparison import for_display
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..kube.wait import rollout_status, wait_until
from ..labels import SIZED_BY_ANNOTATION
from ..model.catalogue.parse import parse_catalogue
from ..model.objects.proxy_annotations import proxy_patches
from ..object_id import object_id
from .rights.asking import refuse_missing

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "default": {}},
    **inventory.SPEC,
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "raw", "default": 120},
}
VARIABLES = {
    "wait": "mesh_wait",
    "wait_timeout": "mesh_wait_timeout",
    "owner": "istio_owner",
    "take_over": "mesh_take_over",
}

Patch = Mapping[str, Any]


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Patch the Deployments whose annotations differ, and wait until they are rolled out.

    :returns: ``changed``, ``objects`` (ids of what changed), ``diff`` if asked.
    :raises InputError: a bad catalogue. :raises ApiError: a Deployment does not exist.
    :raises RefusedError: another inventory sizes one, and otherwise.
    :raises WaitTimeout: a Deployment is not rolled out in time.
    """
    patches = proxy_patches(parse_catalogue(params["catalogue"]))
    if not patches:
        return {"changed": False, "objects": []}
    asker = inventory.Inventory.from_params(params)
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        found = client.in_parallel(lambda patch: _live(client, patch), patches)
        live = dict(zip(map(object_id, patches), found, strict=True))
        _refuse_foreign(patches, live, asker)
        open_patches = [
            marked
            for patch in patches
            if (marked := _changes(patch, live[object_id(patch)], asker)) is not None
        ]
        needs = [
            AccessNeed("patch", "apps", "deployments", namespace_of(patch), name_of(patch))
            for patch in open_patches
        ]
        refuse_missing(client, needs, "to size the sidecars")
        after = client.in_parallel(
            lambda patch: client.patch(
                "apps/v1",
                "Deployment",
                name_of(patch),
                namespace_of(patch),
                _body(patch),
                dry_run=context.check_mode,
            ),
            open_patches,
        )
        if params["wait"] and not context.check_mode:
            rolled = [patch for patch in open_patches if _differs(patch, live[object_id(patch)])]
            _wait(client, rolled, float(params["wait_timeout"]), context)
    result: dict[str, Any] = {
        "changed": bool(open_patches),
        "objects": [object_id(patch) for patch in open_patches],
    }
    if context.diff_mode:
        pairs = zip(open_patches, after, strict=True)
        result["diff"] = [_diff(patch, live[object_id(patch)], new) for patch, new in pairs]
    return result


def _live(client: KubeClient, patch: Patch) -> dict[str, Any]:
    found = client.get("apps/v1", "Deployment", name_of(patch), namespace_of(patch))
    if found is None:
        message = f"{object_id(patch)} does not exist: a service with proxy needs its workload"
        raise ApiError(message, status=404, reason="NotFound", subject=object_id(patch))
    return found


def _annotations(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return annotations_of(mapping_at(obj, "spec", "template"))


def _differs(patch: Patch, live: Mapping[str, Any]) -> bool:
    current = _annotations(live)
    return any(current.get(key) != value for key, value in _annotations(patch).items())


def _holder_of(live: Mapping[str, Any]) -> str:
    return annotations_of(live).get(SIZED_BY_ANNOTATION, "")


def _refuse_foreign(
    patches: Sequence[Patch], live: Mapping[str, Mapping[str, Any]], asker: inventory.Inventory
) -> None:
    """Two inventories with other sizes would restart a workload in turn; the mesh beside them is the same."""
    foreign: dict[str, list[str]] = {}
    for patch in patches:
        found = live[object_id(patch)]
        holder = _holder_of(found)
        if _differs(patch, found) and asker.must_leave(holder):
            foreign.setdefault(holder, []).append(f"update {object_id(patch)}")
    for holder, changes in sorted(foreign.items()):
        raise inventory.refusal(
            "the sidecars are sized",
            holder,
            asker,
            changes,
            annotation=SIZED_BY_ANNOTATION,
            instead="give proxy of mesh_services the same sizes in both inventories",
            option="mesh_take_over",
        )


def _changes(
    patch: dict[str, Any], live: Mapping[str, Any], asker: inventory.Inventory
) -> dict[str, Any] | None:
    """The patch with its mark, or None where neither changes anything."""
    before = _holder_of(live)
    after = asker.holder_after(before)
    if not _differs(patch, live) and after == before:
        return None
    if after == before:
        return patch
    metadata = {**patch["metadata"], "annotations": {SIZED_BY_ANNOTATION: after}}
    return {**patch, "metadata": metadata}


def _body(patch: Patch) -> dict[str, Any]:
    """What is patched: the template of the pods and the mark, never a label or a name."""
    marks = annotations_of(patch)
    return {"spec": patch["spec"], **({"metadata": {"annotations": marks}} if marks else {})}


def _wait(client: KubeClient, patches: list[dict[str, Any]], timeout: float, context: Context) -> None:
    """Whoever looks at the proxies next would find the old ones leaving and new ones starting."""

    def look() -> tuple[bool, str]:
        for patch in patches:
            done, seen = rollout_status(_live(client, patch))
            if not done:
                return False, f"{object_id(patch)}: {seen}"
        return True, "rolled out"

    if patches:
        wait_until(
            look,
            awaited="the workloads with new sidecar sizes",
            timeout=timeout,
            stop=context.stop,
            progress=context.progress,
            clock=context.clock,
        )


def _diff(patch: Patch, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    old, new = for_display(_shown(before), _shown(after))
    headers = {"before_header": object_id(patch), "after_header": object_id(patch)}
    before, after = ({key: part for key, part in state.items() if part} for state in (old, new))
    return {**headers, "before": before, "after": after}


def _shown(obj: Mapping[str, Any]) -> dict[str, Any]:
    holder = _holder_of(obj)
    mark = {"metadata": {"annotations": {SIZED_BY_ANNOTATION: holder}}} if holder else {}
    return {**mark, "spec": {"template": {"metadata": {"annotations": dict(_annotations(obj))}}}}
