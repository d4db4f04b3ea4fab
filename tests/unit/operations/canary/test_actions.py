"""Rollback, promotion and pause of runs that ended, wait, or have lost what the cluster knew of them."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    FencedError,
    MeshError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Action, Outcome
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    ReleaseRecord,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import actions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    fence_of,
)

from ...support.clock import FakeClock
from ...support.http_server import Answer, ScriptedServer
from ...support.mortal import KilledError
from .fakes import NAMESPACE, SERVICE, Switch
from .world import CATALOGUE, World

JOURNAL = ("ConfigMap", NAMESPACE, f"servicemesh-canary-{SERVICE}")
RECORD = ("ConfigMap", NAMESPACE, f"servicemesh-release-{SERVICE}")
KEY = f"{NAMESPACE}/{SERVICE}"
LEASE = ("Lease", NAMESPACE, f"servicemesh-canary-{SERVICE}")


def catalogue_with(*versions: str) -> dict[str, Any]:
    changed = copy.deepcopy(CATALOGUE)
    changed["mesh_services"][0]["versions"] = {name: {} for name in versions}
    changed["mesh_services"][0]["initial_version"] = versions[0]
    return changed


def record(world: World, **fields: Any) -> None:
    world.shop.cluster.put(
        release_object(ReleaseRecord(**fields), service=SERVICE, namespace=NAMESPACE, mesh_name="shop")
    )


def pods(world: World, **count: int) -> None:
    world.shop.pods.update(count)
    world.shop.set_pods()


def killed_at(world: World, reached: Callable[[dict[str, Any]], bool], **params: Any) -> None:
    """A run whose runner dies as soon as its journal says so, and whose Lease has run out."""

    def die() -> None:
        if reached(world.shop.journal()):
            raise KilledError

    world.client = Switch(world.shop.cluster, after_call=die)
    with pytest.raises(KilledError):
        world(**params)
    world.client = Switch(world.shop.cluster)
    world.shop.clock.sleep(31)


def promoting(journal: dict[str, Any]) -> bool:
    return bool(journal.get("state") == "promoting")


def in_phase(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda journal: journal.get("phase") == number and journal.get("step") == "watch"


# Behind stable


def test_rollback_after_a_withdrawn_version_stays_at_stable(world: World) -> None:
    record(world, stable="v1", previous="v0", weights={"v1": 100})
    world.shop.sick = 0.5
    with pytest.raises(MeshError, match="rolled_back"):
        world()
    for _turn in range(3):
        result = world(action="rollback")
        assert (result["outcome"], result["changed"]) == ("unchanged", False)
        assert "canary_behind_stable: true goes back to v0" in result["reason"]
    assert world.shop.record()["stable"] == "v1"


def test_behind_stable_needs_to_be_asked_for(world: World) -> None:
    record(world, stable="v2", previous="v1", weights={"v2": 100})
    world.shop.routes["spec"]["http"][-1]["route"] = [
        {"destination": {**world.shop.routes["spec"]["http"][-1]["route"][0]["destination"], "subset": "v2"}}
    ]
    assert world(action="rollback")["outcome"] == "unchanged"
    assert world(action="rollback", behind_stable=True)["outcome"] == "rolled_back"
    assert world.shop.record()["stable"] == "v1"
    assert world.shop.share() == 0


@pytest.mark.parametrize(
    "goes_on",
    [
        {"action": "resume", "service": None, "version": None, "steps": None, "orphans": "continue"},
        {"action": "promote", "version": None, "steps": None},
        {},
    ],
    ids=["resume", "promote", "run"],
)
def test_a_rollback_whose_runner_died_at_its_begin_is_no_rollout(
    world: World, goes_on: dict[str, Any]
) -> None:
    """Whoever goes on with it withdraws the version, and does not try it again."""
    world()
    back = {"action": "rollback", "version": None, "steps": None}
    killed_at(world, lambda journal: journal.get("kind") == "undo", **back)
    assert (world.shop.share(), world.shop.record()["stable"]) == (100, "v2")
    with contextlib.suppress(MeshError):
        world(**goes_on)
    assert (world.shop.share(), world.shop.record()["stable"]) == (0, "v1")
    journal = world.shop.journal()
    assert (journal["outcome"], journal["reason"]) == (
        "rolled_back",
        "asked for by ansible after the end of v2's rollout",
    )


def test_without_routes_nothing_is_taken_back_and_nothing_written(world: World) -> None:
    assert world()["outcome"] == "promoted"
    world.shop.cluster.remove("VirtualService", world.shop.routes["metadata"]["name"], NAMESPACE)
    writes = len(world.shop.cluster.writes)
    with pytest.raises(
        RefusedError, match=r"nothing was written: VirtualService .* does not exist: apply the mesh"
    ):
        world(action="rollback")
    assert len(world.shop.cluster.writes) == writes


def test_only_the_last_promotion_is_taken_back(world: World) -> None:
    world()
    world.shop.cluster.objects[RECORD]["data"]["record"] = json.dumps(
        {**world.shop.record(), "previous": "v0"}
    )
    assert world(action="rollback")["outcome"] == "unchanged"
    assert world.shop.share() == 100


@pytest.mark.parametrize(
    "spoiled", ["{", "[]", json.dumps({"schema": 1, "stable": "v1", "weights": {"v1": 7}})]
)
@pytest.mark.parametrize(("sick", "stable", "share"), [(0.0, "v2", 100), (0.3, "v1", 0)])
def test_a_record_that_is_spoiled_in_mid_run_is_whole_at_its_end(
    world: World, spoiled: str, sick: float, stable: str, share: int
) -> None:
    assert world()["outcome"] == "promoted"
    assert world(action="rollback")["outcome"] == "rolled_back"
    world.shop.sick = sick
    world.shop.clock.at(17, lambda: world.shop.cluster.objects[RECORD]["data"].update(record=spoiled))
    with contextlib.nullcontext() if not sick else pytest.raises(MeshError, match="rolled_back"):
        world()
    assert (world.shop.record()["stable"], world.shop.share()) == (stable, share)
    assert world.shop.lease()["holderIdentity"] == ""


def test_a_record_of_a_later_version_is_not_written_over(world: World) -> None:
    assert world()["outcome"] == "promoted"
    assert world(action="rollback")["outcome"] == "rolled_back"
    later = json.dumps({"schema": 2, "fence": 99})
    world.shop.clock.at(17, lambda: world.shop.cluster.objects[RECORD]["data"].update(record=later))
    with pytest.raises(FencedError, match="a newer run has written a newer release record"):
        world()
    assert world.shop.cluster.objects[RECORD]["data"]["record"] == later


# The journal decides


def test_check_mode_says_that_a_run_would_be_continued_and_leaves_it_where_it_is(world: World) -> None:
    killed_at(world, in_phase(2))
    before, writes = world.shop.journal(), len(world.shop.cluster.writes)
    result = world(check=True)
    assert (result["changed"], result["outcome"]) == (True, "planned")
    assert result["reason"] == f"would continue run {before['run']}"
    assert (world.shop.journal(), len(world.shop.cluster.writes)) == (before, writes)
    assert world()["outcome"] == "promoted"


def test_a_split_that_was_asked_for_is_not_promoted_by_whoever_resumes_it(world: World) -> None:
    killed_at(world, promoting, steps=[10, 50], promote=False)
    world(action="resume", service=None, version=None, steps=None)
    assert world.shop.journal()["outcome"] == "split"
    assert world.shop.share() == 50


def test_approvals_hold_although_the_later_call_does_not_name_them(world: World) -> None:
    assert world(approvals=[2, 3])["outcome"] == "awaiting_approval"
    assert world(action="promote", version=None, steps=None)["outcome"] == "awaiting_approval"
    assert world.shop.share() == 50
    assert world(action="promote", version=None, steps=None)["outcome"] == "promoted"


def foreign(world: World) -> dict[str, Any]:
    host = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
    return world.shop.cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "reviews", "namespace": NAMESPACE},
            "spec": {"http": [{"route": [{"destination": {"host": host, "subset": "v1"}}]}]},
        }
    )


@pytest.mark.parametrize("action", ["resume", "rollback"])
def test_the_routes_of_a_run_are_those_that_it_began_with(world: World, action: str) -> None:
    foreign(world)
    key = ("VirtualService", NAMESPACE, "reviews")
    own = world.shop.cluster.objects.pop(("VirtualService", NAMESPACE, f"{SERVICE}-routes"))
    assert own
    world.shop.follow("reviews")
    killed_at(world, lambda journal: journal.get("phase") == 2, routes={"name": "reviews"})
    shares = world.shop.split.splits(world.shop.cluster.objects[key])
    assert shares[0]["v2"] in (10, 50)
    world(action=action, version=None)
    assert world.shop.split.splits(world.shop.cluster.objects[key]) == [{"v1": 100}]
    assert ("VirtualService", NAMESPACE, f"{SERVICE}-routes") not in world.shop.cluster.objects


def test_a_promotion_of_foreign_routes_is_taken_back_there(world: World) -> None:
    foreign(world)
    del world.shop.cluster.objects["VirtualService", NAMESPACE, f"{SERVICE}-routes"]
    # the shop's proxies and metrics follow the foreign routes
    world.shop.follow("reviews")
    assert world(routes={"name": "reviews"})["outcome"] == "promoted"
    assert world(action="rollback", version=None)["outcome"] == "rolled_back"
    assert world.shop.share() == 0
    assert ("VirtualService", NAMESPACE, f"{SERVICE}-routes") not in world.shop.cluster.objects


def test_testers_are_known_to_whoever_continues(world: World) -> None:
    testers = {"header": "x-t", "value": "1", "duration": 20}
    killed_at(world, in_phase(1), testers=testers)
    world(action="resume", service=None, version=None, orphans="continue")
    assert world.shop.journal()["outcome"] == "promoted"


def test_policies_of_the_run_are_kept(world: World) -> None:
    killed_at(world, in_phase(2), mtls="require", low_traffic="promote_with_warning", phase_deadline=77)
    settings = world.shop.journal()["settings"]
    assert (settings["mtls"], settings["low_traffic"], settings["phase_deadline"]) == (
        "require",
        "promote_with_warning",
        77.0,
    )
    world.shop.mtls = "fail"
    with pytest.raises(MeshError, match="mutual TLS"):
        world(mtls="off")


# What somebody deleted


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_share_whose_journal_was_deleted_is_given_back(world: World, phase: int) -> None:
    killed_at(world, in_phase(phase))
    del world.shop.cluster.objects[JOURNAL]
    assert world.shop.share() > 0
    result = world(action="rollback", version=None)
    if phase == 3:  # nothing is left that tells this from a promotion long ago
        assert "neither a journal nor a release record" in result["reason"]
        assert world(action="resume", service=None, version=None)["services"][KEY]["outcome"] == "released"
        assert world.shop.share() == 100
        result = world(action="rollback", version=None, behind_stable=True)
    assert result["outcome"] == "rolled_back"
    assert world.shop.share() == 0


def test_a_waiting_run_whose_journal_was_deleted_is_cleaned_up_by_the_schedule(world: World) -> None:
    world(approvals=[2])
    del world.shop.cluster.objects[JOURNAL]
    assert world(action="resume", service=None, version=None, check=True)["changed"]
    result = world(action="resume", service=None, version=None)
    assert result["services"][KEY]["outcome"] == "rolled_back"
    assert world.shop.share() == 0
    assert world(action="resume", service=None, version=None)["services"] == {}


def test_a_share_that_a_person_wrote_is_left_to_role_mesh(world: World) -> None:
    route = world.shop.routes["spec"]["http"][-1]
    host = route["route"][0]["destination"]
    route["route"] = [
        {"destination": {**host, "subset": "v1"}, "weight": 70},
        {"destination": {**host, "subset": "v2"}, "weight": 30},
    ]
    assert world(action="resume", service=None, version=None)["services"] == {}
    assert world.shop.share() == 30


@pytest.mark.parametrize("gone", [LEASE, JOURNAL, RECORD])
@pytest.mark.parametrize("first", ["promoted", "waiting", "rolled_back"])
def test_no_object_that_is_deleted_by_hand_locks_a_service(
    world: World, gone: tuple[str, str, str], first: str
) -> None:
    if first == "rolled_back":
        world.shop.sick = 0.5
        with pytest.raises(MeshError):
            world()
        world.shop.sick = 0.0
    else:
        world(approvals=[2] if first == "waiting" else [])
    world.shop.cluster.objects.pop(gone, None)
    before = fence_of(world.shop.routes)
    world(action="rollback", version=None)
    if world.shop.share() == 0:
        assert world()["outcome"] == "promoted"
        assert fence_of(world.shop.routes) > before
    assert int(world.shop.lease()["leaseTransitions"]) >= fence_of(world.shop.routes)


def test_after_the_lease_was_deleted_a_new_run_can_write(world: World) -> None:
    world()
    world(action="rollback", version=None)
    del world.shop.cluster.objects[LEASE]
    assert world()["outcome"] == "promoted"


def test_a_run_whose_lease_is_deleted_goes_on(world: World) -> None:
    world.shop.clock.at(7, lambda: world.shop.cluster.objects.pop(LEASE) and None)
    assert world()["outcome"] == "promoted"


# Versions that the catalogue has no more


@pytest.mark.parametrize("action", ["rollback", "resume"])
@pytest.mark.parametrize("left", [("v1",), ("v1", "v2b")])
def test_a_version_that_was_removed_in_mid_run_can_be_withdrawn(
    world: World, action: str, left: tuple[str, ...]
) -> None:
    killed_at(world, in_phase(2))
    world(action=action, version=None, catalogue=catalogue_with(*left))
    assert world.shop.journal()["outcome"] == "rolled_back"
    assert world.shop.share() == 0


def test_a_version_that_was_removed_is_not_promoted(world: World) -> None:
    world(approvals=[2])
    with pytest.raises(RefusedError, match="has no v2 any more") as raised:
        world(action="promote", version=None, catalogue=catalogue_with("v1", "v3"))
    assert "put it back" in str(raised.value)
    assert world.shop.share() == 10


def test_a_stable_version_that_was_removed_is_named(world: World) -> None:
    record(world, stable="v0", weights={"v0": 100})
    with pytest.raises(RefusedError, match="has no v0 any more"):
        world()
    world.shop.cluster.objects.pop(RECORD)
    world()
    record(world, stable="v2", previous="v0", weights={"v2": 100})
    with pytest.raises(RefusedError, match="has no v0 any more"):
        world(action="rollback", version=None, behind_stable=True)


# Splits and holds


def split(world: World) -> None:
    assert world(steps=[10, 50], promote=False)["outcome"] == "split"
    assert world.shop.share() == 50


def test_a_split_is_continued_upward(world: World) -> None:
    split(world)
    seen: list[float] = []
    world.progress = lambda _line: seen.append(world.shop.share())
    assert world()["outcome"] == "promoted"
    assert min(seen) == 50
    assert [proof["weights"]["v2"] for proof in world.shop.journal()["proofs"]] == [50, 100, 100]


def test_an_approval_stays_with_its_step_when_a_split_is_continued_upward(world: World) -> None:
    split(world)
    assert world(approvals=[3])["outcome"] == "awaiting_approval"
    assert (world.shop.share(), world.shop.journal()["reason"]) == (
        50,
        "phase 2/weight 100 % awaits approval",
    )
    assert world(action="promote", version=None)["outcome"] == "promoted"


def test_a_gate_stays_with_its_step_when_a_split_is_continued_upward(world: World) -> None:
    split(world)
    with ScriptedServer(always=Answer(403)) as server:
        gate = {"name": "board", "url": f"{server.url}/", "when": "confirm-traffic-increase", "phases": [3]}
        with pytest.raises(MeshError, match="gate board"):
            world(gates=[{**gate, "on_fail": "rollback"}])
        assert world.shop.share() == 0, "it was asked before 100 %, and not before 50 %"
        assert [proof["weights"]["v2"] for proof in world.shop.journal()["proofs"]] == [50, 0]


def test_an_approval_is_one_of_the_image_that_it_was_given_for(world: World) -> None:
    """While the run waits, or later, somebody pushes another image: nobody has approved that one."""
    assert world(approvals=[2])["outcome"] == "awaiting_approval"
    world.shop.template["v2"] = "ccc"
    world.shop.set_pods()
    assert world(action="promote", version=None)["outcome"] == "awaiting_approval"
    assert (world.shop.share(), world.shop.journal()["restarts"]) == (10, 1)
    assert world(action="promote", version=None)["outcome"] == "promoted"


def test_a_split_of_everything_is_no_promotion(world: World) -> None:
    """The stable version keeps its name until somebody promotes the other one."""
    assert world(promote=False)["outcome"] == "split"
    record = world.shop.record()
    assert (world.shop.share(), record["stable"], record["weights"]) == (100, "v1", {"v2": 100})
    assert world(action="promote", version=None, steps=None)["outcome"] == "promoted"
    assert world.shop.record()["stable"] == "v2"


def test_who_rolls_the_stable_version_out_hears_of_a_share_beside_it(world: World) -> None:
    world(steps=[10, 50], promote=False)
    result = world(version="v1")
    assert (result["outcome"], world.shop.share()) == ("unchanged", 50)
    left = "v2 has 50 percent, which canary_rollback gives back"
    assert result["reason"] == f"v1 is already stable (release record); {left}"


def test_a_split_that_no_step_goes_beyond_is_refused(world: World) -> None:
    split(world)
    with pytest.raises(RefusedError, match="has 50 percent already"):
        world(steps=[10, 25], promote=False)


def test_a_split_is_promoted_by_a_person(world: World) -> None:
    split(world)
    assert world(action="promote", version=None)["outcome"] == "promoted"
    assert (world.shop.share(), world.shop.record()["stable"]) == (100, "v2")
    assert world(action="rollback", version=None)["outcome"] == "rolled_back"
    assert (world.shop.share(), world.shop.record()["stable"]) == (0, "v1")


def test_a_third_version_does_not_take_the_share_of_a_split(world: World) -> None:
    split(world)
    with pytest.raises(RefusedError, match="v2 holds 50 percent beside v1: give them back"):
        world(version="v3", catalogue=catalogue_with("v1", "v2", "v3"))
    assert world.shop.share() == 50


def held(world: World, *, sick: float = 0.0, rate: float = 5.0) -> None:
    """A run that was held at 10 % because its stable version is gone."""
    world.shop.rate, world.shop.sick = rate, sick
    world.shop.clock.at(2, lambda: pods(world, v1=0))
    with pytest.raises(MeshError, match="held_at_split"):
        world()
    assert world.shop.share() == 10
    world.shop.rate = 100.0


@pytest.mark.parametrize("sick", [0.0, 1.0])
def test_a_held_run_is_given_back_once_stable_is_ready(world: World, sick: float) -> None:
    held(world, sick=sick)
    with pytest.raises(MeshError, match="the split stays at v1 90 %, v2 10 %"):
        world(action="resume", service=None, version=None)
    assert world.shop.share() == 10
    pods(world, v1=1)
    result = world(action="resume", service=None, version=None)
    assert result["services"][KEY]["outcome"] == "rolled_back"
    assert result["services"][KEY]["reason"].startswith("v1 is ready again, after run ")
    assert (world.shop.share(), world.shop.record()["weights"]) == (0, {"v1": 100})
    assert world(action="resume", service=None, version=None)["services"] == {}


def test_a_run_that_was_held_for_a_sick_stable_version_is_given_back_once_that_is_well(world: World) -> None:
    world.shop.sick = 0.3
    world.shop.clock.at(2, lambda: setattr(world.shop, "stable_sick", 0.6))
    with pytest.raises(MeshError, match="held_at_split"):
        world()
    resume = {"action": "resume", "service": None, "version": None}
    with pytest.raises(MeshError, match="held_at_split"):
        world(**resume)
    world.shop.stable_sick = 0.0
    foreseen, done = (world(check=check, **resume)["services"][KEY] for check in (True, False))
    assert foreseen["reason"] == "would go back to v1, which is well again"
    assert done["outcome"] == "rolled_back"
    assert done["reason"].startswith("v1 is well again, after run ")
    assert world.shop.share() == 0


def test_a_held_run_whose_record_was_deleted_is_still_held(world: World) -> None:
    held(world)
    del world.shop.cluster.objects[RECORD]
    with pytest.raises(MeshError, match="the split stays at v1 90 %, v2 10 %"):
        world(action="resume", service=None, version=None)
    pods(world, v1=1)
    result = world(action="resume", service=None, version=None)
    assert result["services"][KEY]["outcome"] == "rolled_back"
    assert (world.shop.share(), world.shop.record()["weights"]) == (0, {"v1": 100})


def test_a_held_run_is_continued_once_stable_is_ready(world: World) -> None:
    held(world)
    pods(world, v1=1)
    assert world()["outcome"] == "promoted"


def test_a_held_run_whose_stable_version_is_gone_is_finished_by_a_person(world: World) -> None:
    held(world)
    with pytest.raises(RefusedError, match="canary_promote"):
        world(action="rollback", version=None)
    with pytest.raises(RefusedError, match="no ready endpoint: v1"):
        world()
    assert world(action="promote", version=None)["outcome"] == "promoted"
    assert (world.shop.share(), world.shop.record()["stable"]) == (100, "v2")


def test_a_held_run_without_an_endpoint_is_not_promoted(world: World) -> None:
    held(world)
    pods(world, v2=0)
    with pytest.raises(RefusedError, match="no ready endpoint: v2"):
        world(action="promote", version=None)
    assert world.shop.lease()["holderIdentity"] == ""


def test_a_stable_version_that_is_gone_can_be_replaced(world: World) -> None:
    pods(world, v1=0)
    with pytest.raises(RefusedError, match="no ready endpoint: v1"):
        world()
    assert world(sick_stable=True)["outcome"] == "promoted"
    assert world.shop.record()["stable"] == "v2"


# Nobody stops the others


def test_an_unreadable_journal_stops_no_other_service(world: World) -> None:
    killed_at(world, in_phase(2))
    other = copy.deepcopy(CATALOGUE)
    other["mesh_services"].insert(0, {**copy.deepcopy(other["mesh_services"][0]), "name": "cart"})
    name = "servicemesh-canary-cart"
    world.shop.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {"journal": "{"},
        }
    )
    unreadable = f"{NAMESPACE}/cart: error: ConfigMap {name} holds no readable"
    with pytest.raises(MeshError, match=unreadable) as raised:
        world(action="resume", service=None, version=None, catalogue=other)
    services = raised.value.details["services"]
    assert services[KEY]["outcome"] == "rolled_back"
    assert world.shop.share() == 0


def test_a_run_whose_service_left_the_catalogue_is_told_and_waits_for_it(world: World) -> None:
    killed_at(world, in_phase(2))
    without = copy.deepcopy(CATALOGUE)
    del without["mesh_services"][0]
    resume = {"action": "resume", "service": None, "version": None, "steps": None}
    said = f"{KEY}: error: run [0-9a-f]+ of v2 is running, but the catalogue has no such service"
    with pytest.raises(MeshError, match=said) as raised:
        world(catalogue=without, **resume)
    assert raised.value.details["counts"] == {"looked_at": 2, "resumed": 1}
    assert world.shop.share() == 50
    world.shop.cluster.fail("list", "ConfigMap", 403)
    assert world(catalogue=without, **resume)["services"] == {}, "who may not list is not told"
    assert world(**resume)["services"][KEY]["outcome"] == "rolled_back"
    assert world(catalogue=without, **resume)["services"] == {}


def test_a_resume_that_ends_badly_fails(world: World) -> None:
    killed_at(world, in_phase(2))
    pods(world, v1=0)
    with pytest.raises(MeshError, match="held_at_split"):
        world(action="resume", service=None, version=None)


# Runs that wait


def test_a_waiting_run_whose_pods_are_gone_is_withdrawn(world: World) -> None:
    world(approvals=[2])
    pods(world, v2=0)
    with pytest.raises(MeshError, match="while the run waited: v2 has 0 of 1 pods ready"):
        world(action="resume", service=None, version=None)
    assert world.shop.share() == 0


@pytest.mark.parametrize(
    "early",
    [
        {"testers": {"header": "x-t", "duration": 30}},
        {"mirror": {"percent": 20, "duration": 30}},
        {"dark": 30},
    ],
    ids=lambda early: str(*early),
)
def test_a_run_that_waits_in_an_early_phase_is_watched_too(world: World, early: dict[str, Any]) -> None:
    """Testers get their version from no pods; one that nobody is sent to hurts nobody."""
    world.shop.clock.at(2, lambda: world.shop.person().ask(Action.PAUSE, "ops"))
    assert world(**early)["outcome"] == "paused"
    pods(world, v2=0)
    if "dark" in early:
        assert world(action="resume", service=None, version=None)["services"] == {}
        return
    with pytest.raises(MeshError, match="while the run waited: v2 has 0 of 1 pods ready"):
        world(action="resume", service=None, version=None)
    assert [route["name"] for route in world.shop.routes["spec"]["http"]] == ["split"]


def test_who_pauses_a_run_that_waits_hears_what_it_waits_for(world: World) -> None:
    world(approvals=[2])
    result = world(action="pause", version=None, steps=None)
    assert (result["outcome"], result["changed"]) == ("unchanged", False)
    assert result["reason"] == f"run {result['run']} waits: phase 2/weight 50 % awaits approval"


def test_a_dead_runner_cannot_be_paused(world: World) -> None:
    killed_at(world, lambda journal: journal.get("step") == "weights")
    with pytest.raises(RefusedError) as refused:
        world(action="pause", version=None, steps=None)
    run = world.shop.journal()["run"]
    assert refused.value.message == f"the runner of {run} does not answer: resume or roll back the rollout"


def test_a_rollback_cannot_be_paused(world: World) -> None:
    world.shop.sick = 0.5
    killed_at(world, lambda journal: journal.get("state") == "rolling_back")
    with pytest.raises(RefusedError, match=r"is rolling_back, which cannot be paused: errors: .* failed"):
        world(action="pause", version=None, steps=None)


def test_a_waiting_run_that_falls_ill_is_withdrawn(world: World) -> None:
    world(approvals=[2])
    world.shop.clock.sleep(60)
    assert world(action="resume", service=None, version=None)["services"] == {}
    world.shop.sick = 0.5
    with pytest.raises(MeshError, match=r"while the run waited: errors: .* canary requests failed"):
        world(action="resume", service=None, version=None)
    assert world.shop.share() == 0


def test_a_waiting_run_that_cannot_be_measured_is_left_alone(world: World) -> None:
    world(approvals=[2])
    world.shop.clock.sleep(60)
    world.shop.blind = True
    assert world(action="resume", service=None, version=None)["services"] == {}
    assert world(action="resume", service=None, version=None, prometheus=None)["services"] == {}
    assert world.shop.share() == 10


def test_a_waiting_run_whose_pods_blink_is_left_alone(world: World) -> None:
    world(approvals=[2])
    pods(world, v2=0)
    world.shop.clock.at(3, lambda: pods(world, v2=1))
    assert world(action="resume", service=None, version=None)["services"] == {}
    assert world.shop.share() == 10


@pytest.mark.parametrize(
    ("sizes", "scale", "seconds"),
    [
        ({}, None, 180),
        ({}, SimpleNamespace(delay=30.0, drain=600.0), 180),
        ({"v1": 4}, None, 180 + 60 + 90),
        ({"v1": 4}, SimpleNamespace(delay=30.0, drain=600.0), 180 + 60 + 90 + 600),
        ({"v1": 4}, SimpleNamespace(delay=700.0, drain=600.0), 180 + 60 + 90 + 700),
    ],
)
def test_the_end_of_a_run_is_awaited_as_long_as_its_sizes_need(
    sizes: dict[str, int], scale: Any, seconds: float
) -> None:
    """Three minutes, and where it gives sizes: pods that become ready, an autoscaler, streams that end."""
    clock = FakeClock()
    began = clock.monotonic()
    lasting = SimpleNamespace(
        run="7", sizes=sizes, state=SimpleNamespace(active=True), step=SimpleNamespace(value="watch")
    )
    options = SimpleNamespace(ready_timeout=60.0, scale=scale)
    builder = SimpleNamespace(
        clock=clock,
        store=SimpleNamespace(refresh=lambda: lasting),
        of_run=lambda _journal: SimpleNamespace(options=options),
    )
    with pytest.raises(WaitTimeout, match="the end of run 7, which took the request"):
        actions._await_end(builder, lasting)
    assert clock.monotonic() - began == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.ROLLED_BACK, "pass"), (Outcome.HELD_AT_SPLIT, "fail"), (Outcome.PROMOTED, "fail")],
)
def test_what_a_live_runner_made_of_a_request_is_judged_by_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, status: str
) -> None:
    monkeypatch.setattr(actions, "summary", lambda _builder, **told: told)
    journal = SimpleNamespace(
        run="7",
        sizes={},
        state=SimpleNamespace(active=False),
        outcome=outcome,
        reason="asked for",
        step=SimpleNamespace(value="end"),
    )
    builder = SimpleNamespace(
        clock=FakeClock(),
        store=SimpleNamespace(refresh=lambda: journal, current=journal),
        of_run=lambda _journal: SimpleNamespace(options=SimpleNamespace(ready_timeout=60.0, scale=None)),
    )
    told = actions._await_end(builder, journal, well=(Outcome.ROLLED_BACK,))
    assert told == {"outcome": outcome.value, "reason": "asked for", "changed": True, "status": status}
