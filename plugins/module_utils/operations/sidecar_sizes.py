# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the sidecars of a catalogue's services their sizes: annotations of pod templates, nothing else.

The workloads are somebody else's, so they are patched, never created or owned. A change rolls a Deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..context import Context
from ..errors import ApiError
from ..fields import annotations_of, mapping_at, name_of, namespace_of
from ..kube.client import KubeClient
from ..kube.comparison import for_display
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..kube.wait import rollout_status, wait_until
from ..model.catalogue.parse import parse_catalogue
from ..model.objects.proxy_annotations import proxy_patches
from ..object_id import object_id

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "default": {}},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "raw", "default": 120},
}
VARIABLES = {"wait": "mesh_wait", "wait_timeout": "mesh_wait_timeout"}

Patch = Mapping[str, Any]


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Patch the Deployments whose annotations differ, and wait until they are rolled out.

    :returns: ``changed``, ``objects`` (ids of what changed), ``diff`` if asked.
    :raises InputError: a bad catalogue. :raises ApiError: a Deployment does not exist.
    :raises WaitTimeout: a Deployment is not rolled out in time.
    """
    patches = proxy_patches(parse_catalogue(params["catalogue"]))
    if not patches:
        return {"changed": False, "objects": []}
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        found = client.in_parallel(lambda patch: _live(client, patch), patches)
        live = dict(zip(map(object_id, patches), found, strict=True))
        open_patches = [patch for patch in patches if _differs(patch, live[object_id(patch)])]
        after = client.in_parallel(
            lambda patch: client.patch(
                "apps/v1",
                "Deployment",
                name_of(patch),
                namespace_of(patch),
                {"spec": patch["spec"]},
                dry_run=context.check_mode,
            ),
            open_patches,
        )
        if params["wait"] and not context.check_mode:
            _wait(client, open_patches, float(params["wait_timeout"]), context)
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
    old, new = for_display(_template_only(before), _template_only(after))
    headers = {"before_header": object_id(patch), "after_header": object_id(patch)}
    return {**headers, "before": {"spec": old["spec"]}, "after": {"spec": new["spec"]}}


def _template_only(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": {"annotations": dict(_annotations(obj))}}}}
