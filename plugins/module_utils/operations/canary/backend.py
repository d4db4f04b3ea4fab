# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``canary``: run, resume, roll back, promote or pause the rollout of one service."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, MeshError, Problem, RefusedError
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.parse import parse_catalogue
from . import state_machine as machine
from .actions import pause, promote, resume_all, roll_back
from .assembly import Kit, settings_from
from .deadman import LATE
from .options import CANARY_SPEC, read_wishes
from .preflight import Preflight, check, current_stable
from .result import diffs_of, report, summary
from .run import Run

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {**CONNECTION_SPEC, **CANARY_SPEC}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """See the module's documentation.

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
        kit = Kit(client, params, wishes, context)
        act = {"rollback": roll_back, "promote": promote, "pause": pause}.get(params["action"], _run)
        result = act(kit)
        for warning in result.get("warnings", []):
            context.warn(warning)
        if result["status"] == "fail":
            raise MeshError(f"{kit.service.name}: {result['outcome']}: {result['reason']}", **result)
        return result


def _run(kit: Kit) -> dict[str, Any]:
    """Starts, continues or finds nothing to do."""
    canary = kit.wishes.canary
    state = kit.journal.read()
    stable, source = current_stable(kit, canary)
    if stable == canary and not kit.journal.active and not kit.journal.waiting:
        return summary(kit, outcome="unchanged", reason=f"{canary} is already stable ({source})")
    if kit.journal.active or kit.journal.waiting:
        return _continue(kit, state)
    meter = kit.meter(stable, canary, kit.wishes.gates)
    found = check(kit, stable=stable, canary=canary, meter=meter)
    announce(kit, found, stable, source)
    settings = settings_from(kit, stable=stable, canary=canary)
    run_ = kit.run(found.plan, settings, meter)
    diffs = diffs_of(run_)
    if found.problems:
        raise RefusedError(
            f"nothing was written: {'; '.join(found.problems)}",
            rule="preflight",
            problems=found.problems,
            plan=found.plan.as_dict(),
        )
    if kit.context.check_mode:
        return {
            **summary(kit, outcome="planned", reason="check mode: nothing was written"),
            "changed": True,
            "plan": found.plan.as_dict(),
            "diff": diffs if kit.context.diff_mode else [],
            "warnings": found.warnings,
        }
    return start(kit, run_, found, meter_notes(kit, meter, found), diffs)


def start(kit: Kit, run_: Run, found: Preflight, notes: dict[str, Any], diffs: list[Any]) -> dict[str, Any]:
    """Takes the Lease and runs a new rollout to its end."""
    run_.lease.acquire()
    run_.warnings += found.warnings
    if run_.journal.read() and run_.journal.active:
        run_.lease.release()
        raise RefusedError("another rollout of this service has begun meanwhile", rule="held")
    image = run_.routes.image()
    if image is not None:
        notes["original"] = image
        run_.routes.restore(image)
    machine.begin(run_, {**notes, "diffs": diffs})
    machine.drive(run_)
    return report(kit, run_)


def _continue(kit: Kit, state: Mapping[str, Any]) -> dict[str, Any]:
    """A journal that has not ended: the same rollout goes on, another one is in the way."""
    canary = kit.wishes.canary
    if state["canary"] != canary:
        raise RefusedError(
            f"the rollout of {state['canary']} ({state['state']}, run {state['run']}) has not ended:"
            " roll it back, promote it or resume it first",
            rule="unfinished",
        )
    if state["state"] == "awaiting_approval":
        return summary(kit, outcome="awaiting_approval", reason=str(state.get("reason")))
    if kit.context.check_mode:
        return {
            **summary(kit, outcome="planned", reason=f"would continue run {state['run']}"),
            "changed": True,
        }
    run_ = kit.journalled(state)
    run_.lease.acquire()
    run_.journal.read()
    if state["state"] == "paused":
        run_.save("continued", state="running")
    machine.take_over(run_)
    machine.drive(run_)
    return report(kit, run_)


def _cluster_id(kit: Kit) -> str:
    """The UID that stands for a cluster; empty for a user whose rights end at the service's namespaces."""
    try:
        found = kit.client.get("v1", "Namespace", "kube-system") or {}
    except ApiError as error:
        if error.status != 403:
            raise
        return ""
    return str((found.get("metadata") or {}).get("uid", ""))


def meter_notes(kit: Kit, meter: Any, found: Preflight) -> dict[str, Any]:
    """Facts for the journal of a new run."""
    inputs = {
        key: value
        for key, value in kit.params.items()
        if key in ("steps", "step_weight", "duration", "min_requests", "deadline", "low_traffic", "approvals")
    }
    return {
        "run": uuid.uuid4().hex[:12],
        "by": kit.params.get("by") or "",
        "cluster": _cluster_id(kit),
        "inputs": inputs,
        "gates": [dataclasses.asdict(gate) for gate in kit.wishes.gates],
        "queries": [dataclasses.asdict(query) for query in kit.wishes.queries],
        "policy": dataclasses.asdict(kit.wishes.policy),
        "selectors": dict(meter.selectors),
        "baseline": dataclasses.asdict(found.baseline) if found.baseline else None,
        "windows": [],
        "proofs": [],
    }


def announce(kit: Kit, found: Preflight, stable: str, source: str) -> None:
    """Says what will happen and how long it takes, before anything is written."""
    say, plan, params = kit.context.progress, found.plan, kit.params
    say(f"{kit.service.name}: {stable} ({source}) -> {plan.canary}, {len(plan.phases)} phases")
    for phase in plan.phases:
        count = phase.expected_requests
        requests = "" if count is None else f", about {count} canary requests"
        say(f"plan: phase {phase.label()}: {phase.expected_seconds:.0f} s{requests}")
    if plan.requests_per_second is not None:
        say(
            f"plan: {plan.expected_seconds:.0f} s at {plan.requests_per_second:.1f} requests/s;"
            f" promotion needs about {plan.evidence_requests} canary requests as evidence"
        )
    orphaned, why = params["lease"] + params["resume_period"], "lease + resume period"
    if params["deadman"] == "job":
        orphaned, why = params["lease"] + LATE, "lease, then a Job in the cluster gives the routes back"
    say(f"plan: if this runner dies, the split stays for at most {orphaned:.0f} s ({why})")
    for warning in found.warnings:
        say(f"warning: {warning}")
