# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watch of one phase: looks at pods, requests and metrics until every gate passes, or one fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...kube.clock import seconds_of, timestamp
from ...model.rollout.gates import GateVerdict, Judgement, judge_query, judge_split, worst
from ...model.rollout.journal import After, Hold, Window
from ...model.rollout.judging import counts_of
from ...model.rollout.measurement import Measurement
from ...model.rollout.outside_gates import Moment
from ...model.rollout.phases import Phase
from ...model.rollout.settings import LowTraffic
from ...model.rollout.statistics import Counts
from ...model.rollout.unattributed import Weight
from .background import Pending
from .endpoints import VersionEndpoints
from .evidence import (
    fail_alike,
    judge_windows,
    stable_is_sick,
    stable_is_worse,
    worse_share,
)
from .rollout import HoldNeeded, RollbackNeeded, Rollout

LAST_LOOK = 15.0  # seconds at most that a run stays to count what its rollback came too late for
ANSWER_WITHIN = 20.0  # seconds: then a look at the metrics counts as one that saw nothing
LOOKS_AGAIN = 3  # at a stable version that seemed the worse one

CheckRevision = Callable[[Rollout, Mapping[str, VersionEndpoints]], None]


def watch(rollout: Rollout, phase: Phase, check_revision: CheckRevision) -> Judgement:
    """Looks until the phase passes.

    :param check_revision: raises when the canary is no longer the version that was seen so far.
    :raises RollbackNeeded: a gate fails, the pods are gone, or a deadline is over.
    :raises HoldNeeded: the stable version is down, or fails more requests than a canary that fails as well.
    """
    try:
        return _Watch(rollout, phase, check_revision).until_it_passes()
    finally:
        if rollout.outside:
            rollout.outside.stop()


