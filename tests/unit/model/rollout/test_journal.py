"""The journal as data: what a run writes its successor reads, and half a journal is no journal."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout import journal as journals
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.capacity import (
    Autoscaler,
    Size,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
    Policy,
    QueryGate,
    ShareGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Action,
    After,
    Event,
    Hold,
    Journal,
    JournalError,
    Kind,
    LastStep,
    Outcome,
    PersonRequest,
    ProofNote,
    RunFacts,
    ScaledDown,
    State,
    Window,
    begun,
    halved,
    parse_journal,
    parse_request,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Baseline
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import (
    GateAnswer,
    GateKind,
    Moment,
    OnFail,
    OutsideGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import (
    TrafficState,
    plan_phases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import (
    DeadmanOptions,
    ForeignRoute,
    HeaderMatch,
    LowTraffic,
    RunSettings,
    Scale,
    Sticky,
    Synthetic,
    VersionFacts,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.time_windows import TimeWindow

from ...support.journals import journal_data

WINDOW = Window(
    1,
    "t0",
    "t1",
    10,
    {"errors": (10, 1, 90, 2)},
    {"canary": {"p99": 12.5, "p50": None}},
    {"q": 1.0, "r": None},
)
OUTSIDE = OutsideGate(
    "board",
    GateKind.TIME,
    (Moment.PROMOTION, Moment.ROLLOUT),
    OnFail.WAIT,
    phases=(2,),
    timeout=1.0,
    interval=2.0,
    retries=3,
    deadline=4.0,
    repeat=True,
    passes_on=(200,),
    fails_on=(500,),
    freeze=(TimeWindow(("fri",), 1, 2, "2026-01-01T00:00", "2026-01-02T00:00"),),
    only=(TimeWindow(("mon",)),),
    zone="Europe/Berlin",
)
FULL = Journal(
    run="run-7",
    kind=Kind.UNDO,
    by="ops",
    cluster="uid",
    inputs={"steps": [10, {"weight": 100}], "duration": "5m"},
    gates=(ShareGate("errors", 0.005, 0.02, compare=False),),
    queries=(QueryGate("q", "up", maximum=3.0),),
    policy=Policy(alpha=0.02, mode="fixed"),
    selectors={"server": "x"},
    baseline=Baseline(3.5, 210.0, {"errors": 0.0}, 0.1, "250", 12.0),
    diffs=({"before": "a", "after": "b"},),
    original=([{"destination": {"host": "p"}}], None),
    scaled_down=ScaledDown("p-v1", 3),
    settings=RunSettings(
        promote=False,
        approvals=(2,),
        testers=HeaderMatch("x-t", "1"),
        sticky=Sticky("release", 60),
        low_traffic=LowTraffic.SYNTHETIC,
        synthetic=Synthetic("shop", "app=web", "main", ("true",)),
        routes=ForeignRoute("reviews", "shop"),
        scale=Scale(2, down=True, delay=5.0, drain=9.0),
        deadman=DeadmanOptions("python:3.13", "deadman", ("registry",), "hooks"),
        outside=(OUTSIDE,),
    ),
    versions={"v1": VersionFacts({"version": "v1"}, "p-v1")},
    before={"v1": 100, "v2": 0},
    sizes={"v1": Size("p-v1", 3, 2, Autoscaler("p", 1, 9, "ScaledObject p", controlled=True))},
    runner="controller:1:a",
    service="api",
    namespace="shop",
    stable="v1",
    canary="v2",
    plan=plan_phases(stable="v1", canary="v2", steps=[10, 100], requests_per_second=20, dark=5),
    state=State.HOLDING,
    step=LastStep.HOLD,
    phase=2,
    passed=1,
    outcome=Outcome.NONE,
    reason="stable is down",
    fence=4,
    at="2026-01-01T00:00:00.000000Z",
    previous_run="run-6",
    templates=("aaa", "bbb"),
    stable_templates=("sss",),
    approved=1,
    restarts=2,
    intent=TrafficState({"v1": 0, "v2": 100}, "mirror", 20, (10, 25), "run-7-0"),
    windows=(WINDOW,),
    discarded=(WINDOW, WINDOW),
    after=After("t2", {"errors": (1, 1, 9, 0)}),
    verdicts=(Judgement("errors", GateVerdict.FAIL, "too many", {"canary_bad": 1}),),
    by_phase={"1": (Judgement("errors", GateVerdict.PASS, "fine", {}),)},
    answers=(GateAnswer("board", Moment.PROMOTION, 2, 1, "fail", "HTTP 403", "t1", 0.5, 2, 1),),
    values={"q": (1.0, None)},
    judged=2,
    ended=False,
    proofs=(ProofNote("t1", {"v1": 90, "v2": 10}, "pass", 0.25, 3, ""),),
    timeline=(Event("t0", "run begins"), Event("t1", "intent", 1, {"v1": 90, "v2": 10}, 3.5)),
    api_calls={"1": 12},
    rollback_began="t1",
    hold=Hold.STABLE_DOWN,
    spent=12.5,
    evidence_sha256="abc",
)


def test_every_field_comes_back_as_it_was_written() -> None:
    default = [
        field.name for field in dataclasses.fields(Journal) if getattr(FULL, field.name) == field.default
    ]
    assert default == [], "a field at its default would prove nothing"
    assert parse_journal(FULL.as_json(), "api", "shop") == FULL
    assert parse_journal(FULL.as_json(), "api", "shop").as_json() == FULL.as_json()


def test_a_journal_that_begins_comes_back_too() -> None:
    facts = RunFacts(run="run-1")
    plan = plan_phases(stable="v1", canary="v2")
    journal = begun(facts, runner="me", service="api", namespace="shop", plan=plan, templates=("aaa",))
    assert parse_journal(journal.as_json(), "api", "shop") == journal
    assert (journal.state, journal.step, journal.outcome) == (State.RUNNING, LastStep.BEGIN, Outcome.NONE)
    assert (journal.stable, journal.canary, journal.phase, journal.passed) == ("v1", "v2", 0, 0)
    assert (journal.runner, journal.service, journal.namespace) == ("me", "api", "shop")
    assert (journal.templates, journal.reason, journal.kind) == (("aaa",), "", Kind.ROLLOUT)


def test_every_state_is_active_waiting_or_the_end() -> None:
    assert {state for state in State if state.active} == {"running", "promoting", "rolling_back", "holding"}
    assert {state for state in State if state.waiting} == {"awaiting_approval", "paused"}
    assert {state for state in State if not state.open} == {"finished"}


@pytest.mark.parametrize(
    "field",
    [
        "run",
        "runner",
        "service",
        "namespace",
        "stable",
        "canary",
        "plan",
        "state",
        "step",
        "phase",
        "passed",
        "outcome",
        "reason",
    ],
)
def test_half_a_journal_says_which_field_it_lacks(field: str) -> None:
    assert parse_journal(json.dumps(journal_data()), "api", "shop").run == "run-7"
    with pytest.raises(JournalError, match=rf"ConfigMap servicemesh-canary-api holds .*: {field} is missing"):
        parse_journal(json.dumps(journal_data(**{field: None})), "api", "shop")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "succeeded"}, "state is 'succeeded', not one of 'running'"),
        ({"state": ""}, "state is '', not one of"),
        ({"outcome": "won"}, "outcome is 'won', not one of"),
        ({"step": "thinking"}, "step is 'thinking', not one of"),
        ({"phase": "1"}, "phase is '1', not a whole number"),
        ({"plan": {"stable": "v1"}}, "plan.canary is missing"),
        ({"plan": "v1 to v2"}, "plan is 'v1 to v2', not a mapping"),
        ({"windows": [{"phase": 1}]}, r"windows\[0\].begin is missing"),
        ({"fence": "4"}, "fence is '4', not a whole number"),
        (
            {"verdicts": [{"gate": "errors", "verdict": "maybe", "reason": ""}]},
            r"verdicts\[0\].verdict is 'maybe'",
        ),
    ],
)
def test_a_field_that_nobody_understands_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(JournalError, match=message):
        parse_journal(json.dumps(journal_data(**changes)), "api", "shop")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passed": 99}, "passed is 99, and the plan has [1-9] phases"),
        ({"passed": -1}, "passed is -1"),
        ({"phase": 99}, "phase is 99"),
        ({"approved": 99}, "approved is 99"),
        ({"stable": "v9"}, "plan is one of v1 and v2, not of v9 and v2"),
        ({"canary": "v1"}, "plan is one of"),
    ],
)
def test_a_journal_that_contradicts_its_plan_is_refused(changes: dict[str, Any], message: str) -> None:
    """Whoever goes on would promote what nobody has seen, or stumble over phases that are not there."""
    with pytest.raises(JournalError, match=f"holds a journal that cannot be read: {message}"):
        parse_journal(json.dumps(journal_data(**changes)), "api", "shop")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases": []}, "plan.phases are not numbered from 1"),
        ({"stable": "v9"}, "plan is one of v9 and v2, not of v1 and v2"),
        ({"number": 7}, "plan.phases are not numbered from 1"),
        ({"weights": {"v1": 50, "v9": 50}}, r"plan.phases\[0\].weights are not the shares of both versions"),
        ({"weights": {"v1": 50, "v2": 40}}, r"plan.phases\[0\].weights are not"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(changes: dict[str, Any], message: str) -> None:
    plan = journal_data()["plan"]
    for name, value in changes.items():
        (plan if name in plan else plan["phases"][0])[name] = value
    with pytest.raises(JournalError, match=message):
        parse_journal(json.dumps(journal_data(plan=plan)), "api", "shop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "ConfigMap servicemesh-canary-api holds no readable journal"),
        ("[" * 200_000, "ConfigMap servicemesh-canary-api holds no readable journal"),
        ("[]", "unknown schema"),
        ("null", "unknown schema"),
        ('"text"', "unknown schema"),
        (json.dumps(journal_data(schema=2)), "unknown schema"),
        (json.dumps(journal_data(schema=None)), "unknown schema"),
        (json.dumps(journal_data(schema=True)), "unknown schema"),
        (json.dumps(journal_data(schema="1")), "unknown schema"),
    ],
)
def test_what_is_no_journal_is_refused(text: str, message: str) -> None:
    with pytest.raises(JournalError, match=message):
        parse_journal(text, "api", "shop")


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "../../etc/cron.d/api"},
        {"service": "web"},
        {"namespace": "kube-system"},
        {"run": "/../../x"},
        {"run": ".."},
        {"run": "run-7\n"},
        {"run": ""},
        {"run": "{{ 7 * 7 }}"},
        {"run": "a" * 64},
        {"previous_run": "a/b"},
    ],
)
def test_a_journal_of_something_else_than_the_service_is_refused(changes: dict[str, Any]) -> None:
    """Anybody who may write a ConfigMap writes these texts; the run's id ends in the name of a file."""
    with pytest.raises(JournalError, match=r"ConfigMap servicemesh-canary-api in shop holds"):
        parse_journal(json.dumps(journal_data(**changes)), "api", "shop")


