# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a rollout ends: promoted, rolled back, or held. Each is safe to repeat.

A hold is what is left when the stable version cannot take the requests: it is down, or it fails more of them
than a canary that fails too many itself. No hold gives a canary more than it is proved for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from ...errors import WaitTimeout
from ...kube.clock import timestamp
from ...kube.wait import wait_until
from ...model.rollout.evidence import evidence_of, sha256_of
from ...model.rollout.journal import Hold, LastStep, Outcome, State
from ...model.rollout.phases import TrafficState
from ...model.rollout.record import ReleaseRecord
from ...verdicts import FAIL, PASS
from .endpoints import VersionEndpoints
from .evidence import fail_alike, has_failed, is_proved, stable_is_worse
from .phase import check_revision, is_other_revision, prove, write_and_prove
from .rendering import split_of
from .rollout import RollbackNeeded, Rollout
from .watch import count_the_end


def promote(rollout: Rollout) -> None:
    """Makes the split of the last phase permanent: routes, proof, record, end.

    :raises RestartNeeded: when it is decided, the canary's pods are no longer those that were judged.
    :raises RollbackNeeded: the canary has no ready endpoint, or the proxies do not take the routes.
    """
    options = rollout.options
    last = rollout.plan.phases[-1]
    traffic = rollout.canary_traffic() if options.promote else rollout.traffic_of(last)
    weights = traffic.weights
    drained = rollout.journal.scaled_down is not None  # then stable has gone, and nothing leads back to it
    if not drained:
        endpoints = rollout.endpoints.read()
        if rollout.journal.state is State.RUNNING:
            check_revision(rollout, endpoints)
        if not endpoints[rollout.plan.canary].ready:
            raise RollbackNeeded("no ready endpoint of the new version at promotion")
    rollout.disarm()
    promoting = replace(rollout.journal, state=State.PROMOTING, step=LastStep.PROMOTE, intent=traffic)
    rollout.save(promoting, "promotion: intent", weights=weights)
    write_and_prove(rollout, traffic, "promotion")
    if options.promote:
        _record(rollout, stable=rollout.plan.canary, previous=rollout.plan.stable, weights=weights)
        asked = f": {rollout.journal.reason}" if rollout.journal.reason else ""  # by a person, past the gates
        _finish(rollout, Outcome.PROMOTED, f"{rollout.plan.canary} is stable{asked}")
    else:
        _record(rollout, stable=rollout.plan.stable, previous=_previous(rollout), weights=weights)
        _finish(rollout, Outcome.SPLIT, f"the split stays at {dict(weights)}")


def roll_back(rollout: Rollout, reason: str) -> None:
    """All requests back to the stable version: traffic first; its subset stays for whoever still uses it.

    A stable version without a ready endpoint is waited for; if it stays down while the canary answers, the
    run is held.
    """
    back = rollout.stable_traffic()
    rolling_back = replace(
        rollout.journal,
        state=State.ROLLING_BACK,
        step=LastStep.ROLLBACK,
        reason=reason,
        intent=back,
        rollback_began=rollout.journal.rollback_began or timestamp(rollout.clock.now()),
    )
    rollout.save(rolling_back, f"rollback: {reason}", weights=back.weights)
    rollout.progress(f"rolling back: {reason}")
    if rollout.scaler:
        rollout.scaler.bring_back()
    stable, canary = _when_stable_is_ready(rollout)
    if not stable.ready and canary.ready:
        traffic = _kept(rollout, canary, Hold.STABLE_DOWN)
        if traffic.weights[rollout.plan.canary]:
            down = f"{reason}; but the stable version is down ({stable.describe()})"
            _hold(rollout, traffic, down, Hold.STABLE_DOWN)
            return
    if rollout.scaler:
        rollout.scaler.before_return()
    if rollout.routes.write(back, rollout.fence):
        rollout.changed = True
    proof = prove(rollout, back, "rollback")
    if proof.status != PASS:
        rollout.warnings.append(f"rollback written, but the proxies' proof is {proof.status}: {proof.detail}")
    count_the_end(rollout)
    weights = {rollout.plan.stable: 100}
    _record(rollout, stable=rollout.plan.stable, previous=_previous(rollout), weights=weights)
    _finish(rollout, Outcome.ROLLED_BACK, reason)


def hold_on(rollout: Rollout, reason: str, cause: Hold) -> None:
    """The stable version must not get the requests: keep them where they are, and say so loudly.

    A successor of a dead runner looks again: a stable version that is back gets everything.
    """
    rollout.disarm()
    stable, canary = _arms(rollout)
    if cause is Hold.STABLE_DOWN and stable.ready:
        roll_back(rollout, f"{reason}; it is back ({stable.describe()})")
    elif not canary.ready:
        roll_back(rollout, f"{reason}; but now the new version is down ({canary.describe()})")
    elif (traffic := _kept(rollout, canary, cause)).weights[rollout.plan.canary]:
        _hold(rollout, traffic, reason, cause)
    else:
        roll_back(rollout, reason)


