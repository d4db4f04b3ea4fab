# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All causes of a case, the likeliest first, and what could not be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ...errors import MeshError
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .case import Case
from .cause import FAMILIES, LIKELY, POSSIBLE, Cause
from .registry import SEARCHES


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be told: ``what`` was not looked at, because of ``why``."""

    family: str
    what: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """As it stands in results. :returns: ``family``, ``what`` and ``why``."""
        return dataclasses.asdict(self)


def search(case: Case) -> tuple[list[Cause], list[Unknown]]:
    """Asks every search of the registry.

    :returns: causes, ranked; and what could not be looked at.
    """
    found: list[Cause] = []
    unknown: list[Unknown] = []
    for one in SEARCHES:
        try:
            found += one.find(case)
        except MeshError as error:  # an object of another shape than its kind has
            unknown.append(Unknown(one.family, one.name, error.message))
        for need in one.needs:
            if need in case.material.unread:
                unknown.append(Unknown(one.family, one.name, f"{need}: {case.material.unread[need]}"))
    asked = {f"Pod {name}" for name in case.material.views}
    for what, why in case.material.unread.items():
        if what.startswith("Pod ") and what not in asked:
            unknown.append(Unknown("control plane", what, why))
    return ranked(found), unknown


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """Each cause once. :returns: the heaviest first; of equal weight what stands behind others first."""
    unique: dict[tuple[str, str, str], Cause] = {}
    for cause in causes:
        known = unique.get(cause.key)
        if known is None or known.weight < cause.weight:
            unique[cause.key] = cause
    return sorted(unique.values(), key=lambda item: (-item.weight, FAMILIES.index(item.family)))


def lasting(looks: Sequence[Sequence[Cause]]) -> list[Cause]:
    """The causes that last.

    :returns: those of the last look; of what a starting pod shows too, only what stood in every look.
    """
    keys = [{(item.family, item.object) for item in look} for look in looks]
    return [
        item
        for item in looks[-1]
        if not item.late or all((item.family, item.object) in look for look in keys)
    ]


def told(causes: Iterable[Cause], *, anything: bool) -> list[Cause]:
    """The causes that are told.

    :param anything: whether nobody observes something: then a mere possibility is no cause.
    :returns: in their order.
    """
    return [item for item in causes if item.weight > POSSIBLE + 5 or not anything]


def status_of(causes: Sequence[Cause], unknown: Sequence[Unknown]) -> str:
    """``fail`` with a cause that is at least likely; "cannot tell" when something was not looked at, or when
    nothing but possibilities were found."""
    if any(item.weight >= LIKELY - 10 for item in causes):
        return FAIL
    return CANNOT_TELL if causes or unknown else PASS
