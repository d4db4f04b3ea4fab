# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback, promotion, pause and resume: they work while a runner lives, and without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...errors import RefusedError, WaitTimeout
from ...fields import text_at
from ...kube.wait import wait_until
from ...model.rollout.journal import Action, Journal, Kind, Outcome, RunFacts, State
from ...model.rollout.phases import plan_phases
from ...model.rollout.record import ReleaseRecord
from ...verdicts import FAIL, PASS
from . import state_machine
from .adapters import NoMetrics
from .assembly import RolloutBuilder, new_run
from .protocols import FencedError
from .result import report, summary
from .scaling import bring_back

ANSWER_WITHIN = 10.0  # two polls of a live runner
END_WITHIN = 180.0


def roll_back(builder: RolloutBuilder) -> dict[str, Any]:
    """All requests to the stable version; after a promotion, to the version before it.

    What a run left beside the stable version when it ended with a split or held on its canary goes back too.

    :returns: the module's result.
    """
    journal = builder.store.read()
    if journal and journal.state.open:
        if builder.context.check_mode:
            return _would(builder, f"would roll run {journal.run} back to {journal.stable}")
        if journal.state.active and _asked(builder, Action.ROLLBACK, journal):
            return _await_end(builder, journal)
        rollout = builder.journalled(journal)
        rollout.lease.acquire(steal=True)
        rollout.store.refresh()
        state_machine.take_over(rollout)
        state_machine.withdraw(rollout, f"asked for by {_by(builder)}")
        return report(builder, rollout, well=(Outcome.ROLLED_BACK,))
    record = builder.records.read()
    aside = _aside(record)
    if record is not None and aside:
        return _back(builder, journal, stable=record.stable, canary=aside)
    if record is None or not record.previous:
        reason = "no rollout is running, and no version came before the stable one"
        return summary(builder, outcome="unchanged", reason=reason)
    if journal and journal.outcome is Outcome.ROLLED_BACK and journal.kind is Kind.UNDO:
        return summary(builder, outcome="unchanged", reason=f"{record.stable} was rolled back to already")
    return _back(builder, journal, stable=record.previous, canary=record.stable)


def _aside(record: ReleaseRecord | None) -> str:
    """The version that the last run left a share, beside the stable one; empty for none."""
    if record is None:
        return ""
    return next((name for name, weight in record.weights.items() if weight and name != record.stable), "")


def _back(builder: RolloutBuilder, journal: Journal | None, *, stable: str, canary: str) -> dict[str, Any]:
    if builder.context.check_mode:
        return _would(builder, f"would go back from {canary} to {stable}")
    same = journal is not None and (journal.stable, journal.canary) == (stable, canary)
    return _undo(builder, journal if same else None, stable=stable, canary=canary)


def _undo(builder: RolloutBuilder, promoted: Journal | None, *, stable: str, canary: str) -> dict[str, Any]:
    """Rollback after a promotion: the promoted version is the canary of a run that only rolls back.

    :param promoted: journal of the promotion, as far as it is still known: what it scaled down, and a foreign
        object's routes before it.
    """
    facts = RunFacts(
        run=new_run(),
        kind=Kind.UNDO,
        by=_by(builder),
        scaled_down=promoted.scaled_down if promoted else None,
        original=promoted.original if promoted else None,
    )
    plan = plan_phases(stable=stable, canary=canary, steps=[100])
    rollout = builder.rollout(plan, builder.options, NoMetrics(), snapshot=facts.original)
    target = rollout.endpoints.read()[stable]
    if not target.ready and facts.scaled_down is None:
        raise RefusedError(f"nothing was written: no ready endpoint: {target.describe()}", rule="endpoints")
    rollout.lease.acquire()
    state_machine.begin(rollout, facts)
    if not target.ready and facts.scaled_down is not None:
        bring_back(rollout, builder.client, facts.scaled_down)
    state_machine.withdraw(rollout, f"asked for by {_by(builder)} after the end of {canary}'s rollout")
    return report(builder, rollout, well=(Outcome.ROLLED_BACK,))


def promote(builder: RolloutBuilder) -> dict[str, Any]:
    """Approves a waiting run (and carries it on), or tells a live runner to skip the remaining phases.

    :returns: the module's result.
    """
    journal = builder.store.read()
    if journal is None or not journal.state.open:
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    if builder.context.check_mode:
        return _would(builder, f"would carry on run {journal.run}")
    if journal.state.active and _asked(builder, Action.PROMOTE, journal):
        return _await_end(builder, journal)
    rollout = builder.journalled(journal)
    rollout.lease.acquire(observe=True)
    rollout.store.refresh()
    state_machine.take_over(rollout)
    journal = rollout.journal
    if journal.state.waiting:
        approved = max(journal.phase, journal.approved)
        rollout.save(replace(journal, state=State.RUNNING, approved=approved), f"approved by {_by(builder)}")
    state_machine.drive(rollout)
    return report(builder, rollout)


