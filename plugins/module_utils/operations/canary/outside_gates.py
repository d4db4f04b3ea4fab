# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates that somebody outside of the mesh decides, as a run goes through them.

Nobody waits for an answer: gates are asked in threads of their own, so that the Lease is renewed and pods,
requests and metrics are watched meanwhile. Each answer is in the journal before it counts, and a question has
the same id until it is answered: a successor of a dead runner asks again what nobody answered, and nothing
else.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...kube.clock import timestamp
from ...model.rollout.journal import Outcome, State
from ...model.rollout.outside_gates import (
    GateAnswer,
    Moment,
    OnFail,
    OutsideGate,
    answer_of,
    question_id,
    with_answer,
)
from ...model.rollout.phases import Phase
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .background import Background, Pending, Worker
from .outside.asking import Asking, Said, ask, ask_calendar, is_calendar
from .rollout import RollbackNeeded, Rollout

OVERDUE = 5.0  # seconds after its timeout in which an answer is still waited for


class Ask(Protocol):
    """How a gate is asked."""

    def __call__(
        self,
        gate: OutsideGate,
        asking: Asking | None,
        body: Mapping[str, Any],
        environment: Mapping[str, str],
        cancelled: threading.Event,
        /,
    ) -> Said: ...


# Flagger's words for where a canary stands, which its load tester reads.
_FLAGGER = {
    Outcome.PROMOTED: "Succeeded",
    Outcome.SPLIT: "Succeeded",
    Outcome.ROLLED_BACK: "Failed",
    Outcome.HELD_ON_CANARY: "Failed",
    Outcome.HELD_AT_SPLIT: "Failed",
}


@dataclasses.dataclass(slots=True)
class _Open:
    """A question that this runner asks. Times are the monotonic clock's."""

    next_at: float = 0.0
    asked_at: float = 0.0
    blocked_since: float | None = None
    blind_since: float | None = None
    pending: Pending | None = None
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)


