"""Gates outside of the mesh in a run: when they are asked, what their answers do, and what a kill leaves."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Action
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import (
    GateKind,
    Moment,
    OnFail,
    OutsideGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import LowTraffic
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.time_windows import TimeWindow
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import state_machine
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.background import (
    Pending,
    inline,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.asking import (
    Asking,
    Said,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside_gates import (
    OutsideGates,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from ...support.mortal import KilledError
from .fakes import Shop, Switch, drive

PASS, FAIL, BLIND = Said("pass", "fine"), Said("fail", "broken"), Said("cannot tell", "nobody there")


def gate(*when: Moment, **more: Any) -> OutsideGate:
    waits = {*when} <= {Moment.TRAFFIC_INCREASE, Moment.PROMOTION}
    given = {"on_fail": OnFail.WAIT if waits else OnFail.ROLLBACK, "deadline": 60.0, **more}
    return OutsideGate(
        more.pop("name", "smoke"), GateKind.URL, when, **{k: v for k, v in given.items() if k != "name"}
    )


class Somebody:
    """Who is asked: answers a script, then always the same, and notes when and with what weight."""

    def __init__(self, shop: Shop, *script: Said, always: Said = PASS) -> None:
        self.shop, self.script, self.always = shop, list(script), always
        self.asked: list[tuple[str, int, int, str]] = []  # when, step, live share, id
        self.facts: list[Mapping[str, Any]] = []
        self.then: Callable[[], None] = lambda: None

    def __call__(
        self,
        asked: OutsideGate,
        asking: Asking | None,
        facts: Mapping[str, Any],
        environment: Mapping[str, str],
        cancelled: threading.Event,
    ) -> Said:
        self.facts.append(facts)
        self.asked.append((facts["when"], facts["step"], self.shop.share(), facts["id"]))
        self.then()
        return self.script.pop(0) if self.script else self.always


def runner(
    shop: Shop,
    somebody: Somebody,
    *gates: OutsideGate,
    client: Any = None,
    identity: str = "runner-1",
    **more: Any,
) -> Rollout:
    rollout = shop.rollout(client, identity=identity, outside=gates, **more)
    rollout.outside = OutsideGates(rollout, {}, workers=lambda: inline, asked=somebody)
    return rollout


def moments(somebody: Somebody) -> list[tuple[str, int, int]]:
    return [asked[:3] for asked in somebody.asked]


def test_each_moment_is_asked_where_it_belongs() -> None:
    shop = Shop()
    somebody = Somebody(shop)
    assert drive(runner(shop, somebody, gate(*Moment))).outcome == "promoted"
    assert moments(somebody) == [
        ("pre-rollout", 1, 0),
        ("confirm-traffic-increase", 1, 0),
        ("rollout", 1, 10),
        ("confirm-traffic-increase", 2, 10),
        ("rollout", 2, 50),
        ("confirm-traffic-increase", 3, 50),
        ("rollout", 3, 100),
        ("confirm-promotion", 3, 100),
        ("post-rollout", 3, 100),
    ]
    assert len({asked[3] for asked in somebody.asked}) == len(somebody.asked)


def test_what_a_gate_is_told() -> None:
    shop = Shop()
    somebody = Somebody(shop)
    drive(runner(shop, somebody, gate(Moment.TRAFFIC_INCREASE, Moment.POST_ROLLOUT)))
    second, last = somebody.facts[1], somebody.facts[-1]
    told = {
        "name": "product",
        "namespace": "shop",
        "phase": "Progressing",
        "checksum": "bbb",
        "when": "confirm-traffic-increase",
        "run": "run-1",
        "step": 2,
        "steps": 3,
        "weight": 10,
        "next_weight": 50,
        "stable": "v1",
        "canary": "v2",
        "outcome": "",
    }
    assert {key: second[key] for key in told} == told
    assert (last["phase"], last["outcome"], last["weight"]) == ("Succeeded", "promoted", 100)


def test_a_failed_test_before_the_traffic_moves_nothing() -> None:
    shop = Shop()
    state = drive(runner(shop, Somebody(shop, always=FAIL), gate(Moment.PRE_ROLLOUT)))
    assert (state.outcome, state.reason) == ("rolled_back", "gate smoke: broken")
    assert [proof.weights["v2"] for proof in state.proofs] == [0]


def test_a_failed_test_in_a_phase_withdraws_at_once() -> None:
    shop = Shop()
    somebody = Somebody(shop, always=FAIL)
    began = shop.clock.now()
    state = drive(runner(shop, somebody, gate(Moment.ROLLOUT, phases=(2,))))
    assert (state.outcome, state.reason, shop.share()) == ("rolled_back", "gate smoke: broken", 0)
    assert moments(somebody) == [("rollout", 2, 50)]
    assert shop.clock.now() - began < 60


def test_a_fail_may_be_asked_again() -> None:
    shop = Shop()
    patient = gate(Moment.ROLLOUT, retries=2, phases=(1,))
    assert drive(runner(shop, Somebody(shop, FAIL, FAIL), patient)).outcome == "promoted"
    shop = Shop()
    somebody = Somebody(shop, FAIL, BLIND, FAIL, FAIL)
    assert drive(runner(shop, somebody, patient)).reason == "gate smoke: broken"
    assert len(somebody.asked) == 4
    # a question that nobody answered is the same one when it is asked again
    assert len({asked[3] for asked in somebody.asked}) == 3


def test_no_answer_is_no_pass_and_ends_in_a_rollback() -> None:
    shop = Shop()
    state = drive(runner(shop, Somebody(shop, always=BLIND), gate(Moment.PRE_ROLLOUT)))
    assert state.outcome == "rolled_back"
    assert state.reason.startswith("gate smoke could not tell for 6")
    assert state.reason.endswith("nobody there")


def test_a_short_silence_only_takes_time() -> None:
    shop = Shop()
    somebody = Somebody(shop, BLIND, BLIND, PASS)
    assert drive(runner(shop, somebody, gate(Moment.ROLLOUT, phases=(1,)))).outcome == "promoted"
    assert len({asked[3] for asked in somebody.asked}) == 1


def test_this_call_does_not_say_how_to_ask() -> None:
    shop = Shop()
    rollout = shop.rollout(outside=(gate(Moment.PRE_ROLLOUT),))
    rollout.outside = OutsideGates(rollout, {}, workers=lambda: inline)
    state = drive(rollout)
    assert state.outcome == "rolled_back"
    assert "this call does not say how it is asked (canary_gates)" in state.reason


def test_a_gate_that_is_closed_is_waited_for_while_the_metrics_are_watched() -> None:
    shop = Shop()
    somebody = Somebody(shop, FAIL, FAIL, FAIL)
    state = drive(runner(shop, somebody, gate(Moment.TRAFFIC_INCREASE, phases=(2,))))
    assert state.outcome == "promoted"
    assert moments(somebody) == [("confirm-traffic-increase", 2, 10)] * 4
    waited = [window for window in state.windows if window.phase == 1]
    assert len(waited) > 5  # 10 s of the phase are two looks


def test_what_is_waited_for_before_the_first_phase_is_told_when_it_changes() -> None:
    shop = Shop()
    other = Said("fail", "still broken")
    somebody = Somebody(shop, FAIL, FAIL, FAIL, other, other)
    rollout = runner(shop, somebody, gate(Moment.TRAFFIC_INCREASE, phases=(1,)))
    lines: list[str] = []
    rollout.progress = lines.append
    assert drive(rollout).outcome == "promoted"
    waited = [line for line in lines if line.startswith("before phase ")]
    assert [line.rpartition(": ")[2] for line in waited] == ["broken", "still broken"]


def test_a_version_that_falls_ill_while_a_gate_is_closed_is_withdrawn() -> None:
    shop = Shop()
    shop.clock.at(30, lambda: setattr(shop, "sick", 0.5))
    state = drive(runner(shop, Somebody(shop, always=FAIL), gate(Moment.PROMOTION, deadline=3600.0)))
    assert state.outcome == "rolled_back"
    assert "requests failed" in state.reason


def test_pods_that_die_while_a_gate_is_closed_withdraw_the_version() -> None:
    shop = Shop()

    def die() -> None:
        shop.pods["v2"] = 0
        shop.set_pods()

    shop.clock.at(60, die)
    state = drive(runner(shop, Somebody(shop, always=FAIL), gate(Moment.PROMOTION, deadline=3600.0)))
    assert "no ready endpoint" in state.reason


@pytest.mark.parametrize("said", [FAIL, BLIND])
def test_the_wait_has_an_end(said: Said) -> None:
    shop = Shop()
    state = drive(runner(shop, Somebody(shop, always=said), gate(Moment.PROMOTION, deadline=90.0)))
    assert state.outcome == "rolled_back"
    assert state.reason == f"gate smoke did not open in 90 s: {said.reason}"


def test_waiting_for_a_gate_is_no_time_of_the_deadline() -> None:
    shop = Shop()
    somebody = Somebody(shop, always=FAIL)
    shop.clock.at(900, lambda: setattr(somebody, "always", PASS))
    waiting = gate(Moment.PROMOTION, deadline=3600.0)
    assert drive(runner(shop, somebody, waiting, deadline=300.0)).outcome == "promoted"


@pytest.mark.parametrize("moment", [Moment.ROLLOUT, Moment.PROMOTION])
def test_little_traffic_opens_no_gate(moment: Moment) -> None:
    """A phase may end without enough requests; what somebody else decides is waited for all the same."""
    shop = Shop()
    shop.rate = 0.5
    somebody = Somebody(shop, always=FAIL)
    closed = gate(moment, on_fail=OnFail.WAIT)
    state = drive(runner(shop, somebody, closed, low_traffic=LowTraffic.PROMOTE_WITH_WARNING))
    assert (state.outcome, state.reason) == ("rolled_back", "gate smoke did not open in 60 s: broken")


def test_a_phase_that_ends_without_enough_data_says_so_once_however_long_a_gate_is_closed() -> None:
    shop = Shop()
    shop.rate = 0.5
    somebody = Somebody(shop, FAIL, FAIL, FAIL, FAIL)
    run = runner(shop, somebody, gate(Moment.PROMOTION), low_traffic=LowTraffic.PROMOTE_WITH_WARNING)
    assert drive(run).outcome == "promoted"
    assert len(somebody.asked) == 5
    assert len([line for line in run.warnings if line.startswith("phase 3/")]) == 1


def test_waiting_for_a_gate_is_no_time_of_the_phase_s_deadline() -> None:
    """Metrics that are away for a moment do not end a run that only waited for a person."""
    shop = Shop()
    somebody = Somebody(shop, always=FAIL)
    shop.clock.at(300, lambda: setattr(shop, "blind", True))
    shop.clock.at(320, lambda: setattr(shop, "blind", False))
    shop.clock.at(400, lambda: setattr(somebody, "always", PASS))
    assert drive(runner(shop, somebody, gate(Moment.PROMOTION, deadline=900.0))).outcome == "promoted"


def test_a_person_may_withdraw_promote_and_pause_while_a_gate_is_closed() -> None:
    for action, end in ((Action.ROLLBACK, "rolled_back"), (Action.PROMOTE, "promoted"), (Action.PAUSE, "")):
        for moment in (Moment.PRE_ROLLOUT, Moment.PROMOTION):
            shop = Shop()
            closed = gate(moment, on_fail=OnFail.WAIT, deadline=3600.0)
            rollout = runner(shop, Somebody(shop, always=FAIL), closed)
            person = shop.rollout(identity="person")

            def ask(person: Rollout = person, action: Action = action) -> None:
                person.store.read()
                person.store.ask(action, "ann")

            shop.clock.at(120, ask)
            state = drive(rollout)
            assert (state.outcome, state.state == "paused") == (end, end == "")


def test_a_repeated_gate_is_asked_for_as_long_as_the_phase_lasts() -> None:
    shop = Shop()
    somebody = Somebody(shop)
    repeated = gate(Moment.ROLLOUT, phases=(1,), repeat=True, interval=3.0)
    assert drive(runner(shop, somebody, repeated)).outcome == "promoted"
    assert len(somebody.asked) >= 2
    shop = Shop()
    state = drive(runner(shop, Somebody(shop, PASS, FAIL), repeated))
    assert state.reason == "gate smoke: broken"


def test_a_canary_that_a_gate_condemned_gains_nothing_from_a_stable_version_that_is_down() -> None:
    shop = Shop()
    somebody = Somebody(shop, always=FAIL)

    def die() -> None:
        shop.pods["v1"] = 0
        shop.set_pods()

    somebody.then = die
    state = drive(runner(shop, somebody, gate(Moment.ROLLOUT, phases=(2,))))
    assert (state.outcome, shop.share()) == ("held_at_split", 10)


def test_what_is_said_after_the_end_changes_nothing() -> None:
    for said in (FAIL, BLIND):
        shop = Shop()
        rollout = runner(shop, Somebody(shop, always=said), gate(Moment.POST_ROLLOUT))
        assert drive(rollout).outcome == "promoted"
        assert rollout.warnings == [f"gate smoke after the end: {said.verdict}: {said.reason}"]
    shop = Shop()
    shop.sick = 0.5
    somebody = Somebody(shop)
    assert drive(runner(shop, somebody, gate(Moment.POST_ROLLOUT))).outcome == "rolled_back"
    assert (somebody.facts[0]["outcome"], somebody.facts[0]["phase"]) == ("rolled_back", "Failed")


def test_a_new_revision_is_asked_about_again() -> None:
    shop = Shop()

    def change() -> None:
        shop.template["v2"] = "ccc"
        shop.set_pods()

    shop.clock.at(8, change)
    somebody = Somebody(shop)
    assert drive(runner(shop, somebody, gate(Moment.PRE_ROLLOUT))).outcome == "promoted"
    assert moments(somebody) == [("pre-rollout", 1, 0)] * 2
    assert [facts["checksum"] for facts in somebody.facts] == ["bbb", "ccc"]


def test_after_a_kill_no_gate_is_asked_what_it_answered_and_each_lost_question_has_its_old_id() -> None:
    shop = Shop()
    drive(runner(shop, Somebody(shop), gate(*Moment), client=(counted := Switch(shop.cluster))))
    for number in range(1, counted.calls + 1):
        shop = Shop()
        client = Switch(shop.cluster, kill_at=number)
        somebody = Somebody(shop)
        with contextlib.suppress(KilledError):
            drive(runner(shop, somebody, gate(*Moment), client=client))
        journal = shop.journal()
        if not journal or journal["state"] == "finished":
            continue
        shop.clock.sleep(31)
        before = {asked[3] for asked in somebody.asked}
        kept = {
            f"run-1-{found['attempt']}.smoke.{found['when']}.{found['phase']}.0"
            for found in journal["answers"]
        }
        assert kept <= before
        somebody.asked.clear()
        after = runner(shop, somebody, gate(*Moment), identity="runner-2")
        after.store.read()
        after.lease.acquire()
        after.store.refresh()
        state_machine.take_over(after)
        assert state_machine.drive(after).outcome == "promoted"
        again = {asked[3] for asked in somebody.asked}
        assert not again & kept, number
        assert len(again) == len(somebody.asked)
        assert len(before | again) == 9, number


def test_a_hanging_gate_keeps_nobody_from_the_lease_and_the_pods() -> None:
    class Never(Pending):
        def wait(self, seconds: float) -> bool:
            return False

    shop = Shop()
    rollout = shop.rollout(outside=(gate(Moment.ROLLOUT, timeout=20.0),))
    rollout.outside = OutsideGates(rollout, {}, workers=lambda: lambda _function: Never())
    watched = shop.rollout(identity="person").lease

    def look() -> None:
        lease = watched.read()
        if lease and lease["spec"]["holderIdentity"]:
            assert watched.holder(lease), "a live run looks dead"
        shop.clock.at(2, look)

    shop.clock.at(1, look)
    state = drive(rollout)
    assert state.outcome == "rolled_back"
    assert "no answer in 20 s" in state.reason


def test_a_gate_that_has_not_answered_once_takes_no_longer_than_its_deadline() -> None:
    class Never(Pending):
        def wait(self, seconds: float) -> bool:
            return False

    shop = Shop()
    silent = gate(Moment.PROMOTION, on_fail=OnFail.WAIT, timeout=1000.0, deadline=60.0)
    rollout = shop.rollout(outside=(silent,))
    rollout.outside = OutsideGates(rollout, {}, workers=lambda: lambda _function: Never())
    state = drive(rollout)
    assert state.outcome == "rolled_back"
    assert "did not open in 60 s: no answer yet" in state.reason


# The calendar.


def frozen(shop: Shop, seconds: float, **more: Any) -> OutsideGate:
    """Closed for so long from now on."""

    def text(moment: float) -> str:
        return datetime.datetime.fromtimestamp(moment, tz=datetime.UTC).replace(tzinfo=None).isoformat()

    now = shop.clock.now()
    window = TimeWindow(first=text(now - 60), last=text(now + seconds))
    moments = (Moment.PRE_ROLLOUT, Moment.TRAFFIC_INCREASE, Moment.PROMOTION)
    given: dict[str, Any] = {"on_fail": OnFail.WAIT, "deadline": 600.0, **more}
    return OutsideGate("freeze", GateKind.TIME, moments, freeze=(window,), **given)


def test_a_freeze_is_waited_for() -> None:
    shop = Shop()
    began = shop.clock.now()
    state = drive(runner(shop, Somebody(shop), frozen(shop, 200)))
    assert state.outcome == "promoted"
    first = seconds_of(state.proofs[0].at)
    assert first is not None
    assert first - began >= 200
    assert [answer.verdict for answer in state.answers] == ["pass"] * len(state.answers)
    assert max(answer.answered for answer in state.answers) == 2, "closed, then open: only news are kept"
    assert {answer.seconds for answer in state.answers} == {0.0}, "nobody had to be asked"


def test_a_freeze_that_takes_too_long_ends_the_run() -> None:
    shop = Shop()
    state = drive(runner(shop, Somebody(shop), frozen(shop, 2000)))
    assert state.outcome == "rolled_back"
    assert "did not open in 600 s: frozen by" in state.reason
    shop = Shop()
    refused = drive(runner(shop, Somebody(shop), frozen(shop, 2000, on_fail=OnFail.ROLLBACK)))
    assert refused.reason.startswith("gate freeze: frozen by")


def test_a_wait_for_a_gate_alone_is_no_time_of_the_rollouts_own() -> None:
    shop = Shop()
    somebody = Somebody(shop, always=FAIL)
    shop.clock.at(300, lambda: setattr(somebody, "always", PASS))
    began = shop.clock.now()
    state = drive(runner(shop, somebody, gate(Moment.PROMOTION, deadline=600.0), deadline=120.0))
    assert state.outcome == "promoted", state.reason
    assert shop.clock.now() - began >= 300


def test_a_zone_that_nobody_knows_is_never_open() -> None:
    shop = Shop()
    nowhere = replace(frozen(shop, -30), zone="Nowhere/Land")
    state = drive(runner(shop, Somebody(shop), nowhere))
    assert "does not know the time zone Nowhere/Land" in state.reason


def test_an_approval_in_a_freeze_goes_on_when_it_is_over() -> None:
    shop = Shop()
    first = drive(runner(shop, Somebody(shop), approvals=(2,)))
    assert first.state == "awaiting_approval"
    shop.clock.sleep(60)
    closed = frozen(shop, 120)
    after = runner(shop, Somebody(shop), closed, identity="runner-2")
    after.store.read()
    after.lease.acquire()
    after.store.refresh()
    state_machine.take_over(after)
    after.save(replace(after.journal, state="running", approved=2))
    began = shop.clock.now()
    state = state_machine.drive(after)
    assert state.outcome == "promoted"
    risen = [seconds_of(proof.at) or 0.0 for proof in state.proofs if proof.weights["v2"] == 50]
    assert risen[0] - began >= 110


def test_a_gate_before_a_phase_that_waits_for_approval_is_asked_after_it() -> None:
    """What it said days ago is no answer."""
    shop = Shop()
    closed = gate(Moment.TRAFFIC_INCREASE)
    somebody = Somebody(shop)
    assert drive(runner(shop, somebody, closed, approvals=(2,))).state == "awaiting_approval"
    assert moments(somebody) == [("confirm-traffic-increase", 1, 0)]
    after = runner(shop, Somebody(shop, always=FAIL), closed, approvals=(2,), identity="runner-2")
    after.store.read()
    after.lease.acquire()
    after.store.refresh()
    state_machine.take_over(after)
    after.save(replace(after.journal, state="running", approved=2))
    state = state_machine.drive(after)
    assert (state.outcome, state.reason) == ("rolled_back", "gate smoke did not open in 60 s: broken")
    assert max(proof.weights["v2"] for proof in state.proofs) == 10


def test_asking_that_breaks_is_no_pass() -> None:
    shop = Shop()

    def broken(*_arguments: Any) -> Said:
        raise MeshError("unforeseen")

    rollout = shop.rollout(outside=(gate(Moment.PRE_ROLLOUT),))
    rollout.outside = OutsideGates(rollout, {}, workers=lambda: inline, asked=broken)
    assert "asking failed: MeshError" in drive(rollout).reason
