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

from collections.abc import Mapping, Sequence
from typing import Any

from ..documents.json_text import from_json
from ..equality import same
from ..fields import field, mapping_at, mappings_at
from .objects import is_built_in

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
# Maps of built-in kinds that are owned as a whole (`+structType=atomic`, `+mapType=atomic` in k8s.io/api), by
# the name of the field. Only those that the server does not default: their content is somebody's.
_ATOMIC_MAPS = frozenset(
    {
        "selector",
        "labelSelector",
        "namespaceSelector",
        "podSelector",
        "objectSelector",
        "nodeSelector",
        "roleRef",
        "configMapKeyRef",
        "secretKeyRef",
        "resourceFieldRef",
    }
)

Fields = Mapping[str, Any]


def proves_unchanged(live: Mapping[str, Any], desired: Mapping[str, Any], manager: str) -> bool:
    """Whether applying ``desired`` as ``manager`` is proved to change neither ``live`` nor its ownership.

    :param live: the object as the server returned it, with ``managedFields``.
    """
    api_version = str(desired.get("apiVersion", ""))
    fields, others = _field_sets(live, api_version, manager)
    if fields is None or field(live, "metadata", "deletionTimestamp"):
        return False
    top = {key: value for key, value in desired.items() if key not in _IDENTITY}
    metadata = {
        key: value for key, value in mapping_at(desired, "metadata").items() if key not in _METADATA_IDENTITY
    }
    if metadata:
        top["metadata"] = metadata
    else:
        top.pop("metadata", None)
    if not top:
        return not fields
    return _map_is_same(fields, top, live, others, is_typed=is_built_in(api_version))


def _field_sets(
    live: Mapping[str, Any], api_version: str, manager: str
) -> tuple[Fields | None, list[Fields]]:
    """Our one ``Apply`` entry, and all other entries.

    ``None`` for ours when it leaves doubt: several, one of another version or of a subresource.
    """
    ours: list[Mapping[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for entry in mappings_at(live, "metadata", "managedFields"):
        is_ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        (ours if is_ours else others).append(entry)
    other_fields = [entry["fieldsV1"] for entry in others if isinstance(entry.get("fieldsV1"), dict)]
    if len(ours) != 1:
        return None, other_fields
    entry = ours[0]
    is_whole = (
        not entry.get("subresource")
        and entry.get("apiVersion") == api_version
        and entry.get("fieldsType") == "FieldsV1"
    )
    fields = entry.get("fieldsV1")
    return fields if is_whole and isinstance(fields, dict) else None, other_fields


def _is_same(
    name: str, fields: Any, desired: Any, live: Any, others: Sequence[Fields], *, is_typed: bool
) -> bool:
    """Whether one field is proved. ``others`` are the other managers' sets at the same place."""
    if not isinstance(fields, dict):
        return False
    if not fields or (len(fields) == 1 and "." in fields):
        return same(desired, live) and _is_owned_whole(name, desired, others, is_typed=is_typed)
    if isinstance(desired, dict):
        return _map_is_same(fields, desired, live, others, is_typed=is_typed)
    if isinstance(desired, list) and isinstance(live, list) and desired:
        children = {key: value for key, value in fields.items() if key != "."}
        if all(key.startswith("k:") for key in children):
            return _keyed_list_is_same(children, desired, live, others, is_typed=is_typed)
        if all(key.startswith("v:") for key in children):
            return _set_is_same(children, desired, live)
    return False


def _is_owned_whole(name: str, desired: Any, others: Sequence[Fields], *, is_typed: bool) -> bool:
    """Whether a field without children in our set is owned with everything in it.

    It may also have been empty when we applied it, and others, or the server's defaults, have filled it
    since: then an apply would own its content for the first time. Children in another set betray that. For a
    map, whose content the server may have defaulted, only the kind's definition could tell.
    """
    if not desired or not isinstance(desired, (dict, list)):
        return True
    if any(key != "." for other in others for key in other):
        return False
    return isinstance(desired, list) or (is_typed and name in _ATOMIC_MAPS)


def _below(others: Sequence[Fields], key: str) -> list[Fields]:
    return [other[key] for other in others if isinstance(other.get(key), dict)]


def _map_is_same(
    fields: Fields, desired: Mapping[str, Any], live: Any, others: Sequence[Fields], *, is_typed: bool
) -> bool:
    if not isinstance(live, dict) or len(fields) - ("." in fields) != len(desired):
        return False
    for key, value in desired.items():
        owned = f"f:{key}"
        if owned not in fields:
            return False
        if key not in live:
            # A Go struct forgets empty maps and lists, although the field set keeps their names.
            if is_typed and isinstance(value, (dict, list)) and not value and not fields[owned]:
                continue
            return False
        below = _below(others, owned) if others else others
        typed = is_typed or key == "metadata"
        if not _is_same(key, fields[owned], value, live[key], below, is_typed=typed):
            return False
    return True


def _keyed_list_is_same(
    fields: Fields, desired: list[Any], live: list[Any], others: Sequence[Fields], *, is_typed: bool
) -> bool:
    """Items of an associative list: the same keys, equal items, in the same relative order."""
    if len(fields) != len(desired):
        return False
    found = []
    for text, item_fields in fields.items():
        key = _parsed(text[2:])
        if not isinstance(key, dict):
            return False
        wanted = [index for index, item in enumerate(desired) if _has_key(item, key)]
        there = [index for index, item in enumerate(live) if _has_key(item, key)]
        if len(wanted) != 1 or len(there) != 1:
            return False
        item, live_item = desired[wanted[0]], live[there[0]]
        is_all_key = not item_fields and item.keys() == key.keys() == live_item.keys()  # an atomic item
        below = _below(others, text)
        if not is_all_key and not _is_same("", item_fields, item, live_item, below, is_typed=is_typed):
            return False
        found.append((wanted[0], there[0]))
    return _same_order(found)


def _set_is_same(children: Fields, desired: list[Any], live: list[Any]) -> bool:
    """Members of a set: the same values, in the same relative order."""
    if len(children) != len(desired):
        return False
    found = []
    for text in children:
        member = _parsed(text[2:])
        wanted = [index for index, item in enumerate(desired) if same(item, member)]
        there = [index for index, item in enumerate(live) if same(item, member)]
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
    return isinstance(item, dict) and all(
        name in item and same(item[name], value) for name, value in key.items()
    )


def _parsed(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
