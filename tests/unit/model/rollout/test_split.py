from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split import (
    Split,
    gitops_owner,
    is_request_host,
    split_patch,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SPLIT = Split("reviews", "shop", "v1", "v2")


def to(subset: str, weight: int | None = None, host: str = "reviews", **more: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"destination": {"host": host, "subset": subset}, **more}
    return item if weight is None else {**item, "weight": weight}


def service(*http: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "VirtualService",
        "metadata": {"name": "x", "namespace": "shop", "resourceVersion": "7"},
        "spec": {"hosts": ["reviews"], "http": list(http)},
    }


RICH = service(
    {"name": "pinned", "match": [{"headers": {"x": {"exact": "1"}}}], "route": [to("v2")]},
    {
        "name": "other",
        "match": [{"uri": {"prefix": "/o"}}],
        "route": [to("v1", host="other.shop.svc.cluster.local")],
    },
    {"name": "delegated", "match": [{"uri": {"prefix": "/d"}}], "delegate": {"name": "d"}},
    {
        "name": "main",
        "route": [to("v1", 90, headers={"request": {"set": {"a": "b"}}}), to("old", 10)],
        "fault": {"delay": {"fixedDelay": "1s"}},
        "mirror": {"host": "shadow"},
        "retries": {"attempts": 3},
    },
)


def test_foreign_routes_survive_byte_for_byte() -> None:
    after = SPLIT.with_share(RICH, 50)
    assert after["spec"]["http"][:3] == RICH["spec"]["http"][:3]
    main = after["spec"]["http"][3]
    assert {key: value for key, value in main.items() if key != "route"} == {
        key: value for key, value in RICH["spec"]["http"][3].items() if key != "route"
    }
    assert [(i["destination"]["subset"], i["weight"]) for i in main["route"]] == [
        ("v1", 45),
        ("v2", 45),
        ("old", 10),
    ]
    assert main["route"][0]["headers"] == {"request": {"set": {"a": "b"}}}
    assert RICH["spec"]["http"][3]["route"][0]["weight"] == 90, "the input is not changed"


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 100), st.integers(0, 99))
def test_weights_always_sum_to_100(share: int, extra: int) -> None:
    before = service({"route": [to("v1", 100 - extra), *([to("old", extra)] if extra else [])]})
    weights = [item["weight"] for item in SPLIT.with_share(before, share)["spec"]["http"][0]["route"]]
    assert sum(weights) == 100
    assert all(weight >= 0 for weight in weights)


@pytest.mark.parametrize(
    ("http", "share"),
    [
        # whoever has promoted a version may keep the old one for some requests: the rest is the canary's
        ([{"match": [{"uri": {"prefix": "/old"}}], "route": [to("v1")]}, {"route": [to("v2")]}], 100),
        ([{"match": [{"uri": {"prefix": "/new"}}], "route": [to("v2")]}, {"route": [to("v1")]}], 0),
        ([{"match": [{"uri": {"prefix": "/"}}], "route": [to("v2")]}], 100),
        ([{"route": [to("v1", 1), to("v2", 1), to("v3", 1)]}], 50),
    ],
)
def test_what_has_a_share_can_lose_it(http: list[dict[str, Any]], share: int) -> None:
    live = service(*http)
    assert SPLIT.canary_share(live) == share
    back = SPLIT.with_share(live, 0)
    assert SPLIT.canary_share(back) == 0
    assert [item for route in back["spec"]["http"] for item in route["route"] if item.get("weight") != 0]


def test_thirds_can_be_given_back_and_promoted_but_not_split() -> None:
    """Weights need not sum to 100 in somebody else's object, but a share of what is left over does."""
    live = service({"route": [to("v1", 1), to("v2", 1), to("v3", 1)]})
    (back,), (forth,) = (SPLIT.with_share(live, share)["spec"]["http"] for share in (0, 100))
    assert back["route"] == [to("v1", 2), to("v2", 0), to("v3", 1)]
    assert forth["route"] == [to("v1", 0), to("v2", 2), to("v3", 1)]
    with pytest.raises(RefusedError, match=r"gets 33\.33 percent"):
        SPLIT.with_share(live, 50)


def test_no_split_route_is_refused() -> None:
    with pytest.raises(RefusedError, match="subset v1"):
        SPLIT.with_share(service({"match": [{}], "route": [to("v3")]}), 10)


