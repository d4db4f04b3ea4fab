# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed values out of text: ``-e``, surveys of AWX and INI inventories hand over nothing else.

The one place that decides what a text means for an option. A list is ``a,b``, JSON or YAML; a mapping JSON,
YAML or ``key=value,key=value``; a duration seconds or ``1h30m``; an empty text means "not given". What is
typed stays as it is. A value that cannot be read is one sentence with the variable's name and an example.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...documents.read import read_document
from ...errors import InputError, Problem, nearest
from .durations import EXAMPLES, read_seconds

Spec = Mapping[str, Any]
"""One option as Ansible's argument specifications describe it: ``type``, ``elements``, ``options``, ..."""

DURATION, DURATIONS, WHOLE, WHOLES = "duration", "durations", "whole", "wholes"
KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "addons_timeout", "canary_baseline", "canary_dark", "canary_deadline", "canary_lease",
            "canary_phase_deadline", "canary_propagation_timeout", "canary_ready_timeout",
            "canary_resume_period", "canary_scrape_interval", "canary_unmeasurable", "certificates_overlap",
            "certificates_timeout",
            "injection_timeout", "istio_helm_unlock_after", "istio_timeout", "mesh_strict_guard_window",
            "mesh_wait_timeout", "preflight_timeout", "trust_rotation_period", "verify_call_timeout",
            "verify_probe_lifetime", "verify_probe_start_timeout",
        ),
        DURATION,
    ),
    "canary_duration": DURATIONS,
    "canary_step_weight": WHOLE,
    "canary_min_requests": WHOLES,
    "canary_prometheus.timeout": DURATION,
    "canary_prometheus.port": WHOLE,
}  # fmt: skip
"""What ``type: raw`` means, by variable: Ansible has no type for a duration, or for one value per step."""

LONGEST = 30 * 24 * 3600.0
"""More seconds than this are a mistake in the unit."""

_TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f"})
_WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_SHOWN = 40


class _RefusedError(Exception):
    """A value cannot be read. Carries the end of the sentence ``is VALUE, not ...``."""


def variables_of(options: Iterable[str], prefix: str, **others: str) -> dict[str, str]:
    """The variables by which a role sets the options of its module.

    :param prefix: of the role; a variable that is named otherwise stands in ``others``.
    :returns: option -> variable.
    """
    return {**{option: prefix + option for option in options}, **others}


