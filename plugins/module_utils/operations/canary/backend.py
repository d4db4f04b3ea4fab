# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``canary``: run, resume, roll back, promote or pause the rollout of one service."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, MeshError, Problem, RefusedError
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.parse import parse_catalogue
from ...model.rollout.journal import Journal, RunFacts, State
from . import state_machine
from .actions import pause, promote, resume_all, roll_back
from .assembly import RolloutBuilder, new_run, settings_from
from .deadman import LATE
from .metrics import PrometheusSource
from .options import CANARY_SPEC, read_wishes
from .preflight import Preflight, check, current_stable
from .result import diffs_of, report, summary
from .rollout import Rollout

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {**CONNECTION_SPEC, **CANARY_SPEC}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``canary``.

    :returns: the module's result.
    :raises InputError: bad parameters, every problem at once, before any request.
    :raises RefusedError: a check before the first write failed, or another runner holds the service.
    :raises MeshError: the version was withdrawn; details are the whole result.
    """
    catalogue = parse_catalogue(params["catalogue"])
    options = ConnectionOptions.from_params(params, context.environment)
    with context.client(options, stoppable=False) as client:
        if params["action"] == "resume":
            return resume_all(client, params, catalogue, context)
        if not params.get("service"):
            raise InputError([Problem("canary_service", "is missing", "service")])
        wishes = read_wishes(params, params["service"], catalogue)
        builder = RolloutBuilder(client, params, wishes, context)
        act = {"rollback": roll_back, "promote": promote, "pause": pause}.get(params["action"], _run)
        result = act(builder)
        for warning in result.get("warnings", []):
            context.warn(warning)
        if result["status"] == "fail":
            raise MeshError(f"{builder.service.name}: {result['outcome']}: {result['reason']}", **result)
        return result


def _run(builder: RolloutBuilder) -> dict[str, Any]:
    """Starts, continues or finds nothing to do."""
    canary = builder.wishes.canary
    journal = builder.store.read()
    stable, source = current_stable(builder, canary)
    if journal and journal.state.open:
        return _continue(builder, journal)
    if stable == canary:
        return summary(builder, outcome="unchanged", reason=f"{canary} is already stable ({source})")
    metrics = builder.metrics(stable, canary, builder.wishes.gates)
    found = check(builder, stable=stable, canary=canary, metrics=metrics)
    announce(builder, found, stable, source)
    settings = settings_from(builder, stable=stable, canary=canary)
    rollout = builder.rollout(found.plan, settings, metrics)
    diffs = diffs_of(rollout)
    if found.problems:
        raise RefusedError(
            f"nothing was written: {'; '.join(found.problems)}",
            rule="preflight",
            problems=found.problems,
            plan=found.plan.as_dict(),
        )
    if builder.context.check_mode:
        return {
            **summary(builder, outcome="planned", reason="check mode: nothing was written"),
            "changed": True,
            "plan": found.plan.as_dict(),
            "diff": diffs if builder.context.diff_mode else [],
            "warnings": found.warnings,
        }
    return start(builder, rollout, found, facts_of(builder, metrics, found, diffs))


def start(builder: RolloutBuilder, rollout: Rollout, found: Preflight, facts: RunFacts) -> dict[str, Any]:
    """Takes the Lease and runs a new rollout to its end. :returns: the module's result."""
    rollout.lease.acquire()
    rollout.warnings += found.warnings
    rollout.store.read()
    if rollout.store.active:
        rollout.lease.release()
        raise RefusedError("another rollout of this service has begun meanwhile", rule="held")
    snapshot = rollout.routes.snapshot()
    rollout.routes.restore(snapshot)
    state_machine.begin(rollout, dataclasses.replace(facts, original=snapshot))
    state_machine.drive(rollout)
    return report(builder, rollout)


def _continue(builder: RolloutBuilder, journal: Journal) -> dict[str, Any]:
    """A journal that has not ended: the same rollout goes on, another one is in the way."""
    if journal.canary != builder.wishes.canary:
        raise RefusedError(
            f"the rollout of {journal.canary} ({journal.state}, run {journal.run}) has not ended:"
            " roll it back, promote it or resume it first",
            rule="unfinished",
        )
    if journal.state is State.AWAITING_APPROVAL:
        return summary(builder, outcome=journal.state.value, reason=journal.reason)
    if builder.context.check_mode:
        return {
            **summary(builder, outcome="planned", reason=f"would continue run {journal.run}"),
            "changed": True,
        }
    rollout = builder.journalled(journal)
    rollout.lease.acquire()
    journal = rollout.store.refresh()
    if journal.state is State.PAUSED:
        rollout.save(dataclasses.replace(journal, state=State.RUNNING), "continued")
    state_machine.take_over(rollout)
    state_machine.drive(rollout)
    return report(builder, rollout)


def _cluster_id(builder: RolloutBuilder) -> str:
    """The UID that stands for a cluster; empty for a user whose rights end at the service's namespaces."""
    try:
        found = builder.client.get("v1", "Namespace", "kube-system") or {}
    except ApiError as error:
        if error.status != 403:
            raise
        return ""
    return str((found.get("metadata") or {}).get("uid", ""))


def facts_of(
    builder: RolloutBuilder, metrics: PrometheusSource, found: Preflight, diffs: list[dict[str, Any]]
) -> RunFacts:
    """What the journal of a new run begins with."""
    inputs = {
        key: value
        for key, value in builder.params.items()
        if key in ("steps", "step_weight", "duration", "min_requests", "deadline", "low_traffic", "approvals")
    }
    return RunFacts(
        run=new_run(),
        by=builder.params.get("by") or "",
        cluster=_cluster_id(builder),
        inputs=inputs,
        gates=builder.wishes.gates,
        queries=builder.wishes.queries,
        policy=builder.wishes.policy,
        selectors=metrics.selectors,
        baseline=found.baseline,
        diffs=tuple(diffs),
    )


def announce(builder: RolloutBuilder, found: Preflight, stable: str, source: str) -> None:
    """Says what will happen and how long it takes, before anything is written."""
    progress, plan, params = builder.context.progress, found.plan, builder.params
    progress(f"{builder.service.name}: {stable} ({source}) -> {plan.canary}, {len(plan.phases)} phases")
    for phase in plan.phases:
        count = phase.expected_requests
        requests = "" if count is None else f", about {count} canary requests"
        progress(f"plan: phase {phase.label()}: {phase.expected_seconds:.0f} s{requests}")
    if plan.requests_per_second is not None:
        progress(
            f"plan: {plan.expected_seconds:.0f} s at {plan.requests_per_second:.1f} requests/s;"
            f" promotion needs about {plan.evidence_requests} canary requests as evidence"
        )
    orphaned, why = params["lease"] + params["resume_period"], "lease + resume period"
    if params["deadman"] == "job":
        orphaned, why = params["lease"] + LATE, "lease, then a Job in the cluster gives the routes back"
    progress(f"plan: if this runner dies, the split stays for at most {orphaned:.0f} s ({why})")
    for warning in found.warnings:
        progress(f"warning: {warning}")
