# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollout as a state machine: begin or take over, run the phases, end in a state that has a name.

Every state is in the journal before its writes happen, so a successor always knows the one next action; see
`model.rollout.journal.State`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

from ...errors import ApiError, MeshError, RefusedError
from ...model.rollout.journal import KEPT_DISCARDED, Journal, LastStep, RunFacts, State, begun
from ...model.rollout.phases import Phase
from .outcomes import abandon, hold_on, promote, roll_back
from .phase import run_phase, write_and_prove
from .protocols import StoppedError
from .rollout import HoldNeeded, PauseNeeded, PromoteNow, RestartNeeded, RollbackNeeded, Rollout
from .watch import awaits_approval

MAX_RESTARTS = 3
START_WITHIN = 15.0  # seconds in which counting begins; later looks make up for a start that fails
OUTAGE = 900.0  # seconds in which a failing API server is asked again
PASSING = frozenset({401, 403, 408, 409, 429})  # statuses that may end while the run waits


def begin(rollout: Rollout, facts: RunFacts, reason: str = "") -> None:
    """Opens the journal of a new run, and makes every older runner's writes fail.

    :param reason: why a run begins that only rolls back.
    """
    with _or_let_go(rollout):
        _begin(rollout, facts, reason)


def _begin(rollout: Rollout, facts: RunFacts, reason: str) -> None:
    endpoints = rollout.endpoints.read()
    previous = rollout.store.known
    options = rollout.options
    journal = begun(
        facts,
        runner=rollout.lease.identity,
        service=options.service.name,
        namespace=options.service.namespace,
        plan=rollout.plan,
        templates=endpoints[rollout.plan.canary].templates,
        reason=reason,
    )
    journal = replace(
        journal,
        previous_run=previous.run if previous else "",
        stable_templates=endpoints[rollout.plan.stable].templates,
    )
    rollout.save(journal, "run begins")
    claim(rollout)


def claim(rollout: Rollout) -> None:
    """Marks routes and record with this run's fence: the first thing after taking over."""
    rollout.routes.claim(rollout.fence)
    record = rollout.records.known()
    if record is not None and record.fence != rollout.fence:
        rollout.records.write(replace(record, fence=rollout.fence))


def take_over(rollout: Rollout) -> None:
    """Continues the journal of a dead or waiting run under a new fence."""
    with _or_let_go(rollout):
        rollout.save(replace(rollout.journal, runner=rollout.lease.identity), "taken over")
        claim(rollout)


@contextlib.contextmanager
def _or_let_go(rollout: Rollout) -> Iterator[None]:
    """A run that cannot even begin (no quota, no right) holds nothing: the next call need not wait until its
    Lease has run out."""
    try:
        yield
    except MeshError:
        with contextlib.suppress(MeshError):
            rollout.lease.release()
        raise


def drive(rollout: Rollout) -> Journal:
    """Runs from wherever the journal stands to a named end. :returns: the journal.

    :raises FencedError: another runner has taken over; nothing was written after that.
    """
    return _ended(rollout, lambda: _next_action(rollout, lambda: _phases(rollout)))


def withdraw(rollout: Rollout, reason: str) -> Journal:
    """Ends a journalled run at the stable version, whatever it was doing. :returns: the journal."""
    return _ended(rollout, lambda: roll_back(rollout, reason))


def clean_up(rollout: Rollout, reason: str) -> Journal:
    """Ends a run that nobody watched; what it had decided before is finished. :returns: the journal."""
    return _ended(rollout, lambda: _next_action(rollout, lambda: abandon(rollout, reason)))


def _next_action(rollout: Rollout, running: Callable[[], None]) -> None:
    """The one next action of a journal. :param running: that of a run which has decided nothing yet."""
    journal = rollout.journal
    match journal.state:
        case State.RUNNING:
            running()
        case State.PROMOTING:
            promote(rollout)
        case State.ROLLING_BACK:
            roll_back(rollout, journal.reason)
        case State.HOLDING:
            hold_on(rollout, journal.reason, journal.hold)
        case State.AWAITING_APPROVAL | State.PAUSED | State.FINISHED:
            return


def _ended(rollout: Rollout, act: Callable[[], None]) -> Journal:
    """Turns every way in which an act can end into a state of the journal."""
    try:
        _carried_out(rollout, act)
    except ApiError as error:
        _after_outage(rollout, error)
    if rollout.outside:
        with contextlib.suppress(MeshError):  # the end is written already, and nothing changes it any more
            rollout.outside.after()
    with contextlib.suppress(MeshError):
        for teller in rollout.tellers:
            teller.close()
    with contextlib.suppress(ApiError):  # the end is written already; an unreleased Lease runs out by itself
        rollout.lease.release()
    with contextlib.suppress(ApiError):  # above all then: its Job would take it for a dead runner's
        rollout.disarm()
    return rollout.journal


def _carried_out(rollout: Rollout, act: Callable[[], None]) -> None:
    try:
        act()
    except PauseNeeded as pause:
        paused = replace(rollout.journal, state=State.PAUSED, reason=str(pause))
        rollout.save(paused, f"paused: {pause}")
    except HoldNeeded as hold:
        hold_on(rollout, str(hold), hold.cause)
    except RollbackNeeded as needed:
        roll_back(rollout, str(needed))
    except RefusedError as refused:  # what comes next cannot be written, as somebody has left the objects
        roll_back(rollout, str(refused))
    except StoppedError as stopped:
        if rollout.options.on_stop == "rollback":
            rollout.stop = lambda: False  # the clean-up itself must come to its end
            roll_back(rollout, str(stopped))
        else:
            rollout.save(replace(rollout.journal, step=LastStep.LEFT), f"left as it is: {stopped}")