def typed_options(
    given: Mapping[str, Any], spec: Mapping[str, Spec], name_of: Callable[[str], str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Options of one task with typed values.

    :param given: option -> value; may hold options that ``spec`` does not know, which stay as they are.
    :param spec: the argument specification. :param name_of: the variable that a person sets for an option.
    :returns: the options without those that are not given (null, or an empty text for anything but text), and
        what could not be read.
    """
    names = {alias: option for option, entry in spec.items() for alias in (option, *entry.get("aliases", ()))}
    problems: list[Problem] = []
    typed: dict[str, Any] = {}
    for option, value in given.items():
        entry = spec.get(names.get(option, ""))
        if entry is None:
            typed[option] = value
            continue
        found = typed_value(value, entry, name_of(names[option]), problems)
        if found is not None:
            typed[option] = found
    return typed, problems


def typed_value(value: Any, spec: Spec, where: str, problems: list[Problem]) -> Any:
    """One value as its option wants it.

    :param where: the variable, such as ``istio_timeout``; it also says what ``type: raw`` stands for.
    :param problems: takes what is wrong.
    :returns: the typed value; ``None`` where nothing is given or the value is refused.
    """
    kind = KINDS.get(where, str(spec.get("type") or "str"))
    if isinstance(value, str) and kind not in ("str", "path", "raw"):
        if not value.strip():
            value = spec.get("default", {"list": [], "dict": {}}.get(kind))
        elif value.strip() in ("null", "~") and kind != "list":
            value = None
    if value is None:
        return None
    try:
        found = _READ[kind](value, spec)
    except _RefusedError as refused:
        shown = "" if _may_hold_secrets(spec) else f"is {_shown(value)}, "
        problems.append(Problem(where, f"{shown}not {refused}", "type"))
        return None
    if kind == "dict" and spec.get("options") and isinstance(found, Mapping):
        return _fields(found, spec["options"], where, problems)
    if kind == "list" and isinstance(found, list):
        return _elements(found, spec, where, problems)
    _check_choice(found, spec, where, problems)
    return found


def missing_options(
    given: Mapping[str, Any], spec: Mapping[str, Spec], name_of: Callable[[str], str]
) -> list[Problem]:
    """The required options that nobody gives.

    :returns: a problem for each.
    """
    return [
        Problem(name_of(option), "is missing, and there is no default for it", "required")
        for option, entry in spec.items()
        if entry.get("required") and not {option, *entry.get("aliases", ())} & {*given}
    ]


def _fields(
    found: Mapping[str, Any], options: Mapping[str, Spec], where: str, problems: list[Problem]
) -> Any:
    """A mapping whose fields are specified themselves."""

    def name_of(option: str) -> str:
        return f"{where}.{option}"

    typed, wrong = typed_options(found, options, name_of)
    known = {alias for option, entry in options.items() for alias in (option, *entry.get("aliases", ()))}
    problems += wrong
    problems += missing_options(found, options, name_of)
    problems += [
        Problem(name_of(key), f"is not a known key{nearest(key, sorted(known))}", "unknown-key")
        for key in sorted({*found} - known)
    ]
    return typed


def _elements(found: list[Any], spec: Spec, where: str, problems: list[Problem]) -> list[Any]:
    element: dict[str, Any] = {
        "type": spec.get("elements", "raw"),
        **{key: spec[key] for key in ("options", "no_log", "choices") if key in spec},
    }
    before = len(problems)
    typed = [typed_value(item, element, f"{where}[{index}]", problems) for index, item in enumerate(found)]
    return [] if len(problems) > before else typed


def _check_choice(found: Any, spec: Spec, where: str, problems: list[Problem]) -> None:
    choices = spec.get("choices")
    if not choices or found in choices:
        return
    # YAML reads `off` as false; `-e` leaves it a text.
    words = {True: _TRUE, False: _FALSE}.get(found, frozenset()) if isinstance(found, bool) else frozenset()
    if words & {*map(str, choices)}:
        return
    shown = "" if spec.get("no_log") else f"is {_shown(found)}, "
    problems.append(Problem(where, f"{shown}not one of {', '.join(map(str, choices))}", "choice"))


def _may_hold_secrets(spec: Spec) -> bool:
    """Whether the option is secret, or a field of it: an unreadable text of the whole would show it."""
    fields = spec.get("options") or {}
    return bool(spec.get("no_log")) or any(_may_hold_secrets(field) for field in fields.values())


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _text(value: Any, _spec: Spec) -> Any:
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        raise _RefusedError("a text")
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
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _RefusedError("true or false")


def _whole(value: Any, _spec: Spec) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _RefusedError("a whole number such as 3")


def _number(value: Any, _spec: Spec) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300:
        return float(value)
    raise _RefusedError("a number such as 0.5")


def _duration(value: Any, _spec: Spec) -> float:
    found = read_seconds(value.strip() if isinstance(value, str) else value)
    if found is None or not 0 <= found <= LONGEST:
        raise _RefusedError(f"a duration such as {EXAMPLES} (at most {LONGEST / 86400:g} days)")
    return int(found) if found == math.floor(found) else found


def _mapping(value: Any, _spec: Spec) -> Any:
    if isinstance(value, str):
        value = _pairs(value) if _PAIR.match(value.strip()) else _document(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise _RefusedError('a mapping such as {"key": "value"}')


def _list(value: Any, spec: Spec) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("[") or "\n" in text or text.startswith("- "):
            value = _document(text)
        elif spec.get("elements") == "dict" or text.startswith("{"):
            raise _RefusedError(_list_example(spec))
        else:
            items = [item.strip() for item in text.split(",")]
            raw = spec.get("elements", "raw") == "raw"
            return [_scalar(item) if raw else item for item in items if item]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    raise _RefusedError(_list_example(spec))


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
        except _RefusedError as refused:
            raise _RefusedError(f"{refused}, or one per step, such as {what}") from refused

    return either


def _document(text: str) -> Any:
    try:
        return read_document(text, "the text")
    except InputError as error:
        raise _RefusedError("YAML or JSON") from error


def _pairs(text: str) -> dict[str, Any]:
    """``key=value`` pairs, separated by commas."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        pair = _PAIR.fullmatch(part.strip())
        if pair is None:
            raise _RefusedError('a mapping such as {"key": "value"} or key=value,key=value')
        found[pair[1]] = _scalar(pair[2].strip())
    return found


def _scalar(text: str) -> Any:
    """A word of a list or mapping as YAML would read it."""
    try:
        found = read_document(text, "the text")
    except InputError:
        return text
    return text if isinstance(found, (list, dict)) or found is None else found


_READ: Mapping[str, Callable[[Any, Spec], Any]] = {
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