class OutsideGates:
    """Asks the gates of one run.

    :param workers: makes the thread in which one gate is asked. :param environment: of the run.
    """

    def __init__(
        self,
        rollout: Rollout,
        environment: Mapping[str, str],
        *,
        workers: Callable[[], Background] = Worker,
        asked: Ask = ask,
    ) -> None:
        self._rollout = rollout
        self._environment = environment
        self._workers = workers
        self._ask = asked
        self._threads: dict[str, Background] = {}
        self._open: dict[tuple[str, Moment, int, int], _Open] = {}

    def waits_for(self, moment: Moment, phase: Phase) -> str:
        """Looks at the gates of a moment, and asks those that are due. Never waits.

        :returns: why the run must not go on yet; empty when every gate passes.
        :raises RollbackNeeded: a gate fails, or has not passed in time.
        """
        reasons = []
        for gate in self._rollout.options.outside:
            if gate.is_for(moment, phase.number):
                reasons.append(self._look(gate, moment, phase))
        return "; ".join(reason for reason in reasons if reason)

    def have_passed(self, moment: Moment, phase: int) -> bool:
        """Whether the last answer of every gate of a moment is a pass, by the journal."""
        return all(
            (found := self._answer(gate, moment, phase)) is not None and found.verdict == PASS
            for gate in self._rollout.options.outside
            if gate.is_for(moment, phase) and not is_calendar(gate)
        )

    def before(self, phase: Phase) -> None:
        """Waits for the gates before a phase; those before the whole rollout are asked with the first.

        :raises RollbackNeeded: a gate fails, or has not passed in time. What `checkpoint` raises is raised.
        """
        try:
            self._await_before(phase)
        finally:
            self.stop()

    def _await_before(self, phase: Phase) -> None:
        rollout = self._rollout
        first = phase.number == 1
        told = ""
        while True:
            rollout.checkpoint()
            reasons = [self.waits_for(Moment.PRE_ROLLOUT, phase) if first else ""]
            reasons.append("" if reasons[0] else self.waits_for(Moment.TRAFFIC_INCREASE, phase))
            waiting = "; ".join(reason for reason in reasons if reason)
            if not waiting:
                return
            if waiting != told:
                told = waiting
                rollout.progress(f"before phase {phase.label()}: {waiting}")
            self.pause(min(rollout.options.poll, self._shortest()))

    def pause(self, seconds: float) -> None:
        """Sleeps while only gates are waited for, which is no time of the rollout's own deadline."""
        rollout = self._rollout
        rollout.clock.sleep(seconds)
        if rollout.began is not None:
            rollout.began += seconds

    def after(self) -> None:
        """Asks the gates after the end, once each. They decide nothing: what they say is a warning."""
        rollout = self._rollout
        self.stop()
        if rollout.journal.state is not State.FINISHED:
            return
        number = rollout.journal.phase
        for gate in rollout.options.outside:
            if Moment.POST_ROLLOUT not in gate.when:
                continue
            said = self._asked_once(gate, number)
            rollout.save(rollout.journal, f"gate {gate.name} after the end: {said.verdict}: {said.reason}")
            if said.verdict != PASS:
                rollout.warnings.append(f"gate {gate.name} after the end: {said.verdict}: {said.reason}")

    def stop(self) -> None:
        """Nobody needs the answers any more: what still runs is ended."""
        for question in self._open.values():
            question.cancelled.set()
        self._open.clear()

    def _asked_once(self, gate: OutsideGate, phase: int) -> Said:
        rollout = self._rollout
        asking = rollout.options.askings.get(gate.name)
        facts = self._facts(gate, Moment.POST_ROLLOUT, phase, None)
        cancelled = threading.Event()
        pending = self._workers()(lambda: self._ask(gate, asking, facts, self._environment, cancelled))
        if not rollout.await_result(pending, gate.timeout + OVERDUE):
            cancelled.set()
            return Said(CANNOT_TELL, f"no answer in {gate.timeout:g} s")
        return _result(pending)

    def _look(self, gate: OutsideGate, moment: Moment, phase: Phase) -> str:
        """One gate. :returns: why it is not open; empty when it is. :raises RollbackNeeded: it decides so."""
        attempt = self._rollout.journal.restarts
        question = self._open.setdefault((gate.name, moment, phase.number, attempt), _Open())
        answer = self._answer(gate, moment, phase.number)
        passed = answer is not None and answer.verdict == PASS
        now = self._rollout.clock.monotonic()
        if is_calendar(gate):
            said = ask_calendar(gate, self._rollout.clock.now())
            if answer is None or answer.verdict != said.verdict:
                self._note(gate, moment, phase, said, 0.0)
            return self._decided(gate, question, said, 0, now)
        if passed and not gate.repeat:
            return ""
        if question.pending is None and now >= question.next_at:
            self._begin(gate, moment, phase, question, now)
        if question.pending is None:
            said = Said(answer.verdict, answer.reason) if answer else Said(CANNOT_TELL, "not asked yet")
            return self._decided(gate, question, said, answer.fails if answer else 0, now)
        if question.pending.wait(0):
            said = _result(question.pending)
        elif now - question.asked_at < gate.timeout + OVERDUE:
            if passed:
                return ""  # asked again after a pass, which stands until there is another answer
            return self._still_asked(gate, question, answer, now)
        else:
            question.cancelled.set()
            self._threads.pop(gate.name, None)  # its thread is lost; the next question gets another one
            said = Said(CANNOT_TELL, f"no answer in {gate.timeout:g} s")
        question.pending = None
        question.next_at = now + gate.interval
        new = self._note(gate, moment, phase, said, now - question.asked_at)
        return self._decided(gate, question, said, new.fails, now)

    def _begin(self, gate: OutsideGate, moment: Moment, phase: Phase, question: _Open, now: float) -> None:
        rollout = self._rollout
        facts = self._facts(gate, moment, phase.number, phase)
        asking = rollout.options.askings.get(gate.name)
        question.asked_at, question.cancelled = now, threading.Event()
        cancelled = question.cancelled
        worker = self._threads.setdefault(gate.name, self._workers())
        question.pending = worker(lambda: self._ask(gate, asking, facts, self._environment, cancelled))

    def _still_asked(self, gate: OutsideGate, question: _Open, answer: GateAnswer | None, now: float) -> str:
        if question.blocked_since is None:
            question.blocked_since = now
        self._check_deadline(gate, question, "no answer yet", now)
        before = f", {answer.verdict} before: {answer.reason}" if answer and answer.verdict != PASS else ""
        return f"gate {gate.name} is asked{before}"

    def _decided(self, gate: OutsideGate, question: _Open, said: Said, fails: int, now: float) -> str:
        """What an answer leads to."""
        if said.verdict == PASS:
            question.blocked_since = question.blind_since = None
            return ""
        if question.blocked_since is None:
            question.blocked_since = now
        if said.verdict == FAIL:
            question.blind_since = None
            if gate.on_fail is OnFail.ROLLBACK and (fails > gate.retries or is_calendar(gate)):
                raise RollbackNeeded(f"gate {gate.name}: {said.reason}")
        elif gate.on_fail is OnFail.ROLLBACK:
            question.blind_since = now if question.blind_since is None else question.blind_since
            blind, limit = now - question.blind_since, self._rollout.options.unmeasurable
            if blind >= limit:
                raise RollbackNeeded(f"gate {gate.name} could not tell for {blind:.0f} s: {said.reason}")
        self._check_deadline(gate, question, said.reason, now)
        return f"gate {gate.name}: {said.verdict}: {said.reason}"

    def _check_deadline(self, gate: OutsideGate, question: _Open, reason: str, now: float) -> None:
        if gate.on_fail is not OnFail.WAIT or question.blocked_since is None:
            return
        waited = now - question.blocked_since
        if waited >= gate.deadline:
            raise RollbackNeeded(f"gate {gate.name} did not open in {gate.deadline:.0f} s: {reason}")

    def _note(
        self, gate: OutsideGate, moment: Moment, phase: Phase, said: Said, seconds: float
    ) -> GateAnswer:
        rollout = self._rollout
        journal, last = rollout.journal, self._answer(gate, moment, phase.number)
        decided = said.verdict in (PASS, FAIL)
        fails = last.fails if last else 0
        new = GateAnswer(
            gate=gate.name,
            when=moment,
            phase=phase.number,
            attempt=journal.restarts,
            verdict=said.verdict,
            reason=said.reason,
            at=timestamp(rollout.clock.now()),
            seconds=round(max(seconds, 0.0), 1),
            answered=(last.answered if last else 0) + decided,
            fails=fails + 1 if said.verdict == FAIL else 0 if said.verdict == PASS else fails,
        )
        is_news = last is None or (last.verdict, last.reason) != (new.verdict, new.reason)
        event = f"gate {gate.name} ({moment}): {said.verdict}: {said.reason}" if is_news else ""
        rollout.save(dataclasses.replace(journal, answers=with_answer(journal.answers, new)), event)
        if is_news:
            rollout.progress(f"phase {phase.label()}: gate {gate.name}: {said.verdict}: {said.reason}")
        return new

    def _answer(self, gate: OutsideGate, moment: Moment, phase: int) -> GateAnswer | None:
        journal = self._rollout.journal
        return answer_of(journal.answers, gate.name, moment, phase, journal.restarts)

    def _facts(self, gate: OutsideGate, moment: Moment, number: int, phase: Phase | None) -> dict[str, Any]:
        """What a gate is told. :returns: JSON data; the first five have the names of Flagger's payload."""
        rollout = self._rollout
        journal, plan = rollout.journal, rollout.plan
        weight = journal.intended_share
        planned = phase.weights.get(plan.canary, 0) if phase else weight
        answer = self._answer(gate, moment, number)
        return {
            "name": journal.service,
            "namespace": journal.namespace,
            "phase": _FLAGGER.get(journal.outcome, "Progressing"),
            "checksum": journal.templates[-1] if journal.templates else "",
            "gate": gate.name,
            "when": moment.value,
            "id": question_id(journal.run, answer, gate.name, moment, number, journal.restarts),
            "run": journal.run,
            "service": f"{journal.namespace}/{journal.service}",
            "mesh": rollout.options.catalogue.name,
            "cluster": journal.cluster,
            "stable": plan.stable,
            "canary": plan.canary,
            "step": number,
            "steps": len(plan.phases),
            "weight": weight,
            "next_weight": planned,
            "outcome": journal.outcome.value,
            "reason": journal.reason,
        }

    def _shortest(self) -> float:
        return min((gate.interval for gate in self._rollout.options.outside), default=1.0)


def _result(pending: Pending) -> Said:
    try:
        found = pending.result()
    except Exception as error:
        return Said(CANNOT_TELL, f"asking failed: {type(error).__name__}")
    return found if isinstance(found, Said) else Said(CANNOT_TELL, "asking gave no answer")
