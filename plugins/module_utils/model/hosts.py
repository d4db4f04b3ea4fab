# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as Istio's objects name them: ``*``, ``*.x`` with any number of labels before it, or a name.

Source: istio pkg/config/host/name.go. A wildcard of a certificate takes one label; see ``certificates``.
"""

from __future__ import annotations


def covers(pattern: str, host: str) -> bool:
    """Whether every name that ``host`` takes is one that ``pattern`` takes: ``*``, ``*.x`` or a name."""
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def narrower(one: str, other: str) -> str:
    """The names that two patterns share; ``""`` when they share none."""
    if covers(one, other):
        return other
    return one if covers(other, one) else ""
