# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof, from a live object alone, that server-side apply of a desired object would change nothing.

The server stores per field manager which fields it applied last (``metadata.managedFields``, ``fieldsV1``).
If our entry names exactly the fields of the desired object, and the live values equal the desired ones, then
the apply sets nothing, owns nothing new and drops nothing old. Everything else, and every doubt, is "not
proved": the caller asks the server with a dry-run, so a wrong "no" costs a request and never correctness.

Sources: kubernetes.io/docs/reference/using-api/server-side-apply; sigs.k8s.io/structured-merge-diff
``fieldpath/serialize-pe.go`` (keys ``f:``, ``k:``, ``v:``, ``i:``) and ``typed/tofieldset.go``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Neither is part of a field set: they identify the object, or belong to the server.
_IDENTITY = frozenset({"apiVersion", "kind"})
_METADATA_IDENTITY = frozenset(
    {
        "name",
        "namespace",
        "resourceVersion",
        "uid",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
    }
)


def proves_unchanged(live: Mapping[str, Any], desired: Mapping[str, Any], manager: str) -> bool:
    """Whether applying ``desired`` as ``manager`` is proved to change neither ``live`` nor its ownership.

    :param live: the object as the server returned it, with ``managedFields``.
    """
    fields = _applied_fields(live, str(desired.get("apiVersion", "")), manager)
    if fields is None or (live.get("metadata") or {}).get("deletionTimestamp"):
        return False
    top = {key: value for key, value in desired.items() if key not in _IDENTITY}
    metadata = {k: v for k, v in (desired.get("metadata") or {}).items() if k not in _METADATA_IDENTITY}
    if metadata:
        top["metadata"] = metadata
    else:
        top.pop("metadata", None)
    if not top:
        return not fields
    return _map_is_same(fields, top, live)


def _applied_fields(live: Mapping[str, Any], api_version: str, manager: str) -> Mapping[str, Any] | None:
    """Our one ``Apply`` entry. Several, one of another version or of a subresource leave doubt."""
    entries = [
        entry
        for entry in (live.get("metadata") or {}).get("managedFields") or ()
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
    ]
    if len(entries) != 1:
        return None
    entry = entries[0]
    if (
        entry.get("subresource")
        or entry.get("apiVersion") != api_version
        or entry.get("fieldsType") != "FieldsV1"
    ):
        return None
    fields = entry.get("fieldsV1")
    return fields if isinstance(fields, Mapping) else None


def _is_same(fields: Any, desired: Any, live: Any) -> bool:
    if not isinstance(fields, Mapping):
        return False
    children = [key for key in fields if key != "."]
    if not children:
        # A scalar, an atomic list or map, or an empty map: owned as a whole.
        return _equal(desired, live)
    if isinstance(desired, Mapping):
        return _map_is_same(fields, desired, live)
    if isinstance(desired, list) and isinstance(live, list) and desired:
        if all(key.startswith("k:") for key in children):
            return _keyed_list_is_same({key: fields[key] for key in children}, desired, live)
        if all(key.startswith("v:") for key in children):
            return _set_is_same(children, desired, live)
    return False


def _map_is_same(fields: Mapping[str, Any], desired: Mapping[str, Any], live: Any) -> bool:
    if not isinstance(live, Mapping):
        return False
    owned = {key[2:] for key in fields if key.startswith("f:")}
    if len(owned) != sum(1 for key in fields if key != ".") or owned != desired.keys():
        return False
    return all(
        key in live and _is_same(fields[f"f:{key}"], value, live[key]) for key, value in desired.items()
    )


def _keyed_list_is_same(fields: Mapping[str, Any], desired: list[Any], live: list[Any]) -> bool:
    """Items of an associative list: the same keys, equal items, in the same relative order."""
    if len(fields) != len(desired):
        return False
    found = []
    for text, item_fields in fields.items():
        key = _parsed(text[2:])
        if not isinstance(key, Mapping):
            return False
        wanted = [index for index, item in enumerate(desired) if _has_key(item, key)]
        there = [index for index, item in enumerate(live) if _has_key(item, key)]
        if len(wanted) != 1 or len(there) != 1:
            return False
        if not _is_same(item_fields, desired[wanted[0]], live[there[0]]):
            return False
        found.append((wanted[0], there[0]))
    return _same_order(found)


def _set_is_same(children: list[str], desired: list[Any], live: list[Any]) -> bool:
    """Members of a set: the same values, in the same relative order."""
    if len(children) != len(desired):
        return False
    found = []
    for text in children:
        member = _parsed(text[2:])
        wanted = [index for index, item in enumerate(desired) if _equal(item, member)]
        there = [index for index, item in enumerate(live) if _equal(item, member)]
        if len(wanted) != 1 or len(there) != 1:
            return False
        found.append((wanted[0], there[0]))
    return _same_order(found)


def _same_order(pairs: list[tuple[int, int]]) -> bool:
    """The server keeps the applied order: items that only swapped places are a change."""
    positions = [there for _unused, there in sorted(pairs)]
    return positions == sorted(positions) and len({wanted for wanted, _unused in pairs}) == len(pairs)


def _has_key(item: Any, key: Mapping[str, Any]) -> bool:
    """An item matches only with all key fields written out; a defaulted key field leaves doubt."""
    return isinstance(item, Mapping) and all(
        name in item and _equal(item[name], value) for name, value in key.items()
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _equal(one: Any, other: Any) -> bool:
    """Equality as JSON knows it: ``true`` is not 1, and 1 is not 1.0."""
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and one.keys() == other.keys()
            and all(_equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(_equal(a, b) for a, b in zip(one, other, strict=True))
        )
    return type(one) is type(other) and bool(one == other)