@pytest.mark.parametrize("action", list(Action))
def test_a_request_reaches_its_run_only(action: Action) -> None:
    request = PersonRequest(action, "ops", "t", "run-7")
    assert parse_request(request.as_json(), "run-7") == request
    assert parse_request(request.as_json(), "run-8") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 200_000,
        "[]",
        "null",
        '{"action":"dance","by":"ops","at":"t","run":"run-7"}',
        '{"action":"pause","at":"t","run":"run-7"}',
        '{"action":"pause","by":3,"at":"t","run":"run-7"}',
    ],
)
def test_a_request_that_nobody_understands_stops_no_run(text: str) -> None:
    assert parse_request(text, "run-7") is None


def window(phase: int, number: int, **counts: tuple[int, int, int, int]) -> Window:
    return Window(phase, f"b{number}", f"e{number}", 10, counts or {"errors": (1, 2, 3, 4)})


def test_pairs_of_one_phase_are_added_up_and_none_across_phases() -> None:
    windows = (*(window(1, number) for number in range(3)), *(window(2, number) for number in range(3, 8)))
    merged = halved(windows)
    assert [(found.phase, found.begin, found.end) for found in merged] == [
        (1, "b0", "e1"),
        (1, "b2", "e2"),
        (2, "b3", "e4"),
        (2, "b5", "e6"),
        (2, "b7", "e7"),
    ]
    assert merged[0].counts == {"errors": (2, 4, 6, 8)}
    assert merged[1].counts == {"errors": (1, 2, 3, 4)}


