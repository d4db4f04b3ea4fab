"""The rollout's state machine against a faithful in-memory API server."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ConflictError,
    FencedError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.evidence import (
    evidence_of,
    sha256_of,
    totals,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Action,
    Journal,
    State,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Measurement
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    LowTraffic,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from ...support.recomputed import recomputed
from .fakes import FACTS, NAMESPACE, SERVICE, Shop


def start(rollout: Rollout) -> Journal:
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    return state_machine.drive(rollout)


def proved_at(state: Journal) -> float:
    """When the last proxy held the last write."""
    return seconds_of(state.proofs[-1].at) or math.inf


def test_healthy_version_is_promoted() -> None:
    shop = Shop()
    state = start(shop.rollout())
    assert (state.state, state.outcome) == ("finished", "promoted")
    assert shop.share() == 100
    assert shop.record()["stable"] == "v2"
    assert shop.record()["previous"] == "v1"
    assert shop.record()["weights"] == {"v2": 100}
    assert shop.lease()["holderIdentity"] == ""
    assert [proof.weights["v2"] for proof in state.proofs] == [10, 50, 100, 100]


@pytest.mark.parametrize("sick", [0.2, 0.5, 1.0])
def test_sick_version_ends_at_stable(sick: float) -> None:
    shop = Shop()
    shop.sick = sick
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert "canary requests failed" in state.reason
    assert shop.share() == 0
    assert shop.record()["stable"] == "v1"
    assert totals(evidence_of(state.as_dict()))["hurt_share"] <= 0.1 * sick + 0.001


def test_requests_between_the_last_look_and_weight_0_count_as_hurt() -> None:
    shop = Shop()
    shop.sick = 0.5
    state = start(shop.rollout())
    evidence = evidence_of(state.as_dict())
    judged = sum(window["counts"]["errors"][0] for window in evidence["windows"])
    late = evidence["after"]["counts"]["errors"]
    assert totals(evidence)["canary_requests"] == judged + late[0]
    assert recomputed(evidence) == [found for found in state.verdicts if found.gate != "share"]


def test_version_that_breaks_at_half_of_the_traffic_is_withdrawn() -> None:
    shop = Shop()
    shop.sick, shop.sick_from = 0.2, 50
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert state.phase == 2


def test_no_traffic_is_no_pass() -> None:
    shop = Shop()
    shop.rate = 0.0
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert "not enough data" in state.reason


def test_low_traffic_may_go_on_with_a_warning_where_that_is_declared() -> None:
    shop = Shop()
    shop.rate = 1.0
    rollout = shop.rollout(low_traffic=LowTraffic.PROMOTE_WITH_WARNING)
    assert start(rollout).outcome == "promoted"
    assert any("without enough data" in warning for warning in rollout.warnings)


def test_short_blindness_is_not_a_failure() -> None:
    shop = Shop()
    shop.clock.at(6, lambda: setattr(shop, "blind", True))
    shop.clock.at(56, lambda: setattr(shop, "blind", False))
    assert start(shop.rollout()).outcome == "promoted"


def test_long_blindness_withdraws_and_says_why() -> None:
    shop = Shop()
    shop.blind = True
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert "nothing could be measured" in state.reason


def test_crash_loop_never_gets_traffic() -> None:
    shop = Shop()
    shop.pods["v2"] = 0
    shop.set_pods()
    before = shop.routes
    state = start(shop.rollout())
    assert "no ready endpoint: v2 has 0 of 1 pods ready" in state.reason
    assert before["spec"] == shop.routes["spec"]


EARLY: dict[str, dict[str, Any]] = {
    "dark": {"dark": 5},
    "mirror": {"mirror": {"percent": 20, "duration": 5}},
    "testers": {"testers": {"header": "x-tester", "value": "1", "duration": 5}},
}


@pytest.mark.parametrize("kind", EARLY)
@pytest.mark.parametrize("comes", [True, False])
def test_a_phase_without_requests_of_users_waits_for_the_pods_too(kind: str, *, comes: bool) -> None:
    shop = Shop()
    rollout = shop.rollout()
    rollout.plan = plan_phases(stable="v1", canary="v2", steps=[100], duration=10, **EARLY[kind])
    shop.pods["v2"] = 0
    shop.set_pods()
    before = shop.routes
    if comes:
        shop.clock.at(10, ready(shop, "v2", 1))
    state = start(rollout)
    if comes:
        assert state.outcome == "promoted", state.reason
        return
    assert state.outcome == "rolled_back"
    assert state.reason == "no ready endpoint: v2 has 0 of 1 pods ready, after 20 s"
    assert before["spec"] == shop.routes["spec"], "nobody was sent there, not even a copy"


def test_pods_that_die_in_mid_phase_lose_their_traffic_at_once() -> None:
    shop = Shop()

    def die() -> None:
        shop.pods["v2"] = 0
        shop.set_pods()

    shop.clock.at(7, die)
    began = shop.clock.now()
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert shop.share() == 0
    assert proved_at(state) - began < 14


def ready(shop: Shop, version: str, count: int) -> Callable[[], None]:
    def act() -> None:
        shop.pods[version] = count
        shop.set_pods()

    return act


def test_a_proved_canary_takes_over_from_a_stable_version_that_stays_down() -> None:
    shop = Shop()
    shop.clock.at(7, ready(shop, "v1", 0))
    began = shop.clock.now()
    state = start(shop.rollout())
    assert state.outcome == "held_on_canary"
    assert "v1 has 0 of 1 pods ready; v2 is proved and serves everybody" in state.reason
    assert shop.clock.now() - began >= 7 + 20, "it is looked at for ready_timeout"
    assert shop.share() == 100
    assert shop.record()["stable"] == "v1"
    assert shop.record()["weights"] == {"v2": 100}


def test_a_canary_that_is_not_proved_gets_no_more_when_stable_is_down() -> None:
    shop = Shop()
    shop.rate = 5.0  # too little for evidence within ready_timeout
    shop.clock.at(7, ready(shop, "v1", 0))
    state = start(shop.rollout())
    assert state.outcome == "held_at_split"
    assert state.reason.endswith("the split stays at v1 90 %, v2 10 %")
    assert shop.share() == 10
    assert shop.record()["weights"] == {"v1": 90, "v2": 10}


@pytest.mark.parametrize("seconds", [1, 3, 19])
def test_a_short_unready_moment_of_stable_decides_nothing(seconds: int) -> None:
    shop = Shop()
    shop.clock.at(7, ready(shop, "v1", 0))
    shop.clock.at(7 + seconds, ready(shop, "v1", 1))
    state = start(shop.rollout())
    assert state.outcome == "promoted"
    shares = [proof.weights["v2"] for proof in state.proofs]
    assert shares == [10, 50, 100, 100]


@pytest.mark.parametrize("seconds", [3, 15])
@pytest.mark.parametrize("sick", [0.6, 1.0])
def test_a_condemned_canary_gains_nothing_while_stable_blinks(seconds: int, sick: float) -> None:
    shop = Shop()
    shop.sick = sick
    seen: list[float] = []
    shop.clock.at(4, ready(shop, "v1", 0))
    shop.clock.at(4 + seconds, ready(shop, "v1", 1))
    rollout = shop.rollout()
    rollout.progress = lambda _line: seen.append(shop.share())
    assert start(rollout).outcome == "rolled_back"
    assert shop.share() == 0
    assert max(seen) == 10


def test_when_both_are_bad_the_split_stays_at_the_smallest_share_that_was_proved() -> None:
    shop = Shop()
    shop.sick, shop.sick_from = 0.6, 50
    shop.clock.at(14, ready(shop, "v1", 0))
    state = start(shop.rollout())
    assert state.phase == 2
    assert state.outcome == "held_at_split"
    assert "the stable version is down" in state.reason
    assert state.reason.endswith("the split stays at v1 90 %, v2 10 %")
    assert shop.share() == 10


def test_the_rollback_of_a_person_while_stable_blinks_waits_for_it() -> None:
    shop = Shop()
    other = shop.rollout(identity="person")

    def ask() -> None:
        other.store.read()
        other.store.ask(Action.ROLLBACK, "ops")
        ready(shop, "v1", 0)()

    shop.clock.at(6, ask)
    shop.clock.at(10, ready(shop, "v1", 1))
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert {proof.weights["v2"] for proof in state.proofs} == {10, 0}


def test_the_rollback_of_a_person_moves_nothing_towards_either_while_stable_is_down() -> None:
    shop = Shop()
    other = shop.rollout(identity="person")

    def ask() -> None:
        other.store.read()
        other.store.ask(Action.ROLLBACK, "ops")
        ready(shop, "v1", 0)()

    shop.clock.at(18, ask)
    state = start(shop.rollout())
    assert state.outcome == "held_at_split"
    assert shop.share() == 50
    assert state.reason.startswith("asked for by ops; but the stable version is down")


def test_when_both_versions_are_down_the_stable_one_is_ready_to_come_back() -> None:
    shop = Shop()
    shop.clock.at(7, ready(shop, "v1", 0))
    shop.clock.at(7, ready(shop, "v2", 0))
    assert start(shop.rollout()).outcome == "rolled_back"
    assert shop.share() == 0


def test_a_new_revision_is_not_moved_to_a_stable_version_that_is_down() -> None:
    shop = Shop()
    shop.clock.at(7, ready(shop, "v1", 0))
    shop.clock.at(8, lambda: (shop.template.update(v2="ccc"), shop.set_pods())[0])
    state = start(shop.rollout())
    assert state.outcome == "held_at_split"
    assert shop.share() == 10


def test_failing_stable_is_not_rolled_into() -> None:
    shop = Shop()
    shop.stable_sick, shop.sick = 0.6, 0.3
    state = start(shop.rollout())
    assert state.outcome == "held_at_split"
    assert shop.share() == 10
    assert state.hold == "stable_worse"


def test_a_stable_version_that_failed_for_a_moment_is_looked_at_again() -> None:
    shop = Shop()
    shop.stable_sick, shop.sick = 0.6, 0.3
    shop.clock.at(6, lambda: setattr(shop, "stable_sick", 0.0))
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert shop.share() == 0


def test_a_run_that_takes_too_long_is_withdrawn() -> None:
    shop = Shop()
    state = start(shop.rollout(deadline=22.0))
    assert state.outcome == "rolled_back"
    assert "not promoted within canary_deadline, 22 s" in state.reason
    assert shop.clock.now() - 1_000_000 < 35


def test_a_new_image_of_stable_in_mid_run_leaves_a_trace() -> None:
    shop = Shop()
    shop.clock.at(7, lambda: (shop.template.update(v1="zzz"), shop.set_pods())[0])
    rollout = shop.rollout()
    state = start(rollout)
    assert state.outcome == "promoted"
    assert any(
        "v1, the stable version, got pods of another revision (zzz)" in line for line in rollout.warnings
    )
    assert [line.event for line in state.timeline if "zzz" in line.event]
    assert state.stable_templates == ("aaa", "zzz")


def test_a_canary_that_nobody_scrapes_is_not_promoted_for_lack_of_traffic() -> None:
    shop = Shop()
    rollout = shop.rollout(low_traffic=LowTraffic.PROMOTE_WITH_WARNING)
    plain = rollout.metrics.measure

    def unscraped(after: float, weight: float | None = None) -> Measurement:
        counts = plain(after, weight).counts["errors"]
        return Measurement(shop.clock.now(), {"errors": [0, 0, *counts[2:]]}, settled=True)

    rollout.metrics.measure = unscraped
    state = start(rollout)
    assert state.outcome == "rolled_back"
    assert "are its proxies scraped?" in state.reason


def test_new_revision_in_mid_run_starts_over_at_weight_0() -> None:
    shop = Shop()
    shares: list[int] = []

    def deploy() -> None:
        shop.template["v2"] = "ccc"
        shop.set_pods()

    shop.clock.at(17, deploy)
    rollout = shop.rollout()
    rollout.progress = lambda line: shares.append(shop.share())
    state = start(rollout)
    assert state.outcome == "promoted"
    assert state.restarts == 1
    assert [proof.weights["v2"] for proof in state.proofs] == [10, 50, 0, 10, 50, 100, 100]
    assert state.discarded


def test_a_canary_that_changes_again_and_again_goes() -> None:
    shop = Shop()

    def deploy() -> None:
        shop.template["v2"] += "c"
        shop.set_pods()

    for seconds in range(17, 300, 17):
        shop.clock.at(seconds, deploy)
    state = start(shop.rollout())
    assert (state.outcome, state.restarts, shop.share()) == ("rolled_back", 3, 0)
    assert state.reason == "the canary changed 4 times during its rollout"


def test_proxies_that_do_not_take_the_routes_end_the_run() -> None:
    shop = Shop()
    shop.proof = "fail"
    state = start(shop.rollout())
    assert state.outcome == "rolled_back"
    assert "proxies do not hold" in state.reason


@pytest.mark.parametrize(("setting", "outcome"), [("require", "rolled_back"), ("report", "promoted")])
def test_cannot_tell_of_the_proxies_follows_the_policy(setting: str, outcome: str) -> None:
    shop = Shop()
    shop.proof = "cannot tell"
    assert start(shop.rollout(propagation=setting)).outcome == outcome


def test_broken_mutual_tls_stops_the_run_where_it_is_required() -> None:
    shop = Shop()
    shop.mtls = "fail"
    state = start(shop.rollout(mtls="require"))
    assert "mutual TLS: fail: plaintext listener" in state.reason


def test_manual_gate_ends_well_and_another_call_continues() -> None:
    shop = Shop()
    state = start(shop.rollout(approvals=frozenset({2})))
    assert state.state == "awaiting_approval"
    assert shop.share() == 10
    assert shop.lease()["holderIdentity"] == ""
    rollout = shop.rollout(identity="runner-2", approvals=frozenset({2}))
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.take_over(rollout)
    rollout.save(replace(rollout.journal, approved=2, state=State.RUNNING))
    assert state_machine.drive(rollout).outcome == "promoted"


@pytest.mark.parametrize(("action", "share"), [("rollback", 0), ("promote", 100), ("pause", 10)])
def test_requests_reach_a_live_runner_within_one_poll(action: str, share: int) -> None:
    shop = Shop()
    other = shop.rollout(identity="person")
    asked: list[float] = []

    def ask() -> None:
        other.store.read()
        other.store.ask(action, "ops")
        asked.append(shop.clock.now())

    shop.clock.at(6, ask)
    state = start(shop.rollout())
    assert shop.share() == share
    assert (proved_at(state) if action == "rollback" else shop.clock.now()) - asked[0] <= 6
    assert {"rollback": "rolled_back", "promote": "promoted", "pause": ""}[action] == state.outcome


def test_a_second_runner_is_refused_and_told_who_holds_it() -> None:
    shop = Shop()
    first, second = shop.rollout(), shop.rollout(identity="runner-2")
    first.lease.acquire()
    with pytest.raises(RefusedError, match="held by runner-1"):
        second.lease.acquire()


def test_a_living_holder_with_a_slow_clock_is_not_robbed() -> None:
    shop = Shop()
    first, second = shop.rollout(), shop.rollout(identity="runner-2")
    first.lease.acquire()
    lease = shop.lease()
    lease["renewTime"] = "1970-01-01T00:00:00.000000Z"  # the holder's clock is wrong, but it renews
    shop.clock.at(10, first.lease.renew)
    with pytest.raises(RefusedError, match="held by runner-1"):
        second.lease.acquire()


def test_a_living_holder_with_a_clock_that_is_ahead_is_not_robbed() -> None:
    shop = Shop()
    first, second = shop.rollout(), shop.rollout(identity="runner-2")
    first.lease.acquire()
    shop.lease()["renewTime"] = "2100-01-01T00:00:00.000000Z"
    shop.clock.at(10, first.lease.renew)
    with pytest.raises(RefusedError, match="held by runner-1"):
        second.lease.acquire()


def test_an_orphan_that_wakes_up_late_cannot_write() -> None:
    shop = Shop()
    orphan = shop.rollout()
    orphan.lease.acquire()
    orphan.store.read()
    state_machine.begin(orphan, FACTS)
    shop.clock.sleep(31)
    heir = shop.rollout(identity="runner-2")
    heir.lease.acquire()
    heir.store.read()
    state_machine.take_over(heir)
    before = len(shop.cluster.writes)
    for write in (
        lambda: orphan.routes.write(orphan.canary_traffic(), orphan.fence),
        lambda: orphan.save(orphan.journal, "late"),
        orphan.lease.renew,
        lambda: state_machine.drive(orphan),
    ):
        with pytest.raises(FencedError):
            write()
    assert len(shop.cluster.writes) == before


def test_stop_signal_withdraws_the_version() -> None:
    shop = Shop()
    rollout = shop.rollout()
    stopped = []
    shop.clock.at(7, lambda: stopped.append(True))
    rollout.stop = lambda: bool(stopped)
    assert start(rollout).outcome == "rolled_back"
    assert shop.share() == 0


def test_verdicts_are_recomputed_from_the_evidence() -> None:
    shop = Shop()
    shop.sick = 0.3
    state = start(shop.rollout())
    evidence = json.loads(json.dumps(evidence_of(state.as_dict())))
    kept = [found for found in evidence["verdicts"] if found["gate"] != "share"]
    assert [j.as_dict() for j in recomputed(evidence)] == kept
    assert sha256_of(evidence) == state.evidence_sha256 == shop.record()["evidenceSha256"]
    evidence["windows"][0]["counts"]["errors"][1] = 0
    assert sha256_of(evidence) != state.evidence_sha256


def test_foreign_writer_of_the_routes_is_overwritten_only_with_what_the_run_wants() -> None:
    """Somebody edits the routes in mid-run: the next phase writes the whole object again."""
    shop = Shop()

    def meddle() -> None:
        live = shop.routes
        shop.cluster.put(
            {**live, "spec": {"http": [{"name": "meddled", "route": live["spec"]["http"][0]["route"]}]}}
        )

    shop.clock.at(6, meddle)
    assert start(shop.rollout()).outcome == "promoted"
    assert shop.routes["spec"]["http"][0]["name"] == "split"
    assert shop.cluster.peek("VirtualService", f"{SERVICE}-routes")


def test_routes_that_were_deleted_in_mid_run_do_not_lock_the_rollout() -> None:
    """Role mesh leaves the routes of a rollout alone, so the rollout must be able to make them again."""
    shop = Shop()
    rollout = shop.rollout(approvals=frozenset({2}))
    assert start(rollout).state == "awaiting_approval"
    del shop.cluster.objects[("VirtualService", NAMESPACE, f"{SERVICE}-routes")]
    successor = shop.rollout(identity="runner-2")
    successor.lease.acquire()
    successor.store.read()
    state_machine.take_over(successor)
    assert state_machine.withdraw(successor, "asked for").outcome == "rolled_back"
    assert shop.share() == 0
    assert shop.record()["stable"] == "v1"


@pytest.mark.parametrize(
    ("manager", "ends"), [("kubectl-edit", True), ("servicemesh.istio", True), ("flux", False)]
)
def test_an_edit_by_hand_in_mid_run_does_not_keep_the_canary_s_share(
    manager: str, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    rollout = shop.rollout(approvals=frozenset({2}))
    assert start(rollout).state == "awaiting_approval"
    assert shop.share() == 10
    ours = [{"manager": "servicemesh.istio", "operation": "Apply"}]
    shop.routes["metadata"]["managedFields"] = ours
    plain = shop.cluster.apply

    def apply(obj: dict[str, Any], *, force: bool = False, **more: Any) -> dict[str, Any]:
        if not force:
            raise ConflictError("conflict", manager=manager, fields=[".spec.http"])
        return plain({**obj, "metadata": {**obj["metadata"], "managedFields": ours}}, **more)

    monkeypatch.setattr(shop.cluster, "apply", apply)
    successor = shop.rollout(identity="runner-2")
    successor.lease.acquire()
    successor.store.read()
    if not ends:
        with pytest.raises(ConflictError):
            state_machine.take_over(successor)
        assert shop.share() == 10
        return
    state_machine.take_over(successor)
    assert state_machine.withdraw(successor, "asked for").outcome == "rolled_back"
    assert shop.share() == 0


def test_a_canary_that_gets_more_than_the_routes_give_it_is_withdrawn() -> None:
    """Clients without a proxy reach all pods of the Service: half of the requests, at 10 percent."""
    shop = Shop()
    rollout = shop.rollout()
    plain = rollout.metrics.measure

    def past_the_routes(after: float, weight: float | None = None) -> Measurement:
        found = plain(after, weight)
        total = found.counts["errors"][0] + found.counts["errors"][2]
        return replace(found, counts={"errors": [total // 2, 0, total - total // 2, 0]})

    rollout.metrics.measure = past_the_routes
    state = start(rollout)
    assert state.outcome == "rolled_back"
    assert "the canary gets 50 % of the requests, the routes give it 10 %" in state.reason


@pytest.mark.parametrize("ends", [["ccc"], ["bbb"]])
def test_a_new_revision_is_judged_once_it_is_alone(ends: list[str]) -> None:
    """A rolling update has pods of both revisions for a while; it may also be undone."""
    shop = Shop()
    plain = shop.rollout().endpoints.read()["v2"]
    found = [("bbb",)]
    shop.clock.at(7, lambda: found.append(("bbb", "ccc")))
    shop.clock.at(40, lambda: found.append(tuple(ends)))
    rollout = shop.rollout()
    read = rollout.endpoints.read
    rollout.endpoints.read = lambda: {**read(), "v2": replace(plain, templates=found[-1])}
    state = start(rollout)
    assert (state.outcome, state.restarts, state.templates) == ("promoted", 1, tuple(ends))
    began = next(line.at for line in state.timeline if line.event.startswith("start over"))
    again = [
        line.at for line in state.timeline if line.event.startswith("phase 1") and "intent" in line.event
    ]
    assert (seconds_of(again[-1]) or 0) - (seconds_of(began) or 0) >= 30


def test_a_healthy_canary_is_not_withdrawn_into_a_sick_stable_for_lack_of_data() -> None:
    shop = Shop()
    shop.clock.at(17, lambda: setattr(shop, "stable_sick", 1.0))
    state = start(shop.rollout(steps=[10, 50, 100], gates=(ShareGate("errors", 1e-6, 1e-5, compare=False),)))
    assert state.outcome == "held_at_split"
    assert "the stable version is sick" in state.reason
    assert shop.share() == 50


def test_a_sick_stable_does_not_keep_a_healthy_canary_back() -> None:
    shop = Shop()
    shop.clock.at(17, lambda: setattr(shop, "stable_sick", 1.0))
    assert start(shop.rollout()).outcome == "promoted"
