"""Metrics that do not answer keep a run from nothing else: in a thread of its own, with real time."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Measurement
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.background import (
    Pending,
    Worker,
    inline,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from .fakes import Shop, drive


class Slow:
    """Work that is done when the shop's clock says so, whatever the machine's says."""

    def __init__(self, shop: Shop, seconds: float) -> None:
        self.shop, self.seconds = shop, seconds
        self.asked = 0

    def __call__(self, function: Any) -> Any:
        self.asked += 1
        pending = Pending()
        plain, ready = pending.wait, self.shop.clock.now() + self.seconds

        def wait(seconds: float) -> bool:
            if plain(0):
                return True
            if seconds:
                self.shop.clock.sleep(seconds)
            if self.shop.clock.now() < ready:
                return False
            pending.work(function)
            return True

        pending.wait = wait
        return pending


def slow(shop: Shop, seconds: float, **options: Any) -> Rollout:
    rollout = shop.rollout(**options)
    rollout.background = Slow(shop, seconds)
    return rollout


@pytest.mark.parametrize("seconds", [3, 18])
def test_a_slow_answer_only_makes_a_phase_longer(seconds: float) -> None:
    assert drive(slow(Shop(), seconds)).outcome == "promoted"


@pytest.mark.parametrize("seconds", [45.0, 87.0, 1e9])
def test_the_lease_is_renewed_whatever_the_metrics_do(seconds: float) -> None:
    """87 s is what a Service that answers 503 takes through the API server; the Lease lasts 30 s."""
    shop = Shop()
    oldest: list[float] = []
    first = shop.rollout(identity="person").lease

    def look() -> None:
        held = first.read()
        if held and held["spec"]["holderIdentity"]:
            assert first.holder(held), "a live run looks dead"
            oldest.append(shop.clock.now())
        shop.clock.at(2, look)

    shop.clock.at(1, look)
    state = drive(slow(shop, seconds, unmeasurable=60.0))
    shop.clock.events.clear()
    assert oldest[-1] - oldest[0] > 60
    assert (state.outcome == "promoted") == (seconds == 45.0)
    if seconds == 1e9:
        assert "nothing could be measured for" in state.reason


def test_dead_pods_are_seen_while_the_metrics_do_not_answer() -> None:
    shop = Shop()

    def die() -> None:
        shop.pods["v2"] = 0
        shop.set_pods()

    shop.clock.at(30, die)
    began = shop.clock.now()
    rollout = slow(shop, 1e9)
    state = drive(rollout)
    assert "no ready endpoint: v2" in state.reason
    written = next(line for line in state.timeline if line.event.startswith("rollback"))
    assert written.weights == {"v1": 100, "v2": 0}
    assert shop.share() == 0
    assert shop.clock.now() - began < 30 + 60


@pytest.mark.parametrize("what", ["request", "signal"])
def test_people_are_heard_while_the_metrics_do_not_answer(what: str) -> None:
    shop = Shop()
    rollout = slow(shop, 1e9)
    stopped: list[bool] = []
    rollout.stop = lambda: bool(stopped)
    other = shop.rollout(identity="person")

    def act() -> None:
        if what == "signal":
            stopped.append(True)
            return
        other.store.read()
        other.store.ask("rollback", "ops")

    shop.clock.at(40, act)
    state = drive(rollout)
    assert state.outcome == "rolled_back"
    assert ("asked for by ops" if what == "request" else "told to stop") in state.reason


def test_one_look_is_awaited_and_no_second_one_asked_for() -> None:
    shop = Shop()
    rollout = slow(shop, 1e9)
    drive(rollout)
    assert rollout.background.asked <= 4  # start, one look, the last look


def test_a_worker_does_one_thing_after_the_other_and_hands_errors_on() -> None:
    worker, gate = Worker(), threading.Event()
    order: list[str] = []

    def first() -> str:
        assert gate.wait(10)
        order.append("first")
        return "one"

    def second() -> Measurement:
        order.append("second")
        raise ValueError("two")

    waiting, failing = worker(first), worker(second)
    assert not waiting.wait(0)
    threads = [thread for thread in threading.enumerate() if thread.name == "rollout-metrics"]
    assert threads
    assert all(thread.daemon for thread in threads)
    gate.set()
    assert waiting.wait(10)
    assert waiting.result() == "one"
    assert failing.wait(10)
    with pytest.raises(ValueError, match="two"):
        failing.result()
    assert order == ["first", "second"]
    assert inline(lambda: 3).result() == 3


def test_a_worker_s_thread_ends_with_its_work_and_comes_back_for_more() -> None:
    """Nobody closes a worker, and a controller that works on many services must not gather threads."""
    before, worker = threading.active_count(), Worker()
    for number in range(50):
        assert worker(lambda number=number: number).wait(10.0)
        found = [worker(lambda number=number: number) for number in range(5)]
        assert all(pending.wait(10.0) for pending in found)
        assert [pending.result() for pending in found] == list(range(5))
    patience = 1000
    while threading.active_count() > before and (patience := patience - 1):
        time.sleep(0.005)
    assert threading.active_count() <= before