class _Watch:
    """What one phase has seen so far."""

    def __init__(self, rollout: Rollout, phase: Phase, check_revision: CheckRevision) -> None:
        self.rollout = rollout
        self.phase = phase
        self.check_revision = check_revision
        self.started = rollout.clock.monotonic()
        self.since = rollout.clock.now()
        self.settled = False
        self.pending: Pending | None = None
        self.asked_at = 0.0
        self.next_check = self.started
        self.noted = False
        self.blind_since: float | None = None
        self.stable_down_since: float | None = None
        self.suspected: int | None = None  # windows before the one in which stable seemed the worse one
        self.passed: Judgement | None = None  # the last look, when nothing but gates outside is missing
        self.passed_at = self.waited = 0.0  # when that was, and seconds in which nothing else was missing
        self.went_on = False  # without enough data
        self.told = ""
        self.values: dict[str, list[float | None]] = {gate.name: [] for gate in rollout.options.queries}

    def until_it_passes(self) -> Judgement:
        rollout, options = self.rollout, self.rollout.options
        rollout.watched = True
        next_look = self.started + min(options.scrape_interval, self.phase.duration)
        while True:
            now = rollout.clock.monotonic()
            if now >= self.next_check:
                self.next_check = now + options.poll
                # a look is noted in the journal, and that write tells of a request
                rollout.checkpoint(requests=self.pending is not None or now < next_look)
                self._check_endpoints()
                now = rollout.clock.monotonic()
            else:
                rollout.checkpoint(requests=False)
            waits = self._gates_wait()
            if self.passed is not None and not waits:
                return self.passed
            if self.pending is None and now < next_look:
                self._sleep(min(options.poll, next_look - now))
                continue
            if self.pending is None:
                self.pending, self.asked_at = rollout.background(self._measure), now
                self.noted = False
                next_look = now + options.scrape_interval
            judgement = self._answer(self.pending)
            if judgement is None:
                continue
            ended = self._decide(judgement)
            if ended is not None:
                return ended
            if self.noted:
                rollout.take_request()
            else:
                rollout.checkpoint()

    def _decide(self, judgement: Judgement) -> Judgement | None:
        """What a look leads to. :returns: the judgement when the phase has ended well, None to look again."""
        rollout, phase, options = self.rollout, self.phase, self.rollout.options
        now = rollout.clock.monotonic()
        elapsed = now - self.started
        if self.passed is not None:
            self.waited += now - self.passed_at
        self.passed_at = now
        _report(rollout, phase, judgement, elapsed)
        if judgement.verdict is GateVerdict.FAIL or self._stable_is_sick():
            self._failed(judgement)
        self._check_blindness(judgement, now)
        # while stable is down nothing goes on: the next phase would give the canary more
        passed = judgement.verdict is GateVerdict.PASS and self.stable_down_since is None
        self.passed = judgement if passed and elapsed >= phase.duration else None
        if self.passed is None:
            if rollout.spent() >= options.deadline:
                raise RollbackNeeded(f"not promoted within canary_deadline, {options.deadline:.0f} s")
            if elapsed - self.waited >= max(options.phase_deadline, 3 * phase.expected_seconds):
                self.passed = self._at_deadline(judgement, elapsed)
        return None if self._gates_wait() else self.passed

    def _gates_wait(self) -> str:
        """Why the gates outside of the mesh do not let the phase end; empty when they do.

        Those before the next phase are asked once everything else has passed, so that their answer is new:
        before one that waits for approval, after that.
        """
        rollout, phase, outside = self.rollout, self.phase, self.rollout.outside
        if outside is None:
            return ""
        waits = outside.waits_for(Moment.ROLLOUT, phase)
        if self.passed is not None and not waits:
            following = rollout.plan.phases[phase.number :]
            if not following:
                waits = outside.waits_for(Moment.PROMOTION, phase)
            elif not awaits_approval(rollout, following[0]):
                waits = outside.waits_for(Moment.TRAFFIC_INCREASE, following[0])
        if self.passed is not None and waits and waits != self.told:
            self.told = waits
            rollout.progress(f"phase {phase.label()} waits: {waits}")
        return waits

    def _sleep(self, seconds: float) -> None:
        if self.passed is not None and self.rollout.outside is not None:
            self.rollout.outside.pause(min(seconds, 1.0))
        else:
            self.rollout.clock.sleep(seconds)

    def _check_endpoints(self) -> None:
        rollout, phase = self.rollout, self.phase
        endpoints = rollout.endpoints.read()
        canary, stable = endpoints[rollout.plan.canary], endpoints[rollout.plan.stable]
        if not canary.ready:
            raise RollbackNeeded(f"no ready endpoint: {canary.describe()}")
        self.check_revision(rollout, endpoints)
        note_stable(rollout, stable)
        if stable.ready or not phase.weights.get(rollout.plan.stable) or rollout.options.sick_stable:
            self.stable_down_since = None
            return
        now = rollout.clock.monotonic()
        if self.stable_down_since is None:
            self.stable_down_since = now
            rollout.progress(f"phase {phase.label()}: the stable version is down: {stable.describe()}")
        if now - self.stable_down_since >= rollout.options.ready_timeout:
            down = f"the stable version has been down for {now - self.stable_down_since:.0f} s"
            raise HoldNeeded(f"{down}: {stable.describe()}", Hold.STABLE_DOWN)

    def _measure(self) -> Measurement | None:
        """Requests since the last look, asked for in the background; None in a phase without any."""
        rollout, phase = self.rollout, self.phase
        if phase.kind == "dark":
            return None
        if rollout.synthetic and (trouble := rollout.synthetic()):
            rollout.progress(f"synthetic requests: {trouble}")
        return rollout.metrics.measure(self.since, self._weight())

    def _weight(self) -> Weight:
        """What the canary gets in this phase; between that and what it had before, until every proxy was
        scraped after the proof."""
        canary, journal = self.rollout.plan.canary, self.rollout.journal
        now = float(self.phase.weights[canary])
        if self.settled:
            return now
        held = [proof.weights.get(canary, 0) for proof in journal.proofs[:-1]]
        before = float(held[-1] if held else journal.before.get(canary, 0))
        return min(before, now), max(before, now)

    def _answer(self, pending: Pending) -> Judgement | None:
        """The judgement of the look that was asked for; None while its answer is awaited.

        The run waits no longer than between two looks at the pods. An answer that is long overdue counts as
        none, and is still waited for.
        """
        rollout, phase = self.rollout, self.phase
        if not pending.wait(min(1.0, rollout.options.poll)):
            late = rollout.clock.monotonic() - self.asked_at
            if late < max(ANSWER_WITHIN, rollout.options.scrape_interval):
                return None
            if self.blind_since is None:
                self.blind_since = self.asked_at
            reason = f"no answer for {late:.0f} s"
            return Judgement("metrics", GateVerdict.CANNOT_MEASURE, reason)
        measured: Measurement | None = pending.result()
        self.pending, self.noted = None, False
        if measured is None:
            return Judgement("dark", GateVerdict.PASS, "the pods stayed ready")
        # requests before the proof reached this phase's window only once every proxy was scraped after it
        number = phase.number if self.settled else max(1, phase.number - 1)
        self.settled = self.settled or measured.settled
        return self._judge(measured, number)

    def _judge(self, measured: Measurement, number: int) -> Judgement:
        """Notes a look and judges all gates over the windows of the run."""
        rollout, phase = self.rollout, self.phase
        if measured.problem:
            return Judgement("metrics", GateVerdict.CANNOT_MEASURE, measured.problem)
        windows = rollout.journal.windows
        window = Window(
            phase=number,
            begin=timestamp(measured.since or measured.at - rollout.options.scrape_interval),
            end=timestamp(measured.at),
            weight=phase.canary if phase.kind == "weight" else 0,
            counts=by_gate(measured),
            latency=measured.latency,
            values=measured.values,
        )
        for name, value in measured.values.items():
            self.values[name].append(value)
        ended = rollout.clock.monotonic() - self.started >= phase.duration
        judgements = judge_windows(rollout, phase, [*windows, window], ended=ended)
        judgements += [judge_query(gate, self.values[gate.name]) for gate in rollout.options.queries]
        judgements += self._judge_split([*windows, window])
        judged = replace(
            rollout.journal,
            windows=(*windows, window),
            verdicts=tuple(judgements),
            by_phase={**rollout.journal.by_phase, str(phase.number): tuple(judgements)},
            values={name: tuple(found) for name, found in self.values.items()},
            judged=phase.number,
            ended=ended,
        )
        rollout.save(judged)
        self.noted = True
        return worst(judgements)

    def _judge_split(self, windows: Sequence[Window]) -> list[Judgement]:
        """The measured share, where the split is all that brings requests to the canary."""
        rollout, phase = self.rollout, self.phase
        service, canary = rollout.options.service, rollout.plan.canary
        elsewhere = [*(item.to for item in service.variants), *(item.to for item in service.routes)]
        if phase.kind != "weight" or phase.canary >= 100 or canary in elsewhere or rollout.options.routes:
            return []
        return [judge_split(counts_of(windows, "errors"), phase.number, phase.canary)]

    def _stable_is_sick(self) -> bool:
        """Whether both versions fail, and stable fails more: nothing is rolled into it, or further."""
        rollout = self.rollout
        return fail_alike(rollout) and stable_is_worse(rollout, rollout.journal.windows)

    def _failed(self, judgement: Judgement) -> None:
        """A gate failed. Where stable seems to be the worse one, it is looked at again before that counts.

        :raises RollbackNeeded, HoldNeeded: it is decided.
        """
        rollout = self.rollout
        windows = rollout.journal.windows
        if self.stable_down_since is not None or not stable_is_worse(rollout, windows):
            raise RollbackNeeded(str(judgement))
        if self.suspected is None:
            self.suspected = len(windows)
            rollout.progress("the stable version seems to be the worse one: it is looked at again")
            return
        fresh = windows[self.suspected :]
        worse = worse_share(fresh)
        if worse == "stable" or (worse == "" and len(fresh) >= LOOKS_AGAIN):
            raise HoldNeeded(f"stable is worse than the canary: {judgement.reason}", Hold.STABLE_WORSE)
        if worse == "canary":
            raise RollbackNeeded(str(judgement))

    def _check_blindness(self, judgement: Judgement, now: float) -> None:
        if judgement.verdict is not GateVerdict.CANNOT_MEASURE:
            self.blind_since = None
            return
        self.blind_since = now if self.blind_since is None else self.blind_since
        blind = now - self.blind_since
        if blind >= self.rollout.options.unmeasurable:
            raise RollbackNeeded(f"nothing could be measured for {blind:.0f} s: {judgement}")

    def _at_deadline(self, judgement: Judgement, elapsed: float) -> Judgement:
        rollout, phase = self.rollout, self.phase
        lacking = judgement.verdict is GateVerdict.NOT_ENOUGH_DATA and self.stable_down_since is None
        if lacking and rollout.options.low_traffic is LowTraffic.PROMOTE_WITH_WARNING:
            unseen = self._unseen()
            if not unseen:
                if not self.went_on:
                    self.went_on = True
                    rollout.warnings.append(f"phase {phase.label()} went on without enough data: {judgement}")
                return judgement
            judgement = Judgement("metrics", GateVerdict.CANNOT_MEASURE, unseen)
        reason = f"{judgement.verdict} after {elapsed:.0f} s: {judgement}"
        if stable_is_sick(rollout, rollout.journal.windows):
            raise HoldNeeded(f"{reason}; and the stable version is sick", Hold.STABLE_WORSE)
        raise RollbackNeeded(reason)

    def _unseen(self) -> str:
        """Why too few canary requests are no sign of little traffic; empty when they are one.

        Where stable's requests say that the canary must have had some, its proxies are not scraped.
        """
        phase = self.phase
        if phase.kind != "weight" or not 0 < phase.canary < 100:
            return ""
        windows = [window for window in self.rollout.journal.windows if window.phase == phase.number]
        counts = counts_of(windows, "errors")
        canary, stable = sum(w.canary_total for w in counts), sum(w.stable_total for w in counts)
        expected = stable * phase.canary / (100 - phase.canary)
        if canary or expected < FEWEST_EXPECTED:
            return ""
        return (
            f"no request of the canary was seen where about {expected:.0f} are expected:"
            " are its proxies scraped?"
        )


