# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One phase of a rollout: intent, endpoints, weights, proof, metric windows, verdict, journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...kube.clock import timestamp
from ...model.rollout import statistics
from ...model.rollout.gates import GateVerdict, Judgement, harm_level, judge_query, judge_share, worst
from ...model.rollout.journal import KEPT_PROOFS, After, ProofNote, State, Step, Window
from ...model.rollout.measurement import Measurement
from ...model.rollout.phases import Phase, TrafficState
from ...model.rollout.statistics import Counts
from .endpoints import VersionEndpoints
from .options import LowTraffic
from .protocols import Proof
from .rollout import HoldNeeded, RestartNeeded, RollbackNeeded, Rollout

LAST_LOOK = 15.0  # seconds at most that a run stays to count what its rollback came too late for


def run_phase(rollout: Rollout, phase: Phase) -> None:
    """Runs one phase to its pass.

    :raises RollbackNeeded, HoldNeeded, RestartNeeded, PauseNeeded, PromoteNow, FencedError, StoppedError:
    """
    rollout.checkpoint()
    traffic = phase.traffic
    calls, started = rollout.api_calls(), rollout.clock.monotonic()
    intent = replace(
        rollout.journal, state=State.RUNNING, step=Step.WEIGHTS, phase=phase.number, intent=traffic
    )
    rollout.save(intent, f"phase {phase.label()}: intent", weights=traffic.weights)
    await_ready(rollout, phase)
    write_and_prove(rollout, traffic, phase.label())
    rollout.save(replace(rollout.journal, step=Step.WATCH))
    judgement = watch(rollout, phase)
    seconds = round(rollout.clock.monotonic() - started, 1)
    calls = rollout.api_calls() - calls
    passed = replace(
        rollout.journal,
        step=Step.PASSED,
        passed=phase.number,
        phase=phase.number,
        api_calls={**rollout.journal.api_calls, str(phase.number): calls},
    )
    rollout.save(passed, f"phase {phase.label()}: {judgement.verdict}", seconds=seconds)
    rollout.progress(f"phase {phase.label()} passed after {seconds} s with {calls} API calls: {judgement}")


def write_and_prove(rollout: Rollout, traffic: TrafficState, label: str) -> None:
    """Writes the routes and waits until the proxies that matter hold them.

    :raises RollbackNeeded: a proxy does not take the routes in time.
    """
    rollout.checkpoint(requests=False)
    if rollout.routes.write(traffic, rollout.fence):
        rollout.changed = True
    proof = prove(rollout, traffic, label)
    if proof.status == "fail":
        raise RollbackNeeded(f"the proxies do not hold the routes: {proof.detail}")
    if proof.status != "pass":
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
    proved = replace(rollout.journal, proofs=proofs, step=Step.PROVED)
    rollout.save(proved, f"{label}: routes {proof.status} at {proof.proxies} proxies")
    reported = f"{label}: {proof.proxies} proxies hold it after {proof.seconds:.2f} s ({proof.status})"
    rollout.progress(f"{reported} {proof.detail}".rstrip())
    return proof


def prove_mtls(rollout: Rollout, label: str) -> None:
    """The gate "every call to both versions is mutual TLS", from listeners and served certificates."""
    if rollout.options.mtls == "off":
        return
    proof = rollout.prover.mtls((rollout.plan.stable, rollout.plan.canary), rollout.renew_if_due)
    if proof.status == "pass":
        return
    message = f"mutual TLS: {proof.status}: {proof.detail}"
    if rollout.options.mtls == "require":
        raise RollbackNeeded(message)
    rollout.warnings.append(f"{label}: {message}")


def await_ready(rollout: Rollout, phase: Phase) -> None:
    """Waits until each version that shall get requests has a ready endpoint.

    :raises RollbackNeeded: none in time.
    """
    needed = [version for version, weight in phase.weights.items() if weight]
    if phase.kind in ("mirror", "testers"):
        needed.append(rollout.plan.canary)

    def check() -> tuple[bool, str]:
        endpoints = rollout.endpoints.read()
        check_revision(rollout, endpoints)
        empty = [endpoints[version].describe() for version in needed if not endpoints[version].ready]
        return not empty, f"no ready endpoint: {'; '.join(empty)}"

    rollout.await_ready(check, "ready endpoints")


