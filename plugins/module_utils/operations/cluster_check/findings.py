# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One difference between what is stated and what the cluster has, and what all of them together mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ...errors import Problem
from ...verdicts import CANNOT_TELL, FAIL, PASS
from ...words import some_of

CUTS, NOTE, UNKNOWN = "cuts", "note", "unknown"
_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """What the catalogue states and the cluster has otherwise.

    :param where: variable path. :param message: what differs, as a sentence without a full stop.
    :param weight: ``cuts`` when applying the catalogue would take traffic away, or could not carry any;
        ``note`` for what is probably not meant; ``unknown`` for what could not be looked at.
    :param resource: name of the list entry that ``where`` counts to.
    """

    where: str
    message: str
    rule: str
    weight: str = CUTS
    resource: str = ""

    @property
    def problem(self) -> Problem:
        """The difference as a problem of the input."""
        return Problem(self.where, self.message, self.rule, self.resource)

    def __str__(self) -> str:
        return str(self.problem)


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """All that a comparison found.

    :param missing: ``namespace/name`` of services of the catalogue that have no Kubernetes Service.
    """

    differences: tuple[Difference, ...] = ()
    missing: frozenset[str] = frozenset()

    @property
    def cuts(self) -> list[Problem]:
        """What forbids the first write. :returns: one problem per cause."""
        return [item.problem for item in self.differences if item.weight == CUTS]

    @property
    def notes(self) -> list[str]:
        """What is only told. :returns: a sentence each."""
        return [str(item) for item in self.differences if item.weight != CUTS]

    @property
    def status(self) -> str:
        """``fail`` when something would be cut off, ``cannot tell`` when something was not seen."""
        weights = {item.weight for item in self.differences}
        if CUTS in weights:
            return FAIL
        return CANNOT_TELL if UNKNOWN in weights else PASS


def listed(names: Iterable[object]) -> str:
    """A few of the names, and how many there are besides: ``a, b, c and 4 more``."""
    return some_of([str(name) for name in names], _NAMED)


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as ``kubectl get -l`` takes them: ``app=api,tier=back``."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
