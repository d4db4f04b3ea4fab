# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a host of an Istio object takes in."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.host_patterns import takes_in


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
        ("*-x.b", "a-x.b", True),
        ("*x.b", "ax.b", True),
        ("*x.b", "c.ax.b", True),
        ("*x.b", "*.ax.b", True),
        ("*x.b", "*.b", False),
        ("*.b", "ab", False),
        ("*.a.b", "*.b", False),
        ("a.b", "*.b", False),
        ("a.b", "*", False),
    ],
)
def test_what_a_host_takes_in(pattern: str, host: str, covered: bool) -> None:
    assert takes_in(pattern, host) is covered
