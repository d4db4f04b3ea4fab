# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback, promotion and pause: they work while a runner lives, and without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...errors import RefusedError, WaitTimeout
from ...kube.wait import wait_until
from ...model.rollout.journal import Action, Journal, Kind, Outcome, RunFacts, State
from ...model.rollout.phases import plan_phases
from ...model.rollout.record import ReleaseRecord
from ...verdicts import FAIL, PASS
from . import state_machine
from .adapters import NoMetrics
from .assembly import RolloutBuilder, new_run
from .beside import acquire, refuse_another
from .evidence import has_failed
from .preflight.check import current_stable
from .rendering import split_of
from .result import WELL, report, summary
from .rollout import Rollout
from .scaling.autoscaling import SETTLE
from .subsets import missing_subsets

ANSWER_WITHIN = 10.0  # two polls of a live runner
END_WITHIN = 180.0


def roll_back(builder: RolloutBuilder) -> dict[str, Any]:
    """All requests to the stable version. The last promotion is taken back; nothing else leaves stable.

    What a run left beside the stable version goes back too: a split, a hold, or a share that no journal knows
    of any more.

    :returns: the module's result.
    """
    journal = builder.store.read()
    if journal and journal.state.open:
        if builder.context.check_mode:
            return would(builder, f"would roll run {journal.run} back to {journal.stable}")
        if journal.state.active and _asked(builder, Action.ROLLBACK, journal):
            found = _await_end(builder, journal, well=(Outcome.ROLLED_BACK,))
            ended = builder.store.current
            if ended.state.waiting or ended.outcome in (Outcome.PROMOTED, Outcome.SPLIT):
                _await_release(builder)  # it had ended before it took the request, which still stands
                return roll_back(builder)
            return found
        rollout = builder.journalled(journal)
        rollout.lease.acquire(steal=True)
        refuse_another(rollout, journal)
        state_machine.take_over(rollout)
        state_machine.withdraw(rollout, f"asked for by {by(builder)}")
        return report(builder, rollout, well=(Outcome.ROLLED_BACK,))
    record = builder.records.read()
    of_run = builder.of_run(journal)
    stable, aside = standing(of_run, record, journal)
    if aside and record is None and journal is None and not builder.options.behind_stable:
        now = split_now(builder, stable, aside)
        if not now[stable]:
            reason = (
                f"neither a journal nor a release record says why {aside} has all requests;"
                f" canary_behind_stable: true gives them to {stable}"
            )
            return summary(builder, outcome="unchanged", reason=reason)
    if aside:
        return _back(builder, journal, stable=stable, canary=aside)
    if record is None or not record.previous:
        reason = "no rollout is running, and no version came before the stable one"
        return summary(builder, outcome="unchanged", reason=reason)
    promoted = (
        journal is not None
        and journal.outcome is Outcome.PROMOTED
        and (journal.stable, journal.canary) == (record.previous, record.stable)
    )
    if promoted or builder.options.behind_stable:
        return _back(builder, journal, stable=record.previous, canary=record.stable)
    reason = (
        f"no rollout is running, and {record.stable} is stable already; canary_behind_stable: true goes back"
        f" to {record.previous}, the version before it"
    )
    return summary(builder, outcome="unchanged", reason=reason)


def standing(
    builder: RolloutBuilder, record: ReleaseRecord | None, journal: Journal | None
) -> tuple[str, str]:
    """The stable version, and the one that a run has left a share beside it.

    The record says both; what no record knows is read from the live routes, so that a journal which somebody
    deleted leaves no share behind for ever.

    :returns: (stable version, the other one); the other one is empty for none.
    """
    if not builder.service.versions:
        return "", ""
    stable = journal.stable if journal and not record else current_stable(builder, "")[0]
    if record:
        for name, weight in record.weights.items():
            if weight and name != stable:
                return stable, name
    live = builder.routes(stable, "").read()
    if live is None:
        return stable, ""
    others = [name for name in builder.service.versions if name != stable]
    aside = [name for name in others if split_of(builder.options, stable, name).canary_share(live)]
    return stable, aside[0] if aside else ""


def _back(builder: RolloutBuilder, journal: Journal | None, *, stable: str, canary: str) -> dict[str, Any]:
    if builder.context.check_mode:
        return would(builder, f"would go back from {canary} to {stable}")
    same = journal is not None and (journal.stable, journal.canary) == (stable, canary)
    return undo(builder, journal if same else None, stable=stable, canary=canary)


