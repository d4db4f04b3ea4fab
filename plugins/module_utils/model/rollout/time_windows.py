# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of the week and of the year in which a rollout may go on, or must not. Pure functions.

A window is read on the wall clock of its zone, which whoever calls these functions has looked at: 08:00 is
08:00 before and after the clocks are changed.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES = 24 * 60


@dataclasses.dataclass(frozen=True, slots=True)
class TimeWindow:
    """A span of wall clock time.

    :param days: of the week on which it begins, as in ``DAYS``; empty = every day. :param begin, end: minutes
        since midnight; an end that is not after the begin is on the next day.
    :param first, last: dates and times (``2026-12-20T00:00``) between which it lies; empty = always.
    """

    days: tuple[str, ...] = ()
    begin: int = 0
    end: int = MINUTES
    first: str = ""
    last: str = ""

    def holds(self, local: datetime.datetime) -> bool:
        """Whether a moment of the window's wall clock lies in it."""
        if self.first and local < datetime.datetime.fromisoformat(self.first):
            return False
        if self.last and local >= datetime.datetime.fromisoformat(self.last):
            return False
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local.weekday() - 1) % 7
        if self.end > self.begin:
            return self._begins_on(today) and self.begin <= minute < self.end
        return (self._begins_on(today) and minute >= self.begin) or (
            self._begins_on(yesterday) and minute < self.end
        )

    def _begins_on(self, day: int) -> bool:
        return not self.days or DAYS[day] in self.days

    def __str__(self) -> str:
        """Such as ``fri 14:00-24:00``."""
        parts = []
        if self.first or self.last:
            parts.append(f"{self.first or '...'} to {self.last or '...'}")
        if self.days:
            parts.append(",".join(self.days))
        if (self.begin, self.end) != (0, MINUTES):
            parts.append(f"{clock_text(self.begin)}-{clock_text(self.end)}")
        return " ".join(parts) or "always"


def clock_text(minutes: int) -> str:
    """Minutes since midnight as ``14:05``."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def closed_by(local: datetime.datetime, freeze: Sequence[TimeWindow], only: Sequence[TimeWindow]) -> str:
    """Why nothing may go on at a moment; empty when it may.

    :param local: wall clock of the windows' zone, without a zone of its own.
    :param freeze: windows in which nothing goes on. :param only: windows outside of which nothing goes on.
    """
    for window in freeze:
        if window.holds(local):
            return f"frozen by {window}"
    if only and not any(window.holds(local) for window in only):
        return f"outside of {'; '.join(str(window) for window in only)}"
    return ""
