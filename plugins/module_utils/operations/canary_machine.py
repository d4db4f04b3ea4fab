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

from ..errors import ApiError
from ..model.evidence import evidence_of, sha256_of
from ..model.phases import Phase
from ..model.release import ReleaseRecord
from .canary_phase import run_phase, write_and_prove
from .canary_ports import StoppedError, timestamp
from .canary_run import HoldNeeded, PauseNeeded, PromoteNow, RestartNeeded, RollbackNeeded, Run

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


def promote(run: Run) -> None:
    """Makes the split of the last phase permanent: routes, proof, record, end."""
    final = _final_weights(run)
    whole = final.get(run.settings.canary) == 100
    shape = run.canary_shape() if whole else dataclasses.replace(run.canary_shape(), weights=final)
    if not run.arms.read()[run.settings.canary].ready:
        raise RollbackNeeded("no ready endpoint of the new version at promotion")
    run.save(
        "promotion: intent",
        state="promoting",
        step="promote",
        intent={"weights": dict(shape.weights), "kind": "weight", "percent": 0},
        weights=dict(shape.weights),
    )
    write_and_prove(run, shape, "promotion")
    settings = run.settings
    if whole:
        stable, previous = settings.canary, settings.stable
    else:
        stable, previous = settings.stable, ""
    _record(run, stable=stable, previous=previous, weights=dict(shape.weights))
    outcome = "promoted" if whole else "split"
    _finish(run, outcome, f"{stable} is stable" if whole else f"the split stays at {final}")
    if run.scaler and whole:
        run.scaler.down(promoted=True)


def _final_weights(run: Run) -> dict[str, int]:
    if run.settings.promote:
        return dict(run.canary_shape().weights)
    return dict(run.plan.phases[-1].weights)


def roll_back(run: Run, reason: str) -> None:
    """All requests back to the stable version: traffic first; its subset stays for whoever still uses it."""
    run.save(
        f"rollback: {reason}",
        state="rolling_back",
        step="rollback",
        reason=reason,
        intent={"weights": dict(run.stable_shape().weights), "kind": "weight", "percent": 0},
        weights=dict(run.stable_shape().weights),
        rollback_began=run.journal.state.get("rollback_began") or timestamp(run.clock.now()),
    )
    run.say(f"rolling back: {reason}")
    arms = run.arms.read()
    stable, canary = arms[run.settings.stable], arms[run.settings.canary]
    if not stable.ready and canary.ready:
        hold_on(run, f"{reason}; but the stable version is down ({stable.describe()})")
        return
    if run.routes.write(run.stable_shape(), run.fence):
        run.changed = True
    proof = run.prover.routes(run.stable_shape().weights, run.keep)
    proofs = run.journal.state.get("proofs", [])
    note = {
        "at": timestamp(run.clock.now()),
        "weights": dict(run.stable_shape().weights),
        "status": proof.status,
        "seconds": round(proof.seconds, 3),
        "proxies": proof.proxies,
        "detail": proof.detail,
    }
    run.save(f"rollback: routes {proof.status}", proofs=[*proofs, note][-200:], step="rolled_back")
    if proof.status != "pass":
        run.warnings.append(f"rollback written, but the proxies' proof is {proof.status}: {proof.detail}")
    run.say(f"weight 0 at {proof.proxies} proxies after {proof.seconds:.2f} s ({proof.status})")
    record = run.records.read()
    previous = record.previous if record and record.stable == run.settings.stable else ""
    _record(run, stable=run.settings.stable, previous=previous, weights={run.settings.stable: 100})
    _finish(run, "rolled_back", reason)
    if run.scaler:
        run.scaler.down(promoted=False)


def hold_on(run: Run, reason: str) -> None:
    """The stable version is sick: keep users on the version that works, and say so loudly."""
    arms = run.arms.read()
    shape = run.canary_shape()
    if not arms[run.settings.canary].ready or arms[run.settings.stable].ready:
        # both have endpoints: the split that the gates last saw stays
        phase = max(int(run.journal.state.get("phase") or 1), 1)
        shape = dataclasses.replace(
            shape, weights=dict(run.plan.phases[min(phase, len(run.plan.phases)) - 1].weights)
        )
    run.save(
        f"held: {reason}",
        state="promoting",
        step="hold",
        reason=reason,
        weights=dict(shape.weights),
        held=True,
    )
    if run.routes.write(shape, run.fence):
        run.changed = True
    run.prover.routes(shape.weights, run.keep)
    _record(run, stable=run.settings.stable, previous="", weights=dict(shape.weights))
    _finish(run, "held_on_canary", reason)


def _record(run: Run, *, stable: str, previous: str, weights: dict[str, int]) -> None:
    run.keep()
    kept = {version: weight for version, weight in weights.items() if weight}
    evidence = sha256_of(evidence_of(run.journal.state))
    record = ReleaseRecord(
        stable=stable,
        previous=previous,
        weights=kept,
        run=str(run.journal.state.get("run") or ""),
        fence=run.fence,
        finished_at=timestamp(run.clock.now()),
        evidence_sha256=evidence,
    )
    run.save(step="record", evidence_sha256=evidence)
    run.records.write(record)


def _finish(run: Run, outcome: str, reason: str) -> None:
    run.save(f"end: {outcome}", state="finished", step="done", outcome=outcome, reason=reason)
    run.say(f"{outcome}: {reason}")
