"""The Lease of a rollout: who may take it, when it is renewed, and what its loss means."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.lease import (
    RolloutLease,
)

from ..fakes import NAMESPACE, SERVICE, Shop, Switch

NAME = f"servicemesh-canary-{SERVICE}"


def lease(shop: Shop, identity: str = "runner-1", client: Any = None) -> RolloutLease:
    return RolloutLease(
        client or shop.cluster,
        shop.clock,
        service=SERVICE,
        namespace=NAMESPACE,
        mesh="shop",
        identity=identity,
        duration=30,
    )


def test_a_new_lease_names_holder_duration_and_owner() -> None:
    shop = Shop()
    assert lease(shop).acquire() == 1
    spec = shop.lease()
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (
        "runner-1",
        30,
        1,
    )
    assert spec["acquireTime"] == spec["renewTime"] == timestamp(shop.clock.now())
    found = shop.cluster.peek("Lease", NAME)
    assert found
    assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "shop"


def test_each_holder_has_a_higher_fence() -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    first.release()
    assert shop.lease()["holderIdentity"] == ""
    assert lease(shop, "runner-2").acquire() == 2


@pytest.mark.parametrize(
    ("age", "holder"), [(0, "runner-1"), (29.9, "runner-1"), (30, ""), (31, ""), (-9, "runner-1"), (-600, "")]
)
def test_a_holder_is_alive_for_its_whole_duration(age: float, holder: str) -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    shop.lease()["renewTime"] = timestamp(shop.clock.now() - age)
    assert first.holder(first.read()) == holder


@pytest.mark.parametrize("renewed", ["", "yesterday", None])
def test_a_holder_whose_renewal_cannot_be_read_counts_as_alive(renewed: str | None) -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    shop.lease()["renewTime"] = renewed
    assert first.holder(first.read()) == "runner-1"


def test_nobody_holds_what_is_not_there() -> None:
    first = lease(Shop())
    assert first.read() is None
    assert first.holder(None) == ""


@pytest.mark.parametrize(("later", "renewed"), [(9.9, False), (10, True), (25, True)])
def test_it_is_renewed_after_a_third_of_its_duration(later: float, renewed: bool) -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    before = shop.lease()["renewTime"]
    shop.clock.sleep(later)
    first.renew_if_due()
    assert (shop.lease()["renewTime"] != before) is renewed
    first.renew_if_due()
    assert shop.lease()["renewTime"] == (timestamp(shop.clock.now()) if renewed else before)


def test_a_stolen_lease_is_told_with_its_new_holder() -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    assert lease(shop, "runner-2").acquire(steal=True) == 2
    with pytest.raises(FencedError, match="lost its lease to runner-2"):
        first.renew()
    first.release()
    assert shop.lease()["holderIdentity"] == "runner-2"


def test_the_same_identity_with_another_fence_is_another_holder() -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    lease(shop).acquire(steal=True)
    with pytest.raises(FencedError):
        first.renew()
    first.release()
    assert shop.lease()["holderIdentity"] == "runner-1"


def test_a_lease_that_was_deleted_is_made_again_by_its_holder() -> None:
    shop = Shop()
    first = lease(shop)
    first.floor = lambda: 6
    assert first.acquire() == 7
    del shop.cluster.objects[("Lease", NAMESPACE, NAME)]
    shop.clock.sleep(11)
    first.renew_if_due()
    assert (shop.lease()["holderIdentity"], shop.lease()["leaseTransitions"]) == ("runner-1", 7)
    assert first.fence == 7


def test_a_deleted_lease_that_another_runner_took_is_lost() -> None:
    shop = Shop()
    first, second = lease(shop), lease(shop, "runner-2")
    first.acquire()
    del shop.cluster.objects[("Lease", NAMESPACE, NAME)]
    second.floor = lambda: 1
    assert second.acquire() == 2
    with pytest.raises(FencedError, match="lost its lease to runner-2"):
        first.renew()
    assert shop.lease()["holderIdentity"] == "runner-2"


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_fence_is_above_every_fence_that_was_ever_written(exists: bool) -> None:
    shop = Shop()
    if exists:
        before = lease(shop)
        before.acquire()
        before.release()
    mine = lease(shop, "runner-2")
    mine.floor = lambda: 41
    assert mine.acquire() == 42
    assert shop.lease()["leaseTransitions"] == 42


def test_a_dead_holder_is_watched_for_its_whole_duration() -> None:
    shop = Shop()
    lease(shop).acquire()
    shop.clock.sleep(31)
    began = shop.clock.now()
    assert lease(shop, "runner-2").acquire() == 2
    assert 30 <= shop.clock.now() - began <= 31


def test_a_living_holder_is_refused_at_once_or_observed() -> None:
    shop = Shop()
    lease(shop).acquire()
    began = shop.clock.now()
    with pytest.raises(RefusedError, match="held by runner-1, last renewed") as raised:
        lease(shop, "runner-2").acquire()
    assert raised.value.rule == "held"
    assert shop.clock.now() == began
    assert lease(shop, "runner-2").acquire(observe=True) == 2


def test_a_holder_that_lets_go_while_it_is_watched_ends_the_watch() -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    began = shop.clock.now()
    shop.clock.at(5, first.release)
    assert lease(shop, "runner-2").acquire(observe=True) == 2
    assert shop.clock.now() - began < 10


def test_a_lease_that_is_deleted_while_it_is_watched_is_taken_when_nobody_makes_it_again() -> None:
    shop = Shop()
    lease(shop).acquire()
    began = shop.clock.now()
    shop.clock.at(5, lambda: shop.cluster.objects.pop(("Lease", NAMESPACE, NAME)) and None)
    heir = lease(shop, "runner-2")
    heir.floor = lambda: 1
    assert heir.acquire(observe=True) == 2
    assert shop.clock.now() - began >= 30


def test_a_lease_that_its_holder_makes_again_while_it_is_watched_is_held() -> None:
    shop = Shop()
    first = lease(shop)
    first.acquire()
    shop.clock.at(5, lambda: shop.cluster.objects.pop(("Lease", NAMESPACE, NAME)) and None)
    shop.clock.at(12, first.renew)
    with pytest.raises(RefusedError, match="held by runner-1"):
        lease(shop, "runner-2").acquire(observe=True)


@pytest.mark.parametrize("exists", [False, True])
def test_a_lost_answer_to_our_own_write_is_ours(exists: bool) -> None:
    shop = Shop()
    if exists:
        before = lease(shop, "runner-0")
        before.acquire()
        before.release()
    client = Switch(shop.cluster)
    mine = lease(shop, client=client)
    write = "replace" if exists else "create"
    plain = getattr(shop.cluster, write)

    def lost(body: Any, **more: Any) -> Any:
        plain(body, **more)
        raise ApiError("conflict", status=409, reason="Conflict")

    setattr(shop.cluster, write, lost)
    assert mine.acquire() == (2 if exists else 1)


@pytest.mark.parametrize("status", [403, 500])
def test_another_refusal_is_told(status: int) -> None:
    shop = Shop()

    def refuse(*_rest: Any, **_more: Any) -> Any:
        raise ApiError("no", status=status)

    shop.cluster.create = refuse
    with pytest.raises(ApiError, match="no"):
        lease(shop).acquire()
