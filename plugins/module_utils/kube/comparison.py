# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two states of an object, and how it is shown without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..equality import same
from ..fields import annotations_of, mapping_at, mappings_at
from .secret_fields import HIDDEN, Path, Pattern, secret_parts

HIDDEN_CHANGED = "<hidden, changed>"
# Written by the server with every write; no difference that anybody means.
_SERVER_METADATA = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
_ABSENT: Any = object()
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def content(obj: Mapping[str, Any] | None) -> dict[str, Any]:
    """An object without what the server itself writes: status and the server's metadata.

    :returns: a new mapping with shared parts; ``{}`` for no object.
    """
    if obj is None:
        return {}
    metadata = {
        key: value for key, value in mapping_at(obj, "metadata").items() if key not in _SERVER_METADATA
    }
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


def ownership(obj: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Who owns which fields, without times: what changes when only the ownership does.

    :returns: manager, operation, subresource, apiVersion and field set of every entry, sorted.
    """
    return sorted(
        (
            str(entry.get("manager")),
            str(entry.get("operation")),
            str(entry.get("subresource") or ""),
            str(entry.get("apiVersion")),
            json.dumps(entry.get("fieldsV1"), sort_keys=True),
        )
        for entry in mappings_at(obj, "metadata", "managedFields")
    )


def for_display(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, hidden: Sequence[Pattern] = ()
) -> tuple[Any, Any]:
    """Both states as they may be shown: server fields left out, secrets blanked by structure.

    Blanking goes by where a value stands (see ``secret_fields``), never by searching for known values. A
    changed secret shows that it changed.

    :param hidden: fields that a person calls secret.
    :returns: before and after; copies.
    """
    old, new = content(before), content(after)
    for obj in (old, new):
        annotations = annotations_of(obj)
        if _LAST_APPLIED in annotations:
            kept = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
            obj["metadata"] = {**obj["metadata"], "annotations": kept}
    old_parts, new_parts = secret_parts(old, hidden), secret_parts(new, hidden)
    told = {
        path: shown.replace(HIDDEN, HIDDEN_CHANGED) if _changed(path, shown, old_parts, old, new) else shown
        for path, shown in new_parts.items()
    }
    return _blanked(old, old_parts, ()), _blanked(new, told, ())


def blanked(obj: Any, hidden: Sequence[Pattern] = ()) -> Any:
    """A copy of an object, or of any part of one, with its secrets replaced."""
    return _blanked(obj, secret_parts(obj, hidden), ())


def _changed(path: Path, shown: str, old_parts: Mapping[Path, str], old: Any, new: Any) -> bool:
    """Whether the secret at a place is another one than before; of texts with holes the rest is equal."""
    one, other = _at(old, path), _at(new, path)
    if one is _ABSENT or isinstance(one, (Mapping, list)) != isinstance(other, (Mapping, list)):
        return False
    return not same(one, other) and (shown == HIDDEN or old_parts.get(path) == shown)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, str):
            return _ABSENT
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return value


def _blanked(value: Any, parts: Mapping[Path, str], path: Path) -> Any:
    """A copy of ``value`` with the secrets replaced."""
    if path in parts:
        return parts[path]
    if isinstance(value, Mapping):
        return {key: _blanked(item, parts, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [_blanked(item, parts, (*path, index)) for index, item in enumerate(value)]
    return value
