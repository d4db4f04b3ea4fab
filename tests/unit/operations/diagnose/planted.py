# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A problem that a test plants into the healthy mesh, and the symptoms that somebody observes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .healthy_mesh import HOST, Healthy

CALL = {"source": "web", "destination": "api"}
AT_GATEWAY = {"hostname": HOST}
OUTSIDE = {"source": "web", "hostname": "pay.example.org"}
NOTHING: dict[str, str] = {}
YOUNG = "2026-11-23T11:59:00Z"


@dataclasses.dataclass(frozen=True)
class Planted:
    """A problem: how it is planted, what somebody observes, and what has to be found."""

    name: str
    family: str
    object: str
    symptom: dict[str, str]
    plant: Callable[[Healthy], Any]
