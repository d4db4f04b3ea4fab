"""SIGKILL after (and before) every API call of a run: the state is always legal, and one more run ends it.

Invariants, read from the API server at every moment:
I1 the weights of every owned route sum to 100. I2 no weight on a version without a ready endpoint.
I3 the routes are one of the images that the plan can produce. I4 the journal names one next action; one more
run converges, and the run after that writes nothing. I5 one holder at most, and no fence newer than its own.
I9 nothing but the split changes (policies are not touched at all). I10 every route has a ready endpoint.
(I6-I8 are about certificates, which a rollout never touches.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.routes import (
    TrafficState,
    fence_of,
)

from .fakes import NAMESPACE, SERVICE, Killed, Shop, Switch
from .test_state_machine import NOTES

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
        assert shop.journal()["state"] in ("running", "rolling_back", "promoting"), (
            "I4: nobody would clean this up"
        )
    assert (
        set(shop.cluster.writes)
        - {("Pod", n) for _kind, n in shop.cluster.writes}
        - {("EndpointSlice", f"{SERVICE}-1")}
        <= OWN
    ), "I9"


def first_run(rollout: Rollout) -> dict[str, Any]:
    rollout.lease.acquire()
    rollout.journal.read()
    state_machine.begin(rollout, NOTES)
    return state_machine.drive(rollout)


def next_run(shop: Shop, *, orphan: str) -> str:
    """What the next `canary` (continue) or `canary_resume` (withdraw an orphan) does. :returns: outcome."""
    rollout = shop.rollout(identity="runner-2")
    rollout.lease.acquire(observe=True)
    rollout.journal.read()
    if rollout.journal.active:
        if orphan == "withdraw" and rollout.journal.state["state"] == "running":
            state_machine.take_over(rollout)
            return str(state_machine.withdraw(rollout, "its runner died")["outcome"])
        state_machine.take_over(rollout)
        return str(state_machine.drive(rollout)["outcome"])
    if rollout.journal.state.get("state") == "finished":
        rollout.lease.release()
        return str(rollout.journal.state["outcome"])
    state_machine.begin(rollout, {**NOTES, "run": "run-2"})
    return str(state_machine.drive(rollout)["outcome"])


def calls_of_a_full_run(prepare: Callable[[Shop], None]) -> int:
    shop = Shop()
    prepare(shop)
    switch = Switch(shop.cluster)
    first_run(shop.rollout(switch))
    return switch.calls


@pytest.mark.parametrize("orphan", ["continue", "withdraw"])
@pytest.mark.parametrize("before", [False, True], ids=["after-call", "before-call"])
@pytest.mark.parametrize(
    ("prepare", "ends"),
    [
        (healthy, {"promoted"}),
        (sick, {"rolled_back"}),
        (sick_later, {"rolled_back"}),
        (dies, {"rolled_back"}),
        (changes, {"promoted"}),
    ],
    ids=["healthy", "sick", "sick-later", "dies", "changes"],
)
def test_every_kill_point(prepare: Callable[[Shop], None], ends: set[str], before: bool, orphan: str) -> None:
    total = calls_of_a_full_run(prepare)
    assert total > 30
    for kill_at in range(1, total + 1):
        shop = Shop()
        prepare(shop)
        died = prepare is dies

        def watch(shop: Shop = shop, died: bool = died) -> None:
            check_invariants(shop, pods_died=died)

        switch = Switch(shop.cluster, kill_at=kill_at, before=before, after_call=watch)
        with pytest.raises(Killed):
            first_run(shop.rollout(switch))
        check_invariants(shop, pods_died=died)
        shop.clock.sleep(31)  # the Lease runs out
        outcome = next_run(shop, orphan=orphan)
        allowed = ends | {"rolled_back"} if orphan == "withdraw" else ends
        assert outcome in allowed, f"killed at call {kill_at} of {total}"
        assert shop.share() == {"promoted": 100, "rolled_back": 0}[outcome]
        assert shop.record()["stable"] == {"promoted": "v2", "rolled_back": "v1"}[outcome]
        assert fence_of(shop.routes) == shop.record()["fence"], (
            "applying the mesh would strip or change the fence"
        )
        assert shop.lease()["holderIdentity"] == ""
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
        second.journal.read()
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
            outcome = first_run(rollout)["outcome"]
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
@pytest.mark.parametrize("prepare", [healthy, sick_later], ids=["healthy", "sick-later"])
def test_every_api_fault(prepare: Callable[[Shop], None], fault: str) -> None:
    """One call fails, with or without its effect: the run ends at a legal state by itself, or names the error
    before anything was at stake."""
    total = calls_of_a_full_run(prepare)
    for number in range(1, total + 1):
        shop = Shop()
        prepare(shop)

        def watch(shop: Shop = shop) -> None:
            check_invariants(shop)

        switch = Switch(shop.cluster, after_call=watch)
        switch.fail_at = {number: fault}
        try:
            outcome = first_run(shop.rollout(switch))["outcome"]
        except (ApiError, RefusedError):
            assert shop.share() in (0, 100), f"call {number}: a split is left that nobody watches"
            shop.clock.sleep(31)
            outcome = next_run(shop, orphan="continue")
        assert outcome in ("promoted", "rolled_back")
        if prepare is sick_later:
            assert outcome == "rolled_back"
        assert shop.share() == {"promoted": 100, "rolled_back": 0}[outcome], f"call {number}"
        assert shop.record()["stable"] == {"promoted": "v2", "rolled_back": "v1"}[outcome]
