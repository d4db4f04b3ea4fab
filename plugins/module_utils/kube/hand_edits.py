# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person's tool did to an object of ours: drift that an apply takes back."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from ..errors import ConflictError
from ..fields import mappings_at
from .owners import HAND_TOOLS


def changed_by_hand(before: Mapping[str, Any] | None, error: ConflictError, field_manager: str) -> bool:
    """Whether the object is ours, and everybody who is in the way is a person's tool, or ourselves by another
    operation than server-side apply."""
    ours = any(
        entry.get("manager") == field_manager and entry.get("operation") == "Apply"
        for entry in mappings_at(before, "metadata", "managedFields")
    )
    managers = error.manager.split(", ")
    return ours and all(
        manager == field_manager or any(fnmatch.fnmatchcase(manager.lower(), tool) for tool in HAND_TOOLS)
        for manager in managers
    )
