# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency: applications that are slow themselves, by the access logs of their own proxies."""

from __future__ import annotations

from collections.abc import Iterator

from ..case import Case, SeenLine, full_name
from ..cause import LATENCY, LIKELY, SEEN, Cause

SLOW = 1000
"""Milliseconds; above it, at the 95th of a hundred, an answer counts as slow."""
ENOUGH = 5
"""Requests that say something about a service."""


def find(case: Case) -> Iterator[Cause]:
    """The pods of the symptom. :returns: one cause per pod that is slow."""
    if case.symptom.anything:
        return
    callees = set(map(full_name, (*case.callees, *case.named)))
    by_pod: dict[str, list[SeenLine]] = {}
    for seen in case.inbound_lines():
        if seen.proxy in callees and seen.line.code and not seen.line.refused:
            by_pod.setdefault(seen.proxy, []).append(seen)
    for name, found in sorted(by_pod.items()):
        times = sorted(seen.line.duration for seen in found)
        high = times[int(len(times) * 0.95)]
        if len(times) >= ENOUGH and high >= SLOW:
            said = (
                f"answers slowly itself: 95 % of {len(times)} requests within {high} ms, as its own proxy saw"
            )
            remedy = "look at the application: its processor, its pool of workers, what it calls itself"
            slowest = max(found, key=lambda seen: seen.line.duration).line
            shown = (f"the slowest: {slowest.method} {slowest.path}, {slowest.duration} ms",)
            yield Cause(LATENCY, f"Pod {name}", said, remedy, LIKELY + SEEN, shown)
