# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dashboard of Grafana writes on the line of time: rollouts, and versions that begin. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...catalogue.mesh import Catalogue
from ...catalogue.services import Service
from ...promql import one_of, quoted
from ..queries import SERVICE, QueryScope, plain
from .panels import DATASOURCE, target

_MOST_MARKS = 100


@dataclasses.dataclass(frozen=True, slots=True)
class RolloutMark:
    """A rollout on the line of time.

    :param service: its key. :param said: what it did, such as ``v2 promoted``.
    :param begin, end: seconds since the epoch, which may be the same.
    """

    service: str
    said: str
    begin: float
    end: float


def annotations_of(
    catalogue: Catalogue, scope: QueryScope, marks: Sequence[RolloutMark]
) -> list[dict[str, Any]]:
    """The queries of a dashboard's annotations. :returns: each as Grafana's dashboard model has it."""
    found = []
    if marks:
        newest = sorted(marks, key=lambda mark: (-mark.end, mark.service, mark.said))[:_MOST_MARKS]
        expression = " or ".join(_marked(mark) for mark in newest)
        found.append(_annotation("Rollouts", "purple", expression, "{{service}}: {{said}}"))
    versioned = [service for service in catalogue.services if service.versions]
    if versioned:
        told = f"{{{{{SERVICE}}}}}: {{{{destination_version}}}} takes requests"
        found.append(_annotation("Versions that begin", "blue", _beginning(scope, versioned), told))
    return found


def _annotation(name: str, colour: str, query: str, told: str) -> dict[str, Any]:
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": DATASOURCE,
        "target": {**target("Anno", query), "interval": "60s"},
        "titleFormat": told,
        "textFormat": "",
    }


def _marked(mark: RolloutMark) -> str:
    """A series that is there from begin to end, and at least at one point of the graph."""
    found = f"vector(time()) >= {mark.begin:.0f} < {max(mark.begin, mark.end):.0f} + $__interval_ms / 1000"
    for label, value in (("service", mark.service), ("said", mark.said)):
        words = plain(quoted(value.replace("$", "$$")))  # a $ would name a group of the pattern
        found = f'label_replace({found}, "{label}", {words}, "", "")'
    return found


def _beginning(scope: QueryScope, services: Sequence[Service]) -> str:
    """Versions with requests of which there was none for an hour before."""
    chosen = f",{SERVICE}=~{plain(one_of(service.fqdn for service in services))}"
    mine = dataclasses.replace(scope, service=chosen)
    return f"({mine.by_version('5m')} > 0) unless ({mine.by_version('1h offset 5m')} > 0)"
