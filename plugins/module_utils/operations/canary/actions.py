# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback, promotion, pause and resume: they work while a runner lives, and without one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError, WaitTimeout
from ...model.rollout.phases import plan_phases
from ...model.rollout.record import ReleaseRecord
from . import state_machine as machine
from .adapters import BlindMeter
from .assembly import Kit, settings_from
from .options import read_wishes
from .protocols import FencedError
from .result import report, summary
from .scaling import bring_back

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...model.catalogue.mesh import Catalogue

ANSWER_WITHIN = 10.0  # two polls of a live runner
END_WITHIN = 180.0


def roll_back(kit: Kit) -> dict[str, Any]:
    """All requests to the stable version; after a promotion, to the version before it.

    What a run left beside the stable version when it ended with a split or held on its canary goes back too.
    """
    state = kit.journal.read()
    if kit.journal.active or kit.journal.waiting:
        if kit.context.check_mode:
            return _would(kit, f"would roll run {state['run']} back to {state['stable']}")
        if kit.journal.active and _asked(kit, "rollback", state):
            return _await_end(kit, state)
        run = kit.journalled(state)
        run.lease.acquire(steal=True)
        run.journal.read()
        machine.take_over(run)
        machine.withdraw(run, f"asked for by {_by(kit)}")
        return report(kit, run, well=("rolled_back",))
    record = kit.records.read()
    aside = _aside(record)
    if record is not None and aside:
        return _back(kit, state, stable=record.stable, canary=aside)
    if record is None or not record.previous:
        reason = "no rollout is running, and no version came before the stable one"
        return summary(kit, outcome="unchanged", reason=reason)
    if state.get("outcome") == "rolled_back" and state.get("kind") == "undo":
        return summary(kit, outcome="unchanged", reason=f"{record.stable} was rolled back to already")
    return _back(kit, state, stable=record.previous, canary=record.stable)


def _aside(record: ReleaseRecord | None) -> str:
    """The version that the last run left a share, beside the stable one; empty for none."""
    if record is None:
        return ""
    return next((name for name, weight in record.weights.items() if weight and name != record.stable), "")


def _back(kit: Kit, state: Mapping[str, Any], *, stable: str, canary: str) -> dict[str, Any]:
    if kit.context.check_mode:
        return _would(kit, f"would go back from {canary} to {stable}")
    same = (state.get("stable"), state.get("canary")) == (stable, canary)
    return _undo(kit, state if same else {}, stable=stable, canary=canary)


def _undo(kit: Kit, promoted: Mapping[str, Any], *, stable: str, canary: str) -> dict[str, Any]:
    """Rollback after a promotion: the promoted version is the canary of a run that only rolls back.

    :param promoted: journal of the promotion, as far as it is still known: what it scaled down, and a foreign
        object's routes before it.
    """
    kept = {key: promoted[key] for key in ("scaled_down", "original") if promoted.get(key)}
    settings = settings_from(kit, stable=stable, canary=canary)
    plan = plan_phases(stable=stable, canary=canary, steps=[100])
    run = kit.run(plan, settings, BlindMeter(), image=kept.get("original"))
    arm = run.arms.read()[stable]
    if not arm.ready and "scaled_down" not in kept:
        raise RefusedError(f"nothing was written: no ready endpoint: {arm.describe()}", rule="endpoints")
    run.lease.acquire()
    notes = {"run": uuid.uuid4().hex[:12], "kind": "undo", "by": _by(kit), "windows": [], "proofs": []}
    machine.begin(run, {**notes, **kept})
    if not arm.ready:
        bring_back(run, kit.client, kept["scaled_down"])
    machine.withdraw(run, f"asked for by {_by(kit)} after the end of {canary}'s rollout")
    return report(kit, run, well=("rolled_back",))


def promote(kit: Kit) -> dict[str, Any]:
    """Approves a waiting run (and carries it on), or tells a live runner to skip the remaining phases."""
    state = kit.journal.read()
    if not kit.journal.active and not kit.journal.waiting:
        return summary(kit, outcome="unchanged", reason="no rollout is running")
    if kit.context.check_mode:
        return _would(kit, f"would carry on run {state['run']}")
    if kit.journal.active and _asked(kit, "promote", state):
        return _await_end(kit, state)
    run = kit.journalled(state)
    run.lease.acquire(observe=True)
    state = run.journal.read()
    machine.take_over(run)
    if state.get("state") in ("awaiting_approval", "paused"):
        approved = int(state.get("phase") or 0)
        run.save(
            f"approved by {_by(kit)}",
            state="running",
            approved=max(approved, int(state.get("approved") or 0)),
        )
    machine.drive(run)
    return report(kit, run)


