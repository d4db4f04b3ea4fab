# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout works with: settings, tools, and the notes it keeps in the journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import MeshError, WaitTimeout
from ...kube.clock import Clock, timestamp
from ...kube.wait import wait_until
from ...model.rollout.journal import KEPT_EVENTS, Action, Event, Hold, Journal, Outcome
from ...model.rollout.measurement import Measurement
from ...model.rollout.milestones import Milestone, milestone_of
from ...model.rollout.outside_gates import Moment
from ...model.rollout.phases import Phase, RolloutPlan, TrafficState
from ...model.rollout.record import ReleaseRecord
from ...model.rollout.unattributed import Weight
from .background import Background, Pending, inline
from .endpoints import VersionEndpoints
from .objects.journal import JournalStore, taken_over
from .objects.lease import RolloutLease
from .options.rollout import RolloutOptions
from .protocols import Prover, StoppedError


class RollbackNeeded(MeshError):  # noqa: N818  # a turn of the run, not an error of the program
    """The version must lose its traffic; the message is the reason."""


class NotInTimeError(RollbackNeeded):
    """Something was not ready in time: nobody has asked for the rollback."""


class HoldNeeded(MeshError):  # noqa: N818  # as above
    """The stable version must not get the requests. :param cause: why."""

    def __init__(self, message: str, cause: Hold) -> None:
        super().__init__(message)
        self.cause = cause


class PauseNeeded(MeshError):  # noqa: N818  # as above
    """The run shall end where it is, to be continued."""


class PromoteNow(MeshError):  # noqa: N818  # as above
    """Somebody decided to skip the remaining phases."""


class RestartNeeded(MeshError):  # noqa: N818  # as above
    """The canary's pods are of a new revision: what was seen is about other code.

    :param templates: ``pod-template-hash`` of all its pods now.
    """

    def __init__(self, message: str, templates: tuple[str, ...]) -> None:
        super().__init__(message)
        self.templates = templates


class Routes(Protocol):
    """Own or foreign routes. ``annotation`` is that of the fence."""

    name: str
    namespace: str
    annotation: str

    def read(self) -> dict[str, Any] | None:
        """The live object. :returns: a VirtualService; None when it does not exist."""

    def write(self, traffic: TrafficState, fence: int) -> bool:
        """Writes the routes of a traffic state."""

    def claim(self, fence: int) -> None:
        """Marks them with a newer fence, so that writes of an older runner fail."""

    def desired(self, traffic: TrafficState) -> dict[str, Any]:
        """The object for a traffic state. :returns: a VirtualService."""

    def snapshot(self) -> tuple[Any, ...] | None:
        """What is needed to restore a foreign object byte for byte; None when nothing is.

        :returns: plain data for the journal.
        """

    def restore(self, snapshot: Sequence[Any] | None) -> None:
        """Takes the snapshot of a journal."""


class RecordStore(Protocol):
    """The release record."""

    def known(self) -> ReleaseRecord | None:
        """The record, None also where it cannot be read."""

    def write(self, record: ReleaseRecord) -> bool:
        """Writes it."""


class EndpointSource(Protocol):
    """Pods per version."""

    def read(self) -> Mapping[str, VersionEndpoints]:
        """Ready pods of each version. :returns: version -> its endpoints."""


class MetricsSource(Protocol):
    """The metrics."""

    def start(self) -> None:
        """Counts from now on."""

    def measure(self, after: float, weight: Weight | None = None) -> Measurement:
        """Requests since the last look. :param weight: what the canary was to get since then."""


class Scaler(Protocol):
    """The sizes of both workloads."""

    def begin(self) -> None:
        """Before the first phase."""

    def bring_back(self) -> None:
        """What a promotion scaled to 0, before anybody looks whether it is ready."""

    def before_return(self) -> None:
        """Before requests come back to the stable version."""

    def end(self, outcome: Outcome) -> None:
        """Before the run ends."""


class GatesOutside(Protocol):
    """Optional: gates that somebody outside of the mesh decides."""

    def waits_for(self, moment: Moment, phase: Phase) -> str:
        """Why the run must not go on yet; empty when every gate of this moment passes. Never waits."""

    def have_passed(self, moment: Moment, phase: int) -> bool:
        """Whether every gate of a moment has passed, by the journal."""

    def before(self, phase: Phase) -> None:
        """Waits for the gates before a phase."""

    def pause(self, seconds: float) -> None:
        """Sleeps while only gates are waited for."""

    def after(self) -> None:
        """Asks the gates after the end."""

    def stop(self) -> None:
        """Nobody needs the answers any more."""


class Teller(Protocol):
    """Optional: who hears of the milestones of a run. Raises nothing but what kills the run anyway."""

    def tell(self, milestone: Milestone, journal: Journal) -> None:
        """Something has happened, and stands in the journal."""

    def close(self) -> None:
        """The run has ended."""


class DeadmanSwitch(Protocol):
    """Optional: what ends the split when this runner dies."""

    def arm(self) -> None:
        """Before the first share of the traffic moves."""

    def disarm(self) -> None:
        """Once the run has ended, or what it decided must not be undone."""


