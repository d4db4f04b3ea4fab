# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Equality of JSON values, as an API server compares them.

Python's ``==`` takes ``true`` for 1: a field that changed from ``false`` to 0 would stay unchanged for ever.

Source: ``value.EqualsUsing`` of sigs.k8s.io/structured-merge-diff: numbers by value, whole or not; every
other type only with its own.
"""

from __future__ import annotations

from typing import Any


def same(one: Any, other: Any) -> bool:
    """Whether two values (mapping, list, text, number, bool, None) are the same JSON.

    Concrete types, and loops instead of ``all``: over thousands of objects that is six times as fast.
    """
    kind, other_kind = type(one), type(other)
    if kind is str:
        return bool(one == other)
    if kind is dict and other_kind is dict:
        if len(one) != len(other):
            return False
        for key, value in one.items():  # noqa: SIM110  # see above
            if key not in other or not same(value, other[key]):
                return False
        return True
    if kind is list and other_kind is list:
        if len(one) != len(other):
            return False
        for left, right in zip(one, other, strict=True):  # noqa: SIM110  # see above
            if not same(left, right):
                return False
        return True
    return _same_otherwise(one, other)


def _same_otherwise(one: Any, other: Any) -> bool:
    """What is left: numbers, bools and None, different types, and values of derived types."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)):
        return isinstance(other, (int, float)) and one == other
    if isinstance(one, str):
        return isinstance(other, str) and one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return same(dict(one), dict(other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return same(list(one), list(other))
    return one is None and other is None