def pause(kit: Kit) -> dict[str, Any]:
    """Tells a live runner to end where it is."""
    state = kit.journal.read()
    if not kit.journal.active:
        return summary(kit, outcome="unchanged", reason="no rollout is running")
    if kit.context.check_mode:
        return _would(kit, f"would pause run {state['run']}")
    if _asked(kit, "pause", state):
        return _await_end(kit, state)
    raise RefusedError(
        f"the runner of {state['run']} does not answer: resume or roll back the rollout", rule="no-runner"
    )


def resume_all(
    client: KubeClient, params: Mapping[str, Any], catalogue: Catalogue, context: Context
) -> dict[str, Any]:
    """Cleans up after dead runners, for one service or for all of the catalogue. Safe on a schedule."""
    wanted = params.get("service")
    results: dict[str, dict[str, Any]] = {}
    for service in catalogue.services:
        if wanted and service.name != wanted:
            continue
        wishes = read_wishes({**params, "namespace": service.namespace}, service.name, catalogue)
        kit = Kit(client, {**params, "namespace": service.namespace}, wishes, context)
        found = _resume(kit)
        if found is not None:
            results[service.key] = found
    failed = [key for key, result in results.items() if result["outcome"] == "held_on_canary"]
    return {
        "changed": any(result["changed"] for result in results.values()),
        "status": "fail" if failed else "pass",
        "services": results,
        "counts": {"looked_at": len(catalogue.services), "resumed": len(results)},
    }


def _resume(kit: Kit) -> dict[str, Any] | None:
    state = kit.journal.read()
    lease = kit.lease.read()
    held = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
    if not kit.journal.active and not held:
        return None
    if kit.lease.holder(lease):
        return summary(kit, outcome="held", reason=f"held by {held}")
    if kit.context.check_mode:
        return _would(kit, f"would clean up after run {state.get('run')}")
    if not kit.journal.active:
        try:
            kit.lease.acquire()
        except RefusedError as refused:
            return summary(kit, outcome="held", reason=str(refused))
        kit.lease.release()
        return {**summary(kit, outcome="released", reason=f"{held} died after its end"), "changed": True}
    run = kit.journalled(state)
    try:
        run.lease.acquire()
        state = run.journal.read()
        machine.take_over(run)
        if state["state"] == "running" and kit.params["orphans"] == "rollback":
            machine.withdraw(run, f"its runner {state.get('runner')} died")
        else:
            machine.drive(run)
    except (RefusedError, FencedError) as refused:
        return summary(kit, outcome="held", reason=str(refused))
    return report(kit, run, well=("rolled_back", "promoted", "split"))


def _asked(kit: Kit, action: str, state: Mapping[str, Any]) -> bool:
    """Leaves the request in the journal. :returns: whether a live runner took it within two polls."""
    if not kit.lease.holder(kit.lease.read()):
        return False
    kit.journal.ask(action, _by(kit))
    kit.context.progress(f"asked the runner {state.get('runner')} to {action}")
    deadline = kit.clock.monotonic() + ANSWER_WITHIN
    while kit.clock.monotonic() < deadline:
        kit.clock.sleep(1.0)
        state = kit.journal.read()
        if not kit.journal.request() or not kit.journal.active:
            return True
    return False


def _await_end(kit: Kit, before: Mapping[str, Any]) -> dict[str, Any]:
    """Waits until the runner that took the request has ended."""
    deadline = kit.clock.monotonic() + END_WITHIN
    while kit.clock.monotonic() < deadline:
        state = kit.journal.read()
        if not kit.journal.active:
            outcome = str(state.get("outcome") or state.get("state"))
            return {**summary(kit, outcome=outcome, reason=str(state.get("reason"))), "changed": True}
        kit.clock.sleep(2.0)
    raise WaitTimeout(
        f"run {before.get('run')} took the request but has not ended after {END_WITHIN:.0f} s",
        awaited="the end of the run",
        last_seen=str(kit.journal.state.get("step")),
    )


def _would(kit: Kit, reason: str) -> dict[str, Any]:
    return {**summary(kit, outcome="planned", reason=reason), "changed": True}


def _by(kit: Kit) -> str:
    return str(kit.params.get("by") or "ansible")
