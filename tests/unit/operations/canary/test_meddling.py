"""What others do to a rollout while it runs: deploy, patch, forbid, share its objects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Action
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    ForeignRoutes,
)

from .fakes import NAMESPACE, SERVICE, Shop, Switch
from .scenarios import Scenario, deadman_account, through_reviews, with_both
from .trials import Trial
from .world import World

HOST = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
CART = f"cart.{NAMESPACE}.svc.cluster.local"


def ended(world: World, **params: Any) -> tuple[str, str]:
    """:returns: outcome and reason of a run."""
    try:
        result = world(**params)
    except MeshError as error:
        result = error.details
    return result.get("outcome", ""), result.get("reason", "")


def once(world: World, reached: Callable[[dict[str, Any]], bool], act: Callable[[], None]) -> None:
    """Acts after the first call after which the journal says so."""
    done: list[bool] = []

    def look() -> None:
        if not done and reached(world.shop.journal()):
            done.append(True)
            act()

    world.client = Switch(world.shop.cluster, after_call=look)


def new_image(world: World) -> Callable[[], None]:
    def act() -> None:
        world.shop.template["v2"] = "ccc"
        world.shop.set_pods()

    return act


# The canary's image.


def test_an_image_that_comes_after_the_last_look_is_not_promoted_unseen(world: World) -> None:
    once(world, lambda journal: journal.get("passed") == 3, new_image(world))
    assert ended(world)[0] == "promoted"
    journal = world.shop.journal()
    assert (journal["restarts"], journal["templates"]) == (1, ["ccc"])
    assert {window["phase"] for window in journal["windows"]} == {1, 2, 3}, "seen anew"


def test_a_sick_image_that_comes_after_the_last_look_is_withdrawn(world: World) -> None:
    def act() -> None:
        new_image(world)()
        world.shop.sick = 0.3

    once(world, lambda journal: journal.get("passed") == 3, act)
    assert ended(world)[0] == "rolled_back"
    assert world.shop.share() == 0


def test_a_person_promotes_what_is_there(world: World) -> None:
    """Also an image that came since the last look: a person decides."""

    def act() -> None:
        new_image(world)()
        world.shop.person().ask(Action.PROMOTE, "ops")

    once(world, lambda journal: journal.get("passed") == 1, act)
    assert ended(world)[0] == "promoted"
    assert world.shop.journal()["restarts"] == 0


def test_a_promotion_that_meets_another_image_is_one_by_the_gates(world: World) -> None:
    """A person asked for what was there; of what is promoted in the end nobody has said so."""
    acts = {1: lambda: world.shop.person().ask(Action.PROMOTE, "ops"), 3: new_image(world)}

    def look() -> None:
        act = acts.pop(world.shop.journal().get("passed"), None)
        if act:
            act()

    world.client = Switch(world.shop.cluster, after_call=look)
    assert ended(world) == ("promoted", "v2 is stable")
    assert world.shop.journal()["restarts"] == 1


def rolling_update(world: World) -> None:
    """A pod of the next revision beside that of the last one."""
    cluster = world.shop.cluster
    pod = copy.deepcopy(cluster.find("Pod", f"{SERVICE}-v2-bbb-0", NAMESPACE))
    endpoints = cluster.find("EndpointSlice", f"{SERVICE}-1", NAMESPACE)
    assert pod and endpoints
    pod["metadata"]["name"] = f"{SERVICE}-v2-ccc-0"
    pod["metadata"]["labels"]["pod-template-hash"] = "ccc"
    cluster.put(pod)
    more = {"targetRef": {"name": pod["metadata"]["name"]}, "conditions": {"ready": True}}
    cluster.put({**endpoints, "endpoints": [*endpoints["endpoints"], more]})


def test_a_rolling_update_is_waited_for_before_the_first_request(world: World) -> None:
    rolling_update(world)
    moved: list[float] = []
    began = world.shop.clock.now()
    world.shop.clock.at(25, new_image(world))
    once(world, lambda _journal: world.shop.share() > 0, lambda: moved.append(world.shop.clock.now()))
    assert ended(world)[0] == "promoted"
    assert moved[0] >= began + 25
    assert (world.shop.journal()["restarts"], world.shop.journal()["templates"]) == (0, ["ccc"])


def test_a_rolling_update_that_is_stuck_is_no_version(world: World) -> None:
    rolling_update(world)
    assert ended(world) == ("rolled_back", "v2 has pods of 2 revisions, after 120 s")
    assert world.shop.share() == 0


# Whoever else writes, and whoever forbids it.


def stolen_by_a_controller(world: World) -> None:
    """A GitOps controller takes the routes over (server-side apply with force)."""
    routes = copy.deepcopy(world.shop.routes)
    parts = [
        {"destination": {"host": HOST, "subset": name}, "weight": weight}
        for name, weight in (("v1", 70), ("v2", 30))
    ]
    for route in routes["spec"]["http"]:
        route["route"] = parts
    metadata = {"name": routes["metadata"]["name"], "namespace": NAMESPACE}
    theirs = {**routes, "metadata": metadata}
    world.shop.cluster.apply(theirs, field_manager="argocd-controller", force=True)


def test_a_controller_that_takes_the_routes_ends_the_run_at_stable_and_at_once(world: World) -> None:
    world.shop.clock.at(17, lambda: stolen_by_a_controller(world))
    began = world.shop.clock.now()
    outcome, reason = ended(world)
    assert (outcome, world.shop.share()) == ("rolled_back", 0)
    assert "argocd-controller" in reason
    assert "API server failed" not in reason
    assert world.shop.clock.now() - began < 60
    assert world.shop.record()["weights"] == {"v1": 100}


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_policy_that_refuses_the_next_phase_ends_the_run_at_stable(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    cluster = world.shop.cluster
    apply = cluster.apply

    def policed(obj: Any, **more: Any) -> Any:
        if obj["kind"] == "VirtualService" and world.shop.split.canary_share(obj) == 50:
            raise ApiError("admission webhook denied the request: no more than 20 %", status=status)
        return apply(obj, **more)

    monkeypatch.setattr(cluster, "apply", policed)
    outcome, reason = ended(world)
    assert (outcome, world.shop.share()) == ("rolled_back", 0)
    assert "no more than 20 %" in reason
    assert world.shop.lease()["holderIdentity"] == ""


def test_a_policy_that_refuses_every_write_is_told_and_waited_for_by_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def policed(obj: Any, **_more: Any) -> Any:
        raise ApiError("admission webhook denied the request", status=400)

    world.shop.clock.at(7, lambda: monkeypatch.setattr(world.shop.cluster, "apply", policed))
    began = world.shop.clock.now()
    with pytest.raises(ApiError, match="admission webhook denied"):
        world()
    assert world.shop.clock.now() - began < 30
    assert world.shop.share() == 10


@pytest.mark.parametrize("kind", ["ConfigMap", "VirtualService"])
def test_a_run_that_cannot_begin_leaves_no_lease(world: World, kind: str) -> None:
    """A quota, or a right that the preflight could not ask about."""
    world.shop.cluster.fail("create" if kind == "ConfigMap" else "apply", kind, 403)
    with pytest.raises(ApiError):
        world()
    assert world.shop.lease()["holderIdentity"] == ""
    began = world.shop.clock.now()
    assert ended(world)[0] == "promoted"
    assert world.shop.clock.now() - began < 60


# A VirtualService that routes two services.


def shared(world: World) -> None:
    """The team's own object, which routes another service as well: half of that one goes to its own v2."""
    through_reviews(world)
    routes = copy.deepcopy(world.shop.routes)
    routes["spec"]["http"].append(
        {"name": "cart", "match": [{"uri": {"prefix": "/cart"}}], "route": cart(50)}
    )
    world.shop.cluster.put(routes)


