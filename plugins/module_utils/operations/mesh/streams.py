# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says before a write whose long streams it is going to cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.catalogue.mesh import Catalogue
from ...model.objects.drains import Drain, drains, told
from ..apply.plan import DELETED

if TYPE_CHECKING:
    from ...context import Context
    from ..apply.engine import Plan


def ended_streams(catalogue: Catalogue, plan: Plan, context: Context) -> list[Drain]:
    """What of the plan replaces listeners, told to whoever watches. :returns: one per object."""
    states = [
        (item.before, None if item.action == DELETED else item.after or item.desired)
        if item.changes
        else (item.desired, item.desired)
        for item in plan.items
    ]
    found = drains(catalogue, states)
    if found:
        context.progress(told(found))
    return found
