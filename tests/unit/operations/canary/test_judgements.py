"""What windows say of both versions, what stable itself would pass, and which times a result tells."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import Policy, ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Window
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Baseline
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import (
    ReleaseRecord,
    release_object,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import interval
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import unwatched
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.assembly import (
    RolloutBuilder,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.evidence import (
    fail_alike,
    stable_is_sick,
    stable_is_worse,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.preflight import (
    check as preflight,
)

from .fakes import NAMESPACE, OPTIONS, SERVICE, Shop
from .world import World

GATE = ShareGate("errors", acceptable=0.005, limit=0.02)


def window(canary: tuple[int, int], stable: tuple[int, int], gate: str = "errors") -> Window:
    return Window(1, "2026-11-23T12:00:00Z", "2026-11-23T12:00:10Z", 10, {gate: (*canary, *stable)})


def judged(*gates: ShareGate, **more: Any) -> Any:
    """As much of a rollout as judgements look at."""
    return SimpleNamespace(
        options=SimpleNamespace(gates=gates or (GATE,), policy=Policy()),
        plan=SimpleNamespace(phases=(1, 2, 3)),
        journal=SimpleNamespace(**more),
    )


def test_stable_is_the_worse_one_only_with_evidence() -> None:
    assert not stable_is_worse(judged(), [])
    assert not stable_is_worse(judged(), [window((100, 1), (100, 2))])
    assert not stable_is_worse(judged(), [window((100, 60), (100, 0))])
    assert stable_is_worse(judged(), [window((100, 0), (100, 60))])


@pytest.mark.parametrize(
    ("windows", "sick"),
    [
        ([], False),
        ([window((100, 0), (0, 0))], False),
        ([window((500, 0), (500, 100))], True),
        ([window((500, 400), (500, 100))], False),  # the canary is the worse one
        # what counts is now: the last three windows
        ([window((500, 0), (500, 300)), *[window((500, 0), (500, 10))] * 3], False),
        ([window((500, 0), (500, 300)), *[window((500, 0), (500, 11))] * 3], True),
        (
            [window((500, 0), (500, 300)), window((500, 0), (500, 100)), *[window((500, 0), (500, 0))] * 2],
            True,
        ),
        ([window((500, 0), (500, 300)), *[window((500, 0), (500, 0))] * 3], False),
        ([window((500, 0), (500, 300), "latency")], False),
    ],
)
def test_a_sick_stable_version_fails_more_than_any_gate_allows_by_now(
    windows: list[Window], *, sick: bool
) -> None:
    assert stable_is_sick(judged(), windows) is sick
    assert not stable_is_sick(judged(replace(GATE, name="latency")), windows)


@pytest.mark.parametrize(
    ("figures", "alike"),
    [([], False), ([{}], False), ([{"alike": True}], True), ([{}, {"alike": True}], True)],
)
def test_both_fail_alike_when_a_gate_says_so(figures: list[dict[str, Any]], *, alike: bool) -> None:
    assert fail_alike(judged(verdicts=[SimpleNamespace(figures=found) for found in figures])) is alike


def builder_with(counts: Any, **options: Any) -> tuple[Any, list[str]]:
    lines: list[str] = []

    def past(_seconds: float) -> Any:
        if isinstance(counts, Exception):
            raise counts
        return SimpleNamespace(counts=counts)

    built = SimpleNamespace(
        options=SimpleNamespace(**{"prometheus": "p", "baseline": 600.0, **options}),
        context=SimpleNamespace(progress=lines.append),
        service=SimpleNamespace(key="shop/product"),
        metrics_of=lambda _journal: SimpleNamespace(past=past),
    )
    built.of_run = lambda _journal: built
    return built, lines


@pytest.mark.parametrize(
    ("counts", "well"),
    [
        ({"errors": (0, 0, 100, 0)}, True),
        ({"errors": (0, 0, 99, 0)}, False),  # too few say nothing
        ({"errors": (0, 0, 1000, 5)}, True),  # just what is acceptable
        ({"errors": (0, 0, 1000, 6)}, False),
        ({"errors": (1000, 900, 1000, 0)}, True),  # the canary's do not count
        ({}, False),
    ],
)
def test_a_stable_version_is_well_again_by_enough_good_requests(counts: Any, *, well: bool) -> None:
    journal: Any = SimpleNamespace(gates=(GATE,), stable="v1")
    assert unwatched.stable_is_well(builder_with(counts)[0], journal) is well
    assert not unwatched.stable_is_well(builder_with(counts, prometheus=None)[0], journal)
    assert not unwatched.stable_is_well(builder_with(counts)[0], SimpleNamespace(gates=(), stable="v1"))
    two: Any = SimpleNamespace(gates=(GATE, replace(GATE, name="latency")), stable="v1")
    assert not unwatched.stable_is_well(builder_with(counts)[0], two)


def test_a_stable_version_that_cannot_be_measured_is_not_well() -> None:
    built, lines = builder_with(MetricsError("Prometheus did not answer"))
    assert not unwatched.stable_is_well(built, SimpleNamespace(gates=(GATE,), stable="v1"))
    assert lines == ["shop/product: v1 cannot be measured: Prometheus did not answer"]


def baseline(**shares: float) -> Baseline:
    return Baseline(100.0, 60_000.0, shares, 0.0, "")


def on_stable(*gates: ShareGate, policy: Policy | None = None, **shares: float) -> tuple[int, list[str]]:
    return preflight._gates_on_stable(gates, policy or Policy(), baseline(**shares))


def test_gates_that_stable_itself_does_not_pass_are_told_and_the_others_need_the_most() -> None:
    latency = replace(GATE, name="latency", acceptable=0.05, limit=0.2)
    need, problems = on_stable(GATE, latency, errors=0.0, latency=0.01)
    assert problems == []
    assert need == max(
        preflight.evidence_needed(GATE, Policy(), 0.0) or 0,
        preflight.evidence_needed(latency, Policy(), 0.01) or 0,
    )
    need, problems = on_stable(GATE, latency, errors=0.02, latency=0.01)
    assert problems == [
        "gate errors does not pass on stable itself: 2.00% of its requests are bad, the gate accepts 0.50%"
        " and stops at 2.00%"
    ]
    assert need == preflight.evidence_needed(latency, Policy(), 0.01)
    assert on_stable(GATE)[1] == []  # a share that was not seen is none


@pytest.mark.parametrize(("share", "refused"), [(0.2, False), (0.21, True)])
def test_a_fixed_limit_that_stable_exceeds_is_refused(share: float, *, refused: bool) -> None:
    relative = ShareGate("errors", acceptable=0.0, limit=0.2, absolute=False, compare=False)
    assert bool(on_stable(relative, policy=Policy(mode="fixed"), errors=share)[1]) is refused
    assert on_stable(relative, errors=share)[1] == []


def test_an_effect_that_no_number_of_requests_shows_is_never_passed() -> None:
    no_effect = ShareGate("errors", acceptable=0.02, limit=0.02, absolute=False)
    assert preflight.evidence_needed(no_effect, Policy(), 0.0) is None


def test_the_evidence_that_is_needed_is_just_enough() -> None:
    gate = replace(GATE, absolute=False)
    need = preflight.evidence_needed(gate, Policy(), 0.0)
    assert need is not None

    def effect(requests: float) -> float:
        return interval(0.0, requests, Policy().beta / 4)[1]

    assert effect(need) < gate.limit - gate.acceptable <= effect((need - 1) / 1.1 - 1)


def refusal(world: World, **changes: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        world(**changes)
    return str(caught.value)


@pytest.mark.parametrize(("skew", "refused"), [(5.0, False), (5.1, True), (-5.0, False), (-5.1, True)])
def test_five_seconds_of_skew_are_allowed(world: World, skew: float, *, refused: bool) -> None:
    world.shop.skew = skew
    if refused:
        assert "Prometheus' clock is 5 s" in refusal(world)
    else:
        assert world()["outcome"] == "promoted"


def test_too_little_traffic_is_refused_or_a_warning_by_choice(world: World) -> None:
    world.shop.rate = 0.0
    assert "no requests reached product in the last" in refusal(world)
    world.shop.rate = 1.0
    assert "more than canary_phase_deadline 120 s" in refusal(world)
    assert "more than canary_deadline 60 s" in refusal(world, deadline=60)
    found = world(low_traffic="promote_with_warning", check=True)
    assert any("more than canary_phase_deadline" in warning for warning in found["warnings"])


def test_a_version_without_pods_is_refused_unless_the_rollout_brings_it_up(world: World) -> None:
    world.shop.pods["v2"] = 0
    world.shop.set_pods()
    assert "no ready endpoint: v2 has 0 of 1 pods ready" in refusal(world)
    world.shop.pods.update(v1=0, v2=1)
    world.shop.set_pods()
    assert "no ready endpoint: v1 has 0 of 1 pods ready" in refusal(world)


@pytest.mark.parametrize(
    ("weights", "record", "fence", "stable", "source"),
    [
        ({"v1": 100, "v2": 0}, None, "", "v1", "live split (no release record yet)"),
        ({"v1": 51, "v3": 49}, None, "", "v1", "live split (no release record yet)"),
        ({"v3": 51, "v1": 49}, None, "", "v3", "live split (no release record yet)"),
        ({"v1": 50, "v3": 50}, None, "", "v0", "initial_version of the catalogue"),
        ({"v3": 100}, None, "7", "v0", "initial_version of the catalogue"),  # a rollout wrote it
        ({"v3": 100}, "v1", "", "v1", "release record"),
        (None, None, "", "v0", "initial_version of the catalogue"),
    ],
)
def test_which_version_is_stable(
    weights: dict[str, int] | None, record: str | None, fence: str, stable: str, source: str
) -> None:
    shop = Shop()
    service = replace(
        OPTIONS.service,
        versions={
            name: replace(OPTIONS.service.versions["v1"], labels={"app": SERVICE, "version": name})
            for name in ("v0", "v1", "v2", "v3")
        },
        initial_version="v0",
    )
    if weights is None:
        shop.cluster.remove("VirtualService", f"{SERVICE}-routes", NAMESPACE)
    else:
        host = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
        route = [
            {"destination": {"host": host, "subset": name}, "weight": weight}
            for name, weight in weights.items()
        ]
        shop.routes["spec"]["http"][-1]["route"] = route
        if fence:
            shop.routes["metadata"]["annotations"] = {"servicemesh.istio/fence": fence}
    if record:
        made = ReleaseRecord(stable=record, weights={record: 100})
        shop.cluster.put(release_object(made, service=SERVICE, namespace=NAMESPACE, mesh_name="shop"))
    builder = RolloutBuilder(shop.cluster, replace(OPTIONS, service=service), Context(clock=shop.clock))
    assert preflight.current_stable(builder, "v2") == (stable, source)


def test_without_any_sign_no_version_is_stable() -> None:
    shop = Shop()
    shop.cluster.remove("VirtualService", f"{SERVICE}-routes", NAMESPACE)
    service = replace(OPTIONS.service, initial_version="")
    builder = RolloutBuilder(shop.cluster, replace(OPTIONS, service=service), Context(clock=shop.clock))
    with pytest.raises(MeshError, match="nothing says which version of product is stable"):
        preflight.current_stable(builder, "v2")


TIMES = {"seconds_to_weight_0", "seconds_from_first_bad_window"}


def test_a_promotion_tells_no_time_to_stable(world: World) -> None:
    assert not TIMES & set(world())


def test_a_rollback_tells_how_long_the_version_kept_requests(world: World) -> None:
    world.shop.sick = 0.5
    with pytest.raises(MeshError) as caught:
        world()
    assert set(caught.value.details) >= TIMES
    assert all(caught.value.details[name] > 0 for name in TIMES)
