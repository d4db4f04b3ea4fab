# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three verdicts. What was not looked at, or could not be looked at, is never a pass."""

from __future__ import annotations

from collections.abc import Iterable

PASS = "pass"  # noqa: S105 - a verdict, no secret
FAIL = "fail"
CANNOT_TELL = "cannot tell"


def overall(verdicts: Iterable[str]) -> str:
    """One verdict for many: one fail fails; one "cannot tell", or no verdict at all, is "cannot tell"."""
    found = set(verdicts)
    if FAIL in found:
        return FAIL
    return PASS if found == {PASS} else CANNOT_TELL
