# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action ``resume``: what a schedule does for the rollouts that nobody watches.

It withdraws or finishes the runs of dead runners, watches runs that wait for a person, looks again at runs
that were held because their stable version was down, and gives back shares that no journal knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ...errors import ApiError, FencedError, MeshError, RefusedError
from ...fields import text_at
from ...kube.failures import UNREACHABLE
from ...model.rollout.gates import GateVerdict
from ...model.rollout.journal import Hold, Journal, Outcome, State
from ...verdicts import FAIL, PASS
from . import state_machine
from .actions import by, split_now, standing, undo, would
from .assembly import RolloutBuilder
from .beside import acquire
from .left_behind import WAY_OUT, key_of
from .objects.routes import fence_of
from .result import report, summary
from .unwatched import is_down, look_back, stable_is_well, trouble_of

ENDS_WELL = (Outcome.ROLLED_BACK, Outcome.PROMOTED, Outcome.SPLIT)


def resume_all(builders: Iterable[tuple[str, Callable[[], RolloutBuilder]]]) -> dict[str, Any]:
    """Cleans up after dead runners of these services. Safe on a schedule.

    Trouble with one service is told and keeps nobody from the next one; an API server that does not answer is
    trouble with all of them, and waited for once.

    :param builders: ``namespace/name`` of each service, and what makes its builder.
    :returns: ``services`` (namespace/name -> result of each with which something was done), ``changed``,
        ``status`` and ``counts``.
    :raises ApiError: the API server does not answer; the details have what was done before.
    """
    results: dict[str, dict[str, Any]] = {}
    looked_at = 0
    for key, make in builders:
        looked_at += 1
        try:
            result = _resume(make())
        except MeshError as error:
            if isinstance(error, ApiError) and error.reason == UNREACHABLE:
                error.details.update(_counted(results, looked_at))
                raise
            result = _trouble(key, str(error))
        if result is not None:
            results[key] = result
    return _counted(results, looked_at)


def with_left_behind(result: dict[str, Any], runs: Iterable[Journal]) -> dict[str, Any]:
    """The result of `resume_all`, and the runs that it cannot end, for their services left the catalogue.

    :returns: it, with an error for each of them.
    """
    found = {
        key_of(run): _trouble(key_of(run), f"run {run.run} of {run.canary} is {run.state}, but {WAY_OUT}")
        for run in runs
    }
    return _counted({**result["services"], **found}, result["counts"]["looked_at"] + len(found))


def _trouble(key: str, reason: str) -> dict[str, Any]:
    return {"changed": False, "status": FAIL, "service": key, "outcome": "error", "reason": reason}


def _counted(results: dict[str, dict[str, Any]], looked_at: int) -> dict[str, Any]:
    failed = any(result["status"] == FAIL for result in results.values())
    return {
        "changed": any(result["changed"] for result in results.values()),
        "status": FAIL if failed else PASS,
        "services": results,
        "counts": {"looked_at": looked_at, "resumed": len(results)},
    }


def told(result: dict[str, Any]) -> str:
    """What failed, service by service, in one line."""
    lines = [
        f"{key}: {found['outcome']}: {found['reason']}"
        for key, found in result["services"].items()
        if found["status"] == FAIL
    ]
    return "; ".join(lines)


def _resume(builder: RolloutBuilder) -> dict[str, Any] | None:
    journal = builder.store.read()
    lease = builder.lease.read()
    held = text_at(lease, "spec", "holderIdentity")
    if builder.lease.holder(lease):
        return summary(builder, outcome="held", reason=f"held by {held}")
    try:
        if journal and journal.state.active:
            return _cleaned_up(builder, journal)
        if held:
            return _released(builder, held)
        if journal and journal.state.waiting:
            return _watched(builder, journal)
        if journal and journal.outcome.held:
            return _looked_at_again(builder, journal)
        return _unknown_share(builder) if journal is None else None
    except (RefusedError, FencedError) as refused:
        if isinstance(refused, RefusedError) and refused.rule != "held":
            raise
        return summary(builder, outcome="held", reason=str(refused))


