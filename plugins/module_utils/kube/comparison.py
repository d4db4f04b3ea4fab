# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two states of an object, and how it is shown without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..equality import same
from ..fields import annotations_of, mapping_at, mappings_at

HIDDEN = "<hidden>"
HIDDEN_CHANGED = "<hidden, changed>"
# Written by the server with every write; no difference that anybody means.
_SERVER_METADATA = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEY_MATERIAL = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
# Fields whose value is a credential wherever they occur in Istio's and Envoy's API (inline data sources).
_SECRET_FIELDS = frozenset(
    {"privateKey", "private_key", "inlineBytes", "inline_bytes", "clientSecret", "password"}
)


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


def for_display(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """Both states as they may be shown: server fields left out, secrets blanked by structure.

    Blanking goes by where a value stands (``data`` of a Secret, a private key's PEM, a field that is a
    credential by its name), never by searching for known values. A changed secret shows that it changed.

    :returns: before and after; copies.
    """
    old, new = content(before), content(after)
    for obj in (old, new):
        annotations = annotations_of(obj)
        if _LAST_APPLIED in annotations:
            kept = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
            obj["metadata"] = {**obj["metadata"], "annotations": kept}
    if "Secret" in (old.get("kind"), new.get("kind")):
        for field in ("data", "stringData"):
            _blank_field(old, new, field)
    return _blanked(old, new), _blanked(new, old, is_new=True)


def _blank_field(old: dict[str, Any], new: dict[str, Any], field: str) -> None:
    one, other = old.get(field), new.get(field)
    if isinstance(one, Mapping):
        old[field] = dict.fromkeys(one, HIDDEN)
    if isinstance(other, Mapping):
        known = one if isinstance(one, Mapping) else {}
        new[field] = {
            key: HIDDEN_CHANGED if key in known and not same(known[key], value) else HIDDEN
            for key, value in other.items()
        }


def _blanked(value: Any, counterpart: Any, *, is_new: bool = False, field: str = "") -> Any:
    """A copy of ``value`` with credentials blanked; ``counterpart`` is the same place in the other state."""
    if isinstance(value, Mapping):
        other = counterpart if isinstance(counterpart, Mapping) else {}
        return {
            key: _blanked(item, other.get(key), is_new=is_new, field=str(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        others = counterpart if isinstance(counterpart, list) else []
        return [
            _blanked(item, others[index] if index < len(others) else None, is_new=is_new)
            for index, item in enumerate(value)
        ]
    if isinstance(value, str) and value not in (HIDDEN, HIDDEN_CHANGED) and _is_credential(value, field):
        changed = is_new and isinstance(counterpart, str) and counterpart != value
        return HIDDEN_CHANGED if changed else HIDDEN
    return value


def _is_credential(text: str, field: str) -> bool:
    return bool(text) and (field in _SECRET_FIELDS or _KEY_MATERIAL.search(text) is not None)