@dataclasses.dataclass(slots=True)
class Rollout:
    """One rollout as its runner sees it: options, plan, and what it reads and writes."""

    options: RolloutOptions
    plan: RolloutPlan
    clock: Clock
    lease: RolloutLease
    store: JournalStore
    routes: Routes
    records: RecordStore
    endpoints: EndpointSource
    metrics: MetricsSource
    prover: Prover
    progress: Callable[[str], None]
    stop: Callable[[], bool]
    scaler: Scaler | None = None
    deadman: DeadmanSwitch | None = None
    outside: GatesOutside | None = None
    tellers: list[Teller] = dataclasses.field(default_factory=list)
    synthetic: Callable[[], str] | None = None
    api_calls: Callable[[], int] = lambda: 0
    background: Background = inline
    changed: bool = False
    watched: bool = False
    began: float | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def fence(self) -> int:
        """Fence of every write."""
        return self.lease.fence

    @property
    def journal(self) -> Journal:
        """The journal as this runner knows it.

        :raises JournalError: the run has not begun.
        """
        return self.store.current

    def spent(self) -> float:
        """Seconds that runners have worked on this run, until now; waiting for a person does not count."""
        now = self.clock.monotonic()
        if self.began is None:
            self.began = now - self.journal.spent
        return now - self.began

    def traffic_of(self, phase: Phase) -> TrafficState:
        """What the routes do in a phase, with the cookies of this attempt."""
        return self.plan.traffic(phase, self.epoch)

    @property
    def epoch(self) -> str:
        """What tells the cookies of this attempt from those of earlier ones."""
        return f"{self.journal.run}-{self.journal.restarts}"

    def stable_traffic(self) -> TrafficState:
        """All requests to the stable version."""
        return TrafficState({self.plan.stable: 100, self.plan.canary: 0})

    def canary_traffic(self) -> TrafficState:
        """All requests to the new version."""
        return TrafficState({self.plan.stable: 0, self.plan.canary: 100})

    def save(
        self,
        journal: Journal,
        event: str = "",
        *,
        weights: Mapping[str, int] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Writes the journal.

        :param event: becomes a line of its timeline, with ``weights`` and ``seconds``.
        """
        if event:
            line = Event(timestamp(self.clock.now()), event, journal.phase, weights, seconds)
            journal = dataclasses.replace(journal, timeline=(*journal.timeline, line)[-KEPT_EVENTS:])
        before = self.store.known
        self.store.save(self.fence, journal)
        milestone = milestone_of(before, self.store.current) if self.tellers else None
        if milestone is not None:
            for teller in self.tellers:
                teller.tell(milestone, self.store.current)

    def disarm(self) -> None:
        """Nobody gives the routes back from now on but the journal's next runner."""
        if self.deadman:
            self.deadman.disarm()

    def renew_if_due(self) -> None:
        """Renews the Lease when due. Waits call it often. Raises nothing but loss of the Lease."""
        self.lease.renew_if_due()

    def await_ready(
        self, check: Callable[[], tuple[bool, str]], awaited: str, limit: float | None = None
    ) -> None:
        """Waits until something is ready, and takes requests meanwhile.

        :param check: whether it is, and what was seen, as the reason of a rollback.
        :param limit: seconds; option ``ready_timeout`` by default.
        :raises NotInTimeError: it is not in time. What `checkpoint` raises is raised, too.
        """

        def look() -> tuple[bool, str]:
            ready, seen = check()
            if not ready:
                self.checkpoint()
            return ready, seen

        limit, pause = limit or self.options.ready_timeout, min(2.0, self.options.poll)
        try:
            wait_until(
                look, awaited=awaited, timeout=limit, interval=1.0, max_interval=pause, clock=self.clock
            )
        except WaitTimeout as late:
            raise NotInTimeError(f"{late.last_seen}, after {limit:.0f} s") from late

    def await_result(self, pending: Pending, limit: float) -> bool:
        """Waits for work in the background, and renews the Lease meanwhile. :returns: whether it is done.

        :param limit: seconds.
        """
        end = self.clock.monotonic() + limit
        while not pending.wait(0):
            self.renew_if_due()
            left = end - self.clock.monotonic()
            if left <= 0:
                return False
            pending.wait(min(1.0, left))
        return True

    def checkpoint(self, *, requests: bool = True) -> None:
        """Between two acts: still the holder, not told to stop, no request waiting.

        :raises FencedError, StoppedError, RollbackNeeded, PauseNeeded, PromoteNow:
        """
        self.renew_if_due()
        if self.stop():
            raise StoppedError("the run was told to stop")
        if not requests:
            return
        mine = self.journal
        there = self.store.refresh()
        if there.fence > self.fence:
            raise taken_over(there)
        self.store.known = mine  # what differs in the cluster was edited there: nobody else has this fence
        self.take_request()

    def take_request(self) -> None:
        """Obeys a request in the journal as last read or written. A write is refused where one has arrived
        meanwhile, and reads it.

        It leaves the cluster in the same write that says what follows from it: a runner that dies in between
        leaves it to its successor.

        :raises RollbackNeeded, PauseNeeded, PromoteNow: whoever catches it saves the journal.
        """
        request = self.store.request()
        if request is None:
            return
        self.store.take_request()
        raise _TURNS[request.action](f"asked for by {request.by or 'somebody'}")


_TURNS: Mapping[Action, type[MeshError]] = {
    Action.ROLLBACK: RollbackNeeded,
    Action.PROMOTE: PromoteNow,
    Action.PAUSE: PauseNeeded,
}
