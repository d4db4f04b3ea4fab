# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a rollout ends: promoted, rolled back, or held on the canary. Each is safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...kube.clock import timestamp
from ...model.rollout.evidence import evidence_of, sha256_of
from ...model.rollout.gates import GateVerdict
from ...model.rollout.journal import Outcome, State, Step
from ...model.rollout.phases import TrafficState
from ...model.rollout.record import ReleaseRecord
from ...verdicts import PASS
from .phase import count_the_end, prove, stable_is_worse, write_and_prove
from .rollout import RollbackNeeded, Rollout


def promote(rollout: Rollout) -> None:
    """Makes the split of the last phase permanent: routes, proof, record, end."""
    options = rollout.options
    weights = rollout.canary_traffic().weights if options.promote else rollout.plan.phases[-1].weights
    traffic = TrafficState(dict(weights))
    whole = weights[rollout.plan.canary] == 100
    if not rollout.endpoints.read()[rollout.plan.canary].ready:
        raise RollbackNeeded("no ready endpoint of the new version at promotion")
    rollout.disarm()
    promoting = replace(rollout.journal, state=State.PROMOTING, step=Step.PROMOTE, intent=traffic)
    rollout.save(promoting, "promotion: intent", weights=weights)
    write_and_prove(rollout, traffic, "promotion")
    if whole:
        _record(rollout, stable=rollout.plan.canary, previous=rollout.plan.stable, weights=weights)
        _finish(rollout, Outcome.PROMOTED, f"{rollout.plan.canary} is stable")
        if rollout.scaler:
            rollout.scaler.down(promoted=True)
    else:
        _record(rollout, stable=rollout.plan.stable, previous="", weights=weights)
        _finish(rollout, Outcome.SPLIT, f"the split stays at {dict(weights)}")


def roll_back(rollout: Rollout, reason: str) -> None:
    """All requests back to the stable version: traffic first; its subset stays for whoever still uses it."""
    back = rollout.stable_traffic()
    rolling_back = replace(
        rollout.journal,
        state=State.ROLLING_BACK,
        step=Step.ROLLBACK,
        reason=reason,
        intent=back,
        rollback_began=rollout.journal.rollback_began or timestamp(rollout.clock.now()),
    )
    rollout.save(rolling_back, f"rollback: {reason}", weights=back.weights)
    rollout.progress(f"rolling back: {reason}")
    endpoints = rollout.endpoints.read()
    stable, canary = endpoints[rollout.plan.stable], endpoints[rollout.plan.canary]
    if not stable.ready and canary.ready:
        hold_on(rollout, f"{reason}; but the stable version is down ({stable.describe()})")
        return
    if rollout.routes.write(back, rollout.fence):
        rollout.changed = True
    proof = prove(rollout, back, "rollback")
    if proof.status != PASS:
        rollout.warnings.append(f"rollback written, but the proxies' proof is {proof.status}: {proof.detail}")
    count_the_end(rollout)
    record = rollout.records.read()
    previous = record.previous if record and record.stable == rollout.plan.stable else ""
    _record(rollout, stable=rollout.plan.stable, previous=previous, weights={rollout.plan.stable: 100})
    _finish(rollout, Outcome.ROLLED_BACK, reason)
    if rollout.scaler:
        rollout.scaler.down(promoted=False)


def hold_on(rollout: Rollout, reason: str) -> None:
    """The stable version is sick: keep users on the version that works, and say so loudly.

    A successor of a dead runner finishes what that one had begun to write.
    """
    rollout.disarm()
    endpoints = rollout.endpoints.read()
    stable, canary = endpoints[rollout.plan.stable], endpoints[rollout.plan.canary]
    if stable.ready and not canary.ready:
        roll_back(rollout, f"{reason}; but now the new version is down ({canary.describe()})")
        return
    journal = rollout.journal
    if not stable.ready and canary.ready:
        traffic = rollout.canary_traffic()
    elif journal.state is State.HOLDING and journal.intent:
        traffic = journal.intent
    else:
        # both have endpoints: the split that the gates last saw stays
        traffic = TrafficState(dict(rollout.plan.phases[max(journal.phase, 1) - 1].weights))
    holding = replace(journal, state=State.HOLDING, step=Step.HOLD, reason=reason, intent=traffic)
    rollout.save(holding, f"held: {reason}", weights=traffic.weights)
    if rollout.routes.write(traffic, rollout.fence):
        rollout.changed = True
    prove(rollout, traffic, "hold")
    _record(rollout, stable=rollout.plan.stable, previous="", weights=traffic.weights)
    _finish(rollout, Outcome.HELD_ON_CANARY, reason)


def abandon(rollout: Rollout, reason: str) -> None:
    """Ends a run that nobody watched for a while.

    What its last look said of the stable version still holds: a run that died between a look and its decision
    is decided as it would have been.
    """
    failed = any(judgement.verdict is GateVerdict.FAIL for judgement in rollout.journal.verdicts)
    if failed and stable_is_worse(rollout):
        hold_on(rollout, f"{reason}; and stable was worse than the canary")
    else:
        roll_back(rollout, reason)


def _record(rollout: Rollout, *, stable: str, previous: str, weights: Mapping[str, int]) -> None:
    rollout.renew_if_due()
    evidence = sha256_of(evidence_of(rollout.journal.as_dict()))
    record = ReleaseRecord(
        stable=stable,
        previous=previous,
        weights={version: weight for version, weight in weights.items() if weight},
        run=rollout.journal.run,
        fence=rollout.fence,
        finished_at=timestamp(rollout.clock.now()),
        evidence_sha256=evidence,
    )
    rollout.save(replace(rollout.journal, step=Step.RECORD, evidence_sha256=evidence))
    rollout.records.write(record)


def _finish(rollout: Rollout, outcome: Outcome, reason: str) -> None:
    finished = replace(rollout.journal, state=State.FINISHED, step=Step.DONE, outcome=outcome, reason=reason)
    rollout.save(finished, f"end: {outcome}")
    rollout.progress(f"{outcome}: {reason}")