def undo(
    builder: RolloutBuilder, last: Journal | None, *, stable: str, canary: str, why: str = ""
) -> dict[str, Any]:
    """Rollback of a run that has ended: its version is the canary of a run that only rolls back.

    :param last: journal of that run, as far as it is still known: how it decided, what it scaled down, and a
        foreign object's routes before it. :param why: the reason; who asked for it by default.
    :returns: the module's result.
    """
    of_run = builder.of_run(last)
    of_run.check_known(stable, canary)
    facts = RunFacts(
        run=new_run(),
        kind=Kind.UNDO,
        by=by(builder),
        scaled_down=last.scaled_down if last else None,
        # without its journal what it raised is known from the autoscalers themselves
        sizes=last.sizes if last else of_run.sizes(stable, canary),
        original=last.original if last else None,
        settings=of_run.options.settings,
        versions=of_run.version_facts(stable, canary),
        before=split_now(of_run, stable, canary),
    )
    plan = plan_phases(stable=stable, canary=canary, steps=[100])
    rollout = of_run.rollout(plan, of_run.options, NoMetrics(), snapshot=facts.original)
    _check_way_back(of_run, rollout, facts)
    acquire(of_run, rollout, builder.store.known)
    why = why or f"asked for by {by(builder)} after the end of {canary}'s rollout"
    state_machine.begin(rollout, facts, why)
    state_machine.withdraw(rollout, why)
    return report(builder, rollout, well=(Outcome.ROLLED_BACK,))


def split_now(builder: RolloutBuilder, stable: str, canary: str) -> dict[str, int]:
    """The live split. :returns: version -> percent."""
    live = builder.routes(stable, canary).read()
    share = round(split_of(builder.options, stable, canary).canary_share(live)) if live else 0
    return {stable: 100 - share, canary: share}


def _check_way_back(builder: RolloutBuilder, rollout: Rollout, facts: RunFacts) -> None:
    """:raises RefusedError: the requests of a version that answers would go where nobody does."""
    stable, canary = rollout.plan.stable, rollout.plan.canary
    routes = builder.routes(stable, canary)
    if routes.read() is None:
        raise RefusedError(
            f"nothing was written: VirtualService {routes.namespace}/{routes.name} does not exist: apply the"
            " mesh first, or name the routes of the rollout (canary_routes)",
            rule="no-routes",
        )
    if missing := missing_subsets(builder, stable):
        raise RefusedError(f"nothing was written: {'; '.join(missing)}", rule="subset")
    target = rollout.endpoints.read()[stable]
    if not target.ready and facts.scaled_down is None:
        raise RefusedError(
            f"nothing was written: no ready endpoint: {target.describe()}: start it, or make {canary} the"
            " stable version with canary_promote",
            rule="endpoints",
        )


def promote(builder: RolloutBuilder) -> dict[str, Any]:
    """Approves a waiting run (and carries it on), or tells a live runner to skip the remaining phases.

    A run that ended with a split or a hold is finished: its version takes everything and becomes stable.

    :returns: the module's result.
    """
    journal = builder.store.read()
    if journal is None or not (journal.state.open or ended_aside(journal)):
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    asked_for = builder.options.version
    if asked_for and asked_for != journal.canary:
        raise RefusedError(
            f"nothing was written: the rollout is one of {journal.canary}, not of {asked_for}"
            " (canary_version)",
            rule="version",
        )
    builder.check_known(journal.canary)
    if builder.context.check_mode:
        return would(builder, f"would carry on run {journal.run}")
    if journal.state.active and _asked(builder, Action.PROMOTE, journal):
        return _await_end(builder, journal)
    builder.check_measurable(journal)
    rollout = builder.journalled(journal)
    rollout.lease.acquire(observe=True)
    refuse_another(rollout, journal)
    state_machine.take_over(rollout)
    journal = rollout.journal
    if ended_aside(journal):
        return _finish_by_hand(builder, rollout)
    if journal.state.waiting:
        approved = max(journal.phase, journal.approved)
        goes_on = replace(journal, state=State.RUNNING, reason="", approved=approved)
        carry_on(rollout, goes_on, f"approved by {by(builder)}")
    state_machine.drive(rollout)
    return report(builder, rollout)


def carry_on(rollout: Rollout, journal: Journal, event: str) -> None:
    """Saves the journal of a run that has waited, or ended, and goes on.

    A pause or promotion that was asked for just before that was asked of the runner that had it then, and is
    answered; a rollback still stands.
    """
    request = rollout.store.request()
    if request and request.action is not Action.ROLLBACK:
        rollout.store.take_request()
    rollout.save(journal, event)


