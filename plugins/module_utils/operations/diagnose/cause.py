# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cause: what is wrong, with which object, how that is known, and what mends it."""

from __future__ import annotations

import dataclasses
from typing import Any

CONTROL_PLANE, DNS, INJECTION, GATEWAY = "control plane", "dns", "injection", "gateway"
ROUTING, SECURITY, EGRESS, LATENCY = "routing", "security", "egress", "latency"
FAMILIES = (CONTROL_PLANE, INJECTION, DNS, GATEWAY, ROUTING, SECURITY, EGRESS, LATENCY)
"""In the order in which causes of equal weight are told: what is behind others comes first."""

SURE, LIKELY, POSSIBLE = 90, 60, 30
"""SURE: requests that the symptom is about cannot do well. LIKELY: a part of them does not, or something is
broken that they need. POSSIBLE: a peculiarity that explains such a symptom; told only where there is one."""
SEEN = 5
"""What the proxies or their access logs show just now weighs a little more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """One cause.

    :param family: one of ``FAMILIES``. :param object: at fault, ``Kind namespace/name``.
    :param said: what is wrong with it, as half a sentence. :param remedy: the command, or the line of the
        catalogue, that mends it. :param evidence: what shows it besides, a sentence each.
    :param late: whether a pod on its way up or down shows the same: it counts only if it lasts.
    """

    family: str
    object: str
    said: str
    remedy: str
    weight: int = SURE
    evidence: tuple[str, ...] = ()
    late: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same cause. :returns: family, object, and what is said."""
        return self.family, self.object, self.said

    def as_dict(self, rank: int) -> dict[str, Any]:
        """The cause as it stands in results.

        :returns: ``rank`` (from 1), ``family``, ``object``, ``cause``, ``likelihood``, ``evidence`` (list of
            text) and ``remedy``.
        """
        return {
            "rank": rank,
            "family": self.family,
            "object": self.object,
            "cause": self.said,
            "likelihood": likelihood(self.weight),
            "evidence": list(self.evidence),
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        return f"{self.object}: {self.said}"


def likelihood(weight: int) -> str:
    """A weight in words: ``sure``, ``likely`` or ``possible``."""
    if weight >= SURE:
        return "sure"
    return "likely" if weight >= LIKELY else "possible"
