"""Copies of plain data: several times faster than `copied`, which the kill tests would call a million
times."""

from __future__ import annotations

from typing import Any

# Most of what is copied: a call for each would be half of the time.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def copied(value: Any) -> Any:
    """A copy of mappings and lists; everything else in them cannot change."""
    if isinstance(value, dict):
        return {key: item if type(item) in _PLAIN else copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [item if type(item) in _PLAIN else copied(item) for item in value]
    return value


def identical(one: Any, other: Any) -> bool:
    """Whether two plain values are the same JSON: Python takes ``True`` for 1, an API server does not."""
    if one != other:  # the fast way, for most
        return False
    if isinstance(one, dict):
        return all(identical(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return all(map(identical, one, other))
    return isinstance(one, bool) is isinstance(other, bool)