def pause(builder: RolloutBuilder) -> dict[str, Any]:
    """Tells a live runner to end where it is. :returns: the module's result."""
    journal = builder.store.read()
    if journal is None or not journal.state.active:
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    if builder.context.check_mode:
        return _would(builder, f"would pause run {journal.run}")
    if _asked(builder, Action.PAUSE, journal):
        return _await_end(builder, journal)
    raise RefusedError(
        f"the runner of {journal.run} does not answer: resume or roll back the rollout", rule="no-runner"
    )


def resume_all(builders: Sequence[RolloutBuilder]) -> dict[str, Any]:
    """Cleans up after dead runners of these services. Safe on a schedule.

    :returns: ``services`` (namespace/name -> result of each that was cleaned up), ``changed``, ``status`` and
        ``counts``.
    """
    found = {builder.service.key: _resume(builder) for builder in builders}
    results = {key: result for key, result in found.items() if result is not None}
    held = any(result["outcome"] == Outcome.HELD_ON_CANARY for result in results.values())
    return {
        "changed": any(result["changed"] for result in results.values()),
        "status": FAIL if held else PASS,
        "services": results,
        "counts": {"looked_at": len(builders), "resumed": len(results)},
    }


def _resume(builder: RolloutBuilder) -> dict[str, Any] | None:
    journal = builder.store.read()
    active = journal if journal and journal.state.active else None
    lease = builder.lease.read()
    held = text_at(lease, "spec", "holderIdentity")
    if active is None and not held:
        return None
    if builder.lease.holder(lease):
        return summary(builder, outcome="held", reason=f"held by {held}")
    if builder.context.check_mode:
        return _would(builder, f"would clean up after run {journal.run if journal else ''}")
    try:
        return _released(builder, held) if active is None else _cleaned_up(builder, active)
    except (RefusedError, FencedError) as refused:
        return summary(builder, outcome="held", reason=str(refused))


def _released(builder: RolloutBuilder, held: str) -> dict[str, Any]:
    """The Lease of a runner that died after the end of its run."""
    builder.lease.acquire()
    builder.lease.release()
    return {**summary(builder, outcome="released", reason=f"{held} died after its end"), "changed": True}


def _cleaned_up(builder: RolloutBuilder, journal: Journal) -> dict[str, Any]:
    """The run of a dead runner."""
    rollout = builder.journalled(journal)
    rollout.lease.acquire()
    died = rollout.store.refresh().runner
    state_machine.take_over(rollout)
    if builder.options.orphans == "rollback":
        state_machine.clean_up(rollout, f"its runner {died} died")
    else:
        state_machine.drive(rollout)
    return report(builder, rollout, well=(Outcome.ROLLED_BACK, Outcome.PROMOTED, Outcome.SPLIT))


def _asked(builder: RolloutBuilder, action: Action, journal: Journal) -> bool:
    """Leaves the request in the journal. :returns: whether a live runner took it within two polls."""
    if not builder.lease.holder(builder.lease.read()):
        return False
    builder.store.ask(action, _by(builder))
    builder.context.progress(f"asked the runner {journal.runner} to {action}")

    def check() -> tuple[bool, str]:
        builder.store.read()
        taken = builder.store.request() is None or not builder.store.active
        return taken, "the request waits"

    try:
        wait_until(
            check,
            awaited="an answer",
            timeout=ANSWER_WITHIN,
            interval=1.0,
            max_interval=1.0,
            clock=builder.clock,
        )
    except WaitTimeout:
        return False
    return True


def _await_end(builder: RolloutBuilder, before: Journal) -> dict[str, Any]:
    """Waits until the runner that took the request has ended."""

    def check() -> tuple[bool, str]:
        journal = builder.store.refresh()
        return not journal.state.active, journal.step.value

    awaited = f"the end of run {before.run}, which took the request"
    wait_until(check, awaited=awaited, timeout=END_WITHIN, interval=2.0, clock=builder.clock)
    journal = builder.store.current
    outcome = str(journal.outcome or journal.state)
    return {**summary(builder, outcome=outcome, reason=journal.reason), "changed": True}


def _would(builder: RolloutBuilder, reason: str) -> dict[str, Any]:
    return {**summary(builder, outcome="planned", reason=reason), "changed": True}


def _by(builder: RolloutBuilder) -> str:
    return builder.options.by or "ansible"
