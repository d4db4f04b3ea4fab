"""The ends of a rollout, taken one by one where the state machine seldom comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import State, Window
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    outcomes,
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from .fakes import FACTS, Shop

SICK_STABLE = Window(1, "t0", "t1", 10, {"errors": (100, 5, 900, 600)})
SICK_CANARY = Window(1, "t0", "t1", 10, {"errors": (100, 60, 900, 5)})
FAILED = (Judgement("errors", GateVerdict.FAIL, "too many"),)
PASSED = (Judgement("errors", GateVerdict.PASS, "enough"),)


def at_half(shop: Shop) -> Rollout:
    """A run whose second phase has half of the traffic."""
    rollout = shop.rollout()
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    traffic = rollout.plan.phases[1].traffic
    rollout.save(replace(rollout.journal, phase=2, passed=1, intent=traffic))
    rollout.routes.write(traffic, rollout.fence)
    return rollout


def pods(shop: Shop, *, stable: int, canary: int) -> None:
    shop.pods = {"v1": stable, "v2": canary}
    shop.set_pods()


@pytest.mark.parametrize(
    ("stable", "canary", "share", "outcome"),
    [
        (1, 1, 50, "held_on_canary"),
        (0, 1, 100, "held_on_canary"),
        (0, 0, 50, "held_on_canary"),
        (1, 0, 0, "rolled_back"),
    ],
)
def test_a_hold_keeps_requests_where_somebody_answers(
    stable: int, canary: int, share: int, outcome: str
) -> None:
    shop = Shop()
    rollout = at_half(shop)
    pods(shop, stable=stable, canary=canary)
    outcomes.hold_on(rollout, "stable is worse")
    assert (shop.share(), rollout.journal.outcome) == (share, outcome)
    assert rollout.journal.reason.startswith("stable is worse")
    assert shop.record()["stable"] == "v1"
    assert shop.record()["previous"] == ""


def test_a_hold_that_was_interrupted_goes_on_with_what_it_had_begun_to_write() -> None:
    shop = Shop()
    rollout = at_half(shop)
    everything = TrafficState({"v1": 0, "v2": 100})
    rollout.save(replace(rollout.journal, state=State.HOLDING, reason="stable is down", intent=everything))
    assert state_machine.drive(rollout).outcome == "held_on_canary"
    assert shop.share() == 100  # although stable has endpoints again


def test_a_hold_before_the_first_phase_keeps_the_first_split() -> None:
    shop = Shop()
    rollout = at_half(shop)
    rollout.save(replace(rollout.journal, phase=0))
    outcomes.hold_on(rollout, "stable is worse")
    assert shop.share() == 10


@pytest.mark.parametrize(
    ("windows", "verdicts", "outcome"),
    [
        ((SICK_STABLE,), FAILED, "held_on_canary"),
        ((SICK_STABLE,), PASSED, "rolled_back"),
        ((SICK_STABLE,), (), "rolled_back"),
        ((SICK_CANARY,), FAILED, "rolled_back"),
        ((), FAILED, "rolled_back"),
    ],
)
def test_an_abandoned_run_ends_as_its_last_look_would_have_ended_it(
    windows: tuple[Window, ...], verdicts: tuple[Judgement, ...], outcome: str
) -> None:
    shop = Shop()
    rollout = at_half(shop)
    rollout.save(replace(rollout.journal, windows=windows, verdicts=verdicts))
    assert state_machine.clean_up(rollout, "its runner died").outcome == outcome
    assert rollout.journal.reason.startswith("its runner died")
    assert shop.share() == (50 if outcome == "held_on_canary" else 0)


@pytest.mark.parametrize("state", [State.FINISHED, State.PAUSED, State.AWAITING_APPROVAL])
def test_a_run_that_ended_or_waits_is_left_as_it_is(state: State) -> None:
    shop = Shop()
    rollout = at_half(shop)
    rollout.save(replace(rollout.journal, state=state))
    for act in (state_machine.drive, lambda run: state_machine.clean_up(run, "its runner died")):
        assert act(rollout).state is state
        assert shop.share() == 50


def test_a_rollback_keeps_the_version_before_stable_on_record() -> None:
    shop = Shop()
    rollout = at_half(shop)
    record = rollout.records.read()
    assert record is None
    outcomes.roll_back(rollout, "asked for")
    kept = rollout.records.read()
    assert kept is not None
    rollout.records.write(replace(kept, previous="v0"))
    outcomes.roll_back(rollout, "again")
    assert shop.record()["previous"] == "v0"
    rollout.records.write(replace(kept, stable="v2", previous="v0", weights={"v2": 100}))
    outcomes.roll_back(rollout, "again")
    assert (shop.record()["stable"], shop.record()["previous"]) == ("v1", "")


def test_the_first_decision_dates_a_rollback() -> None:
    shop = Shop()
    rollout = at_half(shop)
    outcomes.roll_back(rollout, "asked for")
    began = rollout.journal.rollback_began
    assert began
    shop.clock.sleep(5)
    outcomes.roll_back(rollout, "again")
    assert rollout.journal.rollback_began == began


def test_a_promotion_without_an_endpoint_is_a_rollback() -> None:
    shop = Shop()
    rollout = at_half(shop)
    pods(shop, stable=1, canary=0)
    rollout.save(replace(rollout.journal, state=State.PROMOTING))
    assert state_machine.drive(rollout).outcome == "rolled_back"
    assert "no ready endpoint of the new version" in rollout.journal.reason
    assert shop.share() == 0
