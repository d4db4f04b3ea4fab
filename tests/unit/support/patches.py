"""JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902), as an API server carries them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .copies import copied


class PatchError(ValueError):
    """The patch cannot be carried out on this object."""


def merge_patch(target: Any, patch: Any) -> Any:
    """A copy of ``target`` with ``patch`` in it."""
    if not isinstance(patch, Mapping):
        return copied(patch)
    result = copied(dict(target)) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """A copy of ``target`` after all ``operations``: add, remove, replace and test."""
    result = copied(target)
    for operation in operations:
        _operate(result, operation)
    return result


def _operate(body: Any, operation: Mapping[str, Any]) -> None:
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    parent = body
    for part in path:
        parent = _value(parent, part, operation)
    name, value = operation["op"], copied(operation.get("value"))
    if name == "add" and isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if index > len(parent):
            raise PatchError(f"{operation['path']} is beyond the end of the list")
        parent.insert(index, value)
    elif name == "add":
        parent[last] = value
    elif name == "test":
        if _value(parent, last, operation) != value:
            raise PatchError(f"testing path {operation['path']} failed")
    elif name in ("remove", "replace"):
        _value(parent, last, operation)
        place = int(last) if isinstance(parent, list) else last
        if name == "remove":
            del parent[place]
        else:
            parent[place] = value
    else:
        raise PatchError(f"unknown operation {name}")


def _value(parent: Any, part: str, operation: Mapping[str, Any]) -> Any:
    try:
        return parent[int(part) if isinstance(parent, list) else part]
    except (KeyError, IndexError, ValueError, TypeError):
        raise PatchError(f"{operation['op']} operation: {operation['path']} is missing") from None
