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
from . import state_machine
from .adapters import NoMetrics
from .assembly import RolloutBuilder, settings_from
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


def roll_back(builder: RolloutBuilder) -> dict[str, Any]:
    """All requests to the stable version; after a promotion, to the version before it.

    What a run left beside the stable version when it ended with a split or held on its canary goes back too.
    """
    state = builder.journal.read()
    if builder.journal.active or builder.journal.waiting:
        if builder.context.check_mode:
            return _would(builder, f"would roll run {state['run']} back to {state['stable']}")
        if builder.journal.active and _asked(builder, "rollback", state):
            return _await_end(builder, state)
        rollout = builder.journalled(state)
        rollout.lease.acquire(steal=True)
        rollout.journal.read()
        state_machine.take_over(rollout)
        state_machine.withdraw(rollout, f"asked for by {_by(builder)}")
        return report(builder, rollout, well=("rolled_back",))
    record = builder.records.read()
    aside = _aside(record)
    if record is not None and aside:
        return _back(builder, state, stable=record.stable, canary=aside)
    if record is None or not record.previous:
        reason = "no rollout is running, and no version came before the stable one"
        return summary(builder, outcome="unchanged", reason=reason)
    if state.get("outcome") == "rolled_back" and state.get("kind") == "undo":
        return summary(builder, outcome="unchanged", reason=f"{record.stable} was rolled back to already")
    return _back(builder, state, stable=record.previous, canary=record.stable)


def _aside(record: ReleaseRecord | None) -> str:
    """The version that the last run left a share, beside the stable one; empty for none."""
    if record is None:
        return ""
    return next((name for name, weight in record.weights.items() if weight and name != record.stable), "")


def _back(builder: RolloutBuilder, state: Mapping[str, Any], *, stable: str, canary: str) -> dict[str, Any]:
    if builder.context.check_mode:
        return _would(builder, f"would go back from {canary} to {stable}")
    same = (state.get("stable"), state.get("canary")) == (stable, canary)
    return _undo(builder, state if same else {}, stable=stable, canary=canary)


def _undo(
    builder: RolloutBuilder, promoted: Mapping[str, Any], *, stable: str, canary: str
) -> dict[str, Any]:
    """Rollback after a promotion: the promoted version is the canary of a run that only rolls back.

    :param promoted: journal of the promotion, as far as it is still known: what it scaled down, and a foreign
        object's routes before it.
    """
    kept = {key: promoted[key] for key in ("scaled_down", "original") if promoted.get(key)}
    settings = settings_from(builder, stable=stable, canary=canary)
    plan = plan_phases(stable=stable, canary=canary, steps=[100])
    rollout = builder.rollout(plan, settings, NoMetrics(), snapshot=kept.get("original"))
    arm = rollout.endpoints.read()[stable]
    if not arm.ready and "scaled_down" not in kept:
        raise RefusedError(f"nothing was written: no ready endpoint: {arm.describe()}", rule="endpoints")
    rollout.lease.acquire()
    notes = {"run": uuid.uuid4().hex[:12], "kind": "undo", "by": _by(builder), "windows": [], "proofs": []}
    state_machine.begin(rollout, {**notes, **kept})
    if not arm.ready:
        bring_back(rollout, builder.client, kept["scaled_down"])
    state_machine.withdraw(rollout, f"asked for by {_by(builder)} after the end of {canary}'s rollout")
    return report(builder, rollout, well=("rolled_back",))


def promote(builder: RolloutBuilder) -> dict[str, Any]:
    """Approves a waiting run (and carries it on), or tells a live runner to skip the remaining phases."""
    state = builder.journal.read()
    if not builder.journal.active and not builder.journal.waiting:
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    if builder.context.check_mode:
        return _would(builder, f"would carry on run {state['run']}")
    if builder.journal.active and _asked(builder, "promote", state):
        return _await_end(builder, state)
    rollout = builder.journalled(state)
    rollout.lease.acquire(observe=True)
    state = rollout.journal.read()
    state_machine.take_over(rollout)
    if state.get("state") in ("awaiting_approval", "paused"):
        approved = int(state.get("phase") or 0)
        rollout.save(
            f"approved by {_by(builder)}",
            state="running",
            approved=max(approved, int(state.get("approved") or 0)),
        )
    state_machine.drive(rollout)
    return report(builder, rollout)


