# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One phase of a rollout: intent, endpoints, weights, proof, metric windows, verdict, journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...kube.clock import timestamp
from ...model.rollout import statistics
from ...model.rollout.gates import GateVerdict, Judgement, harm_level, judge_query, judge_share, worst
from ...model.rollout.phases import Phase
from ...model.rollout.statistics import Counts
from .metrics import Look
from .protocols import Proof
from .routes import Shape
from .run import HoldNeeded, RestartNeeded, RollbackNeeded, Run

LAST_LOOK = 15.0  # seconds at most that a run stays to count what its rollback came too late for


def run_phase(run: Run, phase: Phase) -> None:
    """Runs one phase to its pass.

    :raises RollbackNeeded, HoldNeeded, RestartNeeded, PauseNeeded, PromoteNow, FencedError, StoppedError:
    """
    run.guard()
    shape = run.shape(phase)
    calls, begun = run.api_calls(), run.clock.monotonic()
    run.save(
        f"phase {phase.label()}: intent",
        state="running",
        step="weights",
        phase=phase.number,
        intent={"weights": dict(shape.weights), "kind": shape.kind, "percent": shape.percent},
        weights=dict(shape.weights),
    )
    await_ready(run, phase)
    write_and_prove(run, shape, phase.label())
    run.save(step="watch")
    judgement = watch(run, phase)
    seconds = round(run.clock.monotonic() - begun, 1)
    calls = run.api_calls() - calls
    run.save(
        f"phase {phase.label()}: {judgement.verdict}",
        step="passed",
        passed=phase.number,
        phase=phase.number,
        seconds=seconds,
        api_calls={**run.journal.state.get("api_calls", {}), str(phase.number): calls},
    )
    run.say(f"phase {phase.label()} passed after {seconds} s with {calls} API calls: {judgement}")


def write_and_prove(run: Run, shape: Shape, label: str) -> None:
    """Writes the routes and waits until the proxies that matter hold them.

    :raises RollbackNeeded: a proxy does not take the routes in time.
    """
    run.guard(requests=False)
    if run.routes.write(shape, run.fence):
        run.changed = True
    proof = prove(run, shape, label)
    if proof.status == "fail":
        raise RollbackNeeded(f"the proxies do not hold the routes: {proof.detail}")
    if proof.status != "pass":
        if run.settings.proof == "require":
            raise RollbackNeeded(f"cannot tell whether the proxies hold the routes: {proof.detail}")
        run.warnings.append(f"{label}: cannot tell whether the proxies hold the routes: {proof.detail}")
    prove_mtls(run, label)


def prove(run: Run, shape: Shape, label: str) -> Proof:
    """Waits until the proxies that matter hold the routes, and notes what they said."""
    proof = run.prover.routes(shape.weights, run.keep)
    note = {
        "at": timestamp(run.clock.now()),
        "weights": dict(shape.weights),
        "status": proof.status,
        "seconds": round(proof.seconds, 3),
        "proxies": proof.proxies,
        "detail": proof.detail,
    }
    proofs = [*run.journal.state.get("proofs", []), note][-200:]
    run.save(f"{label}: routes {proof.status} at {proof.proxies} proxies", proofs=proofs, step="proved")
    told = f"{label}: {proof.proxies} proxies hold it after {proof.seconds:.2f} s ({proof.status})"
    run.say(f"{told} {proof.detail}".rstrip())
    return proof


def prove_mtls(run: Run, label: str) -> None:
    """The gate "every call to both versions is mutual TLS", from listeners and served certificates."""
    if run.settings.mtls == "off":
        return
    proof = run.prover.mtls((run.settings.stable, run.settings.canary), run.keep)
    if proof.status == "pass":
        return
    message = f"mutual TLS: {proof.status}: {proof.detail}"
    if run.settings.mtls == "require":
        raise RollbackNeeded(message)
    run.warnings.append(f"{label}: {message}")


