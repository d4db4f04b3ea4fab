# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as Istio's objects write them: a name, or ``*`` and its end: ``*.x`` for any number of labels before
``x``, ``*-a.x`` for names of one label as well (istio pkg/config/host/name.go SubsetOf)."""

from __future__ import annotations


def takes_in(pattern: str, host: str) -> bool:
    """Whether every name that ``host`` takes is one that ``pattern`` takes."""
    return pattern == host or (pattern.startswith("*") and host.endswith(pattern[1:]))
