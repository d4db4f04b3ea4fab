# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads one mapping of the user's input: types, ranges, unknown keys. Collects every problem, raises none.

A method that meets a bad value notes the problem under the exact variable path and returns a harmless
stand-in, so that the rest of the input is still checked and the user sees all faults in one run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import nearest
from .durations import NO_TIMEOUT, parse_duration, with_unit
from .problems import Problems
from .texts import plain_boolean, plain_number
from .values import DURATION, QUANTITY, TIMEOUT, Check, label_key_fault, label_value_fault

_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)


def kind_of(value: Any) -> str:
    """The word a person uses for the type of a YAML value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, Sequence) else type(value).__name__


class Reader:
    """One mapping of the input.

    :param raw: the mapping as it came out of YAML. :param where: its variable path.
    :param problems: collects the faults.
    """

    def __init__(self, raw: Any, where: str, problems: Problems) -> None:
        self.where = where
        self.problems = problems
        self._known: set[str] = set()
        self._raw: dict[str, Any] = {}
        if isinstance(raw, Mapping):
            self._raw = {str(key): value for key, value in raw.items()}
            if len(self._raw) < len(raw):
                problems.add(where, "has one key twice, as text and as something else", "duplicate-key")
        else:
            problems.add(where, f"is {kind_of(raw)}, not a mapping", "type")
            # What it lacks follows from that: noted where nobody looks.
            self.problems = Problems()
            self.problems.add(where, "is no mapping", "type")

    def path(self, key: str) -> str:
        """The variable path of ``key``."""
        if not self.where:
            return key
        return f"{self.where}[{key}]" if key.isdigit() else f"{self.where}.{key}"

    def fault(self, key: str, message: str, rule: str) -> None:
        """Notes a problem with ``key`` (the mapping itself when ``key`` is empty)."""
        self.problems.add(self.path(key) if key else self.where, message, rule)

    def sound(self, *keys: str) -> bool:
        """Whether nothing below ``keys`` was refused; without any, nothing in the whole mapping.

        A rule about several values asks first: a fault of one of them would come out as a second one.
        """
        paths = [self.path(key) for key in keys] or [self.where]
        return not self.problems.within(*paths)

    def has(self, key: str) -> bool:
        """Whether ``key`` is given and not null."""
        self._known.add(key)
        return self._raw.get(key) is not None

    def value(self, key: str) -> Any:
        """The raw value of ``key``, or ``None``."""
        self._known.add(key)
        return self._raw.get(key)

    def _missing(self, key: str) -> None:
        self.fault(key, "is required", "required")

    # -- scalars ---------------------------------------------------------------------------------------

    def maybe_text(self, key: str, check: Check | None = None) -> str | None:
        """A string, or ``None`` when it is absent or bad."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(key, f"is {kind_of(value)}, not a string", "type")
            return None
        fault = check.fault(value) if check else ""
        if check and fault:
            self.fault(key, fault, check.rule)
            return None
        return str(value)

    def text(self, key: str, check: Check | None = None, *, default: str | None = None) -> str:
        """A string; required when there is no default. ``""`` stands in for a bad one."""
        if not self.has(key):
            if default is None:
                self._missing(key)
            return default or ""
        return self.maybe_text(key, check) or ""

    def choice(self, key: str, options: Sequence[str], *, default: str | None = None) -> str:
        """One of ``options``, exactly as spelled; required when there is no default."""
        if not self.has(key) and default is not None:
            return default
        value = self.text(key)
        if value and value not in options:
            self.fault(key, f"is {value!r}, not one of {', '.join(options)}", "choice")
        return value if value in options else options[0]

    def boolean(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = plain_boolean(self.value(key))
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(key, f"is {kind_of(value)}, not true or false", "type")
            return default
        return value

    def maybe_integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number between ``low`` and ``high``, or ``None`` when it is absent or bad."""
        value = self.value(key)
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"is {value!r}, not a whole number", "type")
            return None
        if not low <= value <= high:
            self.fault(key, f"is {value}, not within {low} to {high}", "range")
            return None
        return value

    def integer(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """A whole number; required when there is no default. ``low`` stands in for a bad one."""
        if not self.has(key):
            if default is None:
                self._missing(key)
            return low if default is None else default
        value = self.maybe_integer(key, low, high)
        return low if value is None else value

    def maybe_number(self, key: str, low: float, high: float) -> float | None:
        """A number between ``low`` and ``high``, or ``None`` when it is absent or bad."""
        value = plain_number(self.value(key))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault(key, f"is {value!r}, not a number", "type")
            return None
        if not math.isfinite(value) or not low <= value <= high:
            self.fault(key, f"is {value}, not within {low:g} to {high:g}", "range")
            return None
        return float(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A required number. ``low`` stands in for a bad one."""
        if not self.has(key):
            self._missing(key)
            return low
        value = self.maybe_number(key, low, high)
        return low if value is None else value

    def quantity(self, key: str) -> str | None:
        """A size that Kubernetes takes, such as ``100m``, ``128Mi`` or 1; ``None`` when absent or bad."""
        value = self.value(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._raw[key] = str(value)
        return self.maybe_text(key, QUANTITY)

    def percent(self, key: str) -> float:
        """A required percentage. Istio takes 0, and from 0.0001 on (validatePercentage)."""
        value = self.number(key, 0, 100)
        if 0 < value < 0.0001:
            self.fault(key, f"is {value}, and the smallest that Istio takes is 0.0001", "range")
        return value

    def duration(self, key: str, *, required: bool = False) -> str | None:
        """A duration such as ``10s`` or a number of seconds, or ``None`` when it is absent or bad.

        :returns: with its unit, as Istio writes it.
        """
        if required and not self.has(key):
            self._missing(key)
        if key in self._raw:
            self._raw[key] = with_unit(self._raw[key])
        return self.maybe_text(key, DURATION)

    def timeout(self, key: str) -> str | None:
        """A duration, or ``NO_TIMEOUT`` (also for 0 in any unit); ``None`` when it is absent or bad."""
        if key in self._raw:
            self._raw[key] = with_unit(self._raw[key])
        text = self.maybe_text(key, TIMEOUT)
        return NO_TIMEOUT if text is not None and not parse_duration(text) else text

    # -- collections -----------------------------------------------------------------------------------

    def items(self, key: str) -> list[Any]:
        """A list, empty when it is absent or bad. :returns: the entries as they were given."""
        value = self.value(key)
        if value is None:
            return []
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            self.fault(key, f"is {kind_of(value)}, not a list", "type")
            return []
        return list(value)

    def texts(
        self, key: str, check: Check | None = None, *, default: Sequence[str] = (), distinct: bool = True
    ) -> tuple[str, ...]:
        """A list of strings. :param distinct: each may occur once. :returns: empty when absent or bad."""
        if not self.has(key):
            return tuple(default)
        found: list[str] = []
        for index, value in enumerate(self.items(key)):
            where = f"{self.path(key)}[{index}]"
            if not isinstance(value, str):
                self.problems.add(where, f"is {kind_of(value)}, not a string", "type")
            elif check and (fault := check.fault(value)):
                self.problems.add(where, fault, check.rule)
            elif distinct and value in found:
                self.problems.add(where, f"{value!r} is listed twice", "duplicate")
            else:
                found.append(str(value))
        return tuple(found)

    def choices(self, key: str, options: Sequence[str], *, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of distinct words out of ``options``. :returns: empty when it is absent or bad."""
        check = Check(
            "choice",
            lambda value: "" if value in options else f"{value!r} is not one of {', '.join(options)}",
        )
        return self.texts(key, check, default=default)

    def not_empty(self, *keys: str) -> None:
        """Notes each list of ``keys`` that is given without entries: what narrows would narrow nothing.

        A template whose variable is empty would open what it was to close.
        """
        for key in keys:
            if self.has(key) and self.sound(key) and not self.items(key):
                self.fault(
                    key, "is empty, which would allow all of them: leave it out if that is meant", "empty"
                )

    def section(self, key: str) -> Reader | None:
        """A nested mapping, or ``None`` when it is absent."""
        return Reader(self.value(key), self.path(key), self.problems) if self.has(key) else None

    def sections(self, key: str) -> list[Reader]:
        """A list of mappings. :returns: one reader per entry."""
        return [
            Reader(item, f"{self.path(key)}[{index}]", self.problems)
            for index, item in enumerate(self.items(key))
        ]

    def table(self, key: str) -> dict[str, Reader]:
        """A mapping of names to mappings; a null entry counts as an empty one.

        :returns: name -> a reader of its mapping.
        """
        outer = self.section(key)
        if outer is None:
            return {}
        return {
            name: Reader({} if value is None else value, outer.path(name), self.problems)
            for name, value in outer.raw().items()
        }

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping in somebody else's format, taken as it is. :returns: ``{}`` when it is absent or bad."""
        outer = self.section(key)
        return dict(outer.raw()) if outer else {}

    def annotations(self, key: str) -> dict[str, str]:
        """Kubernetes annotations, strings only. :returns: key -> value, ``{}`` when they are absent."""
        outer = self.section(key)
        found: dict[str, str] = {}
        for name, value in outer.raw().items() if outer else ():
            if fault := label_key_fault(name):
                self.problems.add(f"{self.path(key)}.{name}", fault, "annotation")
            elif not isinstance(value, str):
                message = f"is {kind_of(value)}, not a string: put it in quotes"
                self.problems.add(f"{self.path(key)}.{name}", message, "type")
            else:
                found[name] = str(value)
        return found

    def labels(
        self, key: str, *, default: Mapping[str, str] | None = None, may_be_empty: bool = False
    ) -> dict[str, str]:
        """Kubernetes labels, at least one: an empty selector would select everything.

        :param may_be_empty: these are no selector. :returns: label key -> value.
        """
        outer = self.section(key)
        if outer is None:
            return dict(default or {})
        found: dict[str, str] = {}
        for name, value in outer.raw().items():
            fault = label_key_fault(name) or (
                label_value_fault(value) if isinstance(value, str) else f"is {kind_of(value)}, not a string"
            )
            if fault:
                outer.fault(name, fault, "label")
            else:
                found[name] = str(value)
        if not outer.raw() and not may_be_empty:
            self.fault(key, "is empty, which would select every workload", "label")
        return found

    def raw(self) -> dict[str, Any]:
        """The mapping itself; every key counts as read. :returns: that mapping, not a copy."""
        self._known.update(self._raw)
        return self._raw

    def finish(self) -> None:
        """Notes each key that nothing has read, with the nearest name that exists."""
        for key in self._raw:
            if key in self._known:
                continue
            self.fault(key, f"is not a known key{nearest(key, sorted(self._known))}", "unknown-key")