def await_ready(run: Run, phase: Phase) -> None:
    """Waits until each version that shall get requests has a ready endpoint.

    :raises RollbackNeeded: none in time.
    """
    needed = [version for version, weight in phase.weights.items() if weight]
    if phase.kind in ("mirror", "testers"):
        needed.append(run.settings.canary)
    deadline = run.clock.monotonic() + run.settings.ready_timeout
    while True:
        arms = run.arms.read()
        check_revision(run, arms)
        empty = [arms[version].describe() for version in needed if not arms[version].ready]
        if not empty:
            return
        if run.clock.monotonic() >= deadline:
            raise RollbackNeeded(f"no ready endpoint: {'; '.join(empty)}")
        run.guard()
        run.clock.sleep(min(2.0, run.settings.poll))


def check_revision(run: Run, arms: Mapping[str, Any]) -> None:
    """:raises RestartNeeded: the canary's pods are no longer those that the run began with."""
    templates = list(arms[run.settings.canary].templates)
    known = run.journal.state.get("templates")
    if known and set(templates) - set(known):
        raise RestartNeeded("new pods of another revision of the canary appeared", templates=templates)


def watch(run: Run, phase: Phase) -> Judgement:
    """Looks until the phase passes.

    :raises RollbackNeeded: a gate fails, the pods are gone, or a deadline is over.
    """
    settings = run.settings
    run.watched = True
    started = run.clock.monotonic()
    since = run.clock.now()
    deadline = max(settings.phase_deadline, 3 * phase.expected_seconds)
    settled = False
    blind_since: float | None = None
    values: dict[str, list[float | None]] = {gate.name: [] for gate in settings.queries}
    next_look = started + min(settings.scrape_interval, phase.duration)
    while True:
        run.guard()
        _check_endpoints(run, phase)
        now = run.clock.monotonic()
        if now < next_look:
            run.clock.sleep(min(settings.poll, next_look - now))
            continue
        next_look = now + settings.scrape_interval
        elapsed = now - started
        if phase.kind == "dark":
            judgement = Judgement("dark", GateVerdict.PASS, "the pods stayed ready")
        else:
            if run.synthetic and (trouble := run.synthetic()):
                run.say(f"synthetic requests: {trouble}")
            look = run.meter.look(since)
            # requests before the proof reached this phase's window only once every proxy was scraped after it
            number = phase.number if settled else max(1, phase.number - 1)
            settled = settled or look.settled
            judgement = _judge(run, phase, look, number, values)
        _tell(run, phase, judgement, elapsed)
        if judgement.verdict is GateVerdict.FAIL:
            _refuse_sick_stable(run, judgement)
            raise RollbackNeeded(str(judgement))
        blind_since = (now if blind_since is None else blind_since) if _blind(judgement) else None
        if blind_since is not None and now - blind_since >= settings.unmeasurable:
            raise RollbackNeeded(f"nothing could be measured for {now - blind_since:.0f} s: {judgement}")
        if judgement.verdict is GateVerdict.PASS and elapsed >= phase.duration:
            return judgement
        if elapsed >= deadline:
            return _at_deadline(run, phase, judgement, elapsed)


def count_the_end(run: Run) -> None:
    """After a rollback: what the canary got between the last look and weight 0 belongs to its cost.

    They are kept beside the windows that the verdict rests on. Metrics that do not answer are no obstacle.
    """
    if not run.watched:
        return
    end = run.clock.monotonic() + min(run.settings.scrape_interval, LAST_LOOK)
    while (left := end - run.clock.monotonic()) > 0:
        run.keep()
        run.clock.sleep(min(run.settings.poll, left))
    look = run.meter.look(run.clock.now())
    if not look.problem:
        run.save(after={"end": timestamp(look.at), "counts": {g: list(c) for g, c in look.counts.items()}})


def _blind(judgement: Judgement) -> bool:
    return judgement.verdict is GateVerdict.CANNOT_MEASURE


def _at_deadline(run: Run, phase: Phase, judgement: Judgement, elapsed: float) -> Judgement:
    lacking = judgement.verdict is GateVerdict.NOT_ENOUGH_DATA
    if lacking and run.settings.low_traffic == "promote_with_warning":
        run.warnings.append(f"phase {phase.label()} went on without enough data: {judgement}")
        return judgement
    raise RollbackNeeded(f"{judgement.verdict} after {elapsed:.0f} s: {judgement}")


