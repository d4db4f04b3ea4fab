# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small facts about Kubernetes objects as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# (apiVersion, kind, namespace or "", name)
Key = tuple[str, str, str, str]


def key_of(obj: Mapping[str, Any]) -> Key:
    """What identifies an object on a server."""
    metadata = obj.get("metadata") or {}
    return (
        str(obj.get("apiVersion", "")),
        str(obj.get("kind", "")),
        str(metadata.get("namespace") or ""),
        str(metadata.get("name", "")),
    )


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


def is_untouched(obj: Mapping[str, Any]) -> bool:
    """Whether every recorded write of an object happened in the second of its creation."""
    metadata = obj.get("metadata") or {}
    entries = metadata.get("managedFields") or ()
    return bool(entries) and all(entry.get("time") == metadata.get("creationTimestamp") for entry in entries)


def covers(live: Any, wanted: Any) -> bool:
    """Whether ``live`` holds everything that ``wanted`` says; the server may have added more to mappings.

    ``metadata.resourceVersion`` is left out: it changes with the very write that is looked for.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return False
        return all(
            key == "resourceVersion" or value is None or (key in live and covers(live[key], value))
            for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str | bytes):
        if not isinstance(live, Sequence) or isinstance(live, str) or len(live) != len(wanted):
            return False
        return all(covers(one, other) for one, other in zip(live, wanted, strict=True))
    return bool(live == wanted)