def check_revision(rollout: Rollout, endpoints: Mapping[str, VersionEndpoints]) -> None:
    """:raises RestartNeeded: the canary's pods are no longer those that the run began with."""
    templates = endpoints[rollout.plan.canary].templates
    known = rollout.journal.templates
    if known and set(templates) - set(known):
        raise RestartNeeded("new pods of another revision of the canary appeared", templates)


def watch(rollout: Rollout, phase: Phase) -> Judgement:
    """Looks until the phase passes.

    :raises RollbackNeeded: a gate fails, the pods are gone, or a deadline is over.
    """
    options = rollout.options
    rollout.watched = True
    started = rollout.clock.monotonic()
    since = rollout.clock.now()
    deadline = max(options.phase_deadline, 3 * phase.expected_seconds)
    settled = False
    blind_since: float | None = None
    values: dict[str, list[float | None]] = {gate.name: [] for gate in options.queries}
    next_look = started + min(options.scrape_interval, phase.duration)
    while True:
        rollout.checkpoint()
        _check_endpoints(rollout, phase)
        now = rollout.clock.monotonic()
        if now < next_look:
            rollout.clock.sleep(min(options.poll, next_look - now))
            continue
        next_look = now + options.scrape_interval
        elapsed = now - started
        if phase.kind == "dark":
            judgement = Judgement("dark", GateVerdict.PASS, "the pods stayed ready")
        else:
            if rollout.synthetic and (trouble := rollout.synthetic()):
                rollout.progress(f"synthetic requests: {trouble}")
            measured = rollout.metrics.measure(since)
            # requests before the proof reached this phase's window only once every proxy was scraped after it
            number = phase.number if settled else max(1, phase.number - 1)
            settled = settled or measured.settled
            judgement = _judge(rollout, phase, measured, number, values)
        _report(rollout, phase, judgement, elapsed)
        if judgement.verdict is GateVerdict.FAIL:
            if stable_is_worse(rollout):
                raise HoldNeeded(
                    f"stable is worse than the canary, so nothing is rolled into it: {judgement.reason}"
                )
            raise RollbackNeeded(str(judgement))
        blind_since = (now if blind_since is None else blind_since) if _is_blind(judgement) else None
        if blind_since is not None and now - blind_since >= options.unmeasurable:
            raise RollbackNeeded(f"nothing could be measured for {now - blind_since:.0f} s: {judgement}")
        if judgement.verdict is GateVerdict.PASS and elapsed >= phase.duration:
            return judgement
        if elapsed >= deadline:
            return _at_deadline(rollout, phase, judgement, elapsed)


def count_the_end(rollout: Rollout) -> None:
    """After a rollback: what the canary got between the last look and weight 0 belongs to its cost.

    They are kept beside the windows that the verdict rests on. Metrics that do not answer are no obstacle.
    """
    if not rollout.watched:
        return
    end = rollout.clock.monotonic() + min(rollout.options.scrape_interval, LAST_LOOK)
    while (left := end - rollout.clock.monotonic()) > 0:
        rollout.renew_if_due()
        rollout.clock.sleep(min(rollout.options.poll, left))
    measured = rollout.metrics.measure(rollout.clock.now())
    if not measured.problem:
        after = After(timestamp(measured.at), _by_gate(measured))
        rollout.save(replace(rollout.journal, after=after))


def _is_blind(judgement: Judgement) -> bool:
    return judgement.verdict is GateVerdict.CANNOT_MEASURE


def _at_deadline(rollout: Rollout, phase: Phase, judgement: Judgement, elapsed: float) -> Judgement:
    lacking = judgement.verdict is GateVerdict.NOT_ENOUGH_DATA
    if lacking and rollout.options.low_traffic is LowTraffic.PROMOTE_WITH_WARNING:
        rollout.warnings.append(f"phase {phase.label()} went on without enough data: {judgement}")
        return judgement
    raise RollbackNeeded(f"{judgement.verdict} after {elapsed:.0f} s: {judgement}")


