# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Truth with a third value: what an object leaves open is neither yes nor no.

``None`` stands for "cannot tell". Kleene's rules: a part that is known to fail makes the whole fail,
whatever the unknown rest would have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Truth: TypeAlias = "bool | None"
GO_TRUE = ("1", "t", "T", "true", "TRUE", "True")
"""What Go's strconv.ParseBool takes for true."""


def all_of(parts: Iterable[Truth]) -> Truth:
    """Whether all hold; nothing at all holds."""
    result: Truth = True
    for part in parts:
        if part is False:
            return False
        if part is None:
            result = None
    return result


def any_of(parts: Iterable[Truth]) -> Truth:
    """Whether one holds; of nothing, none does."""
    result: Truth = False
    for part in parts:
        if part is True:
            return True
        if part is None:
            result = None
    return result


def negated(truth: Truth) -> Truth:
    """The opposite; of the unknown, the unknown."""
    return None if truth is None else not truth
