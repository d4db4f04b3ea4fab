"""Applying the catalogue never moves traffic."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.record import parse_record
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split_plan import (
    LiveState,
    live_split,
    plan_splits,
    split_object_id,
)

from ...support.catalogues import by_kind, minimal

KEY = "shop/api"


def mesh(**api: Any) -> Catalogue:
    raw = minimal()
    raw["mesh_services"][1] |= api
    return parse_catalogue(raw)


def routes(weights: dict[str, int], fence: int = 0) -> dict[str, Any]:
    catalogue = mesh(versions={"v1": {}, "v2": {}, "v3": {}})
    objects = render(catalogue, {KEY: {"weights": weights, "fence": fence}})
    return by_kind(objects, "VirtualService")["shop/api-routes"]


def state(**live: Any) -> LiveState:
    """What is known of the one service; a record is given by its weights, or by its stable version."""
    record = live.pop("records", None)
    if record is not None:
        live["records"] = parse_record({"schema": 1, "stable": max(record.get("weights") or "?"), **record})
    return LiveState(**{name: {KEY: value} for name, value in live.items()})


def plan(repair: bool = False, **live: Any) -> tuple[dict[str, int], list[str]]:
    result = plan_splits(mesh(), state(**live), repair=repair)
    return dict(result.releases[KEY]["weights"]), list(result.notes)


def test_a_fresh_mesh_starts_at_the_initial_version() -> None:
    assert plan() == ({"v1": 100}, [])
    assert plan(ready=["v1", "v2"]) == ({"v1": 100}, [])
    assert plan(ready=[]) == ({"v1": 100}, [])


def test_refused_when_only_another_version_serves() -> None:
    with pytest.raises(RefusedError, match="initial_version v1 has no ready pod while v2 has") as caught:
        plan(ready=["v2"])
    assert caught.value.rule == "no-endpoints"


def test_record_and_live_agree() -> None:
    record = {"stable": "v2", "weights": {"v1": 0, "v2": 100}}
    assert plan(records=record, routes=routes({"v2": 100})) == ({"v2": 100}, [])
    assert plan(records=record) == ({"v2": 100}, [])
    assert plan(records={"stable": "v2"}) == ({"v2": 100}, [])


def test_a_live_split_without_record_is_adopted() -> None:
    weights, notes = plan(routes=routes({"v1": 60, "v2": 40}))
    assert weights == {"v1": 60, "v2": 40}
    assert notes == ["shop/api: adopted the live split v1 60 %, v2 40 %; there is no release record"]
    assert plan(routes=routes({"v1": 100})) == ({"v1": 100}, [])
    assert plan(routes=routes({"v2": 100}), ready=["v2"])[0] == {"v2": 100}


def test_drift_is_reported_and_repaired_only_on_request() -> None:
    live = {"records": {"weights": {"v1": 100}}, "routes": routes({"v1": 50, "v2": 50})}
    weights, notes = plan(**live)
    assert weights == {"v1": 50, "v2": 50}
    drift = "shop/api: drift: live v1 50 %, v2 50 %, release record v1 100 %"
    assert notes == [f"{drift}; mesh_repair_split: true restores the record"]
    weights, notes = plan(repair=True, **live)
    assert weights == {"v1": 100}
    assert notes[0].startswith("shop/api: drift repaired")


def test_a_running_rollout_keeps_its_routes() -> None:
    catalogue = mesh()
    live = state(held="run-7", routes=routes({"v1": 90, "v2": 10}), records={"stable": "v1"})
    result = plan_splits(catalogue, live)
    assert result.keep == frozenset({"VirtualService shop/api-routes"})
    assert KEY not in result.releases
    assert result.notes == ("shop/api: held by run-7, its routes are left alone",)


@pytest.mark.parametrize(
    "live",
    [
        {"records": {"stable": "v3"}},
        {"routes": routes({"v3": 100})},
        {"held": "run-7", "routes": routes({"v1": 90, "v3": 10})},
        {"records": {"stable": "v1"}, "routes": routes({"v1": 90, "v3": 10})},
    ],
)
def test_a_version_in_use_cannot_leave_the_catalogue(live: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="v3") as caught:
        plan_splits(mesh(), state(**live))
    assert caught.value.rule == "unknown-version"


@pytest.mark.parametrize("record", [{"records": {"stable": "v1"}}, {}])
def test_a_route_that_leads_nowhere_names_its_repair_and_gets_it(record: dict[str, Any]) -> None:
    """A hand set the route to a subset that does not exist: every request fails already."""
    live = state(**record, routes=routes({"v3": 100}))
    with pytest.raises(RefusedError, match=r"mesh_repair_split: true gives v1 100 % all the same"):
        plan_splits(mesh(), live)
    plan = plan_splits(mesh(), live, repair=True)
    assert plan.releases["shop/api"]["weights"] == {"v1": 100}
    assert "drift repaired: live v3 100 %" in plan.notes[0]


def test_without_a_record_a_split_that_leads_somewhere_is_not_repaired() -> None:
    plan = plan_splits(mesh(), state(routes=routes({"v2": 100})), repair=True)
    assert plan.releases["shop/api"]["weights"] == {"v2": 100}


def test_the_fence_never_falls() -> None:
    for recorded, written in ((3, 5), (5, 3)):
        live = state(records={"stable": "v1", "fence": recorded}, routes=routes({"v1": 100}, fence=written))
        assert plan_splits(mesh(), live).releases[KEY]["fence"] == 5
    assert plan_splits(mesh(), state(routes=routes({"v1": 100}, fence=4))).releases[KEY]["fence"] == 4
    assert plan_splits(mesh(), state()).releases[KEY]["fence"] == 0


def test_tcp_services_keep_their_split_in_the_plain_object() -> None:
    ports = [{"name": "tcp", "number": 5432, "protocol": "tcp"}]
    catalogue = mesh(ports=ports)
    service = catalogue.services[1]
    assert split_object_id(service) == "VirtualService shop/api"
    obj = by_kind(render(catalogue, {KEY: {"weights": {"v1": 70, "v2": 30}}}), "VirtualService")["shop/api"]
    assert live_split(obj, service, "cluster.local") == {"v1": 70, "v2": 30}
    live = LiveState(routes={KEY: obj})
    assert plan_splits(catalogue, live).releases[KEY]["weights"] == {"v1": 70, "v2": 30}


def to(subset: str = "", weight: int | None = None, host: str = "api") -> dict[str, Any]:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def foreign(*http: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "VirtualService",
        "metadata": {"name": "api-routes", "namespace": "shop"},
        "spec": {"http": list(http), **spec},
    }


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (None, {}),
        (foreign(), {}),
        (foreign({"route": [to()]}), {}),
        (foreign({"route": [to("a")]}), {"a": 100}),
        (foreign({"route": [to("a", 0)]}), {"a": 100}),
        (foreign({"name": "beta", "route": [to("b")]}, {"route": [to("a", 1), to("b", 0)]}), {"a": 100}),
        (foreign({"name": "split", "route": [to("a")]}, {"route": [to("b")]}), {"a": 100}),
        (foreign({"route": [to("a", 1), to("b", 3)]}), {"a": 25, "b": 75}),
        (foreign({"route": [to("a", 50), to("a", 50, "other")]}), {"a": 50}),
        (foreign({"route": [to("a", 50), to("", 50)]}), {}),
        (foreign(tcp=[{"route": [to("a", 0)]}]), {"a": 100}),
        (foreign(tls=[{"route": [to("a", 2), to("b", 2)]}]), {"a": 50, "b": 50}),
    ],
)
def test_reading_foreign_routes(obj: dict[str, Any] | None, expected: dict[str, int]) -> None:
    service = mesh().service("api")
    assert service
    assert live_split(obj, service, "cluster.local") == expected


@pytest.mark.parametrize(
    "route", [[to("v1", 1), to("v2", 2)], [to("v1", 50), to("v2", 25), to("", 25, "other")]]
)
def test_a_split_that_cannot_be_rendered_is_refused(route: list[dict[str, Any]]) -> None:
    for live in ({}, {"records": {"stable": "v1"}}):
        with pytest.raises(RefusedError, match="would move traffic") as caught:
            plan(routes=foreign({"name": "split", "route": route}), **live)
        assert caught.value.rule == "weights-sum"
    assert plan(True, routes=foreign({"name": "split", "route": route}), records={"stable": "v1"})[0] == {
        "v1": 100
    }
