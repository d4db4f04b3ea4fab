# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a rollout ends: promoted, rolled back, or held on the canary. Each is safe to repeat."""

from __future__ import annotations

import dataclasses

from ...kube.clock import timestamp
from ...model.rollout.evidence import evidence_of, sha256_of
from ...model.rollout.record import ReleaseRecord
from .phase import count_the_end, prove, write_and_prove
from .run import RollbackNeeded, Run


def promote(run: Run) -> None:
    """Makes the split of the last phase permanent: routes, proof, record, end."""
    final = _final_weights(run)
    whole = final.get(run.settings.canary) == 100
    shape = run.canary_shape() if whole else dataclasses.replace(run.canary_shape(), weights=final)
    if not run.arms.read()[run.settings.canary].ready:
        raise RollbackNeeded("no ready endpoint of the new version at promotion")
    run.disarm()
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
    proof = prove(run, run.stable_shape(), "rollback")
    if proof.status != "pass":
        run.warnings.append(f"rollback written, but the proxies' proof is {proof.status}: {proof.detail}")
    count_the_end(run)
    record = run.records.read()
    previous = record.previous if record and record.stable == run.settings.stable else ""
    _record(run, stable=run.settings.stable, previous=previous, weights={run.settings.stable: 100})
    _finish(run, "rolled_back", reason)
    if run.scaler:
        run.scaler.down(promoted=False)


def hold_on(run: Run, reason: str) -> None:
    """The stable version is sick: keep users on the version that works, and say so loudly."""
    run.disarm()
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
    prove(run, shape, "hold")
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
