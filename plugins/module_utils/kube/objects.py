# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small facts about Kubernetes objects as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..equality import same
from ..fields import field, list_at, mappings_at, name_of, namespace_of, text_at

# (apiVersion, kind, namespace or "", name)
Key = tuple[str, str, str, str]
# Groups without a domain are Kubernetes' own as well; others below k8s.io come as custom resources.
_BUILT_IN_GROUPS = frozenset(
    f"{name}.k8s.io"
    for name in (
        "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization",
        "certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "networking", "node",
        "rbac.authorization", "resource", "scheduling", "storage", "storagemigration",
    )
)  # fmt: skip


def is_built_in(api_version: str) -> bool:
    """Whether the API server itself defines the kinds of ``api_version``, and keeps them as Go structs."""
    group = api_version.rpartition("/")[0]
    return "." not in group or group in _BUILT_IN_GROUPS


def key_of(obj: Mapping[str, Any]) -> Key:
    """What identifies an object on a server."""
    return (str(obj.get("apiVersion", "")), str(obj.get("kind", "")), namespace_of(obj), name_of(obj))


def unfolded(document: Any) -> list[Any]:
    """What a document of a manifest describes: the items of a list or of a ``kind: List``, else itself.

    :returns: the parts, unchecked: they may be anything.
    """
    if isinstance(document, list):
        return document
    if (
        isinstance(document, Mapping)
        and str(document.get("kind", "")).endswith("List")
        and isinstance(document.get("items"), list)
    ):
        return list(document["items"])
    return [document]


def is_leaving(obj: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted the object, and only finalizers or what it owns keep it for a while.

    What is written to it vanishes with it (https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/).
    """
    return field(obj, "metadata", "deletionTimestamp") is not None


def kept_by(live: Mapping[str, Any]) -> str:
    """Why an object that was deleted is still there. A namespace says so in conditions."""
    if live.get("kind") == "Namespace":
        told = [item for item in mappings_at(live, "status", "conditions") if item.get("status") == "True"]
        return "; ".join(text_at(item, "message") for item in told) or "its content is being deleted"
    return f"finalizers: {', '.join(map(str, list_at(live, 'metadata', 'finalizers'))) or 'none'}"


def is_untouched(obj: Mapping[str, Any]) -> bool:
    """Whether every recorded write of an object happened in the second of its creation."""
    created = field(obj, "metadata", "creationTimestamp")
    entries = mappings_at(obj, "metadata", "managedFields")
    return bool(entries) and all(entry.get("time") == created for entry in entries)


def covers(live: Any, wanted: Any) -> bool:
    """Whether ``live`` holds everything that ``wanted`` says; the server may have added more to mappings.

    ``metadata.resourceVersion`` is left out: it changes with the very write that is looked for.
    """
    return first_lost(live, wanted) is None


def first_lost(live: Any, wanted: Any, path: str = "") -> str | None:
    """Where ``live`` first holds something else than ``wanted`` says, such as ``spec.hosts``; see ``covers``.

    :returns: the topmost path of a list or value that differs; ``None`` where nothing does.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return path
        for key, value in wanted.items():
            if key == "resourceVersion" or value is None:
                continue
            below = f"{path}.{key}" if path else str(key)
            lost = first_lost(live[key], value, below) if key in live else below
            if lost is not None:
                return lost
        return None
    if isinstance(wanted, (list, tuple)):
        if not isinstance(live, (list, tuple)) or len(live) != len(wanted):
            return path
        found = (first_lost(one, other, path) for one, other in zip(live, wanted, strict=True))
        return path if any(lost is not None for lost in found) else None
    return None if same(live, wanted) else path