def pause(builder: RolloutBuilder) -> dict[str, Any]:
    """Tells a live runner to end where it is."""
    state = builder.journal.read()
    if not builder.journal.active:
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    if builder.context.check_mode:
        return _would(builder, f"would pause run {state['run']}")
    if _asked(builder, "pause", state):
        return _await_end(builder, state)
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
        builder = RolloutBuilder(client, {**params, "namespace": service.namespace}, wishes, context)
        found = _resume(builder)
        if found is not None:
            results[service.key] = found
    failed = [key for key, result in results.items() if result["outcome"] == "held_on_canary"]
    return {
        "changed": any(result["changed"] for result in results.values()),
        "status": "fail" if failed else "pass",
        "services": results,
        "counts": {"looked_at": len(catalogue.services), "resumed": len(results)},
    }


def _resume(builder: RolloutBuilder) -> dict[str, Any] | None:
    state = builder.journal.read()
    lease = builder.lease.read()
    held = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
    if not builder.journal.active and not held:
        return None
    if builder.lease.holder(lease):
        return summary(builder, outcome="held", reason=f"held by {held}")
    if builder.context.check_mode:
        return _would(builder, f"would clean up after run {state.get('run')}")
    if not builder.journal.active:
        try:
            builder.lease.acquire()
        except RefusedError as refused:
            return summary(builder, outcome="held", reason=str(refused))
        builder.lease.release()
        return {**summary(builder, outcome="released", reason=f"{held} died after its end"), "changed": True}
    rollout = builder.journalled(state)
    try:
        rollout.lease.acquire()
        state = rollout.journal.read()
        state_machine.take_over(rollout)
        if state["state"] == "running" and builder.params["orphans"] == "rollback":
            state_machine.withdraw(rollout, f"its runner {state.get('runner')} died")
        else:
            state_machine.drive(rollout)
    except (RefusedError, FencedError) as refused:
        return summary(builder, outcome="held", reason=str(refused))
    return report(builder, rollout, well=("rolled_back", "promoted", "split"))


def _asked(builder: RolloutBuilder, action: str, state: Mapping[str, Any]) -> bool:
    """Leaves the request in the journal. :returns: whether a live runner took it within two polls."""
    if not builder.lease.holder(builder.lease.read()):
        return False
    builder.journal.ask(action, _by(builder))
    builder.context.progress(f"asked the runner {state.get('runner')} to {action}")
    deadline = builder.clock.monotonic() + ANSWER_WITHIN
    while builder.clock.monotonic() < deadline:
        builder.clock.sleep(1.0)
        state = builder.journal.read()
        if not builder.journal.request() or not builder.journal.active:
            return True
    return False


def _await_end(builder: RolloutBuilder, before: Mapping[str, Any]) -> dict[str, Any]:
    """Waits until the runner that took the request has ended."""
    deadline = builder.clock.monotonic() + END_WITHIN
    while builder.clock.monotonic() < deadline:
        state = builder.journal.read()
        if not builder.journal.active:
            outcome = str(state.get("outcome") or state.get("state"))
            return {**summary(builder, outcome=outcome, reason=str(state.get("reason"))), "changed": True}
        builder.clock.sleep(2.0)
    raise WaitTimeout(
        f"run {before.get('run')} took the request but has not ended after {END_WITHIN:.0f} s",
        awaited="the end of the run",
        last_seen=str(builder.journal.state.get("step")),
    )


def _would(builder: RolloutBuilder, reason: str) -> dict[str, Any]:
    return {**summary(builder, outcome="planned", reason=reason), "changed": True}


def _by(builder: RolloutBuilder) -> str:
    return str(builder.params.get("by") or "ansible")
