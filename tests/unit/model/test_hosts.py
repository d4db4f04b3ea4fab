# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a host with a wildcard takes."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.hosts import covers, narrower


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("*", "a.b", True),
        ("*", "*", True),
        ("a.b", "a.b", True),
        ("a.b", "c.a.b", False),
        ("*.b", "a.b", True),
        ("*.b", "x.a.b", True),
        ("*.b", "*.a.b", True),
        ("*.b", "*.b", True),
        ("*.b", "b", False),
        ("*.b", "ab", False),
        ("*.a.b", "*.b", False),
        ("a.b", "*.b", False),
        ("a.b", "*", False),
    ],
)
def test_covers(pattern: str, host: str, covered: bool) -> None:
    assert covers(pattern, host) is covered


def test_the_names_that_two_patterns_share() -> None:
    """By the names themselves: whatever both take is taken by what is said to be shared, and nothing else."""
    patterns = ["*", "*.b", "*.a.b", "a.b", "x.a.b", "c"]
    names = ["a.b", "x.a.b", "y.x.a.b", "z.b", "c", "b"]
    for one, other in itertools.product(patterns, repeat=2):
        shared = narrower(one, other)
        for name in names:
            both = covers(one, name) and covers(other, name)
            assert (bool(shared) and covers(shared, name)) == both, (one, other, name)