def _check_endpoints(rollout: Rollout, phase: Phase) -> None:
    endpoints = rollout.endpoints.read()
    canary, stable = endpoints[rollout.plan.canary], endpoints[rollout.plan.stable]
    if not canary.ready and (phase.kind != "weight" or phase.canary):
        raise RollbackNeeded(f"no ready endpoint: {canary.describe()}")
    if not stable.ready and phase.weights.get(rollout.plan.stable):
        raise HoldNeeded(f"the stable version is down: {stable.describe()}")
    check_revision(rollout, endpoints)


def _judge(
    rollout: Rollout, phase: Phase, measured: Measurement, number: int, values: dict[str, list[float | None]]
) -> Judgement:
    """Notes a look and judges all gates over the windows of the run."""
    if measured.problem:
        return Judgement("metrics", GateVerdict.CANNOT_MEASURE, measured.problem)
    windows = rollout.journal.windows
    window = Window(
        phase=number,
        begin=windows[-1].end if windows else timestamp(measured.at - rollout.options.scrape_interval),
        end=timestamp(measured.at),
        weight=phase.canary if phase.kind == "weight" else 0,
        counts=_by_gate(measured),
        latency=measured.latency,
    )
    for name, value in measured.values.items():
        values[name].append(value)
    judgements = judge_windows(rollout, phase, [*windows, window])
    judgements += [judge_query(gate, values[gate.name]) for gate in rollout.options.queries]
    judged = replace(
        rollout.journal,
        windows=(*windows, window),
        verdicts=tuple(judgements),
        values={name: tuple(found) for name, found in values.items()},
        judged=phase.number,
    )
    rollout.save(judged)
    return worst(judgements)


def _by_gate(measured: Measurement) -> dict[str, tuple[int, int, int, int]]:
    return {gate: (counts[0], counts[1], counts[2], counts[3]) for gate, counts in measured.counts.items()}


def judge_windows(rollout: Rollout, phase: Phase, windows: Sequence[Window]) -> list[Judgement]:
    """All share gates over the windows of a run: the same function that recomputes verdicts from evidence.

    :returns: one per share gate, in the gates' order.
    """
    options = rollout.options
    early = phase.kind != "weight"
    return [
        judge_share(
            gate,
            counts_of(windows, gate.name),
            policy=options.policy,
            gates=options.gates,
            phases=len(rollout.plan.phases),
            phase=phase.number,
            minimum_requests=phase.minimum_requests if early else max(1, phase.minimum_requests),
            promotion=not early and phase.number >= rollout.plan.evidence_phase,
        )
        for gate in options.gates
    ]


def counts_of(windows: Sequence[Window], gate: str) -> list[Counts]:
    """The windows of one gate as counts. :returns: one per window, the oldest first."""
    return [Counts(window.phase, *window.counts[gate]) for window in windows if gate in window.counts]


def stable_is_worse(rollout: Rollout) -> bool:
    """Whether the windows of the run say that the stable version is the worse one: then a rollback would hurt
    more people."""
    windows = counts_of(rollout.journal.windows, "errors")
    swapped = [Counts(w.phase, w.stable_total, w.stable_bad, w.canary_total, w.canary_bad) for w in windows]
    level = harm_level(rollout.options.policy, rollout.options.gates)
    return bool(swapped) and statistics.relative_harm(swapped, phases=len(rollout.plan.phases)) >= level


def _report(rollout: Rollout, phase: Phase, judgement: Judgement, elapsed: float) -> None:
    parts = [f"phase {phase.label()}", f"{elapsed:.0f}/{phase.duration:.0f} s"]
    windows = rollout.journal.windows
    if windows:
        here = counts_of([window for window in windows if window.phase == phase.number], "errors")
        canary = (sum(found.canary_bad for found in here), sum(found.canary_total for found in here))
        stable = (sum(found.stable_bad for found in here), sum(found.stable_total for found in here))
        for arm, (bad, total) in (("canary", canary), ("stable", stable)):
            p99 = windows[-1].latency.get(arm, {}).get("p99")
            slow = "" if p99 is None or not total else f", p99 {p99:.0f} ms"
            parts.append(f"{arm} {bad}/{total} failed{slow}")
    rollout.progress(" | ".join([*parts, f"{judgement.verdict}: {judgement}"]))
