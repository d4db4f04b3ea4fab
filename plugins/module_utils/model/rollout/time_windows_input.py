# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads time windows: days of the week and hours of the day, or dates.

YAML makes surprising values here as well: 18:00 without quotes is the number 1080, 2026-12-24 a date.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .phases_input import PlanReader
from .time_windows import DAYS, MINUTES, TimeWindow

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ONE_DAY = datetime.timedelta(days=1)


def read_windows(read: PlanReader, where: str, value: Any) -> tuple[TimeWindow, ...]:
    """The windows of one list. :param read: takes every problem. :returns: those that can be read."""
    if isinstance(value, Mapping | str) or not isinstance(value, Sequence):
        read.problem(where, f"is {read.shown(value)}, not a list of windows", "time-window")
        return ()
    found = (_window(read, f"{where}[{index}]", item) for index, item in enumerate(value))
    return tuple(window for window in found if window is not None)


def _window(read: PlanReader, where: str, value: Any) -> TimeWindow | None:
    before = len(read.problems)
    given = read.mapping(where, value, {"days", "from", "to"})
    if len(read.problems) == before and not given:
        read.problem(where, "says neither days nor from and to, so it would be always", "time-window")
    days = _days(read, f"{where}.days", given.get("days"))
    first, last = given.get("from"), given.get("to")
    if _is_date(first) or _is_date(last):
        window = _between_dates(read, where, first, last)
        if days:
            read.problem(f"{where}.days", "does not go with dates in from and to", "time-window")
    else:
        begin = 0 if first is None else _minutes(read, f"{where}.from", first)
        end = MINUTES if last is None else _minutes(read, f"{where}.to", last)
        window = TimeWindow(days=days, begin=begin, end=end)
    return window if len(read.problems) == before else None


def _days(read: PlanReader, where: str, value: Any) -> tuple[str, ...]:
    """Days out of ``[mon, tue]``, ``mon-fri`` or ``sat, sun``."""
    if value is None:
        return ()
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if isinstance(words, Mapping) or not isinstance(words, Sequence) or not words:
        read.problem(where, f"is {read.shown(value)}, not days such as mon-fri", "time-window")
        return ()
    found: list[str] = []
    for word in words:
        first, dash, last = str(word).strip().lower().partition("-")
        ends = (first[:3], last[:3] if dash else first[:3])
        if any(end not in DAYS for end in ends) or not all(_is_day(end) for end in (first, last or first)):
            read.problem(where, f"{read.shown(word)} is no day ({', '.join(DAYS)})", "time-window")
            return ()
        begin, end = (DAYS.index(name) for name in ends)
        found += [DAYS[(begin + step) % 7] for step in range((end - begin) % 7 + 1)]
    return tuple(dict.fromkeys(found))


def _is_day(word: str) -> bool:
    long = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return word in DAYS or word in long


def _minutes(read: PlanReader, where: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MINUTES:
        return value  # YAML 1.1 has read 18:00 as 18 * 60
    if isinstance(value, str) and _CLOCK.fullmatch(value.strip()):
        hours, _colon, minutes = value.strip().partition(":")
        return int(hours) * 60 + int(minutes)
    read.problem(where, f"is {read.shown(value)}, not a time such as '18:00' or a date", "time-window")
    return 0


def _is_date(value: Any) -> bool:
    return isinstance(value, datetime.date) or (isinstance(value, str) and bool(_DATE.match(value.strip())))


def _between_dates(read: PlanReader, where: str, first: Any, last: Any) -> TimeWindow:
    begin = _moment(read, f"{where}.from", first, end=False)
    end = _moment(read, f"{where}.to", last, end=True)
    if begin and end and begin >= end:
        read.problem(where, "ends before it begins", "time-window")
    return TimeWindow(
        first=begin.isoformat(timespec="minutes") if begin else "",
        last=end.isoformat(timespec="minutes") if end else "",
    )


def _moment(read: PlanReader, where: str, value: Any, *, end: bool) -> datetime.datetime | None:
    """A date and time. :param end: a date alone means the end of that day, not its begin."""
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, datetime.date) else value
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            return moment + _ONE_DAY if end and _DATE.fullmatch(text.strip()) else moment
    except (ValueError, AttributeError, OverflowError):
        pass
    message = f"is {read.shown(value)}, not a date and time such as 2026-12-24T18:00 on the clock of timezone"
    read.problem(where, message, "time-window")
    return None
