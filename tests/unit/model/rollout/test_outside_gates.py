"""What an answer from outside means, and which question it answers."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import (
    KEPT_ANSWERS,
    GateAnswer,
    GateKind,
    Moment,
    OnFail,
    OutsideGate,
    answer_of,
    question_id,
    with_answer,
)

GATE = OutsideGate("smoke", GateKind.URL, (Moment.ROLLOUT, Moment.PRE_ROLLOUT), OnFail.ROLLBACK)
ANSWER = GateAnswer("smoke", Moment.ROLLOUT, 2, 0, "pass", "HTTP 200", "2026-01-01T00:00:00Z", answered=1)


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        ("pass", (200, 201, 202, 204, 299)),
        ("fail", (400, 403, 409, 418, 500, 501, 599)),  # Flagger's load tester: 403 is closed, 500 has failed
        ("cannot tell", (100, 101, 301, 302, 307, 399, 401, 404, 407, 408, 429, 502, 503, 504, 600, 999)),
    ],
)
def test_statuses(verdict: str, statuses: tuple[int, ...]) -> None:
    assert {GATE.judge_status(status) for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("verdict", "codes"),
    [("pass", (0,)), ("fail", (1, 2, 3, 125, 128, 255)), ("cannot tell", (69, 75, 126, 127, -1, -9, -15))],
)
def test_exit_codes(verdict: str, codes: tuple[int, ...]) -> None:
    assert {GATE.judge_code(code) for code in codes} == {verdict}


def test_beside_a_list_of_passes_nothing_else_passes() -> None:
    listed = dataclasses.replace(GATE, passes_on=(200, 404))
    found = {status: listed.judge_status(status) for status in (200, 404, 204, 500, 503, 302)}
    assert found == {
        200: "pass",
        404: "pass",
        204: "fail",
        500: "fail",
        503: "cannot tell",
        302: "cannot tell",
    }


def test_beside_a_list_of_fails_nothing_else_fails() -> None:
    listed = dataclasses.replace(GATE, fails_on=(1, 503))
    assert [listed.judge_code(code) for code in (0, 1, 2, -9)] == [
        "pass",
        "fail",
        "cannot tell",
        "cannot tell",
    ]
    assert [listed.judge_status(status) for status in (204, 503, 500)] == ["pass", "fail", "cannot tell"]


def test_a_signal_is_a_pass_for_nobody() -> None:
    for lists in ({"passes_on": (3,)}, {"fails_on": (3,)}, {"passes_on": (3,), "fails_on": (4,)}):
        assert dataclasses.replace(GATE, **lists).judge_code(-9) == "cannot tell"


def test_phases_bind_only_where_there_are_phases() -> None:
    second = dataclasses.replace(GATE, phases=(2,))
    assert [second.is_for(Moment.ROLLOUT, number) for number in (1, 2)] == [False, True]
    assert second.is_for(Moment.PRE_ROLLOUT, 1)
    assert not second.is_for(Moment.PROMOTION, 2)


def test_an_answer_is_about_one_moment_of_one_attempt() -> None:
    answers = with_answer((), ANSWER)
    assert answer_of(answers, "smoke", Moment.ROLLOUT, 2, 0) is ANSWER
    for gate, moment, phase, attempt in (
        ("x", Moment.ROLLOUT, 2, 0),
        ("smoke", Moment.PROMOTION, 2, 0),
        ("smoke", Moment.ROLLOUT, 1, 0),
        ("smoke", Moment.ROLLOUT, 2, 1),
    ):
        assert answer_of(answers, gate, moment, phase, attempt) is None
    newer = dataclasses.replace(ANSWER, verdict="fail")
    assert with_answer(answers, newer) == (newer,)


def test_answers_are_bounded() -> None:
    answers: tuple[GateAnswer, ...] = ()
    for number in range(KEPT_ANSWERS + 5):
        answers = with_answer(answers, dataclasses.replace(ANSWER, phase=number))
    assert (len(answers), answers[0].phase) == (KEPT_ANSWERS, 5)


def test_a_question_keeps_its_id_until_it_is_answered() -> None:
    first = question_id("run", None, "smoke", Moment.ROLLOUT, 2, 0)
    blind = dataclasses.replace(ANSWER, verdict="cannot tell", answered=0)
    assert first == question_id("run", blind, "smoke", Moment.ROLLOUT, 2, 0) == "run-0.smoke.rollout.2.0"
    assert question_id("run", ANSWER, "smoke", Moment.ROLLOUT, 2, 0) == "run-0.smoke.rollout.2.1"
    assert question_id("run", None, "smoke", Moment.ROLLOUT, 2, 1) != first