def cart(share: int) -> list[dict[str, Any]]:
    return [
        {"destination": {"host": CART, "subset": name}, "weight": weight}
        for name, weight in (("v1", 100 - share), ("v2", share))
    ]


@pytest.mark.parametrize("sick", [0.0, 0.3])
def test_the_rollout_of_another_service_in_the_same_object_keeps_what_it_writes(
    world: World, sick: float
) -> None:
    shared(world)
    world.shop.sick, world.shop.sick_from = sick, 50

    def rolled_back() -> None:
        routes = copy.deepcopy(world.shop.routes)
        routes["spec"]["http"][1]["route"] = cart(0)
        routes["metadata"].setdefault("annotations", {})[f"cart.{NAMESPACE}.servicemesh.istio/fence"] = "7"
        world.shop.cluster.put(routes)

    world.shop.clock.at(12, rolled_back)
    outcome, _reason = ended(world, routes={"name": "reviews"})
    assert outcome == ("rolled_back" if sick else "promoted")
    assert world.shop.routes["spec"]["http"][1]["route"] == cart(0)
    assert world.shop.routes["metadata"]["annotations"][f"cart.{NAMESPACE}.servicemesh.istio/fence"] == "7"


def part(host: str, subset: str, weight: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"destination": {"host": host, "subset": subset}}
    return found if weight is None else {**found, "weight": weight}


