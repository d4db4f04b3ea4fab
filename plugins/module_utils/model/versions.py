# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Istio minors exist, how long each is maintained, and on which Kubernetes minors each is supported.

The table is data with a date: it says what was known on ``TABLE_DATE``. A caller may hand in rows of its own
for minors that appeared later (``support_table``).
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem
from .reading.problems import Problems
from .reading.reader import Reader
from .reading.values import Check

TABLE_DATE = datetime.date(2026, 9, 21)

_MINOR = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_STABLE = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_KUBERNETES = re.compile(r"v?(\d+)\.(\d+)", re.ASCII)

MINOR = Check(
    "version-table", lambda text: "" if _MINOR.fullmatch(text) else f"{text!r} is not a minor such as '1.33'"
)

Minor = tuple[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Support:
    """One Istio minor.

    :param released: day of the ``.0`` release.
    :param end_of_life: last day of maintenance, ``None`` while it is not announced. Policy: six weeks after
        the second next minor (istio.io, supported-releases).
    :param estimated: whether ``end_of_life`` follows from that policy instead of an announcement.
    :param kubernetes: oldest and newest supported Kubernetes minor.
    """

    minor: Minor
    released: datetime.date | None
    end_of_life: datetime.date | None
    kubernetes: tuple[Minor, Minor]
    estimated: bool = False

    def is_over(self, today: datetime.date) -> bool:
        """Whether maintenance has ended."""
        return self.end_of_life is not None and today > self.end_of_life


# istio.io: data/compatibility/supportStatus.yml and content/en/docs/releases/supported-releases/index.md.
SUPPORT_TABLE: Mapping[Minor, Support] = {
    row.minor: row
    for row in (
        Support((1, 28), datetime.date(2025, 11, 5), datetime.date(2026, 7, 1), ((1, 30), (1, 34))),
        Support(
            (1, 29),
            datetime.date(2026, 2, 16),
            datetime.date(2026, 10, 12),
            ((1, 31), (1, 35)),
            estimated=True,
        ),
        Support((1, 30), datetime.date(2026, 5, 18), None, ((1, 32), (1, 36))),
        Support((1, 31), datetime.date(2026, 8, 27), None, ((1, 32), (1, 36))),
    )
}


@dataclasses.dataclass(frozen=True, slots=True)
class Compatibility:
    """What is to be said about one combination of versions: refusals and warnings, as sentences."""

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def minor_text(minor: Minor) -> str:
    """``(1, 31)`` as ``1.31``."""
    return f"{minor[0]}.{minor[1]}"


def parse_istio_version(version: str) -> tuple[int, int, int] | None:
    """A stable release ``1.31.0`` as numbers; ``None`` for anything else (Istio's tags have no ``v``).

    :returns: (major, minor, patch).
    """
    match = _STABLE.fullmatch(version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_kubernetes_minor(version: str) -> Minor | None:
    """The minor in a server's ``gitVersion`` such as ``v1.36.3`` or ``v1.33.4-eks-1234``."""
    match = _KUBERNETES.match(version)
    return (int(match[1]), int(match[2])) if match else None


def support_table(
    extra: Mapping[str, Any], *, where: str = "preflight_istio_versions"
) -> dict[Minor, Support]:
    """The built-in table with rows added or replaced.

    :param extra: ``{"1.32": {"kubernetes": ["1.33", "1.37"], "end_of_life": "2027-05-01"}}``; the date is
        optional.
    :returns: minor -> its row.
    :raises InputError: for a row that is not of this shape.
    """
    table = dict(SUPPORT_TABLE)
    problems = Problems()
    for name, row in extra.items():
        place = f"{where}['{name}']"
        # Without quotes YAML makes a number of it, and 1.30 is 1.3.
        minor = _MINOR.fullmatch(name) if isinstance(name, str) else None
        if minor is None:
            problems.add(place, "is not an Istio minor such as '1.32', in quotes", "version-table")
        else:
            support = _row((int(minor[1]), int(minor[2])), Reader(row, place, problems))
            table[support.minor] = support
    problems.check()
    return table


def _row(minor: Minor, reader: Reader) -> Support:
    bounds = [_minor_of(text) for text in reader.texts("kubernetes", MINOR, distinct=False)]
    if reader.sound("kubernetes") and (len(bounds) != 2 or bounds[0] > bounds[1]):
        message = "needs the oldest and the newest Kubernetes minor, such as ['1.33', '1.37']"
        reader.fault("kubernetes", message, "version-table")
    end = reader.value("end_of_life")  # YAML makes a date of it unless it stands in quotes
    text = end.isoformat() if isinstance(end, datetime.date) else reader.maybe_text("end_of_life")
    day = None if text is None else _date_of(text)
    if text is not None and day is None:
        reader.fault("end_of_life", f"{text!r} is not a day such as 2027-05-01", "version-table")
    reader.finish()
    return Support(minor, None, day, (min(bounds, default=(0, 0)), max(bounds, default=(0, 0))))


def _minor_of(text: str) -> Minor:
    major, _dot, minor = text.partition(".")
    return int(major), int(minor)


def _date_of(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def known_minors(table: Mapping[Minor, Support]) -> str:
    """The minors of the table for a message: ``1.28, 1.29, 1.30, 1.31``."""
    return ", ".join(minor_text(minor) for minor in sorted(table))


def check_istio_version(
    version: str, *, table: Mapping[Minor, Support], today: datetime.date, where: str = "istio_version"
) -> Compatibility:
    """Whether the version exists in the table and is still maintained."""
    numbers = parse_istio_version(version)
    if numbers is None:
        return _refused(where, f"{version!r} is not a stable Istio release such as 1.31.0", "istio-version")
    support = table.get(numbers[:2])
    if support is None:
        return _refused(
            where,
            f"Istio {version} is not known (known minors as of {TABLE_DATE}: {known_minors(table)})",
            "istio-version",
        )
    if support.is_over(today):
        about = "about " if support.estimated else ""
        name = minor_text(support.minor)
        return Compatibility(
            (), (f"Istio {name} has been out of support since {about}{support.end_of_life}",)
        )
    return Compatibility((), ())


def check_kubernetes_version(
    istio_version: str,
    kubernetes: str,
    *,
    table: Mapping[Minor, Support],
    allow_untested: bool,
    where: str = "istio_version",
) -> Compatibility:
    """Whether the cluster's Kubernetes is in the range that this Istio minor supports.

    :param allow_untested: makes an out-of-range cluster a warning.
    """
    numbers = parse_istio_version(istio_version)
    support = table.get(numbers[:2]) if numbers else None
    if support is None:
        return Compatibility((), ())
    minor = parse_kubernetes_minor(kubernetes)
    if minor is None:
        return Compatibility(
            (), (f"the API server reports the Kubernetes version {kubernetes!r}, which cannot be read",)
        )
    low, high = support.kubernetes
    if low <= minor <= high:
        return Compatibility((), ())
    message = (
        f"Istio {minor_text(support.minor)} supports Kubernetes {minor_text(low)} to {minor_text(high)}, "
        f"the cluster runs {kubernetes}"
    )
    if allow_untested:
        return Compatibility((), (message,))
    return _refused(where, message, "kubernetes-version")


def _refused(where: str, message: str, rule: str) -> Compatibility:
    return Compatibility((Problem(where, message, rule),), ())
