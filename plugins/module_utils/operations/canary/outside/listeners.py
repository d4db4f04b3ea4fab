# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wants to hear of a rollout."""

from __future__ import annotations

import dataclasses

from .web_call import Web


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """One URL that is told. :param events: which milestones; empty = all. :param timeout: seconds."""

    web: Web
    events: frozenset[str] = frozenset()
    timeout: float = 5.0
