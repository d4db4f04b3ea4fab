# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few are named, the rest is counted; nobody reads "and 0 more"."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.words import some_of


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("", ""),
        ("a", "a"),
        ("abc", "a, b, c"),
        ("abcd", "a, b, c and 1 more"),
        ("abcde", "a, b, c and 2 more"),
    ],
)
def test_three_are_named(names: str, said: str) -> None:
    assert some_of([*names]) == said


def test_other_forms() -> None:
    assert some_of(["a", "b", "c"], 1) == "a and 2 more"
    assert some_of(["a", "b", "c"], 2, between="; ", before="; ") == "a; b; and 1 more"
    assert some_of(["a", "b"], 2, between="; ", before="; ") == "a; b"
    assert some_of(["a", "b", "c"], 2, before=", ", kind="ports") == "a, b, and 1 more ports"
    assert some_of(("a", "b"), 1, kind="ports") == "a and 1 more ports"
