"""The journal in the cluster: one writer by its fence, requests from anybody, and what a deletion costs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Action,
    JournalError,
    LastStep,
    State,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import state_machine
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    PauseNeeded,
    PromoteNow,
    RollbackNeeded,
    Rollout,
)

from ..fakes import FACTS, NAMESPACE, Shop, Switch

NAME = "servicemesh-canary-product"


def begun(shop: Shop, **options: Any) -> Rollout:
    rollout = shop.rollout(**options)
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    return rollout


def config_map(shop: Shop) -> dict[str, Any]:
    found = shop.cluster.peek("ConfigMap", NAME)
    assert found
    return found


def test_before_the_first_run_there_is_none() -> None:
    store = Shop().rollout().store
    assert store.read() is None
    assert (store.known, store.active, store.waiting, store.request()) == (None, False, False, None)
    with pytest.raises(JournalError, match=f"ConfigMap {NAME} holds no journal"):
        str(store.current)


def test_what_is_saved_bears_fence_time_and_owner() -> None:
    shop = Shop()
    rollout = begun(shop)
    assert rollout.journal.fence == rollout.fence == shop.journal()["fence"] == 1
    assert rollout.journal.at == shop.journal()["at"]
    assert config_map(shop)["metadata"]["labels"]["app.kubernetes.io/part-of"] == "shop"
    assert shop.rollout().store.read() == rollout.journal


@pytest.mark.parametrize(
    ("state", "active", "waiting"),
    [(State.HOLDING, True, False), (State.PAUSED, False, True), (State.FINISHED, False, False)],
)
def test_the_store_says_how_the_run_stands(state: State, active: bool, waiting: bool) -> None:
    shop = Shop()
    rollout = begun(shop)
    rollout.save(replace(rollout.journal, state=state))
    store = shop.rollout().store
    store.read()
    assert (store.active, store.waiting) == (active, waiting)


def test_an_event_becomes_a_line_of_the_timeline_and_only_the_newest_are_kept() -> None:
    shop = Shop()
    rollout = begun(shop)
    rollout.save(replace(rollout.journal, phase=2), "moved", weights={"v1": 90, "v2": 10}, seconds=1.5)
    line = rollout.journal.timeline[-1]
    assert (line.event, line.phase, line.weights, line.seconds) == ("moved", 2, {"v1": 90, "v2": 10}, 1.5)
    before = len(rollout.journal.timeline)
    rollout.save(rollout.journal)
    assert len(rollout.journal.timeline) == before
    rollout.save(replace(rollout.journal, timeline=(line,) * 450), "last")
    assert len(rollout.journal.timeline) == 400
    assert rollout.journal.timeline[-1].event == "last"


def test_a_journal_with_a_newer_fence_is_not_written_over() -> None:
    shop = Shop()
    rollout = begun(shop)
    text = json.dumps({**shop.journal(), "fence": 2, "run": "run-9"})
    shop.cluster.put({**config_map(shop), "data": {"journal": text}})
    for act in (lambda: rollout.save(rollout.journal, "late"), rollout.checkpoint):
        with pytest.raises(FencedError, match="run run-9 has taken over"):
            act()
    assert shop.journal()["run"] == "run-9"


def test_a_journal_of_the_same_fence_is_its_own_runner_s() -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.rollout().store
    other.read()
    other.save(1, replace(other.current, step=LastStep.WATCH))  # our write, whose answer was lost
    rollout.save(replace(rollout.journal, step=LastStep.PROVED))
    assert shop.journal()["step"] == "proved"


def test_a_journal_that_was_deleted_in_mid_run_is_whole_again_with_the_next_write() -> None:
    shop = Shop()
    rollout = begun(shop)
    known = rollout.journal
    del shop.cluster.objects[("ConfigMap", NAMESPACE, NAME)]
    rollout.checkpoint()
    assert rollout.journal == known
    rollout.save(replace(rollout.journal, step=LastStep.WATCH))
    found = shop.rollout().store.read()
    assert found is not None
    assert (found.run, found.plan, found.step) == (known.run, known.plan, LastStep.WATCH)


def test_a_deletion_between_reading_and_writing_is_survived_too() -> None:
    shop = Shop()
    rollout = begun(shop)
    del shop.cluster.objects[("ConfigMap", NAMESPACE, NAME)]
    rollout.save(replace(rollout.journal, step=LastStep.WATCH))
    assert shop.journal()["step"] == "watch"


def test_a_run_whose_journal_was_deleted_goes_on_to_its_end() -> None:
    shop = Shop()
    shop.clock.at(7, lambda: shop.cluster.objects.pop(("ConfigMap", NAMESPACE, NAME)) and None)
    assert state_machine.drive(begun(shop)).outcome == "promoted"
    assert shop.journal()["outcome"] == "promoted"


UNREADABLE = ["{", "[]", '{"schema":1,"state":"running"}']


@pytest.mark.parametrize("text", ["", *UNREADABLE])
def test_a_run_whose_journal_was_spoiled_goes_on_to_its_end(text: str) -> None:
    """Its runner knows what stood there, and holds the Lease."""
    shop = Shop()
    shop.clock.at(7, lambda: shop.cluster.put({**config_map(shop), "data": {"journal": text}}) and None)
    assert state_machine.drive(begun(shop)).outcome == "promoted"
    assert shop.journal()["outcome"] == "promoted"


def test_a_journal_that_is_put_back_in_mid_run_is_none_of_the_run_s() -> None:
    """A backup would else lend the evidence, the phases and the name of an earlier run to this one."""
    shop = Shop()
    state_machine.drive(begun(shop))
    earlier = copy.deepcopy(config_map(shop))
    rollout = shop.rollout()
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, replace(FACTS, run="later"))
    shop.clock.at(7, lambda: shop.cluster.put(earlier) and None)
    journal = state_machine.drive(rollout)
    assert (journal.run, journal.outcome, shop.record()["run"]) == ("later", "promoted", "later")
    assert journal.windows[0].begin >= journal.timeline[0].at
    assert shop.journal() == journal.as_dict()


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_journal_that_nobody_can_read_is_told(text: str) -> None:
    shop = Shop()
    begun(shop)
    shop.cluster.put({**config_map(shop), "data": {"journal": text}})
    other = shop.rollout(identity="runner-2")
    with pytest.raises(JournalError, match=NAME):
        other.store.read()
    with pytest.raises(JournalError, match=NAME) as told:
        other.store.refresh()
    assert "holds no journal" not in str(told.value)


def test_a_journal_that_a_later_release_of_this_collection_wrote_is_left_alone() -> None:
    shop = Shop()
    rollout = begun(shop)
    shop.cluster.put({**config_map(shop), "data": {"journal": '{"schema":99,"fence":7}'}})
    with pytest.raises(FencedError, match="another run has taken over"):
        rollout.save(rollout.journal, "late")
    assert shop.journal() == {"schema": 99, "fence": 7}


@pytest.mark.parametrize("action", [Action.PROMOTE, Action.PAUSE])
def test_nothing_takes_the_place_of_a_rollback_that_was_asked_for(action: Action) -> None:
    shop = Shop()
    rollout = begun(shop)
    first, second = (shop.rollout(identity=name).store for name in ("one", "two"))
    first.read()
    second.read()  # both look before either asks
    first.ask(Action.ROLLBACK, "one")
    with pytest.raises(RefusedError, match="one has asked for a rollback of run run-1"):
        second.ask(action, "two")
    second.ask(Action.ROLLBACK, "two")
    with pytest.raises(RollbackNeeded, match="asked for by two"):
        rollout.checkpoint()
    rollout.save(rollout.journal)
    second.read()
    second.ask(action, "two")  # once it is taken, it stands in nobody's way


def test_a_rollback_takes_the_place_of_any_other_request() -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.person()
    other.ask(Action.PROMOTE, "one")
    other.ask(Action.ROLLBACK, "two")
    with pytest.raises(RollbackNeeded, match="asked for by two"):
        rollout.checkpoint()


@pytest.mark.parametrize(
    ("action", "turn"),
    [(Action.ROLLBACK, RollbackNeeded), (Action.PROMOTE, PromoteNow), (Action.PAUSE, PauseNeeded)],
)
def test_a_request_is_taken_once_and_says_who_asked(action: Action, turn: type[MeshError]) -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.person()
    other.ask(action, "ops")
    rollout.checkpoint(requests=False)
    with pytest.raises(turn, match="asked for by ops"):
        rollout.checkpoint()
    assert rollout.store.request() is None
    rollout.checkpoint()
    assert "request" in config_map(shop)["data"], "whoever comes after this runner finds it"
    rollout.save(rollout.journal, "what follows from it")
    assert "request" not in config_map(shop)["data"]


def test_a_request_that_comes_after_the_one_that_was_taken_is_not_lost_with_it() -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.person()
    other.ask(Action.PAUSE, "one")
    with pytest.raises(PauseNeeded):
        rollout.checkpoint()
    other.ask(Action.ROLLBACK, "two")
    rollout.save(rollout.journal, "paused")
    assert json.loads(config_map(shop)["data"]["request"])["by"] == "two"


def test_a_request_that_may_not_be_left_is_said_and_left_once() -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.person()
    shop.cluster.fail("patch", "ConfigMap", 403)
    with pytest.raises(ApiError):
        other.ask(Action.PAUSE, "one")
    assert "request" not in config_map(shop)["data"]
    rollout.checkpoint()


def test_pods_without_a_template_are_of_no_revision() -> None:
    """Those of a StatefulSet, or of nobody."""
    shop = Shop()
    rollout = shop.rollout()
    assert rollout.endpoints.read()["v1"].templates == (shop.template["v1"],)
    for pod in shop.cluster.of_kind("Pod"):
        pod["metadata"]["labels"].pop("pod-template-hash")
    found = rollout.endpoints.read()["v1"]
    assert (bool(found.ready), found.templates) == (True, ())


def test_a_request_without_a_name_is_somebody_s() -> None:
    shop = Shop()
    rollout = begun(shop)
    rollout.store.ask(Action.PAUSE, "")
    with pytest.raises(PauseNeeded, match="asked for by somebody"):
        rollout.checkpoint()


def test_a_request_stays_while_the_run_writes() -> None:
    shop = Shop()
    rollout = begun(shop)
    other = shop.person()
    other.ask(Action.PAUSE, "ops")
    rollout.save(replace(rollout.journal, step=LastStep.WATCH))
    assert json.loads(config_map(shop)["data"]["request"])["action"] == "pause"
    found = other.read()
    assert found is not None
    assert found.step == "watch"
    assert other.request() is not None


@pytest.mark.parametrize("run", ["run-0", None])
def test_a_request_for_an_older_run_is_none(run: str | None) -> None:
    shop = Shop()
    rollout = begun(shop)
    request = json.dumps({"action": "rollback", "by": "ops", "at": "t", "run": run})
    shop.cluster.patch("v1", "ConfigMap", NAME, NAMESPACE, {"data": {"request": request}})
    rollout.checkpoint()
    assert rollout.store.request() is None


def test_a_journal_that_somebody_changes_all_the_time_is_told() -> None:
    shop = Shop()
    rollout = begun(shop)
    answers = [0]

    def conflict(*_rest: Any, **_more: Any) -> Any:
        answers[0] += 1
        raise ApiError("modified", status=409, reason="Conflict")

    shop.cluster.replace = conflict
    with pytest.raises(MeshError, match=f"ConfigMap shop/{NAME} changes faster"):
        rollout.save(rollout.journal)
    assert answers[0] == 8


@pytest.mark.parametrize("status", [403, 500, 422])
def test_another_refusal_is_not_tried_again(status: int) -> None:
    shop = Shop()
    switch = Switch(shop.cluster)
    rollout = begun(shop, client=switch)
    calls: list[int] = []

    def refuse(*_rest: Any, **_more: Any) -> Any:
        calls.append(1)
        raise ApiError("no", status=status)

    shop.cluster.replace = refuse
    with pytest.raises(ApiError, match="no"):
        rollout.save(rollout.journal)
    assert len(calls) == 1


def stop(rollout: Rollout) -> Callable[[], None]:
    rollout.stop = lambda: True
    return rollout.checkpoint


def test_a_stopped_run_takes_no_request() -> None:
    rollout = begun(Shop())
    rollout.store.ask(Action.PAUSE, "ops")
    with pytest.raises(MeshError, match="was told to stop"):
        stop(rollout)()
    assert rollout.store.read() is not None
    assert rollout.store.request() is not None


def test_a_successor_counts_on_from_what_the_dead_runner_has_spent() -> None:
    """Else the deadline of a run would begin anew with each runner."""
    shop = Shop()
    rollout = begun(shop)
    rollout.save(replace(rollout.journal, spent=100.0))
    successor = shop.rollout(identity="runner-2")
    successor.store.read()
    assert successor.spent() == 100.0
    shop.clock.sleep(5)
    assert successor.spent() == 105.0
