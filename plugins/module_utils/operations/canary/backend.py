# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``canary``: run, resume, roll back, promote or pause the rollout of one service."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, RefusedError
from ...fields import text_at
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.parse import parse_catalogue
from ...model.reading.typed import variables_of
from ...model.rollout.journal import Journal, RunFacts, State
from ...verdicts import FAIL
from . import state_machine
from .actions import carry_on, pause, promote, roll_back, split_now
from .assembly import RolloutBuilder, new_run
from .beside import acquire, refuse_another, refuse_beside
from .deadman.switch import LATE
from .left_behind import left_behind
from .metrics import PrometheusSource
from .options.rollout import find_service, read_options
from .options.spec import CANARY_SPEC
from .preflight.check import check, current_stable
from .preflight.findings import Preflight
from .preflight.objects import continued, share_on_record
from .result import diffs_of, report, summary
from .resume import resume_all, told, with_left_behind
from .rollout import Rollout

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...model.catalogue.mesh import Catalogue
    from ...model.catalogue.services import Service

ARGUMENT_SPEC: dict[str, Any] = {**CONNECTION_SPEC, **CANARY_SPEC}
VARIABLES = variables_of(CANARY_SPEC, "canary_")


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``canary``.

    :returns: the module's result.
    :raises InputError: bad parameters, every problem at once, before any request.
    :raises RefusedError: a check before the first write failed, or another runner holds the service.
    :raises MeshError: the version was withdrawn; details are the whole result.
    """
    catalogue = parse_catalogue(params["catalogue"])
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection, stoppable=False) as client:
        if params["action"] == "resume":
            return _resume(params, catalogue, client, context)
        options = read_options(params, catalogue, find_service(params, catalogue))
        builder = RolloutBuilder(client, options, context)
        act = {"rollback": roll_back, "promote": promote, "pause": pause}.get(params["action"], _run)
        result = act(builder)
        for warning in result.get("warnings", []):
            context.warn(warning)
        if result["status"] == FAIL:
            raise MeshError(f"{builder.service.name}: {result['outcome']}: {result['reason']}", **result)
        return result


def _resume(
    params: Mapping[str, Any], catalogue: Catalogue, client: KubeClient, context: Context
) -> dict[str, Any]:
    """Action ``resume`` of every service that it concerns.

    :raises MeshError: one of them needs a person; the details are the whole result.
    """

    def maker(service: Service) -> Callable[[], RolloutBuilder]:
        return lambda: RolloutBuilder(client, read_options(params, catalogue, service), context)

    result = resume_all((service.key, maker(service)) for service in _resumed(params, catalogue))
    if not params.get("service"):
        known = {service.key for service in catalogue.services}
        result = with_left_behind(result, left_behind(client, catalogue, known))
    if result["status"] == FAIL:
        raise MeshError(told(result), **result)
    return result


def _resumed(params: Mapping[str, Any], catalogue: Catalogue) -> list[Service]:
    """The services that action ``resume`` looks at: the one that is named, all of a mere name, or all.

    :raises InputError: the catalogue has none of this name.
    """
    name = params.get("service")
    if not name:
        return list(catalogue.services)
    if "/" in name or params.get("namespace"):
        return [find_service(params, catalogue)]
    return [item for item in catalogue.services if item.name == name] or [find_service(params, catalogue)]


def _run(builder: RolloutBuilder) -> dict[str, Any]:
    """Starts, continues or finds nothing to do."""
    options, canary = builder.options, builder.options.version
    journal = builder.store.read()
    stable, source = current_stable(builder, canary)
    if journal and journal.state.open:
        return _continue(builder, journal)
    if stable == canary:
        return summary(builder, outcome="unchanged", reason=_stable_already(builder, canary, source))
    builder.check_known(stable)
    builder.options = options = continued(options, share_on_record(builder, canary))
    metrics = builder.metrics(stable, canary, options)
    found = check(builder, stable=stable, canary=canary, metrics=metrics)
    announce(builder, found, stable, source)
    rollout = builder.rollout(found.plan, options, metrics)
    diffs = diffs_of(rollout)
    if found.problems:
        refuse_beside(builder, journal)
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
            "sizes": {version: size.describe() for version, size in found.sizes.items()},
            "diff": diffs if builder.context.diff_mode else [],
            "warnings": found.warnings,
        }
    return start(builder, rollout, found, facts_of(builder, metrics, found, diffs))


def _stable_already(builder: RolloutBuilder, stable: str, source: str) -> str:
    """That a version is stable, and who has requests beside it: they stay where they are."""
    record = builder.records.read()
    beside = [
        f"{name} has {share} percent"
        for name, share in (record.weights if record else {}).items()
        if share and name != stable
    ]
    left = f"; {', '.join(beside)}, which canary_rollback gives back" if beside else ""
    return f"{stable} is already stable ({source}){left}"


def start(builder: RolloutBuilder, rollout: Rollout, found: Preflight, facts: RunFacts) -> dict[str, Any]:
    """Takes the Lease and runs a new rollout to its end. :returns: the module's result."""
    acquire(builder, rollout, builder.store.known)
    rollout.warnings += found.warnings
    snapshot = rollout.routes.snapshot()
    rollout.routes.restore(snapshot)
    state_machine.begin(rollout, dataclasses.replace(facts, original=snapshot))
    state_machine.drive(rollout)
    return report(builder, rollout)


