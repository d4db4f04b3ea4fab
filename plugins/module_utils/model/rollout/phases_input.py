# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the numbers of a rollout plan and collects every problem instead of stopping at the first.

YAML makes surprising values (``yes`` is true, ``1e3`` is text, ``.inf`` is a float), so nothing is
converted silently: a percentage is an integer, a duration is a number of seconds or text with a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ...errors import Problem
from ..reading.durations import EXAMPLES, read_seconds
from ..reading.texts import plain_boolean, plain_number
from ..reading.values import COOKIE, HEADER, LABEL

MAX_SECONDS = 7 * 24 * 3600.0
MAX_REQUESTS = 10**9
_Value = TypeVar("_Value")


class PlanReader:
    """Typed reading of untrusted values; ``problems`` holds what was wrong."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.problems: list[Problem] = []

    def problem(self, where: str, message: str, rule: str) -> None:
        """Records one problem."""
        self.problems.append(Problem(f"{self.prefix}{where}", message, rule))

    @staticmethod
    def shown(value: Any) -> str:
        """A value in an error message: short, printable, on one line."""
        text = ascii(value)
        return text if len(text) <= 40 else f"{text[:37]}..."

    def name(self, where: str, value: Any) -> str:
        """A version name; an empty string when refused."""
        if isinstance(value, str) and not LABEL.fault(value):
            return value
        self.problem(where, f"is {self.shown(value)}, not a version name", "version-name")
        return ""

    def object_name(self, where: str, value: Any) -> str:
        """The name of an object in the cluster; an empty string when absent or refused."""
        if value is None or value == "":
            return ""
        if isinstance(value, str) and all(part and not LABEL.fault(part) for part in value.split(".")):
            return value
        self.problem(where, f"is {self.shown(value)}, not a name of an object", "object-name")
        return ""

    def header(self, where: str, value: Any, what: str = "header") -> str:
        """A name that is a token (RFC 9110); an empty string when refused. :param what: ``cookie``, too."""
        check = COOKIE if what == "cookie" else HEADER
        if isinstance(value, str) and not check.fault(value):
            return value
        self.problem(where, f"is {self.shown(value)}, not a {what} name", f"{what}-name")
        return ""

    def text(self, where: str, value: Any) -> str:
        """Text on one line; an empty string when refused."""
        if isinstance(value, str) and value and value.isprintable():
            return value
        self.problem(where, f"is {self.shown(value)}, not text on one line", "text")
        return ""

    def boolean(self, where: str, value: Any) -> bool:
        """True or false; false when refused."""
        value = plain_boolean(value)
        if isinstance(value, bool):
            return value
        self.problem(where, f"is {self.shown(value)}, not true or false", "boolean")
        return False

    def whole(self, where: str, value: Any, least: int, most: int) -> int:
        """A whole number between two others; the least one when refused."""
        value = plain_number(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.problem(
                where, f"is {self.shown(value)}, not a whole number from {least} to {most}", "number"
            )
            return least
        return value

    def weight(self, where: str, value: Any) -> int:
        """A percentage from 1 to 100; 0 when refused."""
        value = plain_number(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(where, f"is {self.shown(value)}, not a whole number of percent", "phases-weight")
            return 0
        if not 1 <= value <= 100:
            self.problem(where, f"is {self.shown(value)}, not from 1 to 100", "phases-weight")
            return 0
        return value

    def seconds(self, where: str, value: Any) -> float:
        """A duration in seconds from above 0 to one week; 0 when refused."""
        seconds = read_seconds(value)
        if seconds is None:
            self.problem(where, f"is {self.shown(value)}, not a duration such as {EXAMPLES}", "duration")
            return 0.0
        if not 0 < seconds <= MAX_SECONDS:
            self.problem(where, f"is {self.shown(value)}, not above 0 and at most one week", "duration")
            return 0.0
        return seconds

    def requests(self, where: str, value: Any) -> int:
        """A number of requests, 0 or more."""
        value = plain_number(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_REQUESTS:
            self.problem(where, f"is {self.shown(value)}, not a whole number of requests", "requests")
            return 0
        return value

    def rate(self, where: str, value: Any) -> float:
        """A finite rate of at least 0."""
        number = self.number(where, value)
        if number < 0:
            self.problem(where, f"is {self.shown(value)}, below 0", "rate")
            return 0.0
        return number

    def number(self, where: str, value: Any) -> float:
        """A finite number; 0 when refused."""
        value = plain_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            self.problem(where, f"is {self.shown(value)}, not a finite number", "number")
            return 0.0
        return float(value)

    def above_zero(self, where: str, value: Any) -> float:
        """A finite number above 0; 0 when refused."""
        value = plain_number(value)
        number = self.number(where, value)
        if number < 0 or (number == 0 and value == 0):
            self.problem(where, f"is {self.shown(value)}, not above 0", "number")
            return 0.0
        return number

    def share(self, where: str, value: Any) -> float:
        """A probability strictly between 0 and 1, so that 5 (meant as percent) is refused."""
        number = self.number(where, value)
        if not 0 < number < 1:
            self.problem(where, f"is {self.shown(value)}, not a share between 0 and 1 (0.01 is 1 %)", "share")
            return 0.5
        return number

    def mapping(self, where: str, value: Any, fields: set[str]) -> Mapping[str, Any]:
        """A mapping with known fields only. :returns: ``{}`` when it is absent or bad."""
        if not isinstance(value, Mapping):
            self.problem(where, f"is {self.shown(value)}, not a mapping", "mapping")
            return {}
        for field in sorted(set(map(str, value)) - fields):
            self.problem(f"{where}.{field}", "is not a known field", "unknown-field")
        return value

    def per_step(
        self, where: str, value: Any, count: int, read: Callable[[str, Any], _Value]
    ) -> list[_Value]:
        """One value for all steps, or a list with one per step. :returns: one value per step."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            single = read(where, value)
            return [single for _turn in range(count)]
        if count and len(value) != count:
            self.problem(where, f"has {len(value)} items for {count} steps", "phases-length")
        values = [read(f"{where}[{index}]", item) for index, item in enumerate(value[:count])]
        return values + [read(where, 1) for _turn in range(count - len(values))]


def _finite(value: float) -> bool:
    # A YAML integer can be too large for a float; that is not a finite number either.
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