def awaits_approval(rollout: Rollout, phase: Phase) -> bool:
    """Whether somebody has to approve a phase, and has not."""
    return phase.number in rollout.options.approvals and phase.number > rollout.journal.approved


FEWEST_EXPECTED = 20  # requests: none of so many is no chance (e^-20)


def note_stable(rollout: Rollout, stable: VersionEndpoints) -> None:
    """Leaves a trace when the stable version gets a new image in mid-run: what was compared is about other
    code from then on."""
    known = rollout.journal.stable_templates
    new = sorted(set(stable.templates) - set(known))
    if not new:
        return
    changed = f"{stable.version}, the stable version, got pods of another revision ({', '.join(new)})"
    rollout.save(replace(rollout.journal, stable_templates=(*known, *new)), changed if known else "")
    if known:
        rollout.warnings.append(f"{changed} in mid-run")


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
    asked = rollout.background(lambda: rollout.metrics.measure(rollout.clock.now()))
    if not rollout.await_result(asked, LAST_LOOK):
        return
    measured = asked.result()
    if not measured.problem:
        after = After(timestamp(measured.at), by_gate(measured))
        rollout.save(replace(rollout.journal, after=after))


def by_gate(measured: Measurement) -> dict[str, tuple[int, int, int, int]]:
    """The counts of a measurement. :returns: gate -> (canary total, canary bad, stable total, stable bad)."""
    return {gate: (counts[0], counts[1], counts[2], counts[3]) for gate, counts in measured.counts.items()}