def _continue(builder: RolloutBuilder, journal: Journal) -> dict[str, Any]:
    """A journal that has not ended: the same rollout goes on, another one is in the way."""
    if journal.canary != builder.options.version:
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
    builder.check_measurable(journal)
    rollout = builder.journalled(journal)
    rollout.lease.acquire()
    refuse_another(rollout, journal)
    journal = rollout.journal
    if journal.state is State.PAUSED:
        carry_on(rollout, dataclasses.replace(journal, state=State.RUNNING, reason=""), "continued")
    state_machine.take_over(rollout)
    state_machine.drive(rollout)
    return report(builder, rollout)


def _cluster_id(builder: RolloutBuilder) -> str:
    """The UID that stands for a cluster; empty for a user whose rights end at the service's namespaces."""
    try:
        found = builder.client.get("v1", "Namespace", "kube-system")
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ""
    return text_at(found, "metadata", "uid")


def facts_of(
    builder: RolloutBuilder, metrics: PrometheusSource, found: Preflight, diffs: list[dict[str, Any]]
) -> RunFacts:
    """What the journal of a new run begins with."""
    options = builder.options
    return RunFacts(
        run=new_run(),
        by=options.by,
        cluster=_cluster_id(builder),
        inputs=options.inputs,
        gates=options.gates,
        queries=options.queries,
        policy=options.policy,
        selectors=metrics.selectors,
        baseline=found.baseline,
        settings=options.settings,
        before=split_now(builder, found.plan.stable, found.plan.canary),
        versions=builder.version_facts(found.plan.stable, found.plan.canary),
        sizes=found.sizes,
        diffs=tuple(diffs),
    )


def announce(builder: RolloutBuilder, found: Preflight, stable: str, source: str) -> None:
    """Says what will happen and how long it takes, before anything is written."""
    progress, plan, options = builder.context.progress, found.plan, builder.options
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
    for version, size in found.sizes.items():
        progress(f"plan: {version}: {size.describe()}")
    for gate in options.outside:
        phases = f" (phases {', '.join(map(str, gate.phases))})" if gate.phases else ""
        progress(f"plan: gate {gate.name} by {gate.kind}, {', '.join(gate.when)}{phases}")
    orphaned, why = options.lease + options.resume_period, "lease + resume period"
    if options.deadman:
        orphaned, why = options.lease + LATE, "lease, then a Job in the cluster gives the routes back"
    progress(f"plan: if this runner dies, the split stays for at most {orphaned:.0f} s ({why})")
    for warning in found.warnings:
        progress(f"warning: {warning}")
