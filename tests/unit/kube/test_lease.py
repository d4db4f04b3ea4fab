# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a Lease, who takes it over and when, and what a runner does that has lost it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.lease import Lease, new_identity
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.lease_watch import watch_all

from ..support.clock import FakeClock
from ..support.cluster import FakeCluster

Obj = dict[str, Any]
NAME, HOME = "runs", "shop"


class World:
    """A cluster, one clock, and runners that want the same Lease of 30 seconds."""

    def __init__(self) -> None:
        self.cluster = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        self.clock = FakeClock()

    def runner(self, identity: str, **more: Any) -> Lease:
        given: dict[str, Any] = {"mesh": "shop", "what": "the run", "duration": 30, **more}
        return Lease(self.cluster, self.clock, name=NAME, namespace=HOME, identity=identity, **given)

    @property
    def spec(self) -> Obj:
        found = self.cluster.find("Lease", NAME, HOME)
        assert found is not None
        return dict(found["spec"])

    def put(self, holder: str | None, *, age: float = 0.0, duration: int | None = 30, fence: int = 7) -> None:
        spec = {
            "holderIdentity": holder,
            "renewTime": timestamp(self.clock.now() - age),
            "leaseDurationSeconds": duration,
            "leaseTransitions": fence,
        }
        metadata = {"name": NAME, "namespace": HOME, "labels": {"team": "a"}}
        self.cluster.put(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        )

    def while_watching(self, at: int, act: Callable[[], Any]) -> None:
        """Do something during the given sleep, counted from 1."""
        sleep, turns = self.clock.sleep, [0]

        def slept(seconds: float) -> None:
            sleep(seconds)
            turns[0] += 1
            if turns[0] == at:
                act()

        self.clock.sleep = slept  # others act while it waits

    def before(self, verb: str, act: Callable[[Obj], Any]) -> None:
        """Do something just before each ``create`` or ``replace``, with the object that is written."""
        write = getattr(self.cluster, verb)

        def written(obj: Obj, **more: Any) -> Any:
            act(obj)
            return write(obj, **more)

        setattr(self.cluster, verb, written)


@pytest.fixture
def world() -> World:
    return World()


def test_a_lease_that_nobody_has_is_made(world: World) -> None:
    lease = world.runner("a")
    assert lease.acquire() == lease.fence == 1
    found = world.cluster.find("Lease", NAME, HOME)
    assert found is not None
    assert found["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "app.kubernetes.io/part-of": "shop",
    }
    now = timestamp(world.clock.now())
    assert found["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 30,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": 1,
    }


def test_a_fence_is_above_the_floor_and_above_the_last_one(world: World) -> None:
    lease = world.runner("a")
    lease.floor = lambda: 41
    assert lease.acquire() == 42
    world.put("", fence=7)
    assert world.runner("b").acquire() == 8
    world.put("", fence=7)
    high = world.runner("c")
    high.floor = lambda: 20
    assert high.acquire() == 21
    assert world.spec["leaseTransitions"] == 21


@pytest.mark.parametrize(
    ("holder", "age", "duration", "known"),
    [
        ("x", 0, 30, "x"),
        ("x", 29.9, 30, "x"),
        ("x", 30, 30, ""),
        ("x", 5, None, ""),  # it never lives
        ("x", -9.9, 30, "x"),  # a clock that is a little ahead
        ("x", -10, 30, ""),  # and one that is wrong says nothing
        ("", 0, 30, ""),
        (None, 0, 30, ""),
    ],
)
def test_who_holds_it_by_the_wall_clock(
    world: World, holder: str | None, age: float, duration: int | None, known: str
) -> None:
    world.put(holder, age=age, duration=duration)
    lease = world.runner("a")
    assert lease.holder(lease.read()) == known
    assert lease.holder(None) == ""


def test_a_time_that_cannot_be_read_is_a_holder_that_lives(world: World) -> None:
    world.put("x")
    found = world.cluster.find("Lease", NAME, HOME)
    assert found is not None
    found["spec"]["renewTime"] = "soon"
    lease = world.runner("a")
    assert lease.holder(lease.read()) == "x"