@pytest.mark.parametrize("added", [False, True])
def test_a_route_that_its_owner_moves_in_mid_run_gets_its_own_destinations_back(added: bool) -> None:
    shop = Shop()
    beta = {"name": "beta", "match": [{"headers": {"x": {"exact": "1"}}}], "route": [part(HOST, "v2")]}
    feed = {"name": "feed", "match": [{"uri": {"prefix": "/rss"}}], "route": [part(HOST, "v1")]}
    rest = {"route": [part(HOST, "v1")]}
    more = [{"name": "new", "match": [{"uri": {"prefix": "/n"}}], "route": [part(CART, "v1")]}] * added
    metadata = {"name": "reviews", "namespace": NAMESPACE}
    made = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata}
    shop.cluster.put({**made, "spec": {"http": [beta, feed, rest]}})
    routes = ForeignRoutes(Switch(shop.cluster), "reviews", NAMESPACE, shop.split)
    routes.restore(routes.snapshot())
    routes.write(TrafficState({"v1": 50, "v2": 50}), 1)
    live = shop.cluster.peek("VirtualService", "reviews")
    assert live
    beta_now, feed_now, rest_now = live["spec"]["http"]
    shop.cluster.put({**live, "spec": {"http": [*more, feed_now, beta_now, rest_now]}})
    routes.write(TrafficState({"v1": 100, "v2": 0}), 1)
    live = shop.cluster.peek("VirtualService", "reviews")
    assert live
    assert live["spec"]["http"] == [*more, feed, beta, rest]


@pytest.mark.parametrize("moved", [False, True])
def test_two_rollouts_in_one_route_keep_each_other_s_part(moved: bool) -> None:
    """A route that sends a fifth of its requests to another service, whose own rollout moves them."""
    shop = Shop()
    before = [part(HOST, "v1", 80), part(CART, "v1", 10), part(CART, "v2", 10)]
    theirs = [part(CART, "v1", 20)] if moved else before[1:]
    metadata = {"name": "reviews", "namespace": NAMESPACE}
    made = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata}
    shop.cluster.put({**made, "spec": {"http": [{"route": before}]}})
    routes = ForeignRoutes(Switch(shop.cluster), "reviews", NAMESPACE, shop.split)
    routes.restore(routes.snapshot())
    routes.write(TrafficState({"v1": 50, "v2": 50}), 1)
    live = shop.cluster.peek("VirtualService", "reviews")
    assert live
    ours = [part(HOST, "v1", 40), part(HOST, "v2", 40)]
    assert live["spec"]["http"][0]["route"] == [*ours, *before[1:]]
    shop.cluster.put({**live, "spec": {"http": [{"route": [*ours, *theirs]}]}})
    routes.write(TrafficState({"v1": 100, "v2": 0}), 1)
    live = shop.cluster.peek("VirtualService", "reviews")
    assert live
    left = [item for item in live["spec"]["http"][0]["route"] if item["weight"]]
    assert left == [part(HOST, "v1", 80), *theirs]


def test_a_deadman_leaves_the_routes_of_other_services_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    trial = Trial(
        Scenario(
            "shared",
            frozenset(),
            with_both(shared, deadman_account),
            params={"routes": {"name": "reviews"}, "deadman": "job"},
        ),
        monkeypatch,
        tmp_path,
    )
    shop = trial.shop

    def die() -> None:
        if shop.share() == 50 and not trial.switch.dead:
            trial.switch.dead = True
            routes = copy.deepcopy(shop.routes)
            routes["spec"]["http"][1]["route"] = cart(20)
            shop.cluster.put(routes)

    trial.switch.after_call = die
    trial.begin()
    assert shop.share() == 50
    shop.clock.sleep(31)
    trial.deadman()
    assert shop.share() == 0
    assert shop.routes["spec"]["http"][1]["route"] == cart(20)
