# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed values out of text: ``-e``, surveys of AWX and INI inventories hand over nothing else.

The one place that decides what a text means for an option. A list is ``a,b``, JSON or YAML; a mapping JSON,
YAML or ``key=value,key=value``; a duration seconds or ``1h30m``; an empty text means "not given". What is
typed stays as it is. A value that cannot be read is one sentence with the variable's name and an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import Problem, nearest
from .texts import (
    DURATION,
    DURATIONS,
    FALSE_WORDS,
    FORMS,
    TRUE_WORDS,
    WHOLE,
    WHOLES,
    Spec,
    TextError,
)

KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "addons_timeout", "canary_baseline", "canary_dark", "canary_deadline", "canary_lease",
            "canary_phase_deadline", "canary_propagation_timeout", "canary_ready_timeout",
            "canary_resume_period", "canary_scrape_interval", "canary_unmeasurable",
            "certificates_client_ca_overlap", "certificates_overlap", "certificates_timeout",
            "injection_timeout", "istio_helm_unlock_after", "istio_timeout", "mesh_strict_guard_window",
            "mesh_wait_timeout", "observe_log_time", "observe_window",
            "preflight_timeout", "trust_rotation_period", "verify_call_timeout",
            "verify_probe_lifetime", "verify_probe_start_timeout",
        ),
        DURATION,
    ),
    "canary_duration": DURATIONS,
    "canary_step_weight": WHOLE,
    "canary_min_requests": WHOLES,
    "canary_prometheus.timeout": DURATION,
    "canary_prometheus.port": WHOLE,
    "observe_prometheus.timeout": DURATION,
    "observe_prometheus.port": WHOLE,
}  # fmt: skip
"""What ``type: raw`` means, by variable: Ansible has no type for a duration, or for one value per step."""

_SHOWN = 40


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
        found = FORMS[kind](value, spec)
    except TextError as refused:
        # Manifests, Helm values and headers come this way: what is in them may be a secret.
        hidden = _may_hold_secrets(spec) or _has_parts(value, kind)
        shown = "" if hidden else f"is {_shown(value)}, "
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
    words = (
        {True: TRUE_WORDS, False: FALSE_WORDS}.get(found, frozenset())
        if isinstance(found, bool)
        else frozenset()
    )
    if words & {*map(str, choices)}:
        return
    shown = "" if spec.get("no_log") else f"is {_shown(found)}, "
    problems.append(Problem(where, f"{shown}not one of {', '.join(map(str, choices))}", "choice"))


def _may_hold_secrets(spec: Spec) -> bool:
    """Whether the option is secret, or a field of it: an unreadable text of the whole would show it."""
    fields = spec.get("options") or {}
    return bool(spec.get("no_log")) or any(_may_hold_secrets(field) for field in fields.values())


def _has_parts(value: Any, kind: str) -> bool:
    """Whether a value is, or is meant as, something with names and values in it."""
    if isinstance(value, str):
        return kind in ("dict", "list") and any(mark in value for mark in "{:=")
    return isinstance(value, list | Mapping)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
