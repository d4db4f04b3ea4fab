"""Rollouts that go well and badly, and what people do with them later. What befalls them: ``trials``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Action

from ...support.mortal import KilledError
from .fakes import NAMESPACE, SERVICE, Switch
from .sizes import Sizes
from .world import World


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One rollout. :param arrange: what has happened, and will happen, to the shop. :param ends: outcomes
    without any fault.

    :param params: of the call. :param promotable: whether the version may end as stable. :param waits: shares
        with which it may wait for a person. :param split: with which it may end between the versions.
    """

    name: str
    ends: frozenset[str]
    arrange: Callable[[World], None] = lambda _world: None
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    promotable: bool = True
    waits: tuple[int, ...] = ()
    split: int | None = None


def pods(world: World, **count: int) -> Callable[[], None]:
    def act() -> None:
        world.shop.pods.update(count)
        world.shop.set_pods()

    return act


def _sick(world: World) -> None:
    world.shop.sick = 0.3


def _sick_later(world: World) -> None:
    world.shop.sick, world.shop.sick_from = 0.3, 50


def _dies(world: World) -> None:
    world.shop.clock.at(17, pods(world, v2=0))


def _changes(world: World) -> None:
    def act() -> None:
        world.shop.template["v2"] = "ccc"
        world.shop.set_pods()

    world.shop.clock.at(17, act)


def _stable_falls_ill(world: World) -> None:
    world.shop.sick = 0.3
    world.shop.clock.at(2, lambda: setattr(world.shop, "stable_sick", 0.6))


def _stable_dies(world: World) -> None:
    world.shop.clock.at(17, pods(world, v1=0))


def _both_sick(world: World) -> None:
    _sick_later(world)
    world.shop.clock.at(14, pods(world, v1=0))


def _stable_blinks(world: World) -> None:
    _sick_later(world)
    world.shop.clock.at(14, pods(world, v1=0))
    world.shop.clock.at(18, pods(world, v1=1))


def _held(world: World) -> None:
    world.shop.rate = 20.0
    world.shop.clock.at(3, pods(world, v1=0))


def through_reviews(world: World) -> None:
    host = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
    route = {"name": "theirs", "route": [{"destination": {"host": host, "subset": "v1"}}]}
    metadata = {"name": "reviews", "namespace": NAMESPACE}
    world.shop.cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": metadata,
            "spec": {"http": [route]},
        }
    )
    del world.shop.cluster.objects["VirtualService", NAMESPACE, f"{SERVICE}-routes"]
    world.shop.follow("reviews")


def _scaled(world: World) -> None:
    world.sizes = Sizes(world.shop, {"v1": 3, "v2": 1}, autoscaled=(), per_pod=40.0)


def _autoscaled(world: World) -> None:
    world.sizes = Sizes(world.shop, {"v1": 4, "v2": 4}, autoscaled=("v1", "v2"))


def _switched_off(world: World) -> None:
    """The canary's autoscaler, by 0 replicas."""
    world.sizes = Sizes(world.shop, {"v1": 4, "v2": 0}, autoscaled=("v1", "v2"))


def _cancelled(world: World) -> None:
    """SIGTERM to the first runner, in its second phase: what AWX sends before SIGKILL."""
    began = world.shop.clock.now()
    world.stopped = lambda: world.shop.clock.now() > began + 17


def with_both(*acts: Callable[[World], None]) -> Callable[[World], None]:
    def act(world: World) -> None:
        for one in acts:
            one(world)

    return act


def deadman_account(world: World) -> None:
    metadata = {"name": "servicemesh-deadman", "namespace": NAMESPACE}
    world.shop.cluster.put({"kind": "ServiceAccount", "metadata": metadata})
    world.shop.cluster.allowed_readers.add(f"system:serviceaccount:{NAMESPACE}:servicemesh-deadman")


def _asked(action: Action) -> Callable[[World], None]:
    """Somebody asks the living runner, in its second phase."""

    def arrange(world: World) -> None:
        def act() -> None:
            store = world.shop.rollout().store
            known = store.read()
            if known is None:  # the runner died before its run began, so nobody has anything to ask
                world.nobody_asked = True
            elif known.state.active:
                store.ask(action, "somebody")

        world.shop.clock.at(17, act)

    return arrange


def _after(*acts: Callable[[World], None], **params: Any) -> Callable[[World], None]:
    """An earlier run, and what happened during and after it."""

    def arrange(world: World) -> None:
        with contextlib.suppress(MeshError):
            world(**params)
        for act in acts:
            act(world)

    return arrange


