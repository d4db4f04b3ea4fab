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
from .rollout import RollbackNeeded, Rollout


def promote(rollout: Rollout) -> None:
    """Makes the split of the last phase permanent: routes, proof, record, end."""
    final = _final_weights(rollout)
    whole = final.get(rollout.settings.canary) == 100
    traffic = rollout.canary_state() if whole else dataclasses.replace(rollout.canary_state(), weights=final)
    if not rollout.endpoints.read()[rollout.settings.canary].ready:
        raise RollbackNeeded("no ready endpoint of the new version at promotion")
    rollout.disarm()
    rollout.save(
        "promotion: intent",
        state="promoting",
        step="promote",
        intent={"weights": dict(traffic.weights), "kind": "weight", "percent": 0},
        weights=dict(traffic.weights),
    )
    write_and_prove(rollout, traffic, "promotion")
    settings = rollout.settings
    if whole:
        stable, previous = settings.canary, settings.stable
    else:
        stable, previous = settings.stable, ""
    _record(rollout, stable=stable, previous=previous, weights=dict(traffic.weights))
    outcome = "promoted" if whole else "split"
    _finish(rollout, outcome, f"{stable} is stable" if whole else f"the split stays at {final}")
    if rollout.scaler and whole:
        rollout.scaler.down(promoted=True)


def _final_weights(rollout: Rollout) -> dict[str, int]:
    if rollout.settings.promote:
        return dict(rollout.canary_state().weights)
    return dict(rollout.plan.phases[-1].weights)


def roll_back(rollout: Rollout, reason: str) -> None:
    """All requests back to the stable version: traffic first; its subset stays for whoever still uses it."""
    rollout.save(
        f"rollback: {reason}",
        state="rolling_back",
        step="rollback",
        reason=reason,
        intent={"weights": dict(rollout.stable_state().weights), "kind": "weight", "percent": 0},
        weights=dict(rollout.stable_state().weights),
        rollback_began=rollout.journal.state.get("rollback_began") or timestamp(rollout.clock.now()),
    )
    rollout.progress(f"rolling back: {reason}")
    endpoints = rollout.endpoints.read()
    stable, canary = endpoints[rollout.settings.stable], endpoints[rollout.settings.canary]
    if not stable.ready and canary.ready:
        hold_on(rollout, f"{reason}; but the stable version is down ({stable.describe()})")
        return
    if rollout.routes.write(rollout.stable_state(), rollout.fence):
        rollout.changed = True
    proof = prove(rollout, rollout.stable_state(), "rollback")
    if proof.status != "pass":
        rollout.warnings.append(f"rollback written, but the proxies' proof is {proof.status}: {proof.detail}")
    count_the_end(rollout)
    record = rollout.records.read()
    previous = record.previous if record and record.stable == rollout.settings.stable else ""
    _record(
        rollout, stable=rollout.settings.stable, previous=previous, weights={rollout.settings.stable: 100}
    )
    _finish(rollout, "rolled_back", reason)
    if rollout.scaler:
        rollout.scaler.down(promoted=False)


def hold_on(rollout: Rollout, reason: str) -> None:
    """The stable version is sick: keep users on the version that works, and say so loudly."""
    rollout.disarm()
    endpoints = rollout.endpoints.read()
    traffic = rollout.canary_state()
    if not endpoints[rollout.settings.canary].ready or endpoints[rollout.settings.stable].ready:
        # both have endpoints: the split that the gates last saw stays
        phase = max(int(rollout.journal.state.get("phase") or 1), 1)
        traffic = dataclasses.replace(
            traffic, weights=dict(rollout.plan.phases[min(phase, len(rollout.plan.phases)) - 1].weights)
        )
    rollout.save(
        f"held: {reason}",
        state="promoting",
        step="hold",
        reason=reason,
        weights=dict(traffic.weights),
        held=True,
    )
    if rollout.routes.write(traffic, rollout.fence):
        rollout.changed = True
    prove(rollout, traffic, "hold")
    _record(rollout, stable=rollout.settings.stable, previous="", weights=dict(traffic.weights))
    _finish(rollout, "held_on_canary", reason)


def _record(rollout: Rollout, *, stable: str, previous: str, weights: dict[str, int]) -> None:
    rollout.renew_if_due()
    kept = {version: weight for version, weight in weights.items() if weight}
    evidence = sha256_of(evidence_of(rollout.journal.state))
    record = ReleaseRecord(
        stable=stable,
        previous=previous,
        weights=kept,
        run=str(rollout.journal.state.get("run") or ""),
        fence=rollout.fence,
        finished_at=timestamp(rollout.clock.now()),
        evidence_sha256=evidence,
    )
    rollout.save(step="record", evidence_sha256=evidence)
    rollout.records.write(record)


def _finish(rollout: Rollout, outcome: str, reason: str) -> None:
    rollout.save(f"end: {outcome}", state="finished", step="done", outcome=outcome, reason=reason)
    rollout.progress(f"{outcome}: {reason}")
