# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures that reached no known workload (no healthy upstream, refused connections): whose they are.

A client's proxy that finds no endpoint names none, so its failure bears no version. Some of that is always
there. What lies in the share that was there before the rollout belongs to both versions, by their requests.
What exceeds it belongs to the version whose requests are missing: where the canary should get a tenth of all
and gets it, the failures are the stable version's. While the proxies change from one split to the next,
nobody knows the canary's share, but its bounds: then the failures belong to the version that alone explains
them, and to the canary where either does, or neither.
"""

from __future__ import annotations

import math
from typing import Union

from .requests import RequestCounts

NOISE = 2.0  # standard deviations by which a count may exceed its expectation
Weight = Union[float, tuple[float, float]]  # noqa: UP007 - pylint of ansible-test takes no | here
"""Percent of all requests that the canary was to get, or the least and the most that it may have got."""


def share_at_most(failed: float, total: float) -> float:
    """The share of all requests that failed so before the rollout, at most: 0 without requests."""
    return (failed + NOISE * math.sqrt(failed)) / total if total > 0 else 0.0


class Unattributed:
    """Divides these failures between the versions, look by look.

    :param share: of all requests that were lost so before the rollout, at most (`share_at_most`).
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._failed = self._excess = self._requests = 0.0

    def divide(
        self, failed: float, canary: float, stable: float, weight: Weight | None
    ) -> tuple[RequestCounts, RequestCounts]:
        """What the failures of one look add to the canary and to the stable version.

        :param failed: since the last look. :param canary, stable: requests since the last look that reached
            the version. :param weight: what the canary was to get; ``None`` = nobody knows, so that the
            excess is charged to the canary.
        :returns: (canary, stable), each as requests that all failed.
        """
        total = failed + canary + stable
        if failed <= 0:
            self._requests += total
            return RequestCounts(), RequestCounts()
        self._failed += failed
        self._requests += total
        expected = self._share * self._requests
        excess = max(self._excess, self._failed - expected - NOISE * math.sqrt(expected))
        beyond, self._excess = min(failed, excess - self._excess), excess
        ours = (failed - beyond) * self._traffic_share(canary, stable, weight)
        ours += beyond * self._missing_share(total, canary, stable, weight)
        return RequestCounts(ours, ours), RequestCounts(failed - ours, failed - ours)

    @staticmethod
    def _traffic_share(canary: float, stable: float, weight: Weight | None) -> float:
        if canary + stable > 0:
            return canary / (canary + stable)
        most = weight[1] if isinstance(weight, tuple) else weight
        return 1.0 if most is None else most / 100

    @staticmethod
    def _missing_share(total: float, canary: float, stable: float, weight: Weight | None) -> float:
        if weight is None:
            return 1.0
        if isinstance(weight, tuple):
            least, most = (percent / 100 * total for percent in weight)
            noise = NOISE * math.sqrt(most * (1 - most / total))
            may_be_stables = least - noise <= canary <= most + noise
            may_be_ours = least - noise <= total - stable <= most + noise
            return 0.0 if may_be_stables and not may_be_ours else 1.0
        wanted = weight / 100
        ours, theirs = max(0.0, wanted * total - canary), max(0.0, (1 - wanted) * total - stable)
        return ours / (ours + theirs) if ours + theirs > 0 else wanted