def test_a_holder_that_lives_is_named_at_once(world: World) -> None:
    world.put("x", age=3)
    with pytest.raises(RefusedError) as caught:
        world.runner("a").acquire()
    renewed = timestamp(world.clock.now() - 3)
    assert caught.value.message == f"the run is held by x, last renewed {renewed}"
    assert (caught.value.rule, caught.value.details["holder"]) == ("held", "x")
    assert world.clock.monotonic() == World().clock.monotonic()
    assert world.spec["holderIdentity"] == "x"


@pytest.mark.parametrize(("duration", "waits"), [(30, 30), (10, 10), (None, 30)])
def test_a_holder_that_looks_dead_is_watched_for_its_own_duration(
    world: World, duration: int | None, waits: int
) -> None:
    world.put("x", age=1000, duration=duration)
    begin = world.clock.monotonic()
    assert world.runner("a").acquire() == 8
    assert waits <= world.clock.monotonic() - begin <= waits + 1
    assert world.spec["holderIdentity"] == "a"
    found = world.cluster.find("Lease", NAME, HOME)
    assert found is not None
    assert found["metadata"]["labels"] == {"team": "a"}  # the rest of the object stays


def test_one_that_looks_alive_may_be_watched_as_well(world: World) -> None:
    world.put("x", age=0)
    begin = world.clock.monotonic()
    assert world.runner("a").acquire(observe=True) == 8
    assert world.clock.monotonic() - begin >= 30


def test_who_renews_while_it_is_watched_keeps_it(world: World) -> None:
    world.put("x", age=1000)
    world.while_watching(5, lambda: world.put("x", age=0))
    with pytest.raises(RefusedError, match="is held by x"):
        world.runner("a").acquire()


def test_another_holder_who_comes_meanwhile_keeps_it(world: World) -> None:
    world.put("x", age=1000)
    world.while_watching(5, lambda: world.put("y", age=1000, fence=8))
    with pytest.raises(RefusedError, match="is held by y"):
        world.runner("a").acquire()


def test_one_that_is_given_back_meanwhile_is_taken_at_once(world: World) -> None:
    world.put("x", age=1000)
    begin = world.clock.monotonic()
    world.while_watching(2, lambda: world.put("", fence=9))
    assert world.runner("a").acquire() == 10
    assert world.clock.monotonic() - begin < 5


def test_one_that_is_deleted_meanwhile_is_made_anew_once_nobody_makes_it_again(world: World) -> None:
    world.put("x", age=1000)
    begin = world.clock.monotonic()
    world.while_watching(2, lambda: world.cluster.remove("Lease", NAME, HOME))
    lease = world.runner("a")
    lease.floor = lambda: 7
    assert lease.acquire() == 8
    assert world.clock.monotonic() - begin >= 30
    assert world.spec["holderIdentity"] == "a"


def test_one_that_is_deleted_and_made_again_by_its_holder_is_its_own(world: World) -> None:
    world.put("x", age=1000)
    world.while_watching(2, lambda: world.cluster.remove("Lease", NAME, HOME))
    sleep = world.clock.sleep

    def later(seconds: float) -> None:
        sleep(seconds)
        if world.cluster.find("Lease", NAME, HOME) is None and world.clock.monotonic() % 7 < 1:
            world.put("x", age=0)

    world.clock.sleep = later  # its holder lives
    with pytest.raises(RefusedError, match="is held by x"):
        world.runner("a").acquire()


def many(world: World, **holders: str) -> list[Lease]:
    """A Lease in a namespace of each name, and who wants them all."""
    leases = []
    for namespace, holder in holders.items():
        spec = {"holderIdentity": holder, "renewTime": timestamp(world.clock.now()), "leaseTransitions": 7}
        metadata = {"name": NAME, "namespace": namespace}
        world.cluster.put(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        )
        world.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        given: dict[str, Any] = {"mesh": "shop", "what": f"the run in {namespace}", "duration": 30}
        leases.append(
            Lease(world.cluster, world.clock, name=NAME, namespace=namespace, identity="new", **given)
        )
    return leases


