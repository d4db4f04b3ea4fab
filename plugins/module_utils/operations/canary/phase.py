# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One phase of a rollout: intent, endpoints, weights, proof, and then the watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...kube.clock import timestamp
from ...model.rollout.journal import KEPT_PROOFS, Hold, LastStep, ProofNote, State
from ...model.rollout.outside_gates import Moment
from ...model.rollout.phases import Phase, TrafficState
from ...verdicts import FAIL, PASS
from .endpoints import VersionEndpoints
from .protocols import Proof
from .rollout import HoldNeeded, NotInTimeError, RestartNeeded, RollbackNeeded, Rollout
from .watch import watch


def run_phase(rollout: Rollout, phase: Phase) -> None:
    """Runs one phase to its pass.

    :raises RollbackNeeded, HoldNeeded, RestartNeeded, PauseNeeded, PromoteNow, FencedError, StoppedError:
    """
    rollout.checkpoint()
    pass_gates(rollout, phase)
    traffic = rollout.traffic_of(phase)
    calls, started = rollout.api_calls(), rollout.clock.monotonic()
    intent = replace(
        rollout.journal, state=State.RUNNING, step=LastStep.WEIGHTS, phase=phase.number, intent=traffic
    )
    rollout.save(intent, f"phase {phase.label()}: intent", weights=traffic.weights)
    await_ready(rollout, phase)
    write_and_prove(rollout, traffic, phase.label())
    rollout.save(replace(rollout.journal, step=LastStep.WATCH))
    judgement = watch(rollout, phase, check_revision)
    seconds = round(rollout.clock.monotonic() - started, 1)
    calls = rollout.api_calls() - calls
    passed = replace(
        rollout.journal,
        step=LastStep.PASSED,
        passed=phase.number,
        phase=phase.number,
        spent=rollout.spent(),
        api_calls={**rollout.journal.api_calls, str(phase.number): calls},
    )
    rollout.save(passed, f"phase {phase.label()}: {judgement.verdict}", seconds=seconds)
    rollout.progress(f"phase {phase.label()} passed after {seconds} s with {calls} API calls: {judgement}")


def pass_gates(rollout: Rollout, phase: Phase) -> None:
    """Waits for the gates before a phase. Where the canary has requests already, its metrics are watched
    meanwhile: the phase before goes on.

    :raises RollbackNeeded, HoldNeeded, RestartNeeded: as `watch` and `GatesOutside.before`.
    """
    if rollout.outside is None:
        return
    before = [item for item in rollout.plan.phases if item.number == phase.number - 1]
    while before and rollout.outside.waits_for(Moment.TRAFFIC_INCREASE, phase):
        watch(rollout, before[0], check_revision)
    if not before:
        rollout.outside.before(phase)


def write_and_prove(rollout: Rollout, traffic: TrafficState, label: str) -> None:
    """Writes the routes and waits until the proxies that matter hold them.

    :raises RollbackNeeded: a proxy does not take the routes in time.
    """
    rollout.checkpoint(requests=False)
    if rollout.routes.write(traffic, rollout.fence):
        rollout.changed = True
    proof = prove(rollout, traffic, label)
    if proof.status == FAIL:
        raise RollbackNeeded(f"the proxies do not hold the routes: {proof.detail}")
    if proof.status != PASS:
        if rollout.options.propagation == "require":
            raise RollbackNeeded(f"cannot tell whether the proxies hold the routes: {proof.detail}")
        rollout.warnings.append(f"{label}: cannot tell whether the proxies hold the routes: {proof.detail}")
    prove_mtls(rollout, label)


def prove(rollout: Rollout, traffic: TrafficState, label: str) -> Proof:
    """Waits until the proxies that matter hold the routes, and notes what they said."""
    proof = rollout.prover.routes(traffic.weights, rollout.renew_if_due)
    note = ProofNote(
        at=timestamp(rollout.clock.now()),
        weights=dict(traffic.weights),
        status=proof.status,
        seconds=round(proof.seconds, 3),
        proxies=proof.proxies,
        detail=proof.detail,
    )
    proofs = (*rollout.journal.proofs, note)[-KEPT_PROOFS:]
    proved = replace(rollout.journal, proofs=proofs, step=LastStep.PROVED)
    rollout.save(proved, f"{label}: routes {proof.status} at {proof.proxies} proxies")
    reported = f"{label}: {proof.proxies} proxies hold it after {proof.seconds:.2f} s ({proof.status})"
    rollout.progress(f"{reported} {proof.detail}".rstrip())
    return proof


def prove_mtls(rollout: Rollout, label: str) -> None:
    """The gate "every call to both versions is mutual TLS", from listeners and served certificates."""
    if rollout.options.mtls == "off":
        return
    proof = rollout.prover.mtls((rollout.plan.stable, rollout.plan.canary), rollout.renew_if_due)
    if proof.status == PASS:
        return
    message = f"mutual TLS: {proof.status}: {proof.detail}"
    if rollout.options.mtls == "require":
        raise RollbackNeeded(message)
    rollout.warnings.append(f"{label}: {message}")


def await_ready(rollout: Rollout, phase: Phase) -> None:
    """Waits until the canary has a ready endpoint, and the stable version where it shall get requests.

    Phases without requests of users (dark, mirror, testers) are about the canary's pods all the more.

    :raises RollbackNeeded: the canary has none in time. :raises HoldNeeded: the stable version has none.
    """
    plan = rollout.plan
    stable_needed = phase.weights[plan.stable] and not rollout.options.sick_stable
    needed = [plan.stable, plan.canary] if stable_needed else [plan.canary]
    empty: list[VersionEndpoints] = []

    def check() -> tuple[bool, str]:
        endpoints = rollout.endpoints.read()
        check_revision(rollout, endpoints)
        empty[:] = [endpoints[version] for version in needed if not endpoints[version].ready]
        return not empty, f"no ready endpoint: {'; '.join(item.describe() for item in empty)}"

    try:
        rollout.await_ready(check, "ready endpoints")
    except NotInTimeError as needs:
        if [item.version for item in empty] == [plan.stable]:  # nothing is wrong with the canary
            raise HoldNeeded(f"the stable version is down: {needs}", Hold.STABLE_DOWN) from needs
        raise


def check_revision(rollout: Rollout, endpoints: Mapping[str, VersionEndpoints]) -> None:
    """:raises RestartNeeded: the canary's pods are no longer those that the run began with."""
    canary = endpoints[rollout.plan.canary]
    if is_other_revision(rollout, canary):
        raise RestartNeeded("new pods of another revision of the canary appeared", canary.templates)


def is_other_revision(rollout: Rollout, canary: VersionEndpoints) -> bool:
    """Whether the canary has pods that nothing is known of."""
    known = rollout.journal.templates
    return bool(known and set(canary.templates) - set(known))