def _check_endpoints(run: Run, phase: Phase) -> None:
    arms = run.arms.read()
    canary, stable = arms[run.settings.canary], arms[run.settings.stable]
    if not canary.ready and (phase.kind != "weight" or phase.canary):
        raise RollbackNeeded(f"no ready endpoint: {canary.describe()}")
    if not stable.ready and phase.weights.get(run.settings.stable):
        raise HoldNeeded(f"the stable version is down: {stable.describe()}")
    check_revision(run, arms)


def _judge(
    run: Run, phase: Phase, look: Look, number: int, values: dict[str, list[float | None]]
) -> Judgement:
    """Notes a look and judges all gates over the windows of the run."""
    if look.problem:
        return Judgement("metrics", GateVerdict.CANNOT_MEASURE, look.problem)
    windows = run.journal.state.get("windows", [])
    began = windows[-1]["end"] if windows else timestamp(look.at - run.settings.scrape_interval)
    window = {
        "phase": number,
        "begin": began,
        "end": timestamp(look.at),
        "weight": phase.canary if phase.kind == "weight" else 0,
        "counts": {gate: list(counts) for gate, counts in look.counts.items()},
        "latency": {arm: dict(found) for arm, found in look.latency.items()},
    }
    for name, value in look.values.items():
        values[name].append(value)
    judgements = judge_windows(run, phase, [*windows, window])
    judgements += [judge_query(gate, values[gate.name]) for gate in run.settings.queries]
    verdicts = [judgement.as_dict() for judgement in judgements]
    run.save(windows=[*windows, window], verdicts=verdicts, values={**values}, judged=phase.number)
    return worst(judgements)


def judge_windows(run: Run, phase: Phase, windows: Sequence[Mapping[str, Any]]) -> list[Judgement]:
    """All share gates over the windows of a run: the same function that recomputes verdicts from evidence."""
    settings = run.settings
    early = phase.kind != "weight"
    return [
        judge_share(
            gate,
            counts_of(windows, gate.name),
            policy=settings.policy,
            gates=settings.gates,
            phases=len(run.plan.phases),
            phase=phase.number,
            minimum_requests=phase.minimum_requests if early else max(1, phase.minimum_requests),
            promotion=not early and phase.number >= run.plan.evidence_phase,
        )
        for gate in settings.gates
    ]


def counts_of(windows: Sequence[Mapping[str, Any]], gate: str) -> list[Counts]:
    """The windows of one gate as counts."""
    return [
        Counts(window["phase"], *window["counts"][gate]) for window in windows if gate in window["counts"]
    ]


def _refuse_sick_stable(run: Run, judgement: Judgement) -> None:
    """Whether the stable version is the worse one: then rolling back would hurt more people."""
    windows = counts_of(run.journal.state.get("windows", []), "errors")
    swapped = [Counts(w.phase, w.stable_total, w.stable_bad, w.canary_total, w.canary_bad) for w in windows]
    level = harm_level(run.settings.policy, run.settings.gates)
    if swapped and statistics.relative_harm(swapped, phases=len(run.plan.phases)) >= level:
        raise HoldNeeded(f"stable is worse than the canary, so nothing is rolled into it: {judgement.reason}")


def _tell(run: Run, phase: Phase, judgement: Judgement, elapsed: float) -> None:
    windows = run.journal.state.get("windows", [])
    parts = [f"phase {phase.label()}", f"{elapsed:.0f}/{phase.duration:.0f} s"]
    if windows:
        here = [window for window in windows if window["phase"] == phase.number]
        for arm, offset in (("canary", 0), ("stable", 2)):
            total = sum(window["counts"].get("errors", [0, 0, 0, 0])[offset] for window in here)
            bad = sum(window["counts"].get("errors", [0, 0, 0, 0])[offset + 1] for window in here)
            p99 = (windows[-1].get("latency", {}).get(arm) or {}).get("p99")
            slow = "" if p99 is None or not total else f", p99 {p99:.0f} ms"
            parts.append(f"{arm} {bad}/{total} failed{slow}")
    run.say(" | ".join([*parts, f"{judgement.verdict}: {judgement}"]))
