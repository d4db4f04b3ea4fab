# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects the faults of an input: all of them, each once, with the name of the entry in which it lies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, Problem

_ENTRY = re.compile(r"(\w+)\[(\d+)\]")


class Problems:
    """The faults found so far, in the order in which they were met."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, where: str, message: str, rule: str) -> None:
        """Notes one fault; the same fault at the same place counts once."""
        problem = Problem(where, message, rule)
        if problem not in self._found:
            self._found.append(problem)

    @property
    def found(self) -> tuple[Problem, ...]:
        """Everything noted so far. :returns: in the order in which they were noted."""
        return tuple(self._found)

    def within(self, *paths: str) -> bool:
        """Whether a fault lies at one of ``paths`` or below it: what is read there is a stand-in."""
        below = tuple(path + mark for path in paths for mark in ".[")
        return any(problem.where in paths or problem.where.startswith(below) for problem in self._found)

    def at(self, *paths: str) -> bool:
        """Whether a fault lies exactly at one of ``paths``."""
        return any(problem.where in paths for problem in self._found)

    def check(self, raw: Mapping[str, Any] | None = None) -> None:
        """:raises InputError: with all problems, when there is one. ``raw`` tells the names of entries."""
        if self._found:
            raise InputError(
                [
                    dataclasses.replace(found, resource=_name_in(raw or {}, found.where))
                    for found in self._found
                ]
            )


def _name_in(raw: Mapping[str, Any], where: str) -> str:
    """The name of the entry of a top-level list in which a path lies: nobody counts to mesh_services[17]."""
    found = _ENTRY.match(where)
    entries = raw.get(found[1]) if found else None
    if found is None or not isinstance(entries, Sequence) or isinstance(entries, str):
        return ""
    index = int(found[2])
    entry = entries[index] if index < len(entries) else None
    name = entry.get("name") if isinstance(entry, Mapping) else None
    # What is wrong with a name is quoted by its own problem; here it must not break the line.
    return name if isinstance(name, str) and name.isprintable() else ""