def _report(rollout: Rollout, phase: Phase, judgement: Judgement, elapsed: float) -> None:
    """One line of progress: what the newest look saw, what the run saw, and what follows from it."""
    parts = [f"phase {phase.label()}", f"{elapsed:.0f}/{phase.duration:.0f} s"]
    windows = rollout.journal.windows
    if windows:
        newest = windows[-1]
        begin, end = seconds_of(newest.begin), seconds_of(newest.end)
        span = "newest look" if begin is None or end is None else f"last {end - begin:.0f} s"
        parts.append(f"{span}: {_told(counts_of([newest], 'errors'))}")
        parts.append(f"run: {_told(counts_of(windows, 'errors'), newest)}")
    rollout.progress(" | ".join([*parts, f"{judgement.verdict}: {judgement}"]))


def _told(counts: Sequence[Counts], newest: Window | None = None) -> str:
    """Failed requests of both versions. :param newest: tells the latency, which is that of the run."""
    told = []
    for version in ("canary", "stable"):
        bad = sum(getattr(found, f"{version}_bad") for found in counts)
        total = sum(getattr(found, f"{version}_total") for found in counts)
        p99 = newest.latency.get(version, {}).get("p99") if newest else None
        slow = "" if p99 is None or not total else f", p99 {p99:.0f} ms"
        told.append(f"{version} {bad}/{total} failed{slow}")
    return ", ".join(told)
