"""Notifications and Kubernetes Events: one for each milestone, and never a reason for anything."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.milestones import Milestone
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import state_machine
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.background import (
    Pending,
    Worker,
    inline,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.kube_events import (
    MOST_EVENTS,
    DeploymentEvents,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.notifications import (
    LAST_WORD,
    Notifications,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.listeners import (
    Listener,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.web_call import Web
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import Rollout

from ...support.http_server import Answer, ScriptedServer
from .fakes import NAMESPACE, SERVICE, Shop, drive
from .options.test_rollout import options, refused


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=Answer(200, b"ok")) as running:
        yield running


def told(shop: Shop, *listeners: Listener, threads: Any = lambda: inline, **more: Any) -> Rollout:
    rollout = shop.rollout(**more)
    rollout.tellers.append(
        Notifications(rollout, listeners, {}, workers=threads, sleep=lambda _seconds: None)
    )
    return rollout


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [request.body for request in server.requests]


def test_every_milestone_is_told_in_order(server: ScriptedServer) -> None:
    shop = Shop()
    listener = Listener(Web(f"{server.url}/T0K3N", headers={"Authorization": "Bearer abc"}))
    rollout = told(shop, listener)
    assert drive(rollout).outcome == "promoted"
    found = bodies(server)
    assert [body["event"] for body in found] == ["started", *["phase_passed"] * 3, "promoted"]
    assert len({body["id"] for body in found}) == len(found)
    assert server.requests[0].headers["authorization"] == ["Bearer abc"]
    assert rollout.warnings == []
    second = found[2]
    assert second.pop("at").endswith("Z")
    assert second == {
        "schema": 1,
        "event": "phase_passed",
        "text": "shop/product v1 to v2: phase 2/weight 50 % of 3 passed",
        "id": "run-1.phase_passed.1.2",
        "service": "product",
        "namespace": "shop",
        "mesh": "shop",
        "cluster": "uid",
        "run": "run-1",
        "by": "",
        "stable": "v1",
        "canary": "v2",
        "step": 2,
        "steps": 3,
        "weight": 50,
        "outcome": "",
        "reason": "",
    }
    assert found[-1]["text"] == "shop/product v1 to v2: promoted, v2 is stable"


def test_a_rollback_says_why(server: ScriptedServer) -> None:
    shop = Shop()
    shop.sick = 0.5
    drive(told(shop, Listener(Web(server.url))))
    found = bodies(server)
    assert [body["event"] for body in found] == ["started", "rolling_back", "rolled_back"]
    assert "canary requests failed" in found[-1]["text"]


def test_a_listener_hears_what_it_asked_for(server: ScriptedServer) -> None:
    drive(told(Shop(), Listener(Web(server.url), frozenset({"promoted", "rolled_back"}))))
    assert [body["event"] for body in bodies(server)] == ["promoted"]


def test_a_successor_says_that_it_goes_on(server: ScriptedServer) -> None:
    shop = Shop()
    assert drive(shop.rollout(approvals=(2,))).state == "awaiting_approval"
    after = told(shop, Listener(Web(server.url)), identity="runner-2")
    after.store.read()
    after.lease.acquire()
    after.store.refresh()
    state_machine.take_over(after)
    state_machine.withdraw(after, "asked for")
    assert [body["event"] for body in bodies(server)] == ["resumed", "rolling_back", "rolled_back"]


def test_what_is_not_delivered_is_one_warning_and_no_more(server: ScriptedServer) -> None:
    server.always = Answer(500, b"no")
    rollout = told(Shop(), Listener(Web(f"{server.url}/T0K3N")))
    assert drive(rollout).outcome == "promoted"
    host = server.url.removeprefix("http://")
    assert rollout.warnings == [f"notification: {host} answered with HTTP 500 (5 notifications were lost)"]
    assert len(server.requests) == 8  # twice each; after three that failed only the end


def test_one_lost_notification_does_not_lose_the_next(server: ScriptedServer) -> None:
    server.script = [Answer(503), Answer(503)]
    rollout = told(Shop(), Listener(Web(server.url)))
    drive(rollout)
    assert [body["event"] for body in bodies(server)][2:] == [*["phase_passed"] * 3, "promoted"]
    assert len(rollout.warnings) == 1


def test_a_redirect_is_not_followed_and_told(server: ScriptedServer) -> None:
    with ScriptedServer(always=Answer(200)) as other:
        server.always = Answer(302, b"", {"Location": other.url})
        rollout = told(Shop(), Listener(Web(server.url)))
        drive(rollout)
        assert other.requests == []
    assert "HTTP 302" in rollout.warnings[0]


def test_a_listener_that_hangs_delays_nothing(server: ScriptedServer) -> None:
    server.always = Answer(200, how="silent")
    shop = Shop()
    plain = shop.clock.now()
    drive(shop.rollout())
    without = shop.clock.now() - plain
    shop = Shop()
    began = shop.clock.now()
    rollout = told(shop, Listener(Web(server.url), timeout=0.2), threads=Worker)
    assert drive(rollout).outcome == "promoted"
    assert shop.clock.now() - began <= without + 11
    assert rollout.warnings


def test_options() -> None:
    found = options(
        notify=[{"url": "https://hooks.example.com/T0K3N", "events": ["promoted"], "timeout": "3s"}]
    )
    assert found.listeners == (
        Listener(Web("https://hooks.example.com/T0K3N"), frozenset({"promoted"}), 3.0),
    )
    assert "T0K3N" not in repr(found)
    problems = refused(notify=[{"url": "slack"}, {"url": "https://x", "timeout": 0}])
    assert problems[0].startswith("canary_notify[0].url: is not an http or https URL")
    assert problems[1].startswith("canary_notify[1].timeout")
    problems = refused(deadman="job", deadman_job={"notify_secret": "No Name"})
    assert problems[0].startswith("canary_deadman_job.notify_secret: is 'No Name', not a name")


# Events.


def deployment(shop: Shop) -> None:
    shop.cluster.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"{SERVICE}-v2", "namespace": NAMESPACE, "uid": "u-1"},
        }
    )


def with_events(shop: Shop, **more: Any) -> Rollout:
    rollout = shop.rollout(**more)
    rollout.tellers.append(DeploymentEvents(rollout, shop.cluster, f"{SERVICE}-v2"))
    return rollout


def events(shop: Shop) -> list[dict[str, Any]]:
    return [obj for key, obj in shop.cluster.objects.items() if key[0] == "Event"]


def test_listeners_that_never_answer_share_the_last_word() -> None:
    shop = Shop()
    waited: list[float] = []

    def await_result(_pending: Any, seconds: float) -> bool:
        waited.append(seconds)
        shop.clock.time += seconds
        return False

    run = shop.rollout()
    drive(run)
    silent: Any = SimpleNamespace(
        clock=shop.clock, options=run.options, warnings=[], await_result=await_result
    )
    listeners = tuple(Listener(Web(f"https://{name}.example.com/x")) for name in ("one", "two", "three"))
    teller = Notifications(silent, listeners, {}, workers=lambda: lambda _send: Pending())
    teller.tell(Milestone.PROMOTED, run.journal)
    teller.close()
    assert waited == [LAST_WORD, 0.0, 0.0]
    assert silent.warnings == [
        f"notification: {name}.example.com has not answered yet" for name in ("one", "two", "three")
    ]


def test_events_on_the_deployment() -> None:
    shop = Shop()
    deployment(shop)
    rollout = with_events(shop)
    drive(rollout)
    found = events(shop)
    assert [item["reason"] for item in found] == [
        "RolloutStarted",
        *["RolloutPhasePassed"] * 3,
        "RolloutPromoted",
    ]
    about = shop.cluster.peek("Deployment", f"{SERVICE}-v2")
    assert about
    for item in found:
        assert item["regarding"]["uid"] == about["metadata"]["uid"]
        assert item["reportingController"] == "servicemesh.istio/canary"
        assert (item["type"], item["action"], item["apiVersion"]) == ("Normal", "Rollout", "events.k8s.io/v1")
    assert rollout.warnings == []


def test_a_rollback_is_a_warning() -> None:
    shop = Shop()
    deployment(shop)
    shop.sick = 0.5
    drive(with_events(shop))
    assert [item["type"] for item in events(shop)] == ["Normal", "Warning", "Warning"]


def test_without_a_deployment_there_are_none() -> None:
    shop = Shop()
    rollout = with_events(shop)
    assert drive(rollout).outcome == "promoted"
    assert events(shop) == []
    assert rollout.warnings == []


@pytest.mark.parametrize("verb", ["get", "create"])
def test_without_the_right_a_run_goes_on_and_says_it_once(verb: str) -> None:
    shop = Shop()
    deployment(shop)

    class Forbidding:
        def __getattr__(self, name: str) -> Any:
            if name != verb:
                return getattr(shop.cluster, name)

            def refuse(*_arguments: Any, **_more: Any) -> Any:
                raise ApiError("forbidden", status=403, reason="Forbidden")

            return refuse

    rollout = shop.rollout()
    rollout.tellers.append(DeploymentEvents(rollout, Forbidding(), f"{SERVICE}-v2"))
    assert drive(rollout).outcome == "promoted"
    assert rollout.warnings == [f"no Events on Deployment {SERVICE}-v2: forbidden"]


def test_events_are_bounded() -> None:
    shop = Shop()
    deployment(shop)
    shop.rate = 100_000.0
    rollout = with_events(shop, steps=list(range(1, 101)), deadline=36_000.0)
    assert drive(rollout).outcome == "promoted"
    found = events(shop)
    assert len(found) == MOST_EVENTS + 1
    assert found[-1]["reason"] == "RolloutPromoted"


def test_after_three_failures_in_a_row_only_the_end_is_tried_again() -> None:
    shop = Shop()
    with ScriptedServer(always=Answer(500, b"")) as server:
        rollout = told(shop, Listener(Web(server.url)))
        assert drive(rollout).outcome == "promoted"
        events = [body["event"] for body in bodies(server)]
    tried_twice = ["started", "phase_passed", "phase_passed", "promoted"]
    assert events == [event for event in tried_twice for _attempt in range(2)]
    (warning,) = rollout.warnings
    assert "answered with HTTP 500 (5 notifications were lost)" in warning
