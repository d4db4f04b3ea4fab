# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollout as a state machine: begin or take over, run the phases, end in a state that has a name.

Every state is in the journal before its writes happen, so a successor always knows one next action:
``running`` (continue, or withdraw), ``rolling_back``, ``promoting`` and ``holding`` (finish it),
``awaiting_approval`` and ``paused`` (continue on request), ``finished``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from ...errors import ApiError
from ...model.rollout.phases import Phase
from .outcomes import hold_on, promote, roll_back
from .phase import run_phase, write_and_prove
from .protocols import StoppedError
from .run import HoldNeeded, PauseNeeded, PromoteNow, RestartNeeded, RollbackNeeded, Run

MAX_RESTARTS = 3
OUTAGE = 120.0  # seconds in which a failing API server is asked again


def begin(run: Run, notes: dict[str, Any]) -> None:
    """Opens the journal of a new run, and makes every older runner's writes fail.

    :param notes: facts for the journal: run id, cluster, baseline, inputs.
    """
    previous = run.journal.state
    run.journal.state = {}
    run.save(
        "run begins",
        **notes,
        runner=run.lease.identity,
        service=run.settings.service,
        namespace=run.settings.namespace,
        stable=run.settings.stable,
        canary=run.settings.canary,
        plan=run.plan.as_dict(),
        state="running",
        step="begin",
        phase=0,
        passed=0,
        outcome="",
        reason="",
        templates=list(run.arms.read()[run.settings.canary].templates),
        before=previous.get("run", ""),
    )
    stamp(run)


def stamp(run: Run) -> None:
    """Marks journal, routes and record with this run's fence: the first thing after taking over."""
    run.routes.stamp(run.fence)
    record = run.records.read()
    if record is not None and record.fence != run.fence:
        run.records.write(dataclasses.replace(record, fence=run.fence))


def take_over(run: Run) -> None:
    """Continues the journal of a dead or waiting run under a new fence."""
    run.save("taken over", runner=run.lease.identity)
    stamp(run)


def drive(run: Run) -> dict[str, Any]:
    """Runs from wherever the journal stands to a named end. :returns: the journal's state.

    :raises FencedError: another runner has taken over; nothing was written after that.
    """
    state = run.journal.state
    if state.get("state") == "promoting":
        return _ended(run, lambda: promote(run))
    if state.get("state") == "rolling_back":
        return _ended(run, lambda: roll_back(run, state.get("reason") or "interrupted rollback"))
    if state.get("state") == "holding":
        return _ended(run, lambda: hold_on(run, state.get("reason") or "stable is down"))
    return _ended(run, lambda: _phases(run))


def withdraw(run: Run, reason: str) -> dict[str, Any]:
    """Ends a journalled run at the stable version, whatever it was doing. :returns: the journal's state."""
    return _ended(run, lambda: roll_back(run, reason))


def _ended(run: Run, act: Callable[[], None]) -> dict[str, Any]:
    """Turns every way in which an act can end into a state of the journal."""
    try:
        _turned(run, act)
    except ApiError as error:
        _after_outage(run, error)
    with contextlib.suppress(ApiError):  # the end is written already; an unreleased Lease runs out by itself
        run.lease.release()
        run.disarm()
    return run.journal.state


def _turned(run: Run, act: Callable[[], None]) -> None:
    try:
        act()
    except PauseNeeded as pause:
        run.save(f"paused: {pause}", state="paused", reason=str(pause))
    except HoldNeeded as hold:
        hold_on(run, str(hold))
    except RollbackNeeded as needed:
        roll_back(run, str(needed))
    except StoppedError as stopped:
        if run.settings.on_stop == "rollback":
            run.stop = lambda: False  # the clean-up itself must come to its end
            roll_back(run, str(stopped))
        else:
            run.save(f"left as it is: {stopped}", step="left")


def _after_outage(run: Run, error: ApiError) -> None:
    """The API server failed in mid-run. Nobody watched the canary meanwhile, so it is withdrawn (or what was
    decided before is finished) as soon as the server answers, if the Lease is still ours.

    :raises ApiError: the server refuses, or does not come back in time; a later run takes over.
    """
    deadline = run.clock.monotonic() + OUTAGE
    while True:
        if 400 <= error.status < 500 and error.status not in (408, 409, 429):
            raise error
        try:
            run.lease.renew()
            run.journal.read()
            _turned(run, functools.partial(_decided, run, error))
            return
        except ApiError as again:
            if run.clock.monotonic() >= deadline:
                raise
            error = again
            run.clock.sleep(2.0)


def _decided(run: Run, error: ApiError) -> None:
    """The one next action of a journal whose run lost sight of its canary."""
    state = run.journal.state
    if state.get("state") == "promoting":
        promote(run)
    elif state.get("state") == "holding":
        hold_on(run, str(state.get("reason")))
    elif run.journal.active:
        roll_back(run, str(state.get("reason") or f"the API server failed: {error}"))


def _phases(run: Run) -> None:
    if run.deadman:
        run.deadman.arm()
    if run.scaler:
        run.scaler.up()
    if not run.journal.state.get("templates"):  # there was no pod when the run began
        run.save(templates=list(run.arms.read()[run.settings.canary].templates))
    run.meter.start()
    restarts = int(run.journal.state.get("restarts") or 0)
    while True:
        try:
            for phase in run.plan.phases[int(run.journal.state.get("passed") or 0) :]:
                if _must_wait(run, phase):
                    return
                run_phase(run, phase)
            promote(run)
            return
        except PromoteNow as now:
            run.save(f"promotion {now}", passed=len(run.plan.phases))
            promote(run)
            return
        except RestartNeeded as changed:
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise RollbackNeeded(f"the canary changed {restarts} times during its rollout") from changed
            _start_over(run, changed, restarts)


def _start_over(run: Run, changed: RestartNeeded, restarts: int) -> None:
    """A new revision: weight 0 first, then forget what was seen about the old one."""
    run.say(f"{changed}: weight 0, and start over")
    run.save(
        f"start over: {changed}",
        step="restart",
        intent={"weights": dict(run.stable_shape().weights), "kind": "weight", "percent": 0},
    )
    templates = changed.details.get("templates") or []
    discarded = [*run.journal.state.get("discarded", []), *run.journal.state.get("windows", [])][-200:]
    # with the old templates still in the journal a crash here starts over again, which is right
    write_and_prove(run, run.stable_shape(), "start over")
    run.save(passed=0, phase=0, windows=[], discarded=discarded, restarts=restarts, templates=templates)
    run.meter.start()


def _must_wait(run: Run, phase: Phase) -> bool:
    approved = int(run.journal.state.get("approved") or 0)
    if phase.number not in run.settings.approvals or phase.number <= approved:
        return False
    run.save(
        f"phase {phase.label()} awaits approval",
        state="awaiting_approval",
        step="approval",
        phase=phase.number,
        reason=f"phase {phase.label()} awaits approval",
    )
    run.say(f"phase {phase.label()} awaits approval; the split stays as it is and nobody watches it")
    return True
