"""The sizes of both versions around a rollout: nobody gets requests without the pods for them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.capacity import (
    Autoscaler,
    Size,
    least_available,
    read_held,
    size_of_load,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling.autoscaling import (
    Autoscalers,
    tolerantly,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling.versions import (
    FAILING_WAIT,
)

from ....support.mortal import KilledError
from ..fakes import NAMESPACE, SERVICE, Shop, Switch
from ..sizes import HELD, Sizes
from ..world import World

FOUR = {"v1": 4, "v2": 4}


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def world(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(shop, monkeypatch)


def ended(world: World, **params: Any) -> str:
    try:
        return str(world(**params)["outcome"])
    except MeshError as error:
        return str(error.details.get("outcome", error))


def fall_ill(shop: Shop) -> None:
    shop.sick, shop.sick_from = 0.3, 50


def fall_ill_late(shop: Shop) -> None:
    """When the autoscaler has long seen that stable has half of its requests."""
    shop.clock.at(75, lambda: setattr(shop, "sick", 0.3))


# While the canary has the requests.


def test_an_autoscaler_does_not_shrink_stable_before_a_rollback(shop: Shop, world: World) -> None:
    fall_ill(shop)
    sizes = Sizes(shop, FOUR)
    least: list[int] = []
    shop.clock.at(18, lambda: least.append(sizes.minimum("v1")))
    assert ended(world) == "rolled_back"
    assert least == [4]
    assert sizes.overloaded == []
    assert (sizes.minimum("v1"), sizes.held("v1")) == (1, None)


def test_without_the_hold_the_same_rollback_overloads_stable(shop: Shop, world: World) -> None:
    fall_ill_late(shop)
    shop.rate = 200
    sizes = Sizes(shop, {"v1": 8, "v2": 8})
    assert ended(world, capacity="ignore", duration=40) == "rolled_back"
    assert {version for _at, version in sizes.overloaded} == {"v1"}
    assert sizes.held("v1") is None


def test_the_same_with_the_hold(shop: Shop, world: World) -> None:
    fall_ill_late(shop)
    shop.rate = 200
    sizes = Sizes(shop, {"v1": 8, "v2": 8})
    assert ended(world, duration=40) == "rolled_back"
    assert sizes.overloaded == []


def test_an_autoscaler_gets_its_own_minimum_back_after_a_promotion(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=("v1", "v2"))
    assert ended(world) == "promoted"
    assert [(sizes.minimum(version), sizes.held(version)) for version in FOUR] == [(1, None), (1, None)]


def test_after_a_rollback_the_hold_stays_until_the_autoscaler_sees_the_load(shop: Shop, world: World) -> None:
    fall_ill_late(shop)
    sizes = Sizes(shop, FOUR)
    assert ended(world, duration=40) == "rolled_back"
    shop.clock.sleep(1)
    for _second in range(60):
        shop.clock.sleep(1)
    assert sizes.overloaded == []
    assert sizes.replicas("v1") == 4


def test_what_a_person_sets_meanwhile_stays(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR)

    def act() -> None:
        sizes.autoscaler("v1")["spec"]["minReplicas"] = 7

    shop.clock.at(17, act)
    assert ended(world) == "promoted"
    assert (sizes.minimum("v1"), sizes.held("v1")) == (7, None)


@pytest.mark.parametrize(
    ("minimum", "held", "wanted", "then"),
    [
        (1, None, 4, (4, "1>4")),
        (4, None, 4, (4, None)),
        (7, None, 4, (7, None)),  # nobody takes away what its owner wants
        (1, None, 40, (10, "1>10")),
        (10, None, 40, (10, None)),
        (4, "1>4", 6, (6, "1>6")),
        (5, "1>4", 6, (6, "5>6")),  # a person has set it since
    ],
)
def test_a_minimum_is_raised_and_never_lowered(
    shop: Shop, minimum: int, held: str | None, wanted: int, then: tuple[int, str | None]
) -> None:
    sizes = Sizes(shop, FOUR)
    live = sizes.autoscaler("v1")
    live["spec"]["minReplicas"] = minimum
    live["metadata"]["annotations"] = {HELD: held} if held else {}
    scaler = Autoscaler(f"{SERVICE}-v1", minimum, 10)
    Autoscalers(shop.rollout(), shop.cluster).raise_minimum(scaler, wanted)
    assert (sizes.minimum("v1"), sizes.held("v1")) == then


@pytest.mark.parametrize(
    ("status", "times", "raised", "told"), [(409, 1, 4, 0), (409, 9, 1, 1), (403, 1, 1, 1)]
)
def test_a_write_that_comes_between_is_no_obstacle_and_a_refusal_is_told_once(
    shop: Shop, status: int, times: int, raised: int, told: int
) -> None:
    sizes, rollout = Sizes(shop, FOUR), shop.rollout()
    shop.cluster.fail("patch", "HorizontalPodAutoscaler", status, times=times)
    Autoscalers(rollout, shop.cluster).raise_minimum(Autoscaler(f"{SERVICE}-v1", 1, 10), 4)
    assert (sizes.minimum("v1"), len(rollout.warnings)) == (raised, told)


def test_a_hold_whose_journal_is_gone_is_no_minimum_of_its_owner(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR)
    sizes.autoscaler("v1")["spec"]["minReplicas"] = 4
    sizes.autoscaler("v1")["metadata"]["annotations"] = {HELD: "2>4"}
    assert ended(world) == "promoted"
    assert (sizes.minimum("v1"), sizes.held("v1")) == (2, None)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (
            {"ownerReferences": [{"kind": "ScaledObject", "name": "product", "controller": True}]},
            "ScaledObject",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "argocd"),
    ],
)
def test_an_autoscaler_of_somebody_else_is_left_alone_and_told(
    shop: Shop, world: World, owner: dict[str, Any], name: str
) -> None:
    sizes = Sizes(shop, FOUR)
    sizes.autoscaler("v1")["metadata"].update(owner)
    result = world()
    assert result["outcome"] == "promoted"
    told = [line for line in result["warnings"] if "may shrink product-v1 from 4 to 1" in line]
    assert told
    assert name in told[0]
    assert not [write for write in shop.cluster.writes if write[0] == "HorizontalPodAutoscaler"][1:]


def test_no_right_to_change_it_ends_no_run(shop: Shop, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(shop, FOUR)
    shop.cluster.forbidden.add("HorizontalPodAutoscaler")
    result = world()
    assert result["outcome"] == "promoted"
    assert sizes.minimum("v1") == 1


def test_check_mode_says_the_sizes_and_writes_nothing(shop: Shop, world: World) -> None:
    Sizes(shop, FOUR)
    before = len(shop.cluster.writes)
    result = world(check=True)
    assert result["sizes"] == {
        "v1": "4 pods, HorizontalPodAutoscaler product-v1 from 1 to 10",
        "v2": "4 pods",
    }
    assert len(shop.cluster.writes) == before


# Before requests come back.


def test_stable_that_somebody_made_smaller_is_made_large_enough_first(shop: Shop, world: World) -> None:
    shop.sick, shop.sick_from = 0.3, 50
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.clock.at(8, lambda: sizes.deployment("v1")["spec"].update(replicas=2))
    began = shop.clock.now()
    with pytest.raises(MeshError) as failed:
        world()
    assert failed.value.details["outcome"] == "rolled_back"
    assert "ready pods when its requests came back" not in str(failed.value.details["warnings"])
    assert sizes.replicas("v1") == 4
    assert failed.value.details["seconds_to_weight_0"] < FAILING_WAIT / 2, "just enough is enough"
    assert {round(at - began) for at, _version in sizes.overloaded} == {8, 9, 10}, "what the person did"


def test_a_load_that_has_grown_needs_more_pods(shop: Shop, world: World) -> None:
    shop.sick, shop.sick_from = 0.3, 100
    sizes = Sizes(shop, FOUR, autoscaled=("v1", "v2"))
    shop.clock.at(16, lambda: setattr(shop, "rate", 180.0))
    assert ended(world, duration=30) == "rolled_back"
    grown = 1_000_016.0 + 30  # an autoscaler is late by itself when the load grows
    assert [found for found in sizes.overloaded if found[1] == "v1" and found[0] > grown] == []


def test_stable_that_cannot_grow_gets_its_requests_after_a_while(shop: Shop, world: World) -> None:
    shop.sick, shop.sick_from = 0.3, 50
    sizes = Sizes(shop, FOUR, autoscaled=())
    sizes.start = 10_000.0  # no node has room
    shop.clock.at(8, lambda: sizes.deployment("v1")["spec"].update(replicas=2))
    with pytest.raises(MeshError) as failed:
        world()
    assert failed.value.details["outcome"] == "rolled_back"
    assert failed.value.details["seconds_to_weight_0"] < 40
    assert "v1 had 2 of 4 ready pods when its requests came back" in failed.value.details["warnings"]


def test_an_autoscaler_that_came_in_mid_run_is_not_argued_with(shop: Shop, world: World) -> None:
    shop.sick, shop.sick_from = 0.3, 50
    sizes = Sizes(shop, FOUR, autoscaled=("v1",))
    scaler = shop.cluster.objects.pop(("HorizontalPodAutoscaler", NAMESPACE, "product-v1"))

    def act() -> None:
        shop.cluster.objects["HorizontalPodAutoscaler", NAMESPACE, "product-v1"] = scaler
        scaler["spec"]["maxReplicas"] = 3
        sizes.deployment("v1")["spec"].update(replicas=2)

    shop.clock.at(8, act)
    assert ended(world) == "rolled_back"
    assert sizes.replicas("v1") == 3
    assert (sizes.minimum("v1"), sizes.held("v1")) == (1, None)


def test_an_autoscaler_that_went_in_mid_run_leaves_the_replicas_to_us(shop: Shop, world: World) -> None:
    shop.sick, shop.sick_from = 0.3, 50
    sizes = Sizes(shop, FOUR, autoscaled=("v1",))

    def act() -> None:
        del shop.cluster.objects["HorizontalPodAutoscaler", NAMESPACE, "product-v1"]
        sizes.deployment("v1")["spec"].update(replicas=2)

    shop.clock.at(8, act)
    assert ended(world) == "rolled_back"
    assert sizes.replicas("v1") == 4


# The canary.


def test_a_canary_comes_up_and_goes_back(shop: Shop, world: World) -> None:
    fall_ill(shop)
    sizes = Sizes(shop, {"v1": 3, "v2": 1}, autoscaled=())
    assert ended(world, scale={"up": 3}) == "rolled_back"
    assert (sizes.replicas("v1"), sizes.replicas("v2")) == (3, 1)


def test_a_canary_with_an_autoscaler_comes_up_by_its_minimum(shop: Shop, world: World) -> None:
    fall_ill(shop)
    sizes = Sizes(shop, {"v1": 3, "v2": 1}, autoscaled=("v2",))
    seen: list[tuple[int, int]] = []
    shop.clock.at(18, lambda: seen.append((sizes.minimum("v2"), sizes.replicas("v2"))))
    assert ended(world, scale={"up": 3}) == "rolled_back"
    assert seen == [(3, 3)]
    assert (sizes.minimum("v2"), sizes.held("v2")) == (1, None)
    scaled = [found for found in shop.cluster.calls if getattr(found, "verb", "") == "patch"]
    assert not [found for found in scaled if getattr(found, "kind", "") == "Deployment"]


@pytest.mark.parametrize(("sick", "left"), [(False, (4, 2)), (True, (4, 0))])
def test_a_canary_whose_autoscaler_is_switched_off_by_0_replicas_comes_up(
    shop: Shop, world: World, sick: bool, left: tuple[int, int]
) -> None:
    """What an earlier promotion has left behind (``canary_scale.down``)."""
    if sick:
        fall_ill(shop)
    sizes = Sizes(shop, {"v1": 4, "v2": 0}, autoscaled=("v1", "v2"), per_pod=60.0)
    assert ended(world, scale={"up": 2}) == ("rolled_back" if sick else "promoted")
    assert (sizes.minimum("v2"), sizes.held("v2")) == (1, None)
    assert sizes.replicas("v2") == left[1]


def test_more_replicas_than_an_autoscaler_allows_are_refused(shop: Shop, world: World) -> None:
    Sizes(shop, {"v1": 3, "v2": 1}, autoscaled=("v2",))
    with pytest.raises(RefusedError, match=r"canary_scale\.up is 20, but .* no more than 10 pods"):
        world(scale={"up": 20})


def test_a_canary_that_stays_smaller_than_stable_is_told(shop: Shop, world: World) -> None:
    Sizes(shop, {"v1": 3, "v2": 1}, autoscaled=())
    assert any("v2 can have 1 of the 3 pods that v1 has" in line for line in world()["warnings"])


# After a promotion.


def test_the_old_version_stays_until_its_last_stream_has_ended(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = 3
    seen: list[int] = []

    def act() -> None:
        seen.append(sizes.replicas("v1"))
        shop.streams["v1"] = 0

    shop.clock.at(250, act)
    assert ended(world, scale={"down": True}) == "promoted"
    assert seen == [4]
    assert sizes.replicas("v1") == 0
    assert shop.journal()["scaled_down"] == {"workload": "product-v1", "replicas": 4}


@pytest.mark.parametrize("streams", [2, None])
def test_a_stream_without_an_end_is_cut_off_at_the_limit(
    shop: Shop, world: World, streams: int | None
) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = streams
    result = world(scale={"down": True, "delay": 5, "drain": "2m"})
    assert result["outcome"] == "promoted"
    assert sizes.replicas("v1") == 0
    number = "an unknown number of" if streams is None else "2"
    assert any(f"scaled down with {number} open requests" in line for line in result["warnings"])


def test_a_version_that_nobody_uses_any_more_goes_before_the_limit(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = 2
    shop.clock.at(60, lambda: shop.streams.update(v1=0))
    began = shop.clock.now()
    result = world(scale={"down": True, "delay": 5, "drain": "1h"})
    assert (result["outcome"], sizes.replicas("v1")) == ("promoted", 0)
    assert 60 <= shop.clock.now() - began < 120
    assert not [line for line in result["warnings"] if "open requests" in line]


def test_the_old_version_stays_for_the_delay_at_least(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    assert ended(world) == "promoted"
    without = shop.clock.now()
    assert sizes.replicas("v1") == 4
    other = Shop()
    sizes, began = Sizes(other, FOUR, autoscaled=()), other.clock.now()
    with pytest.MonkeyPatch.context() as patch:
        assert ended(World(other, patch), scale={"down": True, "delay": 100}) == "promoted"
    assert sizes.replicas("v1") == 0
    assert other.clock.now() - began >= 100 + without - 1_000_000.0 - 5


def test_a_rollback_during_the_drain_needs_no_new_pods(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = 1

    def act() -> None:
        assert shop.share() == 100
        request = {"action": "rollback", "by": "ann", "at": "", "run": shop.journal()["run"]}
        name = f"servicemesh-canary-{SERVICE}"
        shop.cluster.patch("v1", "ConfigMap", name, NAMESPACE, {"data": {"request": json.dumps(request)}})

    shop.clock.at(120, act)
    assert ended(world, scale={"down": True, "delay": 300}) == "rolled_back"
    assert (shop.share(), sizes.replicas("v1")) == (0, 4)
    assert shop.record()["stable"] == "v1"


def test_a_runner_that_dies_in_the_drain_leaves_it_to_the_next_one(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=("v1",))
    shop.streams["v1"] = 1

    def die() -> None:
        raise KilledError

    shop.clock.at(120, die)
    with pytest.raises(KilledError):
        world(scale={"down": True, "delay": 300})
    assert sizes.replicas("v1") > 0
    shop.streams["v1"] = 0
    shop.clock.sleep(31)
    result = world(action="resume", service=None, version=None, steps=None)
    assert result["services"]["shop/product"]["outcome"] == "promoted"
    assert (sizes.replicas("v1"), sizes.minimum("v1"), sizes.held("v1")) == (0, 1, None)
    assert shop.share() == 100


def test_a_rollback_brings_back_what_a_promotion_scaled_down_before_any_request(
    shop: Shop, world: World
) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=("v1",))
    assert ended(world, scale={"down": True}) == "promoted"
    assert sizes.replicas("v1") == 0
    assert ended(world, action="rollback", version=None, steps=None) == "rolled_back"
    assert shop.share() == 0
    assert sizes.overloaded == []
    assert (sizes.minimum("v1"), sizes.held("v1"), sizes.replicas("v1")) == (1, None, 4)


def test_a_rollback_into_a_version_that_does_not_come_back_holds_on(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    assert ended(world, scale={"down": True}) == "promoted"
    shop.clock.sleep(2)
    sizes.start = 10_000.0
    assert ended(world, action="rollback", version=None, steps=None) == "held_on_canary"
    assert shop.share() == 100


def test_the_old_version_is_not_scaled_down_beside_a_dead_new_one(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = 1

    def act() -> None:
        sizes.start = 10_000.0
        shop.pods["v2"] = 0
        shop.set_pods()
        shop.streams["v1"] = 0

    shop.clock.at(120, act)
    result = world(scale={"down": True})
    assert sizes.replicas("v1") == 4
    assert "v1 is not scaled down: v2 has no ready endpoint" in result["warnings"]


def test_pods_that_a_controller_would_start_again_are_not_scaled_down(shop: Shop, world: World) -> None:
    sizes = Sizes(shop, FOUR)
    owner = {"kind": "ScaledObject", "name": "product", "controller": True}
    sizes.autoscaler("v1")["metadata"]["ownerReferences"] = [owner]
    result = world(scale={"down": True})
    assert result["outcome"] == "promoted"
    assert sizes.replicas("v1") > 0
    assert "v1 is not scaled down: ScaledObject product decides about its pods" in result["warnings"]


def test_whoever_asked_for_a_promotion_waits_for_the_drain(shop: Shop, world: World) -> None:
    """The run that took the request ends with the last stream, and not before."""
    Sizes(shop, FOUR, autoscaled=())
    shop.streams["v1"] = 1
    shop.clock.at(600, lambda: shop.streams.update(v1=0))
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        name = f"servicemesh-canary-{SERVICE}"
        request = {"action": "promote", "by": "ann", "at": "", "run": shop.journal()["run"]}
        shop.cluster.patch("v1", "ConfigMap", name, NAMESPACE, {"data": {"request": json.dumps(request)}})

    shop.clock.at(12, ask)
    answers.append(world(scale={"down": True, "drain": "15m"}))
    assert answers[0]["outcome"] == "promoted"
    assert shop.clock.now() > 1_000_590


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"minAvailable": 4, "selector": {"matchLabels": {"app": SERVICE}}}, True),
        ({"minAvailable": 3, "selector": {"matchLabels": {"app": SERVICE}}}, False),
        ({"minAvailable": "50%", "selector": {"matchLabels": {"app": SERVICE}}}, False),
        ({"maxUnavailable": 0, "selector": {}}, True),
        ({"minAvailable": 9, "selector": {"matchLabels": {"version": "v1"}}}, False),
        ({"minAvailable": 9}, False),
        (
            {
                "minAvailable": 9,
                "selector": {
                    "matchExpressions": [{"key": "version", "operator": "In", "values": ["v1", "v2"]}]
                },
            },
            True,
        ),
    ],
)
def test_a_disruption_budget_that_would_have_no_pod_to_spare_is_told(
    shop: Shop, world: World, spec: dict[str, Any], told: bool
) -> None:
    Sizes(shop, FOUR, autoscaled=())
    metadata = {"name": "all", "namespace": NAMESPACE}
    shop.cluster.put(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    )
    warnings = world(check=True, scale={"down": True})["warnings"]
    assert bool([line for line in warnings if "PodDisruptionBudget all wants" in line]) is told


@pytest.mark.parametrize("number", range(1, 400, 9))
def test_a_hold_survives_a_kill_at_any_call(shop: Shop, world: World, number: int) -> None:
    fall_ill(shop)
    sizes = Sizes(shop, FOUR)
    world.client = Switch(shop.cluster, kill_at=number)
    try:
        ended(world)
    except KilledError:
        world.client = Switch(shop.cluster)
        shop.clock.sleep(31)
        world(action="resume", service=None, version=None, steps=None)
    assert shop.share() == 0
    assert (sizes.minimum("v1"), sizes.held("v1")) == (1, None)
    assert sizes.overloaded == []


# The figures.


def test_the_size_of_the_load() -> None:
    plain, scaled = Size("p", 3, 3), Size("p", 3, 3, Autoscaler("p", 1, 4))
    assert [size_of_load(plain, growth) for growth in (0.2, 1.0, 1.1, 1.2, 2.0)] == [3, 3, 3, 4, 6]
    assert size_of_load(scaled, 2.0) == 4


def test_what_an_autoscaler_says_of_itself() -> None:
    assert read_held("2>4") == (2, 4)
    assert [read_held(text) for text in ("", "2", "2>", "x>4", "2>4>5", "-1>4")] == [None] * 6


def test_what_a_budget_wants() -> None:
    assert [
        least_available(spec, 5)
        for spec in (
            {"minAvailable": 2},
            {"minAvailable": "50%"},
            {"maxUnavailable": 1},
            {"maxUnavailable": "30%"},
            {},
            {"minAvailable": "x"},
        )
    ] == [2, 3, 4, 3, 0, 0]


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_size_that_cannot_be_given_is_a_warning(status: int) -> None:
    """No right, gone meanwhile, or somebody writes all the time."""
    rollout = SimpleNamespace(warnings=[])

    def refused() -> None:
        raise ApiError("Deployment shop/web: no", status=status, reason="No")

    assert tolerantly(rollout, refused) is None
    (warning,) = rollout.warnings
    assert warning.startswith("the sizes are left as they are: Deployment shop/web: no")


@pytest.mark.parametrize("status", [None, 400, 401, 410, 422, 500, 503])
def test_what_says_nothing_about_sizes_ends_the_run(status: int | None) -> None:
    rollout = SimpleNamespace(warnings=[])

    def refused() -> None:
        raise ApiError("Deployment shop/web: no", status=status, reason="No")

    with pytest.raises(ApiError):
        tolerantly(rollout, refused)
    assert rollout.warnings == []
    assert tolerantly(rollout, lambda: 7) == 7
