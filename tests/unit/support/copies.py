"""Copies of plain data: several times faster than `copied`, which the kill tests would call a million
times."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A copy of mappings and lists; everything else in them cannot change."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
