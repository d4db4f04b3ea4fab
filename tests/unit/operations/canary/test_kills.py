"""A successor that dies as well, and two runners at once; every single kill is in ``test_matrix``.

Invariants, read from the API server at every moment:
I1 the weights of every owned route sum to 100. I2 no weight on a version without a ready endpoint.
I3 the routes are one of the images that the plan can produce. I4 the journal names one next action; one more
run converges, and the run after that writes nothing. I5 one holder at most, and no fence newer than its own.
I9 nothing but the split changes (policies are not touched at all). I10 every route has a ready endpoint.
(I6-I8 are about certificates, which a rollout never touches.)
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Journal, State
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    fence_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from ...support.mortal import KilledError
from .fakes import FACTS, NAMESPACE, SERVICE, Shop, Switch

LEGAL_SHARES = {0, 10, 50, 100}
OWN = {
    ("VirtualService", f"{SERVICE}-routes"),
    ("ConfigMap", f"servicemesh-canary-{SERVICE}"),
    ("ConfigMap", f"servicemesh-release-{SERVICE}"),
    ("Lease", f"servicemesh-canary-{SERVICE}"),
}


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


@pytest.mark.parametrize("kill_second_at", range(1, 60, 4))
def test_the_successor_may_die_too(kill_second_at: int) -> None:
    shop = Shop()
    shop.sick, shop.sick_from = 0.3, 50
    with pytest.raises(KilledError):
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
    except KilledError:
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