def _after_outage(rollout: Rollout, error: ApiError) -> None:
    """The API server failed in mid-run. Nobody watched the canary meanwhile, so it is withdrawn (or what was
    decided before is finished) as soon as the server answers, if the Lease is still ours.

    A token that ran out or a right that was taken away may come back, and nobody else would end the split.
    What a policy refuses it refuses for good; but it may refuse the next phase only, and let the split be
    taken back.

    :raises ApiError: the server refuses that, too, or does not come back in time; a later run takes over.
    """
    deadline = rollout.clock.monotonic() + OUTAGE
    reason = str(error) if error.status == 409 else f"the API server failed: {error}"
    refused = 0
    while True:
        refused += 400 <= error.status < 500 and error.status not in PASSING
        if refused > 1 or rollout.stop():
            raise error
        try:
            rollout.lease.renew()
            rollout.store.refresh()
            act = functools.partial(_next_action, rollout, lambda: abandon(rollout, reason))
            _carried_out(rollout, act)
            return
        except ApiError as again:
            if rollout.clock.monotonic() >= deadline:
                raise
            error = again
            rollout.clock.sleep(2.0)


def _phases(rollout: Rollout) -> None:
    rollout.spent()  # from now on
    # somebody may ask, and pods may change, at any moment of it: also before the first phase, and between two
    act: Callable[[], None] = functools.partial(_prepare, rollout)
    while True:
        try:
            act()
            for phase in rollout.plan.phases[rollout.journal.passed :]:
                if _must_wait(rollout, phase):
                    return
                run_phase(rollout, phase)
            promote(rollout)
            return
        except PromoteNow as now:
            act = functools.partial(_skip_phases, rollout, now)
        except RestartNeeded as changed:
            act = functools.partial(_start_over, rollout, changed)


def _prepare(rollout: Rollout) -> None:
    """Before the first phase of this runner."""
    if rollout.deadman:
        rollout.deadman.arm()
    if rollout.scaler:
        rollout.scaler.begin()
    if len(rollout.journal.templates) != 1:  # when the run began there was no pod, or a rolling update
        rollout.save(replace(rollout.journal, templates=_one_revision(rollout)))
    rollout.await_result(rollout.background(rollout.metrics.start), START_WITHIN)


def _skip_phases(rollout: Rollout, now: PromoteNow) -> None:
    """A person promotes what is there."""
    templates = rollout.endpoints.read()[rollout.plan.canary].templates
    skipped = replace(
        rollout.journal, passed=len(rollout.plan.phases), templates=templates, reason=f"promotion {now}"
    )
    rollout.save(skipped, skipped.reason)


def _start_over(rollout: Rollout, changed: RestartNeeded) -> None:
    """A new revision: weight 0 first, then forget what was seen, and approved, of the old one.

    :raises RollbackNeeded: it has changed too often.
    """
    restarts = rollout.journal.restarts + 1
    if restarts > MAX_RESTARTS:
        raise RollbackNeeded(f"the canary changed {restarts} times during its rollout") from changed
    rollout.progress(f"{changed}: weight 0, and start over")
    if not rollout.endpoints.read()[rollout.plan.stable].ready:
        raise RollbackNeeded(f"{changed}, while the stable version is down") from changed
    back = rollout.stable_traffic()
    rollout.save(replace(rollout.journal, step=LastStep.RESTART, intent=back), f"start over: {changed}")
    journal = rollout.journal
    if rollout.scaler:
        rollout.scaler.before_return()
    # with the old templates still in the journal a crash here starts over again, which is right
    write_and_prove(rollout, back, "start over")
    forgotten = replace(
        rollout.journal,
        reason="",
        passed=0,
        phase=0,
        approved=0,
        windows=(),
        verdicts=(),
        by_phase={},
        values={},
        judged=None,
        discarded=(*journal.discarded, *journal.windows)[-KEPT_DISCARDED:],
        restarts=restarts,
        templates=_one_revision(rollout),
    )
    rollout.save(forgotten)
    rollout.await_result(rollout.background(rollout.metrics.start), START_WITHIN)


def _one_revision(rollout: Rollout) -> tuple[str, ...]:
    """Waits until all pods of the canary are of one revision, the new one or, undone, the old one again: what
    is seen of two at once is about neither.

    :raises RollbackNeeded: two stay.
    """
    seen: list[tuple[str, ...]] = []

    def check() -> tuple[bool, str]:
        canary = rollout.endpoints.read()[rollout.plan.canary]
        seen[:] = [canary.templates]
        return len(canary.templates) <= 1, f"{canary.version} has pods of {len(canary.templates)} revisions"

    rollout.await_ready(check, "one revision of the canary", rollout.options.phase_deadline)
    return seen[0]


def _must_wait(rollout: Rollout, phase: Phase) -> bool:
    if not awaits_approval(rollout, phase):
        return False
    reason = f"phase {phase.label()} awaits approval"
    waiting = replace(
        rollout.journal,
        state=State.AWAITING_APPROVAL,
        step=LastStep.APPROVAL,
        phase=phase.number,
        reason=reason,
    )
    rollout.save(waiting, reason)
    rollout.progress(f"{reason}; the split stays as it is, and only canary_resume watches it")
    return True
