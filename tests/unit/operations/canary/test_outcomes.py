"""The ends of a rollout, taken one by one where the state machine seldom comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Hold,
    State,
    Window,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Baseline
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import Moment
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import ReleaseRecord
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    outcomes,
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.evidence import load_growth
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.phase import write_and_prove
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
    for phase in rollout.plan.phases[:2]:
        begun = replace(rollout.journal, phase=phase.number, passed=phase.number - 1)
        rollout.save(replace(begun, intent=phase.traffic))
        write_and_prove(rollout, phase.traffic, phase.label())
    return rollout


def pods(shop: Shop, *, stable: int, canary: int) -> None:
    shop.pods = {"v1": stable, "v2": canary}
    shop.set_pods()


PROOF = Window(1, "t0", "t1", 10, {"errors": (1000, 0, 9000, 0)})  # of health, enough for a promotion


@pytest.mark.parametrize("cause", [Hold.STABLE_DOWN, Hold.STABLE_WORSE])
@pytest.mark.parametrize(
    ("stable", "canary", "windows", "verdicts"),
    [
        (stable, canary, windows, verdicts)
        for stable in (0, 1)
        for canary in (0, 1)
        for windows in ((), (PROOF,), (SICK_CANARY,))
        for verdicts in ((), PASSED, FAILED)
    ],
)
def test_a_hold_gives_no_canary_more_than_it_is_proved_for(
    stable: int,
    canary: int,
    windows: tuple[Window, ...],
    verdicts: tuple[Judgement, ...],
    cause: Hold,
) -> None:
    """At half of the traffic, with 10 % as the smallest share that the proxies ever held."""
    shop = Shop()
    rollout = at_half(shop)
    rollout.save(replace(rollout.journal, windows=windows, verdicts=verdicts))
    pods(shop, stable=stable, canary=canary)
    outcomes.hold_on(rollout, "stable is bad", cause)
    if not canary or (stable and cause is Hold.STABLE_DOWN):
        wanted, outcome = 0, "rolled_back"
    elif verdicts == FAILED:
        wanted, outcome = 10, "held_at_split"
    elif windows == (PROOF,) and cause is Hold.STABLE_DOWN:
        wanted, outcome = 100, "held_on_canary"
    else:
        wanted, outcome = 50, "held_at_split"
    assert (shop.share(), rollout.journal.outcome) == (wanted, outcome)
    assert rollout.journal.reason.startswith("stable is bad")
    assert shop.record()["stable"] == "v1"


BUSY = Window(1, "2026-11-23T12:00:00Z", "2026-11-23T12:00:10Z", 10, {"errors": (20, 0, 80, 0)})
OF_NO_TIME = Window(1, "2026-11-23T12:00:10Z", "2026-11-23T12:00:10Z", 10, {"errors": (20, 0, 80, 0)})


@pytest.mark.parametrize(
    ("before", "windows", "growth"),
    [
        (5.0, (BUSY,), 2.0),
        (20.0, (BUSY, BUSY), 0.5),
        (5.0, (replace(BUSY, end="2026-11-23T13:00:00Z"), BUSY, BUSY, BUSY), 2.0),  # the newest three
        (0.0, (BUSY,), 1.0),
        (None, (BUSY,), 1.0),
        (5.0, (), 1.0),
        (5.0, (OF_NO_TIME,), 1.0),
    ],
)
def test_how_much_the_load_has_grown(
    before: float | None, windows: tuple[Window, ...], growth: float
) -> None:
    """Where nobody knows, it has not."""
    rollout = at_half(Shop())
    baseline = None if before is None else Baseline(before, 100, {}, 0.0, "")
    rollout.save(replace(rollout.journal, baseline=baseline, windows=windows))
    assert load_growth(rollout) == growth


class Gates:
    """Gates outside of the mesh, of which these have not passed."""

    def __init__(self, *waiting: Moment) -> None:
        self.waiting = waiting

    def have_passed(self, moment: Moment, phase: int) -> bool:
        assert phase == 2
        return moment not in self.waiting


@pytest.mark.parametrize(
    ("waiting", "share"),
    [((), 100), ((Moment.ROLLOUT,), 50), ((Moment.PROMOTION,), 50), ((Moment.POST_ROLLOUT,), 100)],
)
def test_a_gate_that_has_not_passed_keeps_all_requests_from_the_canary(
    waiting: tuple[Moment, ...], share: int
) -> None:
    shop = Shop()
    rollout = at_half(shop)
    rollout.outside = Gates(*waiting)
    rollout.save(replace(rollout.journal, windows=(PROOF,), verdicts=PASSED))
    pods(shop, stable=0, canary=1)
    outcomes.hold_on(rollout, "stable is down", Hold.STABLE_DOWN)
    assert shop.share() == share


@pytest.mark.parametrize(("stable", "share", "outcome"), [(1, 0, "rolled_back"), (0, 50, "held_at_split")])
def test_a_hold_that_was_interrupted_looks_at_stable_again(stable: int, share: int, outcome: str) -> None:
    shop = Shop()
    rollout = at_half(shop)
    everything = TrafficState({"v1": 0, "v2": 100})
    holding = replace(rollout.journal, state=State.HOLDING, hold=Hold.STABLE_DOWN, intent=everything)
    rollout.save(replace(holding, reason="stable is down"))
    pods(shop, stable=stable, canary=1)
    assert state_machine.drive(rollout).outcome == outcome
    assert shop.share() == share


def test_a_run_that_found_a_split_keeps_it_when_stable_is_down_before_any_write() -> None:
    shop = Shop()
    rollout = shop.rollout()
    rollout.routes.write(TrafficState({"v1": 50, "v2": 50}), 1)
    rollout.lease.acquire()
    state_machine.begin(rollout, replace(FACTS, before={"v1": 50, "v2": 50}))
    pods(shop, stable=0, canary=1)
    outcomes.roll_back(rollout, "asked for")
    assert (shop.share(), rollout.journal.outcome) == (50, "held_at_split")


@pytest.mark.parametrize(
    ("written", "share", "outcome"), [(True, 10, "held_at_split"), (False, 0, "rolled_back")]
)
def test_a_first_share_that_no_proxy_proved_yet_is_not_given_to_a_version_that_is_down(
    written: bool, share: int, outcome: str
) -> None:
    """The API server was away from the write of the first share on, and stable died meanwhile."""
    shop = Shop()
    rollout = shop.rollout()
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    phase = rollout.plan.phases[0]
    rollout.save(replace(rollout.journal, phase=phase.number, intent=phase.traffic))
    if written:
        rollout.routes.write(phase.traffic, rollout.fence)
    pods(shop, stable=0, canary=1)
    outcomes.abandon(rollout, "the API server was away")
    assert (rollout.journal.outcome, shop.share()) == (outcome, share)


def test_a_hold_keeps_the_version_before_stable_on_record() -> None:
    shop = Shop()
    rollout = at_half(shop)
    rollout.records.write(ReleaseRecord("v1", previous="v0", weights={"v1": 100}, fence=rollout.fence))
    pods(shop, stable=0, canary=1)
    outcomes.hold_on(rollout, "stable is down", Hold.STABLE_DOWN)
    assert shop.record()["previous"] == "v0"


@pytest.mark.parametrize(
    ("windows", "verdicts", "outcome"),
    [
        ((SICK_STABLE,), FAILED, "held_at_split"),
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
    assert shop.share() == (10 if outcome == "held_at_split" else 0)


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
