# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the add-ons of a list, removes those that left it, and waits until they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..context import Context
from ..errors import InputError, Problem
from ..istio.installation.manifests import parse_manifests
from ..kube.client import KubeClient
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..labels import PART_OF_LABEL
from ..model.addons import CLUSTER_KINDS, KINDS, PART_OF, all_images, prepared
from .apply.engine import Wait, apply_objects

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "addons": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
        },
    },
    "namespace": {"type": "str", "default": "istio-system"},
    "images": {"type": "dict", "default": {}},
    "timeout": {"type": "int", "default": 300},
}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Server-side apply of everything that is wanted, deletion of what is not, and a bounded wait.

    :returns: the result of an apply, ``addons`` (names) and ``images``.
    :raises InputError: for a missing or empty source, or an object that two add-ons contain.
    """
    addons = [str(addon["name"]) for addon in params["addons"]]
    objects = read_addons(
        params["addons"], namespace=str(params["namespace"]), images=dict(params["images"] or {})
    )
    options = ConnectionOptions.from_params(params, context.environment)
    with context.client(options) as client:
        stale = _stale(client, objects, str(params["namespace"]))
        result = apply_objects(
            client, objects, context=context, absent=stale, wait=Wait(timeout=float(params["timeout"]))
        )
    return {**result, "addons": addons, "images": all_images(objects)}


def read_addons(
    addons: Sequence[Mapping[str, Any]], *, namespace: str, images: Mapping[str, str]
) -> list[dict[str, Any]]:
    """All objects of all add-ons, ready to be applied.

    :returns: the add-ons' objects, in the order of ``addons``.
    :raises InputError: with every problem of the sources.
    """
    problems: list[Problem] = []
    objects: list[dict[str, Any]] = []
    owners: dict[tuple[str, str, str], str] = {}
    for addon in addons:
        name = str(addon["name"])
        for obj in prepared(
            _read(name, Path(addon["path"]), problems), addon=name, namespace=namespace, images=images
        ):
            metadata = obj["metadata"]
            key = (obj["kind"], metadata.get("namespace", ""), metadata["name"])
            if key in owners:
                message = f"{obj['kind']} {metadata['name']} is also part of {owners[key]}"
                problems.append(Problem(f"addons[{name}]", message, "unique"))
            owners[key] = name
            objects.append(obj)
    if problems:
        raise InputError(problems)
    return objects


def _read(name: str, path: Path, problems: list[Problem]) -> list[dict[str, Any]]:
    if path.is_dir():
        files = sorted(item for item in path.iterdir() if item.suffix in (".yaml", ".yml", ".json"))
    else:
        files = [path] if path.is_file() else []
    if not files:
        problems.append(Problem(f"addons[{name}].path", f"{path} holds no manifest", "addon-source"))
    objects: list[dict[str, Any]] = []
    for file in files:
        objects += parse_manifests(file.read_text(encoding="utf-8"), about=str(file))
    return objects


def _stale(client: KubeClient, wanted: Sequence[Mapping[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """What earlier runs installed and this list no longer contains.

    Looked for in the add-ons' namespaces only: nobody has to be allowed to read all others for this.
    """
    kept = {_key(obj) for obj in wanted}
    namespaces = sorted({namespace, *(str(obj["metadata"].get("namespace") or namespace) for obj in wanted)})
    places = [
        (api_version, kind, place)
        for api_version, kind in KINDS
        for place in ([None] if kind in CLUSTER_KINDS else namespaces)
    ]
    selector = f"{PART_OF_LABEL}={PART_OF}"
    lists = client.in_parallel(
        lambda place: client.list(place[0], place[1], place[2], label_selector=selector).items, places
    )
    return [obj for items in lists for obj in items if _key(obj) not in kept]


def _key(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])
