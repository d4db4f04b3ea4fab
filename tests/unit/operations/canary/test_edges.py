"""Parts of a rollout at their edges, each by itself: how long is waited, what is told, what ends a run."""

from __future__ import annotations

import threading
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
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Judgement,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Hold,
    JournalError,
    Window,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.outside_gates import (
    GateKind,
    Moment,
    OnFail,
    OutsideGate,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    info,
    kube_events,
    left_behind,
    phase,
    resume,
    state_machine,
    synthetic,
    watch,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.endpoints import (
    VersionEndpoints,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside import asking
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.web_call import (
    Reply,
    Web,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.preflight import (
    check as preflight,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    HoldNeeded,
    NotInTimeError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling import drain
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling import (
    versions as scaling,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling.autoscaling import (
    Autoscalers,
)

from ...support.clock import FakeClock
from .test_metrics import Bench
from .test_watch_edges import PLAN, TEN

HELD = {"servicemesh.istio/min-replicas": "1 4"}
FEWER = {"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas"}


@pytest.mark.parametrize(
    ("conditions", "annotations", "seconds"),
    [
        ([FEWER], HELD, 90),
        ([{"type": "AbleToScale", "status": "True"}, FEWER], HELD, 90),
        ([{**FEWER, "type": "ScalingActive"}], HELD, 30),
        ([{**FEWER, "status": "False"}], HELD, 30),
        ([{**FEWER, "reason": "TooManyReplicas"}], HELD, 30),
        ([], HELD, 30),
        ([FEWER], {}, 0),
    ],
)
def test_an_autoscaler_is_waited_for_until_it_wants_its_pods(
    conditions: list[dict[str, str]], annotations: dict[str, str], seconds: float
) -> None:
    clock = FakeClock()
    began = clock.time
    options = SimpleNamespace(service=SimpleNamespace(namespace="shop"))
    rollout: Any = SimpleNamespace(clock=clock, options=options, renew_if_due=lambda: None, warnings=[])
    live = {"metadata": {"annotations": annotations}, "status": {"conditions": conditions}}
    asked: list[tuple[str, ...]] = []

    def get(*names: str) -> dict[str, Any]:
        asked.append(names)
        return live

    client: Any = SimpleNamespace(get=get)
    Autoscalers(rollout, client).settle(Autoscaler("web", 1, 9))
    assert clock.time - began == pytest.approx(seconds, abs=1.9)
    assert set(asked) == {("autoscaling/v2", "HorizontalPodAutoscaler", "web", "shop")}
    assert rollout.warnings == []


def route(**shares: int) -> dict[str, Any]:
    return {
        "route": [
            {"destination": {"host": "web.shop.svc.cluster.local", "subset": name}, "weight": share}
            for name, share in shares.items()
        ]
    }


@pytest.mark.parametrize(
    ("routes", "split"),
    [
        (None, {}),
        ([], {}),
        ([{"route": [{"destination": {"host": "other.shop.svc.cluster.local", "subset": "v1"}}]}], {}),
        ([{"route": [{"destination": {"host": "web.shop.svc.cluster.local"}}]}], {}),
        ([route(v1=80, v2=20)], {"v1": 80, "v2": 20}),
        ([route(v2=100), route(v1=80, v2=20)], {"v1": 80, "v2": 20}),  # testers go before everybody
    ],
)
def test_the_live_split_is_that_of_the_route_for_everybody(routes: Any, split: dict[str, float]) -> None:
    metadata = {"name": "web", "namespace": "shop"}
    live = None if routes is None else {"metadata": metadata, "spec": {"hosts": ["web"], "http": routes}}
    client: Any = SimpleNamespace(get=lambda *_names: live)
    catalogue: Any = SimpleNamespace(cluster_domain="cluster.local")
    service: Any = SimpleNamespace(name="web", namespace="shop")
    assert info._live_split(client, catalogue, service, None) == split


@pytest.mark.parametrize(
    ("routes", "split"),
    [
        ([route(v1=80, v2=20), route(v1=50, v2=50)], {"v1": 50, "v2": 50}),
        ([route(v1=50, v2=50), route(v1=80, v2=20)], {"v1": 50, "v2": 50}),
        ([route(v1=80, v2=20), route(v2=100)], {"v1": 80, "v2": 20}),  # no share of stable's
        ([route(v1=100), route(v1=99, v2=1)], {"v1": 99, "v2": 1}),
    ],
)
def test_in_an_object_of_somebody_else_the_most_of_stable_s_counts(
    routes: Any, split: dict[str, float]
) -> None:
    found = {"metadata": {"name": "front", "namespace": "edge"}, "spec": {"hosts": ["web"], "http": routes}}
    asked: list[tuple[str, ...]] = []

    def get(*names: str) -> Any:
        asked.append(names)
        return found

    theirs = SimpleNamespace(routes=SimpleNamespace(name="front", namespace="edge"))
    journal: Any = SimpleNamespace(settings=theirs, stable="v1", canary="v2")
    client: Any = SimpleNamespace(get=get)
    catalogue: Any = SimpleNamespace(cluster_domain="cluster.local")
    service: Any = SimpleNamespace(name="web", namespace="shop")
    assert info._live_split(client, catalogue, service, journal) == split
    assert [names[1:] for names in asked] == [("VirtualService", "front", "edge")]


def window(counts: tuple[int, int, int, int], end: str, **latency: dict[str, float | None]) -> Window:
    return Window(2, "2026-11-23T12:00:00Z", end, 10, {"errors": counts}, latency)


@pytest.mark.parametrize(
    ("windows", "line"),
    [
        ((), "phase {label} | 7/10 s | pass: errors: fine"),
        (
            (
                window((10, 1, 90, 2), "2026-11-23T12:00:10Z"),
                window((5, 3, 0, 0), "2026-11-23T12:00:04Z", canary={"p99": 120.4}, stable={"p99": 80.0}),
            ),
            "phase {label} | 7/10 s | last 4 s: canary 3/5 failed, stable 0/0 failed"
            " | run: canary 4/15 failed, p99 120 ms, stable 2/90 failed, p99 80 ms | pass: errors: fine",
        ),
        (
            (window((0, 0, 8, 1), "when", canary={"p99": 1.0}, stable={"p99": None}),),
            "phase {label} | 7/10 s | newest look: canary 0/0 failed, stable 1/8 failed"
            " | run: canary 0/0 failed, stable 1/8 failed | pass: errors: fine",
        ),
    ],
)
def test_a_look_is_one_line(windows: tuple[Window, ...], line: str) -> None:
    lines: list[str] = []
    rollout: Any = SimpleNamespace(journal=SimpleNamespace(windows=windows), progress=lines.append)
    judgement = Judgement("errors", GateVerdict.PASS, "fine")
    watch._report(rollout, TEN, judgement, 7.2)
    assert lines == [line.format(label=TEN.label())]


@pytest.mark.parametrize(
    ("share", "owner", "waits"), [(10, "", False), (11, "", True), (11, "KEDA", False), (11, None, True)]
)
def test_stable_is_waited_for_when_it_gets_much_back_and_somebody_makes_it_grow(
    monkeypatch: pytest.MonkeyPatch, share: int, owner: str | None, waits: bool
) -> None:
    """:param owner: of its autoscaler; ``None`` = it has none."""
    rollout: Any = SimpleNamespace(
        plan=SimpleNamespace(stable="v1", canary="v2"),
        options=SimpleNamespace(
            service=SimpleNamespace(namespace="shop"), capacity="hold", gitops="refuse", ready_timeout=1.0
        ),
        journal=SimpleNamespace(sizes={"v1": Size("web", 4, 4)}),
        endpoints=SimpleNamespace(read=lambda: {"v1": VersionEndpoints("v1", ("a",), ("a",), ())}),
    )
    live = Size("web", 4, 1, None if owner is None else Autoscaler("web", 1, 3, owner))
    monkeypatch.setattr(scaling, "load_growth", lambda _rollout: 1.0)
    monkeypatch.setattr(scaling, "share_now", lambda _rollout: share)
    monkeypatch.setattr(scaling, "read_sizes", lambda *_names, **_how: {"": live})
    client: Any = SimpleNamespace()
    sizes = scaling.WorkloadScaler(rollout, client)
    waited: list[int] = []
    monkeypatch.setattr(sizes, "_await", waited.append)
    monkeypatch.setattr(sizes, "_hold", lambda *_given: None)
    sizes.before_return()
    assert waited == ([4 if owner is None else 3] if waits else [])


def test_the_spread_of_stable_is_told_span_by_span() -> None:
    """Each span once, in its order, whatever series had requests in it; lost ones are bad ones of it."""

    def series(workload: str, code: str, reporter: str, *points: tuple[float, float]) -> Any:
        names = {"destination_workload": workload, "destination_workload_namespace": "shop"}
        if workload == "unknown":
            names["destination_workload_namespace"] = "unknown"
        labels = {**names, "response_code": code, "reporter": reporter, "instance": "a"}
        return frozenset(labels.items()), list(points)

    good = series("p-v1", "200", "destination", (1000.0, 0.0), (1005.0, 7.0), (1010.0, 9.0))
    bad = series("p-v1", "500", "destination", (1005.0, 1.0), (1010.0, 4.0), (1015.0, 4.0))
    canary = series("p-v2", "500", "destination", (1000.0, 0.0), (1005.0, 50.0))
    lost = series("unknown", "503", "source", (1010.0, 0.0), (1015.0, 6.0))
    source = Bench().source
    told = source._spread({"server": [bad, canary, good], "client": [lost]}, 5.0)
    assert told == {"errors": ((7, 0), (5, 3), (6, 6))}
    assert source._spread({"server": [bad], "client": []}, 0.0) == {}


@pytest.mark.parametrize(("again", "seconds"), [(503, 900), (422, 2)])
def test_an_api_server_that_stays_away_is_asked_for_a_quarter_of_an_hour(again: int, seconds: float) -> None:
    clock, renewed = FakeClock(), []
    began = clock.time

    def renew() -> None:
        renewed.append(clock.time)
        raise ApiError("no", status=again)

    lease = SimpleNamespace(renew=renew)
    rollout: Any = SimpleNamespace(clock=clock, lease=lease, stop=lambda: False)
    with pytest.raises(ApiError):
        state_machine._after_outage(rollout, ApiError("no", status=again))
    assert clock.time - began == seconds
    assert len(renewed) == (451 if again == 503 else 1), "a refusal is one once it is said twice"


def test_a_refusal_of_another_rule_is_no_rollout_that_somebody_holds() -> None:
    """Whoever holds it goes on; anything else that refuses the Lease has to be told as a failure."""

    def acquire() -> None:
        raise RefusedError("the clock of this machine is wrong", rule="clock")

    builder: Any = SimpleNamespace(
        store=SimpleNamespace(read=lambda: None),
        lease=SimpleNamespace(
            read=lambda: {"spec": {"holderIdentity": "dead"}}, holder=lambda _lease: "", acquire=acquire
        ),
        context=SimpleNamespace(check_mode=False),
    )
    with pytest.raises(RefusedError, match="the clock of this machine"):
        resume._resume(builder)


@pytest.mark.parametrize(
    ("empty", "sick", "cause"),
    [
        ({"v1"}, False, Hold.STABLE_DOWN),
        ({"v2"}, False, None),
        ({"v1", "v2"}, False, None),  # what the canary lacks is a reason of its own
        ({"v1", "v2"}, True, None),
    ],
)
def test_only_a_stable_version_that_is_down_alone_keeps_the_canary(
    empty: set[str], sick: bool, cause: Hold | None
) -> None:
    found = {
        version: VersionEndpoints(version, () if version in empty else ("a",), ("a",), ("aaa",))
        for version in ("v1", "v2")
    }

    def await_ready(check: Any, _awaited: str) -> None:
        ready, seen = check()
        assert not ready
        raise NotInTimeError(seen)

    rollout: Any = SimpleNamespace(
        plan=PLAN,
        options=SimpleNamespace(sick_stable=sick),
        endpoints=SimpleNamespace(read=lambda: found),
        journal=SimpleNamespace(templates=("aaa",)),
        await_ready=await_ready,
    )
    with pytest.raises(MeshError) as raised:
        phase.await_ready(rollout, TEN)
    assert isinstance(raised.value, HoldNeeded if cause else NotInTimeError)
    assert getattr(raised.value, "cause", None) is cause
    named = [version for version in ("v1", "v2") if version in empty and not (sick and version == "v1")]
    assert [version for version in ("v1", "v2") if f"{version} has" in str(raised.value)] == named


@pytest.mark.parametrize(
    ("status", "redirected"), [(299, False), (300, True), (308, True), (399, True), (400, False)]
)
def test_a_redirect_is_told_as_one(monkeypatch: pytest.MonkeyPatch, status: int, redirected: bool) -> None:
    monkeypatch.setattr(asking, "call", lambda *_sent, **_how: Reply(status, "words"))
    gate = OutsideGate("smoke", GateKind.URL, (Moment.ROLLOUT,), OnFail.ROLLBACK)
    how = asking.Asking(web=Web("https://gate.example.com"))
    said = asking.ask(gate, how, {"id": "1"}, {}, threading.Event())
    told = f"HTTP {status}, a redirect, which is not followed" if redirected else f"HTTP {status}"
    assert said.reason == (told if status == 299 else f"{told}: words")


def test_an_answer_without_words_is_its_status_and_none_at_all_the_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = OutsideGate("smoke", GateKind.URL, (Moment.ROLLOUT,), OnFail.ROLLBACK)
    how = asking.Asking(web=Web("https://gate.example.com", headers={"X-Team": "shop"}))
    sent: list[Web] = []

    def reply(web: Web, *_body: Any, **_how: Any) -> Reply:
        sent.append(web)
        return replies.pop()

    replies = [Reply(0, trouble="nobody there"), Reply(500)]
    monkeypatch.setattr(asking, "call", reply)
    said = [asking.ask(gate, how, {"id": number}, {}, threading.Event()) for number in (7, 8)]
    assert [(one.verdict, one.reason) for one in said] == [
        ("fail", "HTTP 500"),
        ("cannot tell", "nobody there"),
    ]
    assert [web.headers for web in sent] == [
        {"X-Team": "shop", "Idempotency-Key": "7"},
        {"X-Team": "shop", "Idempotency-Key": "8"},
    ]


@pytest.mark.parametrize(
    ("at_least", "empty_after", "limit", "looks"),
    [
        (0.0, 0.0, 0.0, [0.0]),
        (0.2, 0.0, 60.0, [0.5]),
        (12.0, 0.0, 60.0, [12.0]),
        (12.0, 14.0, 60.0, [12.0, 12.5, 13.0, 13.5, 14.0]),
        (1.0, 99.0, 2.0, [1.0, 1.5, 2.0]),
        (3.0, 99.0, 2.0, [3.0]),
    ],
)
def test_a_version_is_looked_at_from_the_delay_until_the_limit(
    at_least: float, empty_after: float, limit: float, looks: list[float]
) -> None:
    clock = FakeClock()
    began, seen = clock.time, []

    def open_requests(_version: str) -> int:
        seen.append(clock.time - began)
        return 0 if seen[-1] >= empty_after else 3

    rollout: Any = SimpleNamespace(
        clock=clock,
        prover=SimpleNamespace(open_requests=open_requests),
        progress=lambda _line: None,
        renew_if_due=lambda: None,
        warnings=[],
    )
    assert drain.drained(rollout, "v1", at_least=at_least, limit=limit)
    assert seen == pytest.approx(looks)
    cut_off = f"v1 is scaled down with 3 open requests after {looks[-1]:.0f} s"
    assert rollout.warnings == ([] if looks[-1] >= empty_after else [cut_off])


@pytest.mark.parametrize(
    ("run", "phase_needs", "said"),
    [
        (100.0, 50.0, []),
        (101.0, 50.0, ["the rollout takes 101 s, more than canary_deadline 100 s"]),
        (
            100.0,
            51.0,
            [f"phase {TEN.label()} needs 51 s at 2.0 requests/s, more than canary_phase_deadline 50 s"],
        ),
    ],
)
def test_a_rollout_may_take_as_long_as_its_deadlines(
    monkeypatch: pytest.MonkeyPatch, run: float, phase_needs: float, said: list[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(preflight, "_by_policy", lambda _builder, _found, message: told.append(message))
    needs = SimpleNamespace(expected_seconds=phase_needs, label=TEN.label)
    found: Any = SimpleNamespace(
        plan=SimpleNamespace(requests_per_second=2.0, expected_seconds=run, phases=[needs])
    )
    builder: Any = SimpleNamespace(options=SimpleNamespace(deadline=100.0, phase_deadline=50.0))
    preflight._traffic(builder, found)
    assert [line.removeprefix("at 2.0 requests/s ") for line in told] == said


def test_events_are_about_the_deployment() -> None:
    live = {"metadata": {"name": "web", "uid": "77"}}
    found: Any = SimpleNamespace(
        get=lambda *names: {("apps/v1", "Deployment", "web", "shop"): live}.get(names)
    )
    assert kube_events.regarding(found, "shop", "web") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "namespace": "shop",
        "uid": "77",
    }
    assert kube_events.regarding(found, "shop", "other") is None


def test_a_journal_that_cannot_be_read_is_none_of_those_that_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_of(item: str) -> Any:
        if item == "damaged":
            raise JournalError("damaged")
        return None if item == "ended" else SimpleNamespace(namespace="shop", service=item)

    monkeypatch.setattr(left_behind, "open_run", run_of)
    client: Any = SimpleNamespace(
        in_parallel=lambda act, spaces: [act(space) for space in spaces],
        list=lambda *_names, **_how: SimpleNamespace(
            items=["web", "damaged", "ended", "api", "known", "damaged"]
        ),
    )
    catalogue: Any = SimpleNamespace(name="shop", namespaces=["shop"])
    found = left_behind.left_behind(client, catalogue, {"shop/known"})
    assert [left_behind.key_of(run) for run in found] == ["shop/api", "shop/web"]


@pytest.mark.parametrize(("code", "trouble"), [(0, ""), (3, "the command in pod b ended with 3")])
def test_the_first_pod_that_takes_requests_sends_them(code: int, trouble: str) -> None:
    def pod(name: str, ready: str) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": ready}]
        return {"metadata": {"name": name}, "status": {"phase": "Running", "conditions": conditions}}

    ran: list[tuple[Any, ...]] = []

    def execute(*where: Any, **_how: Any) -> Any:
        ran.append(where)
        return SimpleNamespace(returncode=code)

    pods = [pod("a", "False"), pod("b", "True"), pod("c", "True")]
    client = SimpleNamespace(list=lambda *_names, **_how: SimpleNamespace(items=pods), exec=execute)
    wish: Any = SimpleNamespace(namespace="shop", selector="app=load", container="app", command=("hey",))
    assert synthetic.send_requests(client, wish) == trouble
    assert ran == [("shop", "b", "app", ["hey"])]