def test_many_dead_holders_are_watched_at_once_and_taken_over(world: World) -> None:
    leases = many(world, a="gone", b="", c="gone", d="gone too")
    begin = world.clock.monotonic()
    watch_all(leases, world.clock)
    assert world.clock.monotonic() - begin == 30
    for lease in leases:
        lease.acquire(observe=True)
    assert world.clock.monotonic() - begin == 30
    assert [lease.fence for lease in leases] == [8, 8, 8, 8]


def test_who_came_back_after_the_watch_is_watched_again(world: World) -> None:
    (lease,) = many(world, a="gone")
    watch_all([lease], world.clock)
    found = world.cluster.find("Lease", NAME, "a")
    assert found is not None
    found["spec"]["renewTime"] = timestamp(world.clock.now())
    begin = world.clock.monotonic()
    lease.acquire(observe=True)
    assert world.clock.monotonic() - begin == 30


def test_one_of_many_that_lives_is_named_and_none_is_taken(world: World) -> None:
    leases = many(world, a="gone", b="alive")
    found = world.cluster.find("Lease", NAME, "b")
    assert found is not None
    spec = found["spec"]
    world.while_watching(4, lambda: spec.update(renewTime=timestamp(world.clock.now())))
    with pytest.raises(RefusedError, match="the run in b is held by alive") as caught:
        watch_all(leases, world.clock)
    assert caught.value.rule == "held"
    assert world.cluster.writes == []


def test_those_that_are_free_or_gone_keep_nobody_waiting(world: World) -> None:
    leases = many(world, a="", b="gone")
    world.cluster.remove("Lease", NAME, "a")
    found = world.cluster.find("Lease", NAME, "b")
    assert found is not None
    spec = found["spec"]
    world.while_watching(3, lambda: spec.update(holderIdentity=""))
    begin = world.clock.monotonic()
    watch_all(leases, world.clock)
    assert world.clock.monotonic() - begin == 3
    watch_all([], world.clock)
    assert world.clock.monotonic() - begin == 3


@pytest.mark.parametrize("at", [1, 5])
def test_what_the_server_does_not_show_is_left_to_who_takes_it(world: World, at: int) -> None:
    leases = many(world, a="gone", b="gone")
    inner, asked = world.cluster.get, [0]

    def get(api: str, kind: str, name: str, namespace: str | None = None) -> Any:
        asked[0] += namespace == "a"
        if namespace == "a" and asked[0] >= at:
            raise ApiError("forbidden", status=403)
        return inner(api, kind, name, namespace)

    world.cluster.get = get
    begin = world.clock.monotonic()
    watch_all(leases, world.clock)
    assert world.clock.monotonic() - begin == 30
    assert leases[0].known_dead is None
    leases[1].acquire(observe=True)
    assert world.clock.monotonic() - begin == 30
    with pytest.raises(ApiError, match="forbidden"):
        leases[0].acquire(observe=True)


def test_it_can_be_taken_from_a_holder_who_does_not_answer(world: World) -> None:
    holder = world.runner("x")
    holder.acquire()
    begin = world.clock.monotonic()
    assert world.runner("a").acquire(steal=True) == 2
    assert world.clock.monotonic() == begin
    with pytest.raises(FencedError) as caught:
        holder.renew()
    assert caught.value.message == "this run lost its lease to a and stops without another write"
    assert caught.value.details["holder"] == "a"


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_a_write_whose_answer_was_lost_was_ours(world: World, verb: str) -> None:
    if verb == "replace":
        world.put("", fence=3)
    world.cluster.fail(verb, "Lease", 409)

    def written(obj: Obj) -> None:
        found = {**obj, "metadata": {**obj["metadata"], "resourceVersion": None}}
        world.cluster.put(found)

    world.before(verb, written)
    lease = world.runner("a")
    assert lease.acquire() == (1 if verb == "create" else 4)
    assert lease.fence == world.spec["leaseTransitions"]


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_who_was_faster_is_named(world: World, verb: str) -> None:
    if verb == "replace":
        world.put("", fence=3)
    world.cluster.fail(verb, "Lease", 409)
    world.before(verb, lambda _obj: world.put("quick", fence=4))
    with pytest.raises(RefusedError, match="is held by quick"):
        world.runner("a").acquire()


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_other_trouble_is_raised(world: World, verb: str) -> None:
    if verb == "replace":
        world.put("", fence=3)
    world.cluster.fail(verb, "Lease", 500)
    with pytest.raises(ApiError):
        world.runner("a").acquire()