@pytest.mark.parametrize("host", ["reviews.shop.svc.cluster.local", "reviews"])
def test_hosts_are_matched_by_their_full_name(host: str) -> None:
    assert SPLIT.canary_share(service({"route": [to("v1", 60, host=host), to("v2", 40, host=host)]})) == 40


@pytest.mark.parametrize(
    "host",
    ["reviews.other", "reviews.other.svc.cluster.local", "reviewsx", "reviews.shop.svc.x", "reviews.shop"],
)
def test_a_service_of_the_same_name_elsewhere_is_somebody_else(host: str) -> None:
    assert SPLIT.splits(service({"route": [to("v1", 60, host=host), to("v2", 40, host=host)]})) == []


def test_a_short_name_belongs_to_the_objects_namespace() -> None:
    elsewhere = service({"route": [to("v1")]})
    elsewhere["metadata"]["namespace"] = "other"
    assert SPLIT.splits(elsewhere) == []


def test_the_patch_touches_route_lists_only_and_tests_what_it_replaces() -> None:
    patch = split_patch(RICH, SPLIT.with_share(RICH, 25))
    assert [(operation["op"], operation["path"]) for operation in patch] == [
        ("test", "/metadata/resourceVersion"),
        ("test", "/spec/http/3/route"),
        ("replace", "/spec/http/3/route"),
    ]
    assert split_patch(RICH, copy.deepcopy(RICH)) == []


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "argocd.argoproj.io/instance=shop"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "t"}}, "argocd.argoproj.io/tracking-id=t"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "k"}}, "kustomize.toolkit.fluxcd.io/name=k"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "argocd-controller"),
        ({"managedFields": [{"manager": "kubectl"}], "labels": {"app": "x"}}, ""),
        ({}, ""),
    ],
)
def test_gitops_controllers_are_recognised(metadata: dict[str, Any], owner: str) -> None:
    assert gitops_owner({"metadata": metadata}) == owner


@pytest.mark.parametrize(
    ("host", "namespace", "means"),
    [
        ("reviews", "shop", True),
        ("reviews", "other", False),
        ("reviews.shop", "other", True),
        ("reviews.shop.svc", "other", True),
        ("reviews.shop.svc.cluster.local", "other", True),
        ("reviews.shop.svc.cluster", "shop", False),
        ("shop", "shop", False),
        ("*", "shop", False),
    ],
)
def test_requests_reach_a_service_by_all_its_dns_names(host: str, namespace: str, means: bool) -> None:
    assert is_request_host(host, "reviews", "shop", object_namespace=namespace) is means


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([to("v2", 0)], 100),
        ([to("v1", 1), to("v2", 3)], 75),
        ([to("v1", 0), to("v2", 7)], 100),
        ([to("v1"), to("v2")], 0),
        ([to("v1", 60), to("v2", 20), to("old", 20)], 25),
        ([to("v2", 20), to("old", 80)], 100),
        ([to("old", 80)], 0),
        ([to("v1", 0), to("v2", 0), to("old", 100)], 0),
        ([to("v1", 45), to("v2", 5), {"destination": {"host": "cart"}, "weight": 50}], 10),
    ],
)
def test_the_share_is_what_istio_gives_not_what_the_weight_says(
    routes: list[dict[str, Any]], expected: int
) -> None:
    assert SPLIT.canary_share(service({"route": routes})) == expected


def test_destinations_beside_the_split_keep_what_they_have() -> None:
    after = SPLIT.with_share(service({"route": [to("v1", 1), to("old", 1), to("v9", 0)]}), 50)
    assert [(i["destination"]["subset"], i["weight"]) for i in after["spec"]["http"][0]["route"]] == [
        ("v1", 25),
        ("v2", 25),
        ("old", 50),
        ("v9", 0),
    ]
    with pytest.raises(RefusedError, match=r"gets 33\.33 percent") as caught:
        SPLIT.with_share(service({"route": [to("v1", 2), to("old", 1)]}), 50)
    assert caught.value.rule == "weights-sum"


@pytest.mark.parametrize("share", [-1, 101])
def test_a_share_is_a_percentage(share: int) -> None:
    with pytest.raises(ValueError, match="percent"):
        SPLIT.with_share(service({"route": [to("v1")]}), share)
