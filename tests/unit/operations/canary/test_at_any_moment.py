# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people ask for, and others do, at the moments in which a run is not in the watch of a phase."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import seconds_of
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Action

from ...support.mortal import KilledError
from .fakes import Shop, Switch
from .scenarios import RESUME, deadman_account, through_reviews
from .sizes import Sizes
from .test_actions import JOURNAL, LEASE, killed_at, pods
from .test_meddling import ended, once, rolling_update
from .world import World


def asks(world: World, action: Action) -> Callable[[], None]:
    return lambda: world.shop.person().ask(action, "ops")


# A promotion that is asked for where no phase is watched.


def starts_over(world: World) -> dict[str, Any]:
    world.shop.clock.at(17, lambda: rolling_update(world))
    world.shop.clock.at(24, asks(world, Action.PROMOTE))
    return {}


def comes_up(world: World) -> dict[str, Any]:
    Sizes(world.shop, {"v1": 1, "v2": 1}, autoscaled=())
    world.shop.clock.at(2, asks(world, Action.PROMOTE))
    return {"scale": {"up": 3}}


def awaits_one_revision(world: World) -> dict[str, Any]:
    rolling_update(world)
    world.shop.clock.at(5, asks(world, Action.PROMOTE))
    return {}


@pytest.mark.parametrize("arrange", [starts_over, comes_up, awaits_one_revision])
def test_a_promotion_may_be_asked_for_at_any_moment(
    world: World, arrange: Callable[[World], dict[str, Any]]
) -> None:
    assert ended(world, **arrange(world)) == ("promoted", "v2 is stable: promotion asked for by ops")
    assert world.shop.lease()["holderIdentity"] == ""


# A rollback that is asked for, and a runner that dies, ends, or waits for stable.


def test_a_rollback_that_was_asked_for_outlives_the_runner_that_took_it(world: World) -> None:
    """Whoever goes on obeys it, at whichever call the runner died."""
    began = world.shop.clock.now()
    world.shop.clock.at(17, asks(world, Action.ROLLBACK))
    numbers: list[int] = []
    client = Switch(world.shop.cluster)

    def note() -> None:
        if world.shop.clock.now() >= began + 17 and world.shop.share():
            numbers.append(client.calls)

    client.after_call = note
    world.client = client
    assert ended(world)[0] == "rolled_back"
    assert numbers
    for number in numbers:
        with pytest.MonkeyPatch.context() as patch:
            other = World(Shop(), patch)
            other.shop.clock.at(17, asks(other, Action.ROLLBACK))
            other.client = Switch(other.shop.cluster, kill_at=number)
            with pytest.raises(KilledError):
                other()
            other.client = Switch(other.shop.cluster)
            other.shop.clock.sleep(31)
            assert ended(other)[0] == "rolled_back", f"killed at call {number}"
            assert "request" not in other.shop.cluster.objects[JOURNAL]["data"]


def almost_ended(world: World, **params: Any) -> None:
    """A run whose end is written 3 seconds from now, and whose runner lets go 4 seconds later."""
    world(**params)
    cluster, clock = world.shop.cluster, world.shop.clock
    ended_so, lease = copy.deepcopy(cluster.objects[JOURNAL]), copy.deepcopy(cluster.objects[LEASE])
    journal = json.loads(ended_so["data"]["journal"])
    running = {**journal, "state": "promoting", "outcome": "", "step": "record"}
    cluster.put({**ended_so, "data": {"journal": json.dumps(running)}})
    held = {**lease["spec"], "holderIdentity": "runner-1", "renewTime": _time(world)}
    cluster.put({**lease, "spec": held})

    def end() -> None:
        live = cluster.objects[JOURNAL]
        cluster.put({**live, "data": {**live["data"], "journal": json.dumps(journal)}})

    clock.at(3, end)
    clock.at(7, lambda: cluster.put({**cluster.objects[LEASE], "spec": lease["spec"]}))


def _time(world: World) -> str:
    lease = world.shop.rollout(identity="x").lease
    return str(lease._spec(1)["renewTime"])


@pytest.mark.parametrize("params", [{}, {"steps": [10, 50], "promote": False}])
def test_a_rollback_that_comes_too_late_for_the_runner_is_done_all_the_same(
    world: World, params: dict[str, Any]
) -> None:
    almost_ended(world, **params)
    assert world.shop.share() == (50 if params else 100)
    assert ended(world, action="rollback", version=None, steps=None)[0] == "rolled_back"
    assert world.shop.share() == 0
    assert world.shop.record()["stable"] == "v1"


def test_a_promotion_that_ends_in_a_rollback_is_a_failure(world: World) -> None:
    """Waves of clusters go on after what went well."""
    almost_ended(world)
    journal = json.loads(world.shop.cluster.objects[JOURNAL]["data"]["journal"])
    withdrawn = {**journal, "state": "finished", "outcome": "rolled_back", "reason": "errors: 9 of 10"}

    def withdraw() -> None:
        live = world.shop.cluster.objects[JOURNAL]
        world.shop.cluster.put({**live, "data": {**live["data"], "journal": json.dumps(withdrawn)}})

    world.shop.clock.events.clear()
    world.shop.clock.at(3, withdraw)
    with pytest.raises(MeshError, match=r"rolled_back: errors: 9 of 10"):
        world(action="promote", version=None, steps=None)