def test_one_that_is_gone_when_it_is_taken_is_somebody_s(world: World) -> None:
    world.put("", fence=3)
    world.before("replace", lambda _obj: world.cluster.remove("Lease", NAME, HOME))
    with pytest.raises(RefusedError, match="is held by another runner, last renewed just now"):
        world.runner("a").acquire()


# -- renewing ------------------------------------------------------------------------------------------------


def test_it_is_renewed_after_a_third_of_its_duration_and_not_before(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    first = world.spec["renewTime"]
    world.clock.sleep(9.9)
    lease.renew_if_due()
    assert world.spec["renewTime"] == first
    world.clock.sleep(0.1)
    lease.renew_if_due()
    second = world.spec["renewTime"]
    assert second == timestamp(world.clock.now()) != first
    world.clock.sleep(9.9)
    lease.renew_if_due()
    assert world.spec["renewTime"] == second
    assert (world.spec["leaseTransitions"], world.spec["acquireTime"]) == (1, first)


def test_one_that_somebody_deleted_is_made_again_with_our_fence(world: World) -> None:
    lease = world.runner("a")
    lease.floor = lambda: 4
    lease.acquire()
    world.cluster.remove("Lease", NAME, HOME)
    lease.renew()
    assert (world.spec["holderIdentity"], world.spec["leaseTransitions"], lease.fence) == ("a", 5, 5)


def test_one_that_was_deleted_and_taken_is_lost(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.put("b", fence=1)
    with pytest.raises(FencedError, match="lost its lease to b"):
        lease.renew()
    world.put("a", fence=2)  # our own name with another fence: not this run
    with pytest.raises(FencedError, match="lost its lease to a"):
        lease.renew()


def test_whoever_makes_it_while_we_make_it_again_has_it(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.remove("Lease", NAME, HOME)
    world.before("create", lambda _obj: world.put("b", fence=9))
    with pytest.raises(FencedError, match="lost its lease to b"):
        lease.renew()


def test_our_own_making_again_whose_answer_was_lost_is_ours(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.remove("Lease", NAME, HOME)
    world.before("create", lambda _obj: world.put("a", fence=1))
    lease.renew()
    world.clock.sleep(9)
    lease.renew_if_due()  # nothing is due yet
    assert lease.fence == 1


@pytest.mark.parametrize(("failures", "lost"), [(4, False), (5, True)])
def test_a_conflict_is_tried_five_times(world: World, failures: int, *, lost: bool) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.fail("replace", "Lease", 409, times=failures)
    world.clock.sleep(11)
    if lost:
        with pytest.raises(FencedError, match="lost its lease to a"):
            lease.renew()
    else:
        lease.renew()
        assert world.spec["renewTime"] == timestamp(world.clock.now())


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_other_trouble_of_a_renewal_is_raised(world: World, verb: str) -> None:
    lease = world.runner("a")
    lease.acquire()
    if verb == "create":
        world.cluster.remove("Lease", NAME, HOME)
    world.cluster.fail(verb, "Lease", 500)
    with pytest.raises(ApiError):
        lease.renew()


# -- giving it back ------------------------------------------------------------------------------------------


def test_it_is_given_back_with_notes_and_others_stay(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    lease.release()
    assert world.spec["holderIdentity"] == ""
    assert world.spec["leaseTransitions"] == 1
    again = world.runner("b")
    assert again.acquire() == 2
    again.release({"x": "1"})
    third = world.runner("c")
    third.acquire()
    third.release({"y": "2"})
    found = world.cluster.find("Lease", NAME, HOME)
    assert found is not None
    assert found["metadata"]["annotations"] == {"x": "1", "y": "2"}
    assert found["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("notes", "lost"), [({"x": "1"}, ", and that this run went well is not written down"), ({}, "")]
)
def test_what_goes_wrong_at_the_end_of_a_run_is_a_warning(
    world: World, notes: dict[str, str], lost: str
) -> None:
    lease = world.runner("a")
    lease.acquire()
    told: list[str] = []
    world.cluster.forbidden.add("Lease")
    lease.give_back(told.append, notes)
    assert len(told) == 1
    assert told[0].startswith(f"the Lease {NAME} was not given back, and ends by itself{lost}: ")
    world.cluster.forbidden.clear()
    lease.give_back(told.append, notes)
    assert (len(told), world.spec["holderIdentity"]) == (1, "")


def test_one_that_is_no_longer_ours_is_left_alone(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.put("b", fence=2)
    lease.release({"x": "1"})
    assert world.spec["holderIdentity"] == "b"
    world.cluster.remove("Lease", NAME, HOME)
    lease.release()
    assert world.cluster.find("Lease", NAME, HOME) is None


@pytest.mark.parametrize(("failures", "given"), [(4, True), (5, False)])
def test_a_conflict_at_the_end_is_tried_five_times_and_then_left(
    world: World, failures: int, *, given: bool
) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.fail("replace", "Lease", 409, times=failures)
    lease.release()
    assert world.spec["holderIdentity"] == ("" if given else "a")
    again = world.runner("b")
    world.put("b", fence=again.fence)
    world.cluster.fail("replace", "Lease", 500)
    with pytest.raises(ApiError):
        again.release()


# -- notes while it is held ----------------------------------------------------------------------------------


def annotations(world: World) -> Obj:
    found = world.cluster.find("Lease", NAME, HOME)
    assert found is not None
    return dict(found["metadata"].get("annotations", {}))


def test_a_note_is_written_beside_the_others_and_the_holder_stays(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    lease.note({"x": "1"})
    lease.note({"y": "2"})
    assert annotations(world) == {"x": "1", "y": "2"}
    assert world.spec["holderIdentity"] == "a"
    world.clock.sleep(11)
    lease.renew()
    assert annotations(world) == {"x": "1", "y": "2"}


@pytest.mark.parametrize(("failures", "lost"), [(4, False), (5, True)])
def test_a_conflict_of_a_note_is_tried_five_times(world: World, failures: int, *, lost: bool) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.fail("replace", "Lease", 409, times=failures)
    if lost:
        with pytest.raises(FencedError):
            lease.note({"x": "1"})
    else:
        lease.note({"x": "1"})
    assert annotations(world) == ({} if lost else {"x": "1"})


def test_who_has_lost_it_notes_nothing(world: World) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.put("b", fence=2)
    with pytest.raises(FencedError, match="lost its lease to b"):
        lease.note({"x": "1"})
    assert annotations(world) == {}
    world.cluster.remove("Lease", NAME, HOME)
    with pytest.raises(FencedError):
        lease.note({"x": "1"})


@pytest.mark.parametrize("how", [403, 500, "lost request"])
def test_other_trouble_of_a_note_is_raised(world: World, how: int | str) -> None:
    lease = world.runner("a")
    lease.acquire()
    world.cluster.fail("replace", "Lease", how)
    with pytest.raises(ApiError):
        lease.note({"x": "1"})


def test_no_two_runners_have_one_name() -> None:
    one, other = new_identity(), new_identity()
    assert one != other
    assert one.rpartition(":")[0] == other.rpartition(":")[0] == f"{socket.gethostname()}:{os.getpid()}"
