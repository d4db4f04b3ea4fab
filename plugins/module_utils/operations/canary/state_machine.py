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
from .rollout import HoldNeeded, PauseNeeded, PromoteNow, RestartNeeded, RollbackNeeded, Rollout

MAX_RESTARTS = 3
OUTAGE = 120.0  # seconds in which a failing API server is asked again


def begin(rollout: Rollout, notes: dict[str, Any]) -> None:
    """Opens the journal of a new run, and makes every older runner's writes fail.

    :param notes: facts for the journal: run id, cluster, baseline, inputs.
    """
    previous = rollout.journal.state
    rollout.journal.state = {}
    rollout.save(
        "run begins",
        **notes,
        runner=rollout.lease.identity,
        service=rollout.settings.service,
        namespace=rollout.settings.namespace,
        stable=rollout.settings.stable,
        canary=rollout.settings.canary,
        plan=rollout.plan.as_dict(),
        state="running",
        step="begin",
        phase=0,
        passed=0,
        outcome="",
        reason="",
        templates=list(rollout.endpoints.read()[rollout.settings.canary].templates),
        before=previous.get("run", ""),
    )
    claim(rollout)


def claim(rollout: Rollout) -> None:
    """Marks journal, routes and record with this run's fence: the first thing after taking over."""
    rollout.routes.claim(rollout.fence)
    record = rollout.records.read()
    if record is not None and record.fence != rollout.fence:
        rollout.records.write(dataclasses.replace(record, fence=rollout.fence))


def take_over(rollout: Rollout) -> None:
    """Continues the journal of a dead or waiting run under a new fence."""
    rollout.save("taken over", runner=rollout.lease.identity)
    claim(rollout)


def drive(rollout: Rollout) -> dict[str, Any]:
    """Runs from wherever the journal stands to a named end. :returns: the journal's state.

    :raises FencedError: another runner has taken over; nothing was written after that.
    """
    state = rollout.journal.state
    if state.get("state") == "promoting":
        return _ended(rollout, lambda: promote(rollout))
    if state.get("state") == "rolling_back":
        return _ended(rollout, lambda: roll_back(rollout, state.get("reason") or "interrupted rollback"))
    if state.get("state") == "holding":
        return _ended(rollout, lambda: hold_on(rollout, state.get("reason") or "stable is down"))
    return _ended(rollout, lambda: _phases(rollout))


def withdraw(rollout: Rollout, reason: str) -> dict[str, Any]:
    """Ends a journalled run at the stable version, whatever it was doing. :returns: the journal's state."""
    return _ended(rollout, lambda: roll_back(rollout, reason))


def _ended(rollout: Rollout, act: Callable[[], None]) -> dict[str, Any]:
    """Turns every way in which an act can end into a state of the journal."""
    try:
        _carried_out(rollout, act)
    except ApiError as error:
        _after_outage(rollout, error)
    with contextlib.suppress(ApiError):  # the end is written already; an unreleased Lease runs out by itself
        rollout.lease.release()
        rollout.disarm()
    return rollout.journal.state


def _carried_out(rollout: Rollout, act: Callable[[], None]) -> None:
    try:
        act()
    except PauseNeeded as pause:
        rollout.save(f"paused: {pause}", state="paused", reason=str(pause))
    except HoldNeeded as hold:
        hold_on(rollout, str(hold))
    except RollbackNeeded as needed:
        roll_back(rollout, str(needed))
    except StoppedError as stopped:
        if rollout.settings.on_stop == "rollback":
            rollout.stop = lambda: False  # the clean-up itself must come to its end
            roll_back(rollout, str(stopped))
        else:
            rollout.save(f"left as it is: {stopped}", step="left")


def _after_outage(rollout: Rollout, error: ApiError) -> None:
    """The API server failed in mid-run. Nobody watched the canary meanwhile, so it is withdrawn (or what was
    decided before is finished) as soon as the server answers, if the Lease is still ours.

    :raises ApiError: the server refuses, or does not come back in time; a later run takes over.
    """
    deadline = rollout.clock.monotonic() + OUTAGE
    while True:
        if 400 <= error.status < 500 and error.status not in (408, 409, 429):
            raise error
        try:
            rollout.lease.renew()
            rollout.journal.read()
            _carried_out(rollout, functools.partial(_next_action, rollout, error))
            return
        except ApiError as again:
            if rollout.clock.monotonic() >= deadline:
                raise
            error = again
            rollout.clock.sleep(2.0)


def _next_action(rollout: Rollout, error: ApiError) -> None:
    """The one next action of a journal whose run lost sight of its canary."""
    state = rollout.journal.state
    if state.get("state") == "promoting":
        promote(rollout)
    elif state.get("state") == "holding":
        hold_on(rollout, str(state.get("reason")))
    elif rollout.journal.active:
        roll_back(rollout, str(state.get("reason") or f"the API server failed: {error}"))


def _phases(rollout: Rollout) -> None:
    if rollout.deadman:
        rollout.deadman.arm()
    if rollout.scaler:
        rollout.scaler.up()
    if not rollout.journal.state.get("templates"):  # there was no pod when the run began
        rollout.save(templates=list(rollout.endpoints.read()[rollout.settings.canary].templates))
    rollout.metrics.start()
    restarts = int(rollout.journal.state.get("restarts") or 0)
    while True:
        try:
            for phase in rollout.plan.phases[int(rollout.journal.state.get("passed") or 0) :]:
                if _must_wait(rollout, phase):
                    return
                run_phase(rollout, phase)
            promote(rollout)
            return
        except PromoteNow as now:
            rollout.save(f"promotion {now}", passed=len(rollout.plan.phases))
            promote(rollout)
            return
        except RestartNeeded as changed:
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise RollbackNeeded(f"the canary changed {restarts} times during its rollout") from changed
            _start_over(rollout, changed, restarts)


def _start_over(rollout: Rollout, changed: RestartNeeded, restarts: int) -> None:
    """A new revision: weight 0 first, then forget what was seen about the old one."""
    rollout.progress(f"{changed}: weight 0, and start over")
    rollout.save(
        f"start over: {changed}",
        step="restart",
        intent={"weights": dict(rollout.stable_state().weights), "kind": "weight", "percent": 0},
    )
    templates = changed.details.get("templates") or []
    discarded = [*rollout.journal.state.get("discarded", []), *rollout.journal.state.get("windows", [])][
        -200:
    ]
    # with the old templates still in the journal a crash here starts over again, which is right
    write_and_prove(rollout, rollout.stable_state(), "start over")
    rollout.save(passed=0, phase=0, windows=[], discarded=discarded, restarts=restarts, templates=templates)
    rollout.metrics.start()


def _must_wait(rollout: Rollout, phase: Phase) -> bool:
    approved = int(rollout.journal.state.get("approved") or 0)
    if phase.number not in rollout.settings.approvals or phase.number <= approved:
        return False
    rollout.save(
        f"phase {phase.label()} awaits approval",
        state="awaiting_approval",
        step="approval",
        phase=phase.number,
        reason=f"phase {phase.label()} awaits approval",
    )
    rollout.progress(f"phase {phase.label()} awaits approval; the split stays as it is and nobody watches it")
    return True