def ended_aside(journal: Journal) -> bool:
    """Whether a run has ended with requests at its canary, which is not the stable version."""
    return journal.state is State.FINISHED and (journal.outcome.held or journal.outcome is Outcome.SPLIT)


def _finish_by_hand(builder: RolloutBuilder, rollout: Rollout) -> dict[str, Any]:
    """A person decides that the version of an ended run becomes the stable one.

    :raises RefusedError: it has no ready endpoint.
    """
    journal, canary = rollout.journal, rollout.plan.canary
    endpoints = rollout.endpoints.read()[canary]
    if not endpoints.ready:
        rollout.lease.release()
        raise RefusedError(f"nothing was moved: no ready endpoint: {endpoints.describe()}", rule="endpoints")
    if has_failed(rollout):
        rollout.warnings.append(
            f"{canary} is promoted by {by(builder)} although a gate failed: {journal.reason}"
        )
    everything = rollout.canary_traffic()
    rollout.options = replace(rollout.options, promote=True)
    carry_on(
        rollout,
        replace(
            journal,
            state=State.PROMOTING,
            settings=rollout.options.settings,
            outcome=Outcome.NONE,
            reason=f"promotion asked for by {by(builder)}",
            rollback_began="",
            intent=everything,
        ),
        f"promotion asked for by {by(builder)}",
    )
    state_machine.drive(rollout)
    return report(builder, rollout)


def pause(builder: RolloutBuilder) -> dict[str, Any]:
    """Tells a live runner to end where it is. :returns: the module's result."""
    journal = builder.store.read()
    if journal is None or not journal.state.open:
        return summary(builder, outcome="unchanged", reason="no rollout is running")
    if journal.state.waiting:
        return summary(builder, outcome="unchanged", reason=f"run {journal.run} waits: {journal.reason}")
    if journal.state in (State.ROLLING_BACK, State.HOLDING):
        raise RefusedError(
            f"run {journal.run} is {journal.state}, which cannot be paused: {journal.reason}",
            rule="withdrawn",
        )
    if builder.context.check_mode:
        return would(builder, f"would pause run {journal.run}")
    if _asked(builder, Action.PAUSE, journal):
        return _await_end(builder, journal)
    raise RefusedError(
        f"the runner of {journal.run} does not answer: resume or roll back the rollout", rule="no-runner"
    )


def _asked(builder: RolloutBuilder, action: Action, journal: Journal) -> bool:
    """Leaves the request in the journal. :returns: whether a live runner took it within two polls."""
    if not builder.lease.holder(builder.lease.read()):
        return False
    builder.store.ask(action, by(builder))
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


def _await_end(
    builder: RolloutBuilder, before: Journal, *, well: tuple[Outcome | State, ...] = WELL
) -> dict[str, Any]:
    """Waits until the runner that took the request has ended.

    :param well: the ends that are no failure of what was asked for. :returns: the module's result.
    """

    def check() -> tuple[bool, str]:
        journal = builder.store.refresh()
        return not journal.state.active, journal.step.value

    awaited = f"the end of run {before.run}, which took the request"
    limit = END_WITHIN + _sizes_within(builder, before)
    wait_until(check, awaited=awaited, timeout=limit, interval=2.0, clock=builder.clock)
    journal = builder.store.current
    outcome = journal.outcome or journal.state
    told = summary(builder, outcome=outcome.value, reason=journal.reason)
    return {**told, "changed": True, "status": PASS if outcome in well else FAIL}


def _await_release(builder: RolloutBuilder) -> None:
    """Waits until the runner of a run that has ended has let go of it.

    :raises WaitTimeout: it has not.
    """

    def check() -> tuple[bool, str]:
        holder = builder.lease.holder(builder.lease.read())
        return not holder, f"held by {holder}"

    wait_until(check, awaited="the Lease", timeout=END_WITHIN, interval=1.0, clock=builder.clock)


def _sizes_within(builder: RolloutBuilder, journal: Journal) -> float:
    """Seconds at most in which a run gives both versions the sizes that they end with."""
    options = builder.of_run(journal).options
    if not journal.sizes:
        return 0.0
    draining = max(options.scale.delay, options.scale.drain) if options.scale else 0.0
    return options.ready_timeout + SETTLE + draining


def would(builder: RolloutBuilder, reason: str) -> dict[str, Any]:
    """The result of check mode. :returns: the keys that every result of the module has."""
    return {**summary(builder, outcome="planned", reason=reason), "changed": True}


def by(builder: RolloutBuilder) -> str:
    """Who asks, for the journal."""
    return builder.options.by or "ansible"