def _orphaned(world: World) -> None:
    """A runner that died at half of the traffic, a minute ago."""

    def die() -> None:
        if world.shop.share() == 50:
            raise KilledError

    world.client = Switch(world.shop.cluster, after_call=die)
    with contextlib.suppress(KilledError):
        world()
    world.shop.clock.sleep(60)


def _well_again(world: World) -> None:
    pods(world, v1=1)()


def _ends(*outcomes: str) -> frozenset[str]:
    return frozenset(outcomes)


RESUME = {"action": "resume", "service": None, "version": None, "steps": None, "orphans": "rollback"}
SCENARIOS = (
    Scenario("promotion", _ends("promoted")),
    Scenario("sick", _ends("rolled_back"), _sick, promotable=False),
    Scenario("sick-later", _ends("rolled_back"), _sick_later, promotable=False),
    Scenario("dies", _ends("rolled_back"), _dies, promotable=False),
    Scenario("changes", _ends("promoted"), _changes),
    Scenario("sick-stable", _ends("held_at_split"), _stable_falls_ill, promotable=False),
    Scenario("stable-dies", _ends("held_on_canary"), _stable_dies),
    Scenario("both-sick", _ends("held_at_split"), _both_sick, promotable=False),
    Scenario("stable-blinks", _ends("rolled_back"), _stable_blinks, promotable=False),
    Scenario("held", _ends("held_at_split"), _held),
    Scenario("waiting", _ends("awaiting_approval"), params={"approvals": [2]}, waits=(10,)),
    Scenario("split", _ends("split"), params={"steps": [10, 50], "promote": False}, split=50),
    Scenario("sticky", _ends("promoted"), params={"sticky": {"cookie": "release"}}),
    Scenario(
        "sticky-sick",
        _ends("rolled_back"),
        _sick_later,
        params={"sticky": {"cookie": "release"}},
        promotable=False,
    ),
    Scenario("foreign", _ends("promoted"), through_reviews, params={"routes": {"name": "reviews"}}),
    Scenario(
        "foreign-sick",
        _ends("rolled_back"),
        with_both(through_reviews, _sick_later),
        params={"routes": {"name": "reviews"}},
        promotable=False,
    ),
    Scenario("scale", _ends("promoted"), _scaled, params={"scale": {"up": 2, "down": True}}),
    Scenario(
        "scale-sick",
        _ends("rolled_back"),
        with_both(_scaled, _sick_later),
        params={"scale": {"up": 2, "down": True}},
        promotable=False,
    ),
    Scenario("autoscaled", _ends("promoted"), _autoscaled, params={"scale": {"down": True}}),
    Scenario("switched-off", _ends("promoted"), _switched_off, params={"scale": {"up": 2}}),
    Scenario("autoscaled-sick", _ends("rolled_back"), with_both(_autoscaled, _sick_later), promotable=False),
    Scenario("deadman", _ends("promoted"), deadman_account, params={"deadman": "job"}),
    Scenario("cancelled", _ends("rolled_back"), _cancelled),
    # at the begin of a run it is 13:46:40
    Scenario(
        "frozen",
        _ends("promoted"),
        params={"gates": [{"name": "f", "timezone": "UTC", "freeze": [{"from": "13:47", "to": "13:49"}]}]},
    ),
    Scenario("testers", _ends("promoted"), params={"testers": {"header": "x-t", "duration": 5}, "dark": 5}),
    Scenario("mirror", _ends("promoted"), params={"mirror": {"percent": 20, "duration": 5}}),
    # what people and schedules do
    Scenario("asked-back", _ends("rolled_back"), _asked(Action.ROLLBACK), promotable=False),
    Scenario("asked-on", _ends("promoted"), _asked(Action.PROMOTE)),
    Scenario("paused", _ends("paused"), _asked(Action.PAUSE), waits=(0, 10, 50)),
    Scenario(
        "approved",
        _ends("promoted"),
        _after(approvals=[2]),
        params={"action": "promote"},
        waits=(10,),
    ),
    Scenario(
        "refused",
        _ends("rolled_back"),
        _after(approvals=[2]),
        params={"action": "rollback"},
        waits=(10,),
    ),
    Scenario("taken-back", _ends("rolled_back"), _after(), params={"action": "rollback"}),
    Scenario(
        "by-hand",
        _ends("promoted"),
        _after(steps=[10, 50], promote=False),
        params={"action": "promote"},
        split=50,
    ),
    Scenario("upward", _ends("promoted"), _after(steps=[10, 50], promote=False), split=50),
    Scenario("resumed", _ends("rolled_back"), _orphaned, params=RESUME),
    Scenario("carried-on", _ends("promoted"), _orphaned, params={**RESUME, "orphans": "continue"}),
    Scenario("well-again", _ends("rolled_back"), with_both(_held, _after(_well_again)), params=RESUME),
)
