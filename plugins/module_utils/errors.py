# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error hierarchy of the collection.

::

    MeshError
    |-- InputError       the user's input is refused, with every problem, before any write
    |-- RefusedError     the input is sound, a safety rule forbids what it asks for
    |-- ApiError         the API server refused or failed a request
    |   `-- ConflictError    another field manager owns the fields
    |-- WaitTimeout      a bounded wait ended without success
    |-- FencedError      another runner has taken over: this one must not write any more
    `-- MalformedError   an object has not the shape that its API promises

A capability derives its own, such as ``JournalError``, from ``MeshError`` where only
its own callers tell them apart. Backends raise these; a module's ``main()`` and the action base catch
``MeshError`` once. ``str(error)`` is the sentence a user reads first; ``error.details`` is JSON-safe data
for the result. Neither ever contains key material, tokens or whole objects.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any


class MeshError(Exception):
    """Base class: one clear sentence, and structured details for the result."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def __str__(self) -> str:
        """The sentence, with what was added to it on the way up."""
        return self.message


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the input.

    :param where: variable path or file position, such as ``mesh_services[3].retries`` or ``mesh.yml:12``.
    :param message: what is wrong, as a sentence without a full stop.
    :param rule: short stable name of the violated rule, such as ``timeout-budget``.
    :param resource: name of the list entry that ``where`` counts to, such as ``user-service``; may be empty.
    """

    where: str
    message: str
    rule: str
    resource: str = ""

    def __str__(self) -> str:
        place = f"{self.where} of {self.resource}" if self.resource else self.where
        return f"{place}: {self.message} ({self.rule})"

    def as_dict(self) -> dict[str, str]:
        """The problem as it appears under ``problems`` in a failed result.

        :returns: ``where``, ``message`` and ``rule``; ``resource`` when there is one.
        """
        known = dataclasses.asdict(self)
        return known if self.resource else {key: known[key] for key in ("where", "message", "rule")}


class InputError(MeshError):
    """The input is refused before any write. Carries every problem that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("an InputError needs at least one problem")
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(str(problem) for problem in self.problems),
            problems=[problem.as_dict() for problem in self.problems],
        )


class ApiError(MeshError):
    """The API server refused or failed a request.

    :param status: HTTP status, 0 when no response arrived.
    :param reason: Kubernetes ``Status.reason`` such as ``Forbidden``, or a short cause for transport errors.
    :param subject: the object or path the request was about, such as ``VirtualService shop/frontend``.
    """

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", subject: str = "", **details: Any
    ) -> None:
        super().__init__(message, status=status, reason=reason, subject=subject, **details)
        self.status = status
        self.reason = reason
        self.subject = subject

    @property
    def not_allowed(self) -> bool:
        """Whether the user lacks the right (403): whoever can do without may go on.

        A credential that is not accepted (401) is no missing right: it has ended, no other request is
        answered either, and whoever went on would take what is there for absent. That error goes up.
        """
        return self.status == 403

    @property
    def lasting(self) -> bool:
        """Whether waiting and asking again is of no use: the right lacks, or the credential is not accepted
        (its source was asked for a new one before, where it has a source)."""
        return self.status in (401, 403)


class ConflictError(ApiError):
    """Another field manager owns fields that we want to set.

    :param manager: name of the other field manager.
    :param fields: field paths such as ``.spec.http``.
    """

    def __init__(self, message: str, *, manager: str, fields: Sequence[str], subject: str = "") -> None:
        super().__init__(
            message, status=409, reason="Conflict", subject=subject, manager=manager, fields=list(fields)
        )
        self.manager = manager
        self.fields = tuple(fields)


class WaitTimeout(MeshError):
    """A bounded wait ended without success.

    :param awaited: what was waited for. :param last_seen: the last state that was observed.
    """

    def __init__(self, message: str, *, awaited: str, last_seen: str) -> None:
        super().__init__(message, awaited=awaited, last_seen=last_seen)
        self.awaited = awaited
        self.last_seen = last_seen


class RefusedError(MeshError):
    """A safety rule forbids the action. ``rule`` is its short stable name."""

    def __init__(self, message: str, *, rule: str, **details: Any) -> None:
        super().__init__(message, rule=rule, **details)
        self.rule = rule


class FencedError(MeshError):
    """Another runner has taken over: this one must not write any more."""


class MalformedError(MeshError):
    """An object has not the shape that its API promises: it is told, never read as an empty one."""


def nearest(name: str, names: Sequence[str]) -> str:
    """``, did you mean X`` for the most similar name, or nothing."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f", did you mean {near[0]}" if near else ""
