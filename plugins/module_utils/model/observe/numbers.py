# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people read them, the same on the screen and on the page."""

from __future__ import annotations

UNKNOWN = "?"
"""In tables, where the result says ``cannot tell``; the legend says so."""


def number(value: float | None) -> str:
    """A rate or a time with three digits that matter."""
    if value is None:
        return UNKNOWN
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(share: float | None) -> str:
    """A share as percent; never rounded to 0 or 100 when it is not."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{share * 100:.1f} %"