def test_a_gate_that_one_of_the_two_windows_lacks_keeps_its_counts() -> None:
    left = window(1, 0, errors=(1, 1, 1, 1))
    right = window(1, 1, errors=(1, 0, 1, 0), latency=(5, 6, 7, 8))
    (merged,) = halved((left, right))
    assert merged.counts == {"errors": (2, 1, 2, 1), "latency": (5, 6, 7, 8)}


def many(count: int, phases: int = 1) -> Journal:
    return dataclasses.replace(
        FULL, windows=tuple(window(index % phases + 1, index) for index in range(count))
    )


def test_a_journal_that_grows_too_large_loses_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = many(400)
    whole = len(journal.as_json())
    monkeypatch.setattr(journals, "MAX_BYTES", whole)
    assert parse_journal(journal.as_json(), "api", "shop").windows == journal.windows
    monkeypatch.setattr(journals, "MAX_BYTES", whole // 2)
    short = parse_journal(journal.as_json(), "api", "shop")
    assert len(journal.as_json()) <= whole // 2
    assert len(short.windows) == 100
    assert sum(found.counts["errors"][3] for found in short.windows) == 1600


def test_a_journal_with_large_diffs_can_be_written_to_its_end() -> None:
    """A run whose journal the API server refuses could neither go on nor be rolled back."""
    journal = dataclasses.replace(many(400), diffs=({"before": "x" * journals.MAX_BYTES},))
    short = parse_journal(journal.as_json(), "api", "shop")
    assert (short.diffs, short.windows) == ((), journal.windows)


@pytest.mark.parametrize(("count", "phases", "left"), [(20, 1, 20), (21, 1, 11), (200, 200, 200)])
def test_the_fewest_windows_and_those_of_single_phases_stay(
    count: int, phases: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MAX_BYTES", 10)
    assert len(parse_journal(many(count, phases).as_json(), "api", "shop").windows) == left
