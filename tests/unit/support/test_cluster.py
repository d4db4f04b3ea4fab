"""The API server in memory behaves as the real one where tests rely on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, ConflictError

from .cluster import FakeCluster
from .patches import PatchError, json_patch, merge_patch
from .selectors import fields_match, labels_match

API = "networking.istio.io/v1"


def route(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": spec,
    }


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})


def status_of(call: Any, *arguments: Any, **options: Any) -> int:
    with pytest.raises(ApiError) as caught:
        call(*arguments, **options)
    return caught.value.status


def test_each_write_has_a_new_version_and_only_a_changed_specification_a_new_generation(
    cluster: FakeCluster,
) -> None:
    first = cluster.create(route(a=1))
    labelled = cluster.patch(API, "VirtualService", "web", "shop", {"metadata": {"labels": {"x": "y"}}})
    changed = cluster.patch(API, "VirtualService", "web", "shop", {"spec": {"a": 2}})
    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (first, labelled, changed)]
    assert versions == sorted(set(versions))
    assert [obj["metadata"]["generation"] for obj in (first, labelled, changed)] == [1, 1, 2]
    assert changed["metadata"]["uid"] == first["metadata"]["uid"]


def test_what_changes_nothing_keeps_the_version(cluster: FakeCluster) -> None:
    first = cluster.apply(route(a=1))
    assert cluster.apply(route(a=1)) == first
    assert cluster.replace(first) == first


def test_a_stale_write_is_a_conflict(cluster: FakeCluster) -> None:
    old = cluster.create(route(a=1))
    cluster.patch(API, "VirtualService", "web", "shop", {"spec": {"a": 2}})
    assert status_of(cluster.replace, {**old, "spec": {"a": 3}}) == 409
    assert status_of(cluster.apply, {**old, "spec": {"a": 3}}) == 409
    stale = [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]
    assert status_of(cluster.patch, API, "VirtualService", "web", "shop", stale, patch_type="json") == 409
    assert cluster.find("VirtualService", "web", "shop")["spec"] == {"a": 2}


def test_refusals(cluster: FakeCluster) -> None:
    assert status_of(cluster.replace, route()) == 404
    assert status_of(cluster.patch, API, "VirtualService", "web", "shop", {}) == 404
    elsewhere = route()
    elsewhere["metadata"]["namespace"] = "none"
    assert status_of(cluster.create, elsewhere) == 404
    made = cluster.create(route(a=1))
    assert status_of(cluster.create, route()) == 409
    assert status_of(cluster.create, made) == 400
    assert status_of(cluster.replace, route(a=2)) == 422, "a custom resource needs its version"
    wrong = [{"op": "test", "path": "/spec/a", "value": 2}]
    assert status_of(cluster.patch, API, "VirtualService", "web", "shop", wrong, patch_type="json") == 422


def test_apply_owns_what_it_states_and_takes_away_what_it_no_longer_states(cluster: FakeCluster) -> None:
    cluster.apply(route(a=1, b={"c": 1, "d": 2}))
    cluster.apply(route(e=1), field_manager="other")
    after = cluster.apply(route(a=1, b={"c": 1}))
    assert after["spec"] == {"a": 1, "b": {"c": 1}, "e": 1}
    fields = {entry["manager"]: entry["fieldsV1"] for entry in after["metadata"]["managedFields"]}
    assert fields == {
        "servicemesh.istio": {"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}},
        "other": {"f:spec": {"f:e": {}}},
    }


def test_another_managers_value_is_a_conflict_unless_forced(cluster: FakeCluster) -> None:
    cluster.apply(route(a=1), field_manager="other")
    assert cluster.apply(route(a=1))["spec"] == {"a": 1}, "the same value is shared"
    with pytest.raises(ConflictError) as caught:
        cluster.apply(route(a=2))
    assert (caught.value.manager, caught.value.fields) == ("other", (".spec.a",))
    after, created = cluster.apply_told(route(a=2), force=True)
    assert not created
    assert [entry["manager"] for entry in after["metadata"]["managedFields"]] == ["servicemesh.istio"]


def test_an_update_takes_the_fields_that_it_changes(cluster: FakeCluster) -> None:
    cluster.apply(route(a=1, b=1))
    after = cluster.patch(
        API, "VirtualService", "web", "shop", {"spec": {"a": 2}}, field_manager="kubectl-edit"
    )
    owners = {
        (entry["manager"], entry["operation"]): entry["fieldsV1"]
        for entry in after["metadata"]["managedFields"]
    }
    assert owners == {
        ("servicemesh.istio", "Apply"): {"f:spec": {"f:b": {}}},
        ("kubectl-edit", "Update"): {"f:spec": {"f:a": {}}},
    }
    assert status_of(cluster.apply, route(a=1, b=1)) == 409


def test_lists_are_atomic_but_for_keyed_ones_and_sets(cluster: FakeCluster) -> None:
    def pod(*names: str, finalizers: list[str], hosts: list[str]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "shop", "finalizers": finalizers},
            "spec": {"containers": [{"name": name, "image": name} for name in names], "hosts": hosts},
        }

    cluster.apply(pod("a", "b", finalizers=["x/a"], hosts=["1"]))
    with pytest.raises(ConflictError) as caught:
        cluster.apply(pod("c", finalizers=["x/b"], hosts=["2"]), field_manager="other")
    assert caught.value.fields == (".spec.hosts",)
    after = cluster.apply(pod("c", finalizers=["x/b"], hosts=["2"]), field_manager="other", force=True)
    assert [one["name"] for one in after["spec"]["containers"]] == ["a", "b", "c"]
    assert after["metadata"]["finalizers"] == ["x/a", "x/b"]
    after = cluster.apply(pod("a", finalizers=[], hosts=["2"]))
    assert [one["name"] for one in after["spec"]["containers"]] == ["a", "c"]
    assert after["metadata"]["finalizers"] == ["x/b"]


def test_a_dry_run_answers_and_keeps_nothing(cluster: FakeCluster) -> None:
    assert cluster.apply(route(a=1), dry_run=True)["spec"] == {"a": 1}
    assert cluster.create(route(a=1), dry_run=True)["spec"] == {"a": 1}
    assert cluster.find("VirtualService", "web", "shop") is None
    made = cluster.create(route(a=1))
    assert (
        cluster.apply(route(a=1, b=2), dry_run=True)["metadata"]["resourceVersion"]
        == (made["metadata"]["resourceVersion"])
    )
    assert cluster.delete(API, "VirtualService", "web", "shop", dry_run=True)
    assert cluster.find("VirtualService", "web", "shop")["spec"] == {"a": 1}
    assert cluster.writes == [("create", "VirtualService shop/web")]
    assert [verb for verb, _subject in cluster.dry_runs] == ["apply", "create", "apply", "delete"]


def test_deletion(cluster: FakeCluster) -> None:
    made = cluster.create({**route(), "metadata": {**route()["metadata"], "finalizers": ["x/y"]}})
    assert not cluster.delete(API, "VirtualService", "web", "shop", uid="another")
    assert cluster.delete(API, "VirtualService", "web", "shop", uid=made["metadata"]["uid"])
    assert cluster.get(API, "VirtualService", "web", "shop")["metadata"]["deletionTimestamp"]
    cluster.find("VirtualService", "web", "shop")["metadata"].pop("finalizers")
    assert cluster.delete(API, "VirtualService", "web", "shop")
    assert not cluster.delete(API, "VirtualService", "web", "shop")


def test_what_is_read_is_a_copy_of_its_own_group(cluster: FakeCluster) -> None:
    cluster.create(route(a=1))
    cluster.get(API, "VirtualService", "web", "shop")["spec"]["a"] = 5
    cluster.list(API, "VirtualService").items[0]["spec"]["a"] = 5
    assert cluster.get("networking.istio.io/v1beta1", "VirtualService", "web", "shop")["spec"] == {"a": 1}
    assert cluster.get("other.io/v1", "VirtualService", "web", "shop") is None
    assert cluster.list("other.io/v1", "VirtualService").items == []
    assert cluster.list(API, "VirtualService", "back").items == []


def test_kinds_that_are_forbidden_or_not_served(cluster: FakeCluster) -> None:
    cluster.forbidden, cluster.missing = {"VirtualService"}, {"Gateway"}
    assert status_of(cluster.get, API, "VirtualService", "web", "shop") == 403
    assert cluster.list(API, "Gateway").missing
    assert cluster.get(API, "Gateway", "web", "shop") is None
    assert status_of(cluster.apply, {**route(), "kind": "Gateway"}) == 404


def test_calls_fail_on_order(cluster: FakeCluster) -> None:
    cluster.fail("create", "VirtualService", 503)
    cluster.fail("create", how="lost answer")
    cluster.fail("list", how=403, times=2, when=lambda call: call.namespace is None)
    assert status_of(cluster.create, route()) == 503
    assert cluster.find("VirtualService", "web", "shop") is None
    with pytest.raises(ApiError) as caught:
        cluster.create(route())
    assert caught.value.details["outcome"] == "unknown"
    assert cluster.find("VirtualService", "web", "shop")
    assert len(cluster.list(API, "VirtualService", "shop").items) == 1
    assert [status_of(cluster.list, API, "VirtualService") for _unused in range(2)] == [403, 403]
    assert len(cluster.list(API, "VirtualService").items) == 1


def test_a_secrets_text_is_kept_as_data(cluster: FakeCluster) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}}
    after = cluster.apply({**secret, "stringData": {"a": "b"}})
    assert after["data"] == {"a": "Yg=="}
    assert "stringData" not in after


def review(resource: str) -> dict[str, Any]:
    attributes = {"verb": "list", "resource": resource}
    return {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}


def test_access_reviews_and_evictions(cluster: FakeCluster) -> None:
    cluster.reviews.allowed = lambda _user, access: access.resource != "pods"
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = [cluster.request("POST", path, body=review(name)).data for name in ("pods", "services")]
    assert [answer["status"]["allowed"] for answer in answers] == [False, True]
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}})
    cluster.create_subresource("v1", "Pod", "p", "shop", "eviction", {})
    assert cluster.of_kind("Pod") == []
    assert status_of(cluster.create_subresource, "v1", "Pod", "p", "shop", "eviction", {}) == 404
    assert status_of(cluster.exec, "shop", "p", "app", ["true"]) == 404


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, True),
        ("app=web", True),
        ("app==web,tier!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (web, api),tier", True),
        ("app notin (web)", False),
        ("missing notin (web)", True),
        ("!tier", False),
        ("!missing", True),
        ("missing", False),
    ],
)
def test_label_selectors(selector: str | None, expected: bool) -> None:
    assert labels_match({"app": "web", "tier": "front"}, selector) is expected


def test_selectors_that_the_server_refuses() -> None:
    with pytest.raises(ValueError, match="unable to parse"):
        labels_match({}, "a in b")
    with pytest.raises(ValueError, match="invalid selector"):
        fields_match({}, "metadata.name")


def test_field_selectors() -> None:
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}
    assert fields_match(pod, "metadata.name=a,status.phase!=Failed")
    assert not fields_match(pod, "metadata.name=b")
    assert not fields_match(pod, "status.phase!=Running")
    assert fields_match(pod, "spec.nodeName=")


def test_patches() -> None:
    assert merge_patch({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None}, "l": [2]}) == {
        "a": {"c": 2},
        "l": [2],
    }
    assert merge_patch({"a": 1}, {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}
    body = {"a": [1, 2], "x/y": 1}
    done = json_patch(
        body,
        [
            {"op": "test", "path": "/x~1y", "value": 1},
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "remove", "path": "/a/0"},
            {"op": "replace", "path": "/x~1y", "value": 2},
        ],
    )
    assert done == {"a": [2, 3], "x/y": 2}
    assert body == {"a": [1, 2], "x/y": 1}
    for bad in (
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/a/7", "value": 1},
        {"op": "add", "path": "/a/7", "value": 1},
        {"op": "test", "path": "/a/0", "value": 2},
        {"op": "move", "path": "/a"},
    ):
        with pytest.raises(PatchError):
            json_patch(body, [bad])


@pytest.mark.parametrize(
    ("api_version", "kind", "served"),
    [
        ("v1", "Pod", True),
        ("apps/v1", "Pod", False),
        ("v1", "Deployment", False),
        ("apps/v1beta2", "Deployment", True),
        ("networking.istio.io/v1alpha3", "Sidecar", True),
        ("XXv1XX", "Secret", False),
        ("v0", "Secret", False),
        ("example.com/v1", "Anything", True),
        ("example.com/one", "Anything", False),
    ],
)
def test_a_kind_is_served_in_its_group_alone(api_version: str, kind: str, *, served: bool) -> None:
    cluster: Any = FakeCluster()
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "b"}}
    calls: list[Callable[[], Any]] = [
        lambda: cluster.get(api_version, kind, "a", "b"),
        lambda: cluster.list(api_version, kind, "b"),
        lambda: cluster.create(obj),
        lambda: cluster.apply(obj),
        lambda: cluster.patch(api_version, kind, "a", "b", {}),
        lambda: cluster.replace({**obj, "metadata": {**obj["metadata"], "resourceVersion": None}}),
        lambda: cluster.delete(api_version, kind, "a", "b"),
        lambda: cluster.resource(api_version, kind),
    ]
    for call in calls:
        if served:
            with contextlib.suppress(ApiError):
                call()
        else:
            with pytest.raises(AssertionError, match="no API server serves"):
                call()