def _kept(rollout: Rollout, canary: VersionEndpoints, cause: Hold) -> TrafficState:
    """The split of a hold, from what the proxies proved to hold and what the gates said.

    A canary that failed a gate, or fails as stable does, keeps the smallest share it ever had; one that
    somebody withdrew, or that is not proved, keeps what it has; only one whose evidence would do for a
    promotion takes over, from a stable version that is down, and only with the pods that it is about.
    """
    plan, journal = rollout.plan, rollout.journal
    shares = [proof.weights.get(plan.canary, 0) for proof in journal.proofs if proof.status != FAIL]
    now = (shares[-1] if shares else journal.before.get(plan.canary, 0)) or _first_share(rollout)
    if has_failed(rollout) or fail_alike(rollout):
        share = min((found for found in shares if 0 < found <= now), default=now)
    elif (
        cause is Hold.STABLE_DOWN
        and not journal.rollback_began
        and not is_other_revision(rollout, canary)
        and is_proved(rollout)
    ):
        share = 100
    else:
        share = now
    # users are drawn anew: those who are pinned to a larger share must not keep it
    return TrafficState({plan.stable: 100 - share, plan.canary: share}, epoch=f"{rollout.epoch}-held")


def _first_share(rollout: Rollout) -> int:
    """What the routes give the canary in the first phase that gives it any, written before its proof: taken
    away, it would go to a version that is down."""
    plan = rollout.plan
    phase = next((item for item in plan.phases if item.number == rollout.journal.phase), None)
    live = rollout.routes.read()
    if phase is None or phase.kind != "weight" or live is None:
        return 0
    share = split_of(rollout.options, plan.stable, plan.canary).canary_share(live)
    return min(round(share), phase.weights[plan.canary])


def _hold(rollout: Rollout, traffic: TrafficState, reason: str, cause: Hold) -> None:
    share = traffic.weights[rollout.plan.canary]
    holding = replace(
        rollout.journal, state=State.HOLDING, step=LastStep.HOLD, reason=reason, intent=traffic, hold=cause
    )
    rollout.save(holding, f"held: {reason}", weights=traffic.weights)
    if rollout.routes.write(traffic, rollout.fence):
        rollout.changed = True
    prove(rollout, traffic, "hold")
    _record(rollout, stable=rollout.plan.stable, previous=_previous(rollout), weights=traffic.weights)
    if share == 100:
        served = f"{rollout.plan.canary} is proved and serves everybody"
        _finish(rollout, Outcome.HELD_ON_CANARY, f"{reason}; {served}")
    else:
        left = f"{rollout.plan.stable} {100 - share} %, {rollout.plan.canary} {share} %"
        _finish(rollout, Outcome.HELD_AT_SPLIT, f"{reason}; the split stays at {left}")


def abandon(rollout: Rollout, reason: str) -> None:
    """Ends a run that nobody watched for a while.

    What its last look said of the stable version still holds: a run that died between a look and its decision
    is decided as it would have been.
    """
    bad = has_failed(rollout) or fail_alike(rollout)
    if bad and stable_is_worse(rollout, rollout.journal.windows):
        hold_on(rollout, f"{reason}; and stable was worse than the canary", Hold.STABLE_WORSE)
    else:
        roll_back(rollout, reason)


def _arms(rollout: Rollout) -> tuple[VersionEndpoints, VersionEndpoints]:
    endpoints = rollout.endpoints.read()
    return endpoints[rollout.plan.stable], endpoints[rollout.plan.canary]


def _when_stable_is_ready(rollout: Rollout) -> tuple[VersionEndpoints, VersionEndpoints]:
    """Both versions, once stable has a ready endpoint or it has had ``ready_timeout`` for it.

    One pod that restarts, or a node that is drained, must not decide where everybody goes. Where the canary
    answers nobody either, there is nothing to wait for.
    """
    seen: list[tuple[VersionEndpoints, VersionEndpoints]] = []

    def check() -> tuple[bool, str]:
        rollout.renew_if_due()
        seen[:] = [_arms(rollout)]
        stable, canary = seen[0]
        return bool(stable.ready or not canary.ready), stable.describe()

    limit = rollout.options.ready_timeout
    with contextlib.suppress(WaitTimeout):
        wait_until(
            check,
            awaited="the stable version",
            timeout=limit,
            interval=1.0,
            progress=rollout.progress,
            clock=rollout.clock,
        )
    return seen[0]


def _previous(rollout: Rollout) -> str:
    """The version before the stable one, as long as that one stays."""
    record = rollout.records.known()
    return record.previous if record and record.stable == rollout.plan.stable else ""


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
    rollout.save(replace(rollout.journal, step=LastStep.RECORD, evidence_sha256=evidence))
    rollout.records.write(record)


def _finish(rollout: Rollout, outcome: Outcome, reason: str) -> None:
    if rollout.scaler:  # while the journal still says what a successor has to finish
        rollout.scaler.end(outcome)
    finished = replace(
        rollout.journal, state=State.FINISHED, step=LastStep.DONE, outcome=outcome, reason=reason
    )
    rollout.save(finished, f"end: {outcome}")
    rollout.progress(f"{outcome}: {reason}")
