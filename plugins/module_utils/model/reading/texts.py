# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a text stands for, form by form: a boolean, a number, a duration, a list, a mapping."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...documents.read import read_document
from ...errors import InputError
from .durations import EXAMPLES, read_seconds

Spec = Mapping[str, Any]
"""One option as Ansible's argument specifications describe it: ``type``, ``elements``, ``options``, ..."""

DURATION, DURATIONS, WHOLE, WHOLES = "duration", "durations", "whole", "wholes"
LONGEST = 30 * 24 * 3600.0
"""More seconds than this are a mistake in the unit."""

TRUE_WORDS = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", "n", "f"})
_WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


class TextError(Exception):
    """A value cannot be read. Carries the end of the sentence ``is VALUE, not ...``."""


def _text(value: Any, _spec: Spec) -> Any:
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        raise TextError("a text")
    if isinstance(value, float):  # YAML has read 1.10 as 1.1: what was written is lost
        raise TextError("a text: put it in quotes")
    return value


def _raw(value: Any, _spec: Spec) -> Any:
    return value


def plain_number(value: Any) -> Any:
    """A text that is nothing but a number as that number; everything else as it is.

    A template that puts a variable of ``-e`` into a field makes text of its number.
    """
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def plain_boolean(value: Any) -> Any:
    """``true`` and ``false`` as text as what they say; everything else as it is."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _boolean(value: Any, _spec: Spec) -> bool:
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise TextError("true or false")


def _whole(value: Any, _spec: Spec) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TextError("a whole number such as 3")


def _number(value: Any, _spec: Spec) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300:
        return float(value)
    raise TextError("a number such as 0.5")


def _duration(value: Any, _spec: Spec) -> float:
    found = read_seconds(value.strip() if isinstance(value, str) else value)
    if found is None or not 0 <= found <= LONGEST:
        raise TextError(f"a duration such as {EXAMPLES} (at most {LONGEST / 86400:g} days)")
    return int(found) if found == math.floor(found) else found


def _mapping(value: Any, _spec: Spec) -> Any:
    if isinstance(value, str):
        value = _pairs(value) if _PAIR.match(value.strip()) else _document(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TextError('a mapping such as {"key": "value"}')


def _list(value: Any, spec: Spec) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("[") or "\n" in text or text.startswith("- "):
            value = _document(text)
        elif spec.get("elements") != "dict" and not text.startswith("{"):
            items = [item.strip() for item in text.split(",")]
            raw = spec.get("elements", "raw") == "raw"
            return [_scalar(item) if raw else item for item in items if item]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    raise TextError(_list_example(spec))


def _list_example(spec: Spec) -> str:
    if spec.get("elements") == "dict":
        return 'a list such as [{"name": "a"}, {"name": "b"}]'
    numbers = spec.get("elements") in ("int", "float")
    return "a list such as 1,2 or [1, 2]" if numbers else 'a list such as a,b or ["a", "b"]'


def _one_or_many(read: Callable[[Any, Spec], Any], what: str) -> Callable[[Any, Spec], Any]:
    """A value for all steps, or a list with one for each."""

    def either(value: Any, spec: Spec) -> Any:
        many = isinstance(value, str) and ("," in value or value.strip().startswith(("[", "- ")))
        if not many and (isinstance(value, str) or not isinstance(value, Sequence)):
            return read(value, spec)
        try:
            return [read(item, spec) for item in _list(value, {"elements": "str"})]
        except TextError as refused:
            raise TextError(f"{refused}, or one per step, such as {what}") from refused

    return either


def _document(text: str) -> Any:
    try:
        return read_document(text, "the text")
    except InputError as error:
        raise TextError("YAML or JSON") from error


def _pairs(text: str) -> dict[str, Any]:
    """``key=value`` pairs, separated by commas."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        pair = _PAIR.fullmatch(part.strip())
        if pair is None:
            raise TextError('a mapping such as {"key": "value"} or key=value,key=value')
        found[pair[1]] = _scalar(pair[2].strip())
    return found


def _scalar(text: str) -> Any:
    """A word of a list or mapping as YAML would read it."""
    try:
        found = read_document(text, "the text")
    except InputError:
        return text
    return text if isinstance(found, (list, dict)) or found is None else found


FORMS: Mapping[str, Callable[[Any, Spec], Any]] = {
    "str": _text,
    "path": _text,
    "raw": _raw,
    "bool": _boolean,
    "int": _whole,
    "float": _number,
    "dict": _mapping,
    "list": _list,
    "jsonarg": _raw,
    "json": _raw,
    DURATION: _duration,
    DURATIONS: _one_or_many(_duration, "60,2m,5m"),
    WHOLE: _whole,
    WHOLES: _one_or_many(_whole, "100,200"),
}
"""A reader for each type of argument specifications, and for what they have no type for."""
