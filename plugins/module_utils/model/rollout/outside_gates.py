# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates that somebody outside of the mesh decides: a URL, a command, or the calendar. Pure functions.

The moments have the names of Flagger's webhooks, because they mean the same. What stands here decides, so a
run keeps it in its journal; how a gate is asked (address, headers, command) is secret or belongs to the
machine, and every call says it anew.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Sequence

from ... import verdicts
from .time_windows import TimeWindow, closed_by

KEPT_ANSWERS = 200
# RFC 9110: nobody was asked properly, or nobody is there who could decide.
CANNOT_TELL_STATUS = frozenset({401, 404, 405, 407, 408, 421, 425, 429, 502, 503, 504})
CANNOT_TELL_CODES = frozenset({69, 75, 126, 127})  # sysexits.h: unavailable, try again; a shell's: not run


class Moment(enum.StrEnum):
    """When a gate is asked."""

    PRE_ROLLOUT = "pre-rollout"  # once, before the first share of the requests moves
    TRAFFIC_INCREASE = "confirm-traffic-increase"  # before each phase
    ROLLOUT = "rollout"  # during each phase, beside the metrics
    PROMOTION = "confirm-promotion"  # at the end of the last phase
    POST_ROLLOUT = "post-rollout"  # once, after the end, whatever it is; it decides nothing any more


OF_A_PHASE = frozenset({Moment.TRAFFIC_INCREASE, Moment.ROLLOUT})


class GateKind(enum.StrEnum):
    """Who decides."""

    URL = "url"
    COMMAND = "command"
    TIME = "time"


class OnFail(enum.StrEnum):
    """What a fail of the gate does."""

    ROLLBACK = "rollback"  # the version is withdrawn
    WAIT = "wait"  # the run waits, as long as the gate's deadline, and asks again


@dataclasses.dataclass(frozen=True, slots=True)
class OutsideGate:
    """One gate. Times in seconds.

    :param phases: numbers of the phases that it is for, with a moment of ``OF_A_PHASE``; empty = all.
    :param timeout: of one asking. :param interval: between two askings.
    :param retries: so often a fail is asked again before it counts. :param deadline: so long the run waits.
    :param repeat: asked again after a pass, for as long as a phase lasts.
    :param passes_on, fails_on: HTTP statuses or exit codes; empty = the usual ones.
    :param freeze, only: windows in which nothing goes on, and outside of which nothing does.
    :param zone: of the windows, such as ``Europe/Berlin``.
    """

    name: str
    kind: GateKind
    when: tuple[Moment, ...]
    on_fail: OnFail
    phases: tuple[int, ...] = ()
    timeout: float = 10.0
    interval: float = 10.0
    retries: int = 0
    deadline: float = 1800.0
    repeat: bool = False
    passes_on: tuple[int, ...] = ()
    fails_on: tuple[int, ...] = ()
    freeze: tuple[TimeWindow, ...] = ()
    only: tuple[TimeWindow, ...] = ()
    zone: str = "UTC"

    def is_for(self, moment: Moment, phase: int) -> bool:
        """Whether the gate is asked at this moment."""
        if moment not in self.when:
            return False
        return moment not in OF_A_PHASE or not self.phases or phase in self.phases

    def judge_status(self, status: int) -> str:
        """The verdict of an HTTP status. What is neither a pass nor a fail is "cannot tell": redirects, which
        are not followed, and answers of somebody in between."""
        if 200 <= status < 300:
            return self._judge(status, verdicts.PASS)
        fails = 400 <= status < 600 and status not in CANNOT_TELL_STATUS
        return self._judge(status, verdicts.FAIL if fails else verdicts.CANNOT_TELL)

    def judge_code(self, code: int) -> str:
        """The verdict of an exit code; below 0 = ended by a signal, which says nothing."""
        if code <= 0:
            return self._judge(code, verdicts.CANNOT_TELL if code else verdicts.PASS)
        usual = verdicts.CANNOT_TELL if code in CANNOT_TELL_CODES else verdicts.FAIL
        return self._judge(code, usual)

    def _judge(self, answer: int, usual: str) -> str:
        """What is listed counts as listed. Beside a list of passes nothing else passes, and beside a list of
        fails nothing else fails."""
        if answer in self.passes_on:
            return verdicts.PASS
        if answer in self.fails_on:
            return verdicts.FAIL
        if usual == verdicts.PASS and self.passes_on:
            usual = verdicts.FAIL
        if usual == verdicts.FAIL and self.fails_on:
            return verdicts.CANNOT_TELL
        return usual

    def closed(self, local: datetime.datetime) -> str:
        """Why the gate of a calendar is closed; empty when it is open. :param local: on its zone's clock."""
        return closed_by(local, self.freeze, self.only)


@dataclasses.dataclass(frozen=True, slots=True)
class GateAnswer:
    """What a gate said last at one moment of a run.

    :param attempt: of the run: how often it had started over. :param at: RFC 3339.
    :param seconds: from asking to answer. :param answered: so many answers were a pass or a fail.
    :param fails: so many of the last ones were a fail.
    """

    gate: str
    when: Moment
    phase: int
    attempt: int
    verdict: str
    reason: str
    at: str
    seconds: float = 0.0
    answered: int = 0
    fails: int = 0

    def is_about(self, gate: str, when: Moment, phase: int, attempt: int) -> bool:
        """Whether it answers the question of a moment."""
        return (self.gate, self.when, self.phase, self.attempt) == (gate, when, phase, attempt)


def answer_of(
    answers: Sequence[GateAnswer], gate: str, when: Moment, phase: int, attempt: int
) -> GateAnswer | None:
    """The answer to the question of a moment; ``None`` when nobody has answered yet."""
    return next((found for found in answers if found.is_about(gate, when, phase, attempt)), None)


def with_answer(answers: Sequence[GateAnswer], new: GateAnswer) -> tuple[GateAnswer, ...]:
    """The answers, with a new one in the place of the one before. :returns: the last `KEPT_ANSWERS`."""
    others = [found for found in answers if not found.is_about(new.gate, new.when, new.phase, new.attempt)]
    return (*others, new)[-KEPT_ANSWERS:]


def question_id(
    run: str, answer: GateAnswer | None, gate: str, when: Moment, phase: int, attempt: int
) -> str:
    """What tells a question from others: whoever is asked twice because an answer was lost need not do twice
    what it was asked for."""
    return f"{run}-{attempt}.{gate}.{when}.{phase}.{answer.answered if answer else 0}"
