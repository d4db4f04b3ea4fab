"""What people hear of a run: one milestone for each thing that happens, and never the same one twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Journal,
    Outcome,
    RunFacts,
    State,
    begun,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.milestones import (
    Milestone,
    milestone_of,
    notice,
    told,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases

PLAN = plan_phases(stable="v1", canary="v2", steps=[10, 100])
RUN = begun(
    RunFacts(run="run-1", by="ann"), runner="one", service="api", namespace="shop", plan=PLAN, templates=()
)


def after(**changes: Any) -> Milestone | None:
    return milestone_of(RUN, replace(RUN, **changes))


def test_a_run_begins_whatever_was_there_before() -> None:
    assert milestone_of(None, RUN) is Milestone.STARTED
    assert milestone_of(replace(RUN, run="run-0", state=State.FINISHED), RUN) is Milestone.STARTED


@pytest.mark.parametrize(
    ("changes", "milestone"),
    [
        ({}, None),
        ({"fence": 7, "at": "later", "reason": "x"}, None),
        ({"passed": 1}, Milestone.PHASE_PASSED),
        ({"runner": "two"}, Milestone.RESUMED),
        ({"state": State.AWAITING_APPROVAL}, Milestone.WAITING),
        ({"state": State.PAUSED}, Milestone.PAUSED),
        ({"state": State.ROLLING_BACK}, Milestone.ROLLING_BACK),
        ({"state": State.PROMOTING}, None),
        ({"state": State.HOLDING}, None),
        ({"state": State.FINISHED, "outcome": Outcome.PROMOTED}, Milestone.PROMOTED),
        ({"state": State.FINISHED, "outcome": Outcome.SPLIT}, Milestone.SPLIT),
        ({"state": State.FINISHED, "outcome": Outcome.ROLLED_BACK}, Milestone.ROLLED_BACK),
        ({"state": State.FINISHED, "outcome": Outcome.HELD_ON_CANARY}, Milestone.HELD),
        ({"state": State.FINISHED, "outcome": Outcome.HELD_AT_SPLIT}, Milestone.HELD),
        ({"passed": 0}, None),
    ],
)
def test_what_a_write_of_the_journal_means(changes: dict[str, Any], milestone: Milestone | None) -> None:
    assert after(**changes) is milestone


def test_a_start_over_is_no_phase_that_passed() -> None:
    assert milestone_of(replace(RUN, passed=2), replace(RUN, passed=0)) is None


def test_what_stays_is_told_once() -> None:
    for state in State:
        same = replace(RUN, state=state, outcome=Outcome.PROMOTED)
        assert milestone_of(same, replace(same, reason="more")) is None


@pytest.mark.parametrize("milestone", Milestone)
def test_every_milestone_has_a_sentence_with_all_names(milestone: Milestone) -> None:
    text = told(milestone, replace(RUN, reason="because", passed=1))
    assert text.startswith("shop/api v1 to v2: ")
    assert len(text) > 25


@pytest.mark.parametrize(
    ("milestone", "end"),
    [
        (Milestone.STARTED, "rollout run-1 has begun by ann"),
        (Milestone.RESUMED, "one goes on with rollout run-1"),
        (Milestone.PHASE_PASSED, "phase 1/weight 10 % of 2 passed"),
        (Milestone.WAITING, "waits: because"),
        (Milestone.ROLLING_BACK, "is rolled back: because"),
        (Milestone.ROLLED_BACK, "rolled back, v1 has all requests: because"),
        (Milestone.HELD, "held: because"),
        (Milestone.SPLIT, "ended: because"),
        (Milestone.PROMOTED, "promoted, v2 is stable"),
    ],
)
def test_the_sentences(milestone: Milestone, end: str) -> None:
    assert told(milestone, replace(RUN, reason="because", passed=1)) == f"shop/api v1 to v2: {end}"


def test_who_asked_is_told_only_when_it_is_known() -> None:
    assert told(Milestone.STARTED, replace(RUN, by="")).endswith("rollout run-1 has begun")


def test_which_milestones_are_bad_and_which_are_last() -> None:
    bad = {item for item in Milestone if item.bad}
    assert bad == {Milestone.ROLLING_BACK, Milestone.ROLLED_BACK, Milestone.HELD, Milestone.DEADMAN}
    going_on = {item for item in Milestone if not item.last}
    assert going_on == {Milestone.STARTED, Milestone.RESUMED, Milestone.PHASE_PASSED, Milestone.ROLLING_BACK}


def test_ids_tell_notifications_apart() -> None:
    journal: Journal = replace(RUN, fence=3, passed=1)
    first = notice(Milestone.PHASE_PASSED, journal, "mesh")["id"]
    assert first == "run-1.phase_passed.3.1"
    assert first != notice(Milestone.PHASE_PASSED, replace(journal, passed=2), "mesh")["id"]
    assert first != notice(Milestone.PROMOTED, journal, "mesh")["id"]


def test_the_words_that_journals_and_events_keep() -> None:
    """Runners of other versions read them, and people's hooks."""
    assert [*Milestone] == [
        "started", "resumed", "phase_passed", "waiting", "paused", "rolling_back", "promoted", "split",
        "rolled_back", "held", "deadman",
    ]  # fmt: skip
    assert [state.value for state in State] == [
        "running", "promoting", "rolling_back", "holding", "awaiting_approval", "paused", "finished",
    ]  # fmt: skip
    assert [outcome.value for outcome in Outcome] == [
        "", "promoted", "split", "rolled_back", "held_on_canary", "held_at_split",
    ]  # fmt: skip