def _released(builder: RolloutBuilder, held: str) -> dict[str, Any]:
    """The Lease of a runner that died after the end of its run."""
    if builder.context.check_mode:
        return would(builder, f"would release the lease of {held}")
    builder.lease.acquire()
    builder.lease.release()
    return {**summary(builder, outcome="released", reason=f"{held} died after its end"), "changed": True}


def _cleaned_up(builder: RolloutBuilder, journal: Journal) -> dict[str, Any]:
    """The run of a dead runner."""
    if builder.context.check_mode:
        return would(builder, f"would clean up after run {journal.run}")
    rollout = builder.journalled(journal)
    acquire(builder, rollout, journal)
    died = rollout.journal.runner
    state_machine.take_over(rollout)
    if builder.options.orphans == "rollback":
        state_machine.clean_up(rollout, f"its runner {died} died")
    else:
        state_machine.drive(rollout)
    return report(builder, rollout, well=ENDS_WELL)


def _watched(builder: RolloutBuilder, journal: Journal) -> dict[str, Any] | None:
    """A run that waits for a person: its users must not wait for one as well."""
    trouble = trouble_of(builder, journal)
    if not trouble:
        return None
    if builder.context.check_mode:
        return would(builder, f"would withdraw {journal.canary}, which waits: {trouble}")
    rollout = builder.journalled(journal)
    acquire(builder, rollout, journal)
    state_machine.take_over(rollout)
    state_machine.withdraw(rollout, f"while the run waited: {trouble}")
    return report(builder, rollout, well=())


def _looked_at_again(builder: RolloutBuilder, journal: Journal) -> dict[str, Any] | None:
    """A run that was held. Once its stable version can take the requests, it gets them; until then a canary
    that falls ill loses what it was not proved for."""
    record = builder.records.read()
    if record is not None and record.run != journal.run:
        return None  # a later record has settled it
    of_run = builder.of_run(journal)
    of_run.check_known(journal.stable, journal.canary)
    down = is_down(of_run, journal, journal.stable)
    if down or (journal.hold is Hold.STABLE_WORSE and not stable_is_well(of_run, journal)):
        return _still_held(builder, journal, journal.intended_share)
    well = "ready" if journal.hold is Hold.STABLE_DOWN else "well"
    if builder.context.check_mode:
        return would(builder, f"would go back to {journal.stable}, which is {well} again")
    why = f"{journal.stable} is {well} again, after run {journal.run} was held"
    return undo(builder, journal, stable=journal.stable, canary=journal.canary, why=why)


def _still_held(builder: RolloutBuilder, journal: Journal, share: int) -> dict[str, Any]:
    seen = (
        None
        if any(found.verdict is GateVerdict.FAIL for found in journal.verdicts)
        else look_back(builder, journal, share)
    )
    if seen is None or not seen.failed or builder.context.check_mode:
        return {**summary(builder, outcome=journal.outcome.value, reason=journal.reason), "status": FAIL}
    rollout = builder.journalled(journal)
    acquire(builder, rollout, journal)
    state_machine.take_over(rollout)
    windows = (*rollout.journal.windows, seen.window)
    condemned = replace(rollout.journal, state=State.HOLDING, windows=windows, verdicts=seen.failed)
    rollout.save(replace(condemned, reason=f"{journal.reason}; and {seen.failed[0]}"), "held: a gate failed")
    state_machine.drive(rollout)
    return report(builder, rollout)


def _unknown_share(builder: RolloutBuilder) -> dict[str, Any] | None:
    """A share beside the stable version that a run wrote, and whose journal somebody deleted."""
    service = builder.service
    record = builder.records.read()
    if len(service.versions) < 2 or not (record or service.initial_version):
        return None
    stable, aside = standing(builder, record, None)
    if not aside or (record and record.weights.get(aside)):
        return None
    if record is None and not split_now(builder, stable, aside)[stable]:
        return None  # it may have been promoted long ago
    routes = builder.routes(stable, aside)
    if fence_of(routes.read(), routes.annotation) <= (record.fence if record else 0):
        return None  # no run of ours wrote it: role mesh tells of a difference that a person made
    if builder.context.check_mode:
        return would(builder, f"would give the share of {aside} back to {stable}: no journal knows of it")
    why = f"no journal knows why {aside} has requests ({by(builder)})"
    return undo(builder, None, stable=stable, canary=aside, why=why)
