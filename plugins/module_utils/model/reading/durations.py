# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations: the one notation that catalogues, rollouts and options share, ``90``, ``1h30m`` or ``250ms``.

The part of Go's ``time.ParseDuration`` that people write: units from large to small, none twice, no sign.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII
)
EXAMPLES = "90, 90s, 2m, 1h30m or 500ms"
"""The forms that are understood, for messages."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_SCALES = tuple(Decimal(text) for text in ("3600", "60", "1", "0.001"))


def parse_duration(text: str) -> float | None:
    """A duration in seconds. :returns: ``None`` when the text is none."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    parts = zip(found.groups(), _SCALES, strict=True)
    return float(sum(Decimal(part) * scale for part, scale in parts if part))


def read_seconds(value: Any) -> float | None:
    """A duration of an option: a number of seconds, the same as text, or text with units.

    :returns: seconds, negative ones included, for the caller to judge; ``None`` when it is no duration.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        # A YAML integer can be too large for a float, and .nan is no number of seconds.
        return float(value) if abs(value) <= 1e18 else None
    if not isinstance(value, str):
        return None
    return float(value) if _SECONDS.fullmatch(value) else parse_duration(value)


def with_unit(value: Any) -> Any:
    """A bare number of seconds in the notation of Istio, ``90`` as ``90s``; everything else as it is."""
    if isinstance(value, str):
        return f"{value}s" if _SECONDS.fullmatch(value) else value
    number = read_seconds(value)
    if number is None or number < 0:
        return value
    # What is too small for six digits is no zero, which may mean that nothing ends at all.
    return f"{max(number, 1e-6) if number else 0:.6f}".rstrip("0").rstrip(".") + "s"


def seconds(duration: str) -> float:
    """A duration that was checked before, in seconds. :raises ValueError: it is none."""
    found = parse_duration(duration)
    if found is None:
        raise ValueError(f"{duration!r} is not a duration")
    return found


def proto_duration(duration: str) -> str:
    """A duration in protobuf's JSON form (``90s``), the only one that Envoy's own messages take."""
    return f"{seconds(duration):.9f}".rstrip("0").rstrip(".") + "s"


NO_TIMEOUT = "none"
"""A timeout that never ends. Istio's objects cannot say it: a route without a timeout has none."""


def timeout_fault(text: str, *, longest: float) -> str:
    """What is wrong with a timeout: a duration, ``none``, or 0 in any unit, which is ``none`` as well.

    :returns: ``""`` for a good one, else half a sentence.
    """
    if text == NO_TIMEOUT or parse_duration(text) == 0:
        return ""
    fault = duration_fault(text, longest=longest)
    return f"{fault}; none stands for no timeout" if fault else ""


def limit_of(timeout: str | None) -> str | None:
    """The duration of a timeout that was checked before; ``None`` when it never ends or is not given."""
    return None if timeout == NO_TIMEOUT else timeout


def duration_fault(text: str, *, longest: float) -> str:
    """What is wrong with a duration.

    :param longest: seconds; more is taken for a mistake in the unit.
    :returns: ``""`` for a good one, else half a sentence.
    """
    length = parse_duration(text)
    if length is None:
        return f"{text!r} is not a duration such as 500ms, 10s or 1m30s"
    if length < 0.001:
        return f"{text!r} is shorter than 1ms"
    if Decimal(str(length)) % Decimal("0.001"):
        return f"{text!r} is finer than 1ms, which Istio refuses"
    if length > longest:
        return f"{text!r} is longer than {longest / 3600:g}h"
    return ""
