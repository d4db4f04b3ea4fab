# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors, as ``kubectl -l`` takes them, over definitions that no server has seen.

Source: k8s.io/apimachinery/pkg/labels/selector.go. A label that is absent meets ``!=`` and ``notin``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from ...errors import InputError, Problem

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EQUALITY = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMA = re.compile(r",(?![^(]*\))")


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement. :param operator: ``in``, ``notin``, ``exists`` or ``absent``."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels (key -> value) meet it."""
        if self.operator in ("exists", "absent"):
            return (self.key in labels) == (self.operator == "exists")
        if self.operator == "notin":
            return labels.get(self.key) not in self.values
        return labels.get(self.key) in self.values


def read_selectors(texts: Sequence[str], where: str) -> tuple[Requirement, ...]:
    """Selectors such as ``app=web``, ``tier in (a, b)``, ``!legacy``; all of them have to hold.

    :param where: the option. :returns: the requirements.
    :raises InputError: with every one that cannot be read.
    """
    found: list[Requirement] = []
    problems = []
    for index, text in enumerate(texts):
        for part in _COMMA.split(text):
            requirement = _read(part.strip())
            if requirement is None:
                message = f"{part.strip()!r} is no label selector such as app=web or tier in (a, b)"
                problems.append(Problem(f"{where}[{index}]", message, "label-selector"))
            else:
                found.append(requirement)
    if problems:
        raise InputError(problems)
    return tuple(found)


def _read(text: str) -> Requirement | None:
    if match := _SET.fullmatch(text):
        return Requirement(match[1], match[2], frozenset(part.strip() for part in match[3].split(",")))
    if match := _EQUALITY.fullmatch(text):
        return Requirement(match[1], "notin" if match[2] == "!=" else "in", frozenset([match[3]]))
    if match := _EXISTS.fullmatch(text):
        return Requirement(match[2], "absent" if match[1] else "exists")
    return None
