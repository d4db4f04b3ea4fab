# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one time axis of all charts of the evidence page: from begin to end, phases, marks and ticks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .parts import clock, seconds

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
MOST_TICKS = 9


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A phase in time. :param label: such as ``2 · 25 %``. Times in seconds since the epoch."""

    number: int
    label: str
    begin: float
    end: float


@dataclasses.dataclass(frozen=True, slots=True)
class AxisMark:
    """A moment that decided. :param kind: ``bad`` or ``good``."""

    at: float
    label: str
    kind: str


@dataclasses.dataclass(frozen=True, slots=True)
class TimeAxis:
    """From ``begin`` to ``end``, in seconds since the epoch."""

    begin: float
    end: float
    spans: tuple[Span, ...]
    marks: tuple[AxisMark, ...]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where the clock times stand. :returns: (seconds, text) of each."""
        length = max(self.end - self.begin, 1.0)
        step = next(
            (step for step in _STEPS if length / step <= MOST_TICKS), 86400 * round(length / 86400 / 7 + 1)
        )
        first = -(-self.begin // step) * step
        found = []
        at = first
        while at <= self.end:
            found.append((at, clock(at, date=step >= 86400, whole=step >= 60)))
            at += step
        return found


def time_axis(evidence: Mapping[str, Any], timeline: Sequence[Mapping[str, Any]]) -> TimeAxis:
    """The axis of a run, from everything that has a time."""
    times = [seconds(line.get("at")) for line in timeline]
    times += [seconds(proof.get("at")) for proof in evidence.get("proofs", [])]
    for window in evidence.get("windows", []):
        times += [seconds(window.get("begin")), seconds(window.get("end"))]
    known = [at for at in times if at is not None]
    if not known:
        return TimeAxis(0.0, 1.0, (), ())
    begin, end = min(known), max(known)
    end = max(end, begin + 1.0)
    return TimeAxis(begin, end, tuple(_spans(evidence, timeline, end)), tuple(_marks(timeline)))


def _spans(evidence: Mapping[str, Any], timeline: Sequence[Mapping[str, Any]], end: float) -> list[Span]:
    labels = {phase.get("number"): _label(phase) for phase in (evidence.get("plan") or {}).get("phases", [])}
    found: list[Span] = []
    opened: tuple[int, float] | None = None
    for line in timeline:
        at, event = seconds(line.get("at")), str(line.get("event", ""))
        if at is None:
            continue
        begins = event.startswith("phase ") and event.endswith(": intent")
        ends = event.startswith(("rollback:", "promotion", "held:", "start over:", "paused", "end:"))
        waits = event.endswith("awaits approval")
        if opened and (begins or ends or waits):
            found.append(Span(opened[0], labels.get(opened[0], str(opened[0])), opened[1], at))
            opened = None
        if begins:
            opened = (int(line.get("phase") or 0), at)
    if opened:
        found.append(Span(opened[0], labels.get(opened[0], str(opened[0])), opened[1], end))
    return found


def _label(phase: Mapping[str, Any]) -> str:
    kind, share = phase.get("kind"), phase.get("canary")
    what = f"{share} %" if kind == "weight" else f"mirror {share} %" if kind == "mirror" else str(kind)
    return f"{phase.get('number')} \u00b7 {what}"


def _marks(timeline: Sequence[Mapping[str, Any]]) -> list[AxisMark]:
    kinds = (
        ("rollback:", "rollback", "bad"),
        ("held:", "held", "bad"),
        ("start over:", "start over", "bad"),
        ("promotion: intent", "promotion", "good"),
        ("taken over", "taken over", "bad"),
    )
    found: list[AxisMark] = []
    for line in timeline:
        at, event = seconds(line.get("at")), str(line.get("event", ""))
        for begin, label, kind in kinds:
            if at is not None and event.startswith(begin) and (not found or found[-1].label != label):
                found.append(AxisMark(at, label, kind))
    return found
