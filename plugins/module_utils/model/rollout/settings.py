# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides a rollout besides its plan and gates. It is fixed when a run begins and stands in its journal.

Whoever continues, withdraws or watches a run reads it there, and not from the parameters of a later call: a
schedule does not know them, and a person forgets them.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from .outside_gates import OutsideGate


class LowTraffic(enum.StrEnum):
    """What a phase without enough requests at its deadline ends in."""

    ROLLBACK = "rollback"
    PROMOTE_WITH_WARNING = "promote_with_warning"
    SYNTHETIC = "synthetic"


@dataclasses.dataclass(frozen=True, slots=True)
class HeaderMatch:
    """Who gets the canary in a phase for testers: requests with this header."""

    header: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Sticky:
    """The cookie that keeps a user with the canary. :param max_age: seconds."""

    cookie: str
    max_age: int


@dataclasses.dataclass(frozen=True, slots=True)
class Synthetic:
    """Who sends requests of our own: a command in a ready pod that the selector finds."""

    namespace: str
    selector: str
    container: str
    command: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """Replicas. :param up: of the canary before its first request; None leaves them.

    :param down: whether the version that lost its requests goes to 0.
    :param delay: seconds that it stays at least after a promotion; a canary at most after a rollback.
    :param drain: seconds after which requests that it still serves are cut off.
    """

    up: int | None
    down: bool
    delay: float = 30.0
    drain: float = 600.0


@dataclasses.dataclass(frozen=True, slots=True)
class ForeignRoute:
    """A VirtualService that is not computed from the catalogue."""

    name: str
    namespace: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeadmanOptions:
    """The Job that ends the split of a dead runner. :param image: anything with ``python3``.

    :param notify_secret: a Secret with ``url`` and ``headers`` of whom the Job tells what it did, or empty.
    """

    image: str
    service_account: str
    image_pull_secrets: tuple[str, ...] = ()
    notify_secret: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class VersionFacts:
    """A version as the catalogue had it when the run began: it may be renamed or removed meanwhile."""

    labels: Mapping[str, str]
    workload: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run decides. Times in seconds.

    :param approvals: numbers of the phases that wait for approval before they begin.
    :param max_ms: latency limit in milliseconds, ``None`` for the bucket above the stable version's p95.
    :param deadline: so long may the run take, without the time in which it waits for a person.
    :param unmeasurable: so long may metrics be missing before the version is withdrawn.
    :param ready_timeout: so long is waited for a version that has no ready endpoint: before weight is put on
        it, and before a stable version counts as down.
    :param propagation: ``require`` or ``report``: what a "cannot tell" of the proxies does.
    :param mtls: ``require``, ``report`` or ``off``. :param on_stop: ``rollback`` or ``leave``.
    :param capacity: ``hold`` or ``ignore``: whether stable keeps the size at which it bore all requests.
    :param sick_stable: the stable version is known to be sick or gone, and the run is to replace it.
    :param outside: gates that a URL, a command or the calendar decides.
    """

    promote: bool = True
    approvals: tuple[int, ...] = ()
    testers: HeaderMatch | None = None
    sticky: Sticky | None = None
    max_ms: float | None = None
    scrape_interval: float = 15.0
    low_traffic: LowTraffic = LowTraffic.ROLLBACK
    synthetic: Synthetic | None = None
    deadline: float = 7200.0
    phase_deadline: float = 1800.0
    unmeasurable: float = 300.0
    ready_timeout: float = 120.0
    propagation: str = "require"
    propagation_timeout: float = 60.0
    propagation_max_proxies: int = 200
    mtls: str = "report"
    on_stop: str = "rollback"
    gitops: str = "refuse"
    routes: ForeignRoute | None = None
    scale: Scale | None = None
    capacity: str = "hold"
    deadman: DeadmanOptions | None = None
    sick_stable: bool = False
    outside: tuple[OutsideGate, ...] = ()