def test_a_rollback_while_a_phase_waits_for_stable_gives_the_canary_no_more(world: World) -> None:
    """The canary is proved, and would take over from a stable version that is down; somebody withdraws it."""
    once(world, lambda journal: journal.get("passed") == 2, lambda: pods(world, v1=0))

    def ask() -> None:
        assert world.shop.journal()["step"] == "weights"
        asks(world, Action.ROLLBACK)()

    world.shop.clock.at(35, ask)
    outcome, reason = ended(world, steps=[10, 50, 75, 100])
    assert (outcome, world.shop.share()) == ("held_at_split", 50)
    assert "asked for by ops" in reason


# What a successor finds.


def test_only_the_pods_that_were_judged_take_over_from_a_stable_version_that_is_down(world: World) -> None:
    world.shop.clock.at(17, lambda: pods(world, v1=0))
    killed_at(world, lambda journal: journal.get("state") == "holding")
    assert world.shop.share() == 50
    world.shop.template["v2"] = "ccc"
    world.shop.set_pods()
    with pytest.raises(MeshError, match="held_at_split"):
        world(**RESUME)
    assert world.shop.share() == 50


def test_a_run_is_not_carried_on_blindly(world: World) -> None:
    """Without Prometheus it would be withdrawn for nothing that is wrong with it."""
    world(approvals=[2])
    with pytest.raises(InputError, match="canary_prometheus: is missing"):
        world(action="promote", version=None, steps=None, prometheus=None)
    assert world.shop.journal()["state"] == "awaiting_approval"
    assert ended(world, action="rollback", version=None, steps=None, prometheus=None)[0] == "rolled_back"


def test_a_paused_run_is_not_carried_on_blindly(world: World) -> None:
    world.shop.clock.at(17, asks(world, Action.PAUSE))
    assert ended(world)[0] == "paused"
    with pytest.raises(InputError, match="canary_prometheus: is missing"):
        world(prometheus=None)
    assert world.shop.journal()["state"] == "paused"


def test_nobody_promotes_another_version_than_the_one_that_he_names(world: World) -> None:
    world(approvals=[2])
    with pytest.raises(RefusedError, match=r"the rollout is one of v2, not of v1 \(canary_version\)"):
        world(action="promote", version="v1", steps=None)
    assert world.shop.journal()["state"] == "awaiting_approval"
    assert ended(world, action="promote", version="v2", steps=None)[0] == "promoted"


@pytest.mark.parametrize("action", ["rollback", "resume"])
def test_an_autoscaler_gets_its_own_minimum_back_although_the_journal_was_deleted(
    world: World, action: str
) -> None:
    sizes = Sizes(world.shop, {"v1": 4, "v2": 4}, autoscaled=("v1", "v2"))
    killed_at(world, lambda _journal: world.shop.share() == 50)
    assert (sizes.minimum("v1"), sizes.held("v1")) == (4, "1>4")
    del world.shop.cluster.objects[JOURNAL]
    world.shop.cluster.put({**world.shop.cluster.objects[LEASE], "spec": {"leaseTransitions": 1}})
    given = RESUME if action == "resume" else {"action": "rollback", "version": None, "steps": None}
    world(**given)
    assert world.shop.share() == 0
    assert (sizes.minimum("v1"), sizes.held("v1")) == (1, None)


