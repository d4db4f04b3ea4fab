"""Who owns which field: server-side apply, as ``sigs.k8s.io/structured-merge-diff`` does it.

Maps are granular and lists are atomic, but for the lists in :data:`KEYED` and :data:`SETS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .copies import copied, identical

Path = tuple[str, ...]
Owners = dict[tuple[str, str], set[Path]]
"""(manager, operation) -> the fields that it owns, as keys of ``fieldsV1``."""

KEYED = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name"}
SETS = frozenset({"finalizers"})
_SERVERS = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"}
)


def fields_of(obj: Mapping[str, Any]) -> set[Path]:
    """Every field that the object states, but for those that are its identity or the server's."""
    stated = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SERVERS}
    if metadata:
        stated["metadata"] = metadata
    else:
        stated.pop("metadata", None)
    return set(_leaves(stated, (), ""))


def _leaves(value: Any, path: Path, name: str) -> Iterator[Path]:
    children = _children(value, name)
    if not children:
        if path:
            yield path
        return
    for key, child, child_name in children:
        if key.startswith("k:"):
            yield (*path, key)
        yield from _leaves(child, (*path, key), child_name)


def _children(value: Any, name: str) -> list[tuple[str, Any, str]]:
    if isinstance(value, Mapping):
        return [(f"f:{key}", child, str(key)) for key, child in value.items()]
    if isinstance(value, list) and name in KEYED:
        field = KEYED[name]
        return [
            (f"k:{json.dumps({field: item.get(field)}, separators=(',', ':'))}", item, "") for item in value
        ]
    if isinstance(value, list) and name in SETS:
        return [(f"v:{json.dumps(item)}", item, "") for item in value]
    return []


_ABSENT = object()


def value_at(obj: Any, path: Path) -> Any:
    """The value of a field, or a marker that equals nothing else."""
    name = ""
    for key in path:
        found = {child_key: (child, child_name) for child_key, child, child_name in _children(obj, name)}
        if key not in found:
            return _ABSENT
        obj, name = found[key]
    return obj


def applied(
    live: Mapping[str, Any], wanted: Mapping[str, Any], owners: Owners, manager: str
) -> tuple[dict[str, Any], Owners]:
    """The object and its owners after ``manager`` applied ``wanted``."""
    us, stated = (manager, "Apply"), fields_of(wanted)
    others = {owner: set(paths) for owner, paths in owners.items() if owner != us}
    given_up = owners.get(us, set()) - stated
    kept = set().union(*others.values()) if others else set()
    result = copied(dict(live))
    for path in sorted(given_up - kept, key=len):
        if not any(other[: len(path)] == path for other in kept | stated):
            _remove(result, path)
    for path in stated:
        value = value_at(wanted, path)
        if not path[-1].startswith("k:") and not identical(value_at(live, path), value):
            for paths in others.values():
                paths.discard(path)
    result = _overlaid(result, wanted, "")
    return result, {**{owner: paths for owner, paths in others.items() if paths}, us: stated}


def conflicts(
    live: Mapping[str, Any], wanted: Mapping[str, Any], owners: Owners, manager: str
) -> list[dict[str, str]]:
    """``details.causes`` of the 409: fields of other managers that would get another value."""
    causes = []
    for path in sorted(fields_of(wanted)):
        if path[-1].startswith("k:") or identical(value_at(live, path), value_at(wanted, path)):
            continue
        for (name, operation), paths in sorted(owners.items()):
            if (name, operation) != (manager, "Apply") and path in paths:
                message = f'conflict with "{name}"' + (" using v1" if operation == "Update" else "")
                field = "".join(f".{key[2:]}" if key[:2] == "f:" else f"[{key[2:]}]" for key in path)
                causes.append({"reason": "FieldManagerConflict", "message": message, "field": field})
    return causes


def updated(before: Mapping[str, Any], after: Mapping[str, Any], owners: Owners, manager: str) -> Owners:
    """The owners after ``manager`` wrote ``after`` by create, update or patch: it owns what it changed."""
    now = fields_of(after)
    changed = {path for path in now if not identical(value_at(before, path), value_at(after, path))}
    result = {owner: (paths & now) - changed for owner, paths in owners.items()}
    result[manager, "Update"] = result.get((manager, "Update"), set()) | changed
    return {owner: paths for owner, paths in result.items() if paths}


def _remove(obj: Any, path: Path) -> None:
    *outer, last = path
    parent, name = obj, ""
    for key in outer:
        found = {child_key: (child, child_name) for child_key, child, child_name in _children(parent, name)}
        if key not in found:
            return
        parent, name = found[key]
    if isinstance(parent, list):
        keys = [key for key, _child, _name in _children(parent, name)]
        if last in keys:
            del parent[keys.index(last)]
    else:
        parent.pop(last[2:], None)


def _overlaid(live: Any, wanted: Any, name: str) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        result = dict(live)
        for key, value in wanted.items():
            result[key] = _overlaid(live.get(key), value, str(key))
        return result
    if isinstance(live, list) and isinstance(wanted, list) and (name in KEYED or name in SETS):
        result_list = list(live)
        keys = [key for key, _child, _name in _children(live, name)]
        for key, child, _name in _children(wanted, name):
            if key in keys:
                result_list[keys.index(key)] = _overlaid(result_list[keys.index(key)], child, "")
            else:
                result_list.append(copied(child))
        return result_list
    return copied(wanted)


def read_owners(obj: Mapping[str, Any]) -> Owners:
    """The owners in ``metadata.managedFields``."""
    owners: Owners = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        key = (str(entry.get("manager", "")), str(entry.get("operation", "Update")))
        owners.setdefault(key, set()).update(_paths(entry.get("fieldsV1") or {}, ()))
    return owners


def _paths(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for key, below in fields.items():
        if key == ".":
            yield path
        elif not below:
            yield (*path, key)
        else:
            yield from _paths(below, (*path, key))


def write_owners(owners: Owners, api_version: str, time: str) -> list[dict[str, Any]]:
    """``metadata.managedFields`` of these owners."""
    return [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _tree(paths),
        }
        for (manager, operation), paths in sorted(owners.items())
    ]


def _tree(paths: set[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        if any(other != path and other[: len(path)] == path for other in paths):
            node["."] = {}
    return tree
