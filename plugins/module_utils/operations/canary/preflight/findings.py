# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preflight collects."""

from __future__ import annotations

import dataclasses

from ....model.rollout.capacity import Size
from ....model.rollout.measurement import Baseline
from ....model.rollout.phases import RolloutPlan


@dataclasses.dataclass(slots=True)
class Preflight:
    """What was found. ``problems`` stop the rollout, ``warnings`` do not."""

    plan: RolloutPlan
    baseline: Baseline | None
    problems: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    sizes: dict[str, Size] = dataclasses.field(default_factory=dict)