def test_a_job_that_watches_a_run_is_removed_although_its_lease_cannot_be_released(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the Lease for that of a dead runner, and the share from a run that waits."""
    deadman_account(world)
    replace = world.shop.cluster.replace

    def lossy(obj: Any, **more: Any) -> Any:
        if obj["kind"] == "Lease" and not obj["spec"]["holderIdentity"]:
            raise ApiError("the API server is gone", status=503)
        return replace(obj, **more)

    monkeypatch.setattr(world.shop.cluster, "replace", lossy)
    assert ended(world, approvals=[2], deadman="job")[0] == "awaiting_approval"
    assert world.shop.lease()["holderIdentity"]
    assert world.shop.cluster.jobs == []


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (Action.PAUSE, "awaiting_approval"),
        (Action.PROMOTE, "awaiting_approval"),
        (Action.ROLLBACK, "rolled_back"),
    ],
)
def test_what_was_asked_of_the_runner_that_had_a_run_is_no_wish_of_whoever_approves_it(
    world: World, action: Action, outcome: str
) -> None:
    """It came when the runner had just decided to wait."""
    once(world, lambda journal: journal.get("passed") == 1, asks(world, action))
    assert ended(world, approvals=[2, 3])[0] == "awaiting_approval"
    assert world.shop.journal()["phase"] == 2
    world.client = Switch(world.shop.cluster)
    assert ended(world, action="promote", version=None, steps=None)[0] == outcome
    assert world.shop.journal()["phase"] == (3 if outcome == "awaiting_approval" else 2)


def test_routes_that_somebody_writes_all_the_time_are_written_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, apply = world.shop.clock.now(), world.shop.cluster.apply

    def hot(obj: Any, **more: Any) -> Any:
        if obj["kind"] == "VirtualService" and 17 < world.shop.clock.now() - began < 60:
            raise ApiError("the object has been modified", status=409, reason="Conflict")
        return apply(obj, **more)

    monkeypatch.setattr(world.shop.cluster, "apply", hot)
    expected = "VirtualService shop/product-routes changes faster than it can be written"
    assert ended(world) == ("rolled_back", expected)
    assert (world.shop.share(), world.shop.lease()["holderIdentity"]) == (0, "")


def reasons_while_active(world: World, **params: Any) -> set[str]:
    """What ``canary_status`` gives as the reason of a run that goes on."""
    seen: set[str] = set()

    def look() -> None:
        journal = world.shop.journal()
        if journal.get("state") in ("running", "promoting"):
            seen.add(journal["reason"])

    world.client = Switch(world.shop.cluster, after_call=look)
    assert ended(world, **params)[0] == "promoted"
    return seen


def test_a_run_that_goes_on_no_longer_says_why_it_waited(world: World) -> None:
    world(approvals=[2])
    assert reasons_while_active(world, action="promote", version=None, steps=None) == {""}


def test_a_run_that_is_continued_no_longer_says_why_it_was_paused(world: World) -> None:
    world.shop.clock.at(17, asks(world, Action.PAUSE))
    assert ended(world)[0] == "paused"
    assert reasons_while_active(world) == {""}


def test_a_split_that_is_finished_by_hand_no_longer_says_that_it_stays(world: World) -> None:
    world(steps=[10, 50], promote=False)
    asked = "promotion asked for by ansible"
    assert reasons_while_active(world, action="promote", version=None, steps=None) == {asked}
    assert world.shop.journal()["reason"] == f"v2 is stable: {asked}"


def test_a_window_begins_when_counting_does(world: World) -> None:
    """And not before the hour in which the run waited for a person."""
    world(approvals=[2])
    world.shop.clock.sleep(3600)
    world(action="promote", version=None, steps=None)
    windows = world.shop.journal()["windows"]
    lasted = [(seconds_of(w["end"]) or 0) - (seconds_of(w["begin"]) or 0) for w in windows]
    assert max(lasted) < 11
    for window, seconds in zip(windows, lasted, strict=True):
        requests = window["counts"]["errors"][0] + window["counts"]["errors"][2]
        assert requests == pytest.approx(100 * seconds, abs=2)


# A VirtualService that a GitOps controller takes into its care.


def adopted(world: World) -> None:
    live = copy.deepcopy(world.shop.routes)
    live["metadata"].setdefault("labels", {})["argocd.argoproj.io/instance"] = "shop"
    world.shop.cluster.put(live)


def test_routes_that_a_gitops_controller_keeps_are_refused_before_the_first_write(world: World) -> None:
    through_reviews(world)
    adopted(world)
    with pytest.raises(RefusedError, match=r"kept in sync by argocd.*canary_gitops"):
        world(routes={"name": "reviews"})
    assert world.shop.journal() == {}
    assert "annotations" not in world.shop.routes["metadata"]


def test_routes_that_a_gitops_controller_adopts_in_mid_run_are_given_back(world: World) -> None:
    through_reviews(world)
    world.shop.clock.at(7, lambda: adopted(world))
    outcome, reason = ended(world, routes={"name": "reviews"})
    assert (outcome, world.shop.share()) == ("rolled_back", 0)
    assert "kept in sync by argocd" in reason


@pytest.mark.parametrize("action", ["rollback", "resume"])
def test_a_dead_run_in_routes_that_a_gitops_controller_has_adopted_is_withdrawn(
    world: World, action: str
) -> None:
    through_reviews(world)
    killed_at(world, lambda _journal: world.shop.share() == 50, routes={"name": "reviews"})
    adopted(world)
    given = RESUME if action == "resume" else {"action": "rollback", "version": None, "steps": None}
    world(**given)
    assert world.shop.share() == 0


def test_a_route_that_vanished_in_mid_run_ends_the_run(world: World) -> None:
    """The owner of the object has taken the service out of it."""
    through_reviews(world)

    def edit() -> None:
        live = copy.deepcopy(world.shop.routes)
        live["spec"]["http"] = [{"route": [{"destination": {"host": "other"}}]}]
        world.shop.cluster.put(live)

    once(world, lambda journal: journal.get("passed") == 1, edit)
    outcome, reason = ended(world, routes={"name": "reviews"})
    assert outcome == "rolled_back"
    assert "no route of VirtualService shop/reviews sends requests to subset v1" in reason
