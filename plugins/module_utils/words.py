# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enumerations in sentences for people: a few are named, the rest is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def some_of(
    names: Sequence[str], most: int = 3, *, between: str = ", ", before: str = " ", kind: str = ""
) -> str:
    """The first names, and how many more there are: ``a, b, c and 2 more``.

    :param between: stands between two of them. :param before: what stands before the count's ``and``.
    :param kind: what the counted ones are.
    """
    rest = len(names) - most
    more = f"{before}and {rest} more{f' {kind}' if kind else ''}" if rest > 0 else ""
    return between.join(names[:most]) + more


def few(names: Iterable[str]) -> str:
    """The first three of several names, each told once, and how many more there are."""
    return some_of(list(dict.fromkeys(names)))
