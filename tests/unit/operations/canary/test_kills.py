"""SIGKILL after every API call of a run: the state is always legal, and one more run ends it.

Invariants, read from the API server at every moment:
I1 the weights of every owned route sum to 100. I2 no weight on a version without a ready endpoint.
I3 the routes are one of the images that the plan can produce. I4 the journal names one next action; one more
run converges, and the run after that writes nothing. I5 one holder at most, and no fence newer than its own.
I9 nothing but the split changes (policies are not touched at all). I10 every route has a ready endpoint.
(I6-I8 are about certificates, which a rollout never touches.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Journal, State
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.routes import (
    fence_of,
)

from .fakes import FACTS, NAMESPACE, SERVICE, Killed, Shop, Switch

LEGAL_SHARES = {0, 10, 50, 100}
OWN = {
    ("VirtualService", f"{SERVICE}-routes"),
    ("ConfigMap", f"servicemesh-canary-{SERVICE}"),
    ("ConfigMap", f"servicemesh-release-{SERVICE}"),
    ("Lease", f"servicemesh-canary-{SERVICE}"),
}


def healthy(shop: Shop) -> None:
    """A version that will be promoted."""


def sick(shop: Shop) -> None:
    shop.sick = 0.3


def sick_later(shop: Shop) -> None:
    shop.sick, shop.sick_from = 0.3, 50


def dies(shop: Shop) -> None:
    def act() -> None:
        shop.pods["v2"] = 0
        shop.set_pods()

    shop.clock.at(17, act)


def changes(shop: Shop) -> None:
    def act() -> None:
        shop.template["v2"] = "ccc"
        shop.set_pods()

    shop.clock.at(17, act)


def stable_sick(shop: Shop) -> None:
    """Both versions fail, the stable one more often."""
    shop.stable_sick, shop.sick = 0.6, 0.3


def stable_dies(shop: Shop) -> None:
    def act() -> None:
        shop.pods["v1"] = 0
        shop.set_pods()

    shop.clock.at(17, act)


PODS_DIE = (dies, stable_dies)
STABLE_IS_SICK = (stable_sick, stable_dies)


def has_failed(shop: Shop) -> bool:
    """Whether the journal says that a gate failed: the run knew who is sick, and its successor can."""
    return any(verdict["verdict"] == "fail" for verdict in shop.journal().get("verdicts", []))


def check_end(shop: Shop, outcome: str, moment: str) -> None:
    """Routes and record of a named end."""
    assert (
        shop.share()
        in {"promoted": [100], "rolled_back": [0], "held_on_canary": [100], "held_at_split": [10, 50]}[
            outcome
        ]
    ), moment
    assert shop.record()["stable"] == ("v2" if outcome == "promoted" else "v1"), moment
    kept = {
        version: weight for version, weight in (("v1", 100 - shop.share()), ("v2", shop.share())) if weight
    }
    assert shop.record()["weights"] == kept, moment
    assert fence_of(shop.routes) == shop.record()["fence"], (
        f"{moment}: applying the mesh would strip or change the fence"
    )


def check_invariants(shop: Shop, *, pods_died: bool = False) -> None:
    routes = shop.routes["spec"]["http"]
    for route in routes:
        weights = [item.get("weight", 100 if len(route["route"]) == 1 else 0) for item in route["route"]]
        assert sum(weights) == 100, "I1"
        for item, weight in zip(route["route"], weights, strict=True):
            subset = item["destination"]["subset"]
            # a pod may die at any moment; what must never happen is that weight is put on it afterwards
            assert not weight or shop.pods[subset] or pods_died, "I2, I10"
    assert shop.share() in LEGAL_SHARES, "I3"
    expected = shop.render(TrafficState({"v1": 100 - shop.share(), "v2": shop.share()}))
    assert shop.routes["spec"] == expected["spec"], "I3"
    fence = int(shop.lease().get("leaseTransitions", 0))
    assert fence_of(shop.routes) <= fence, "I5"
    assert int(shop.journal().get("fence", 0)) <= fence, "I5"
    assert int(shop.record().get("fence", 0)) <= fence, "I5"
    record = shop.record()
    if record:
        assert sum(record["weights"].values()) == 100
    if shop.share() not in (0, 100):
        journal = shop.journal()
        held = (journal["state"], journal["outcome"]) == ("finished", "held_at_split")
        assert held or journal["state"] in ("running", "rolling_back", "promoting", "holding"), (
            "I4: nobody would clean this up"
        )
    assert (
        set(shop.cluster.writes)
        - {("Pod", n) for _kind, n in shop.cluster.writes}
        - {("EndpointSlice", f"{SERVICE}-1")}
        <= OWN
    ), "I9"


def first_run(rollout: Rollout) -> Journal:
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    return state_machine.drive(rollout)


def next_run(shop: Shop, *, orphan: str) -> str:
    """What the next `canary` (continue) or `canary_resume` (withdraw an orphan) does. :returns: outcome."""
    rollout = shop.rollout(identity="runner-2")
    rollout.lease.acquire(observe=True)
    rollout.store.read()
    if rollout.store.active:
        state_machine.take_over(rollout)
        if orphan == "withdraw":
            return str(state_machine.clean_up(rollout, "its runner died").outcome)
        return str(state_machine.drive(rollout).outcome)
    if rollout.store.known is not None:
        assert rollout.journal.state is State.FINISHED
        rollout.lease.release()
        return str(rollout.journal.outcome)
    state_machine.begin(rollout, replace(FACTS, run="run-2"))
    return str(state_machine.drive(rollout).outcome)


def calls_of_a_full_run(prepare: Callable[[Shop], None]) -> int:
    shop = Shop()
    prepare(shop)
    switch = Switch(shop.cluster)
    first_run(shop.rollout(switch))
    return switch.calls


@pytest.mark.parametrize("orphan", ["continue", "withdraw"])
@pytest.mark.parametrize(
    ("prepare", "ends"),
    [
        (healthy, {"promoted"}),
        (sick, {"rolled_back"}),
        (sick_later, {"rolled_back"}),
        (dies, {"rolled_back"}),
        (changes, {"promoted"}),
        (stable_sick, {"held_at_split"}),
        (stable_dies, {"held_at_split", "held_on_canary", "rolled_back"}),
    ],
    ids=["healthy", "sick", "sick-later", "dies", "changes", "stable-sick", "stable-dies"],
)
def test_every_kill_point(prepare: Callable[[Shop], None], ends: set[str], orphan: str) -> None:
    """Killed after each call, and before the first: to die before a call is to die after the last one."""
    total = calls_of_a_full_run(prepare)
    assert total > 30
    for kill_at in range(total + 1):
        shop = Shop()
        prepare(shop)
        died = prepare in PODS_DIE

        def watch(shop: Shop = shop, died: bool = died) -> None:
            check_invariants(shop, pods_died=died)

        switch = Switch(shop.cluster, kill_at=max(kill_at, 1), before=kill_at == 0, after_call=watch)
        with pytest.raises(Killed):
            first_run(shop.rollout(switch))
        check_invariants(shop, pods_died=died)
        shop.clock.sleep(31)  # the Lease runs out
        # whoever knew that stable is the sick one, and whoever sees it, never gives it the requests back
        stable_is_sick = prepare is stable_dies or (prepare is stable_sick and has_failed(shop))
        outcome = next_run(shop, orphan=orphan)
        may_withdraw = orphan == "withdraw" and not stable_is_sick
        moment = f"killed at call {kill_at} of {total}"
        assert outcome in (ends | {"rolled_back"} if may_withdraw else ends), moment
        check_end(shop, outcome, moment)
        assert shop.lease()["holderIdentity"] == "", moment
        writes = len([write for write in shop.cluster.writes if write[0] != "Lease"])
        assert next_run(shop, orphan=orphan) == outcome
        assert len([write for write in shop.cluster.writes if write[0] != "Lease"]) == writes, "I4: changed=0"


@pytest.mark.parametrize("kill_second_at", range(1, 60, 4))
def test_the_successor_may_die_too(kill_second_at: int) -> None:
    shop = Shop()
    shop.sick, shop.sick_from = 0.3, 50
    with pytest.raises(Killed):
        first_run(shop.rollout(Switch(shop.cluster, kill_at=30)))
    shop.clock.sleep(31)
    second = shop.rollout(
        Switch(shop.cluster, kill_at=kill_second_at, after_call=lambda: check_invariants(shop)),
        identity="runner-2",
    )
    try:
        second.lease.acquire(observe=True)
        second.store.read()
        state_machine.take_over(second)
        state_machine.drive(second)
    except Killed:
        pass
    shop.clock.sleep(31)
    assert next_run(shop, orphan="continue") == "rolled_back"
    assert shop.share() == 0


def test_two_runners_at_once_fifty_times() -> None:
    """Both start in every possible interleaving of their first calls: one acts, one is refused."""
    for turn in range(50):
        shop = Shop()
        late = shop.rollout(identity="runner-2")
        refused: list[str] = []

        def try_second(  # pylint: disable=dangerous-default-value
            late: Rollout = late, refused: list[str] = refused
        ) -> None:
            try:
                late.lease.acquire()
            except RefusedError as error:
                refused.append(str(error))

        switch = Switch(shop.cluster)
        started = []

        def interleave(  # pylint: disable=dangerous-default-value
            turn: int = turn, switch: Switch = switch, started: list[int] = started
        ) -> None:
            if not started and switch.calls == turn + 1:
                started.append(1)
                try_second()

        switch.after_call = interleave
        rollout = shop.rollout(switch)
        try:
            outcome = first_run(rollout).outcome
        except RefusedError as error:  # the second one was faster
            assert "held by runner-2" in str(error)
            assert not refused
            assert shop.share() == 0
            continue
        assert outcome == "promoted"
        assert refused
        assert "held by runner-1" in refused[0]
        assert NAMESPACE == "shop"


@pytest.mark.parametrize("fault", ["lost request", "lost answer"])
@pytest.mark.parametrize(
    ("prepare", "ends"),
    [
        (healthy, {"promoted", "rolled_back"}),
        (sick_later, {"rolled_back"}),
        (stable_sick, {"held_at_split", "rolled_back"}),
        (stable_dies, {"held_at_split", "held_on_canary", "rolled_back"}),
    ],
    ids=["healthy", "sick-later", "stable-sick", "stable-dies"],
)
def test_every_api_fault(prepare: Callable[[Shop], None], ends: set[str], fault: str) -> None:
    """One call fails, with or without its effect: the run ends at a legal state by itself, or names the error
    before anything was at stake."""
    total = calls_of_a_full_run(prepare)
    for number in range(1, total + 1):
        shop = Shop()
        prepare(shop)
        died = prepare in PODS_DIE

        def watch(shop: Shop = shop, died: bool = died) -> None:
            check_invariants(shop, pods_died=died)

        switch = Switch(shop.cluster, after_call=watch)
        switch.fail_at = {number: fault}
        try:
            outcome = str(first_run(shop.rollout(switch)).outcome)
        except (ApiError, RefusedError):
            assert shop.share() in (0, 100), f"call {number}: a split is left that nobody watches"
            shop.clock.sleep(31)
            outcome = next_run(shop, orphan="continue")
        assert outcome in ends, f"call {number}"
        if prepare in STABLE_IS_SICK and (has_failed(shop) or not shop.pods["v1"]):
            assert outcome.startswith("held") or shop.journal()["rollback_began"], f"call {number}"
        check_end(shop, outcome, f"call {number}")
