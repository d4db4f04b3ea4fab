"""Which objects an install would change, what a repair writes, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    MalformedError,
    MeshError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import drift

from ...support.clock import FakeClock
from ...support.cluster import FakeCluster

PLACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}}
MANAGER = "istio-operator"


def config_map(name: str = "istio", **data: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "mesh"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": "a", **data}}


def deployment(*names: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "mesh"},
        "spec": {"template": {"spec": {"containers": [{"name": name, "image": "i"} for name in names]}}},
    }


def installed(*objects: dict[str, Any]) -> FakeCluster:
    cluster = FakeCluster(PLACE)
    for obj in objects:
        cluster.apply(obj, field_manager=MANAGER)
    cluster.writes.clear()
    cluster.calls.clear()
    return cluster


def edited_by_hand(cluster: FakeCluster, manager: str = "kubectl-edit") -> None:
    """A person adds a container to istiod."""
    path, value = "/spec/template/spec/containers/-", {"name": "debug", "image": "x"}
    patch = [{"op": "add", "path": path, "value": value}]
    cluster.patch("apps/v1", "Deployment", "istiod", "mesh", patch, patch_type="json", field_manager=manager)
    cluster.writes.clear()


def compare(cluster: Any, *objects: dict[str, Any]) -> list[drift.DriftedObject]:
    return drift.compare(cluster, objects, field_manager=MANAGER)


def test_what_is_installed_as_rendered_differs_in_nothing_and_nothing_is_written() -> None:
    cluster = installed(config_map())
    assert compare(cluster, config_map()) == []
    assert cluster.writes == [] and [verb for verb, _name in cluster.dry_runs] == ["apply"]


def test_a_missing_object_is_created_and_the_server_has_not_seen_it() -> None:
    cluster = installed()
    (found,) = compare(cluster, config_map())
    assert (found.id, found.action, found.validated) == ("ConfigMap mesh/istio", "create", False)
    assert found.before == {} and found.after == config_map() and found.desired == config_map()
    assert found.summary() == {"id": "ConfigMap mesh/istio", "action": "create"}
    assert cluster.dry_runs == []


def test_an_object_of_a_kind_that_is_not_served_yet_is_created() -> None:
    cluster = installed()
    cluster.missing.add("ConfigMap")
    assert [found.action for found in compare(cluster, config_map())] == ["create"]


def test_a_changed_field_is_an_update_and_only_objects_that_differ_are_named_in_their_order() -> None:
    cluster = installed(config_map("a"), config_map("b"), config_map("c"))
    found = compare(cluster, config_map("c", mesh="new"), config_map("b"), config_map("a", mesh="new"))
    assert [(item.id, item.action, item.validated) for item in found] == [
        ("ConfigMap mesh/c", "update", True),
        ("ConfigMap mesh/a", "update", True),
    ]
    assert found[0].before["data"] == {"mesh": "a"} and found[0].after["data"] == {"mesh": "new"}
    assert found[0].additions is None and cluster.writes == []


def test_another_managers_value_is_overruled_not_a_conflict() -> None:
    cluster = installed(config_map())
    cluster.patch("v1", "ConfigMap", "istio", "mesh", {"data": {"mesh": "theirs"}}, field_manager="argocd")
    (found,) = compare(cluster, config_map())
    assert found.before["data"] == {"mesh": "theirs"} and found.after["data"] == {"mesh": "a"}


def test_true_is_not_one() -> None:
    flag = {**config_map(), "immutable": 1}
    assert [item.action for item in compare(installed(flag), {**flag, "immutable": True})] == ["update"]


def test_what_a_controller_added_stays() -> None:
    cluster = installed(deployment("discovery"))
    edited_by_hand(cluster, manager="injector-controller")
    assert compare(cluster, deployment("discovery")) == []


def test_what_a_person_added_is_a_difference_and_is_taken_out() -> None:
    cluster = installed(deployment("discovery"))
    edited_by_hand(cluster)
    (found,) = compare(cluster, deployment("discovery"))
    assert found.action == "update" and found.summary()["taken_back_from"] == "kubectl-edit"
    assert [item["name"] for item in containers(found.before)] == ["discovery", "debug"]
    assert [item["name"] for item in containers(found.after)] == ["discovery"]
    drift.repair(cluster, [found], field_manager=MANAGER)
    assert containers(cluster.find("Deployment", "istiod", "mesh")) == containers(deployment("discovery"))
    assert cluster.writes[0] == ("patch", "Deployment mesh/istiod")
    assert compare(cluster, deployment("discovery")) == []


def containers(obj: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("status", [403, 422, 500])
def test_a_refused_dry_run_is_no_difference_but_an_error(status: int) -> None:
    cluster = installed(config_map())
    cluster.fail("apply", "ConfigMap", status)
    with pytest.raises(ApiError) as caught:
        compare(cluster, config_map())
    assert caught.value.status == status


def test_what_may_not_be_read_is_an_error() -> None:
    cluster = installed(config_map())
    cluster.forbidden.add("ConfigMap")
    with pytest.raises(ApiError, match="forbidden"):
        compare(cluster, config_map())


class Busy(FakeCluster):
    """Before each of the first dry runs a controller writes a label, which the next look takes along."""

    meddling = 0

    def apply(self, obj: Any, **options: Any) -> Any:
        if self.meddling and options.get("dry_run"):
            self.meddling -= 1
            live = self.objects[self.key(obj)]
            self.put({**live, "data": {**live["data"], f"n{self.meddling}": "x"}})
        return super().apply(obj, **options)


def busy(times: int) -> Busy:
    cluster = Busy(PLACE)
    cluster.apply(config_map(), field_manager=MANAGER)
    cluster.meddling = times
    return cluster


@pytest.mark.parametrize("times", [1, 5])
def test_a_write_between_the_two_requests_is_looked_at_again(times: int) -> None:
    cluster = busy(times)
    assert compare(cluster, config_map()) == []
    assert cluster.meddling == 0


def test_an_object_that_never_rests_is_a_difference_in_the_end() -> None:
    cluster = busy(6)
    assert [item.action for item in compare(cluster, config_map())] == ["update"]
    assert cluster.meddling == 0, "six looks, not more and not fewer"


def test_a_difference_that_holds_is_found_with_one_look() -> None:
    cluster = installed(config_map())
    compare(cluster, config_map(mesh="new"))
    assert [call.verb for call in cluster.calls] == ["get", "apply"]


def test_a_bundle_that_istiod_wrote_is_no_difference() -> None:
    hook = {"name": "v", "clientConfig": {"service": {"name": "istiod"}}, "failurePolicy": "Ignore"}
    rendered = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "istio"},
        "webhooks": [hook],
    }
    cluster = installed(rendered)
    live = {**hook, "failurePolicy": "Fail", "clientConfig": {**hook["clientConfig"], "caBundle": "Q0E="}}
    cluster.put({**rendered, "webhooks": [live]})
    assert compare(cluster, rendered) == []


def test_the_servers_own_fields_are_left_out_of_both_sides() -> None:
    noise = {
        "managedFields": [], "resourceVersion": "5", "generation": 2, "uid": "u",
        "creationTimestamp": "t", "selfLink": "/x",
    }  # fmt: skip
    obj = {**config_map(), "status": {"x": 1}}
    obj["metadata"] = {**obj["metadata"], **noise, "labels": {"a": "b"}}
    quiet = drift.quiet(obj)
    assert quiet["metadata"] == {"name": "istio", "namespace": "mesh", "labels": {"a": "b"}}
    assert "status" not in quiet and quiet["data"] == {"mesh": "a"}
    assert obj["status"] == {"x": 1} and obj["metadata"]["uid"] == "u"
    quiet["data"]["mesh"] = "changed"
    assert obj["data"] == {"mesh": "a"}
    assert drift.quiet({"kind": "X"}) == {"kind": "X", "metadata": {}}
    with pytest.raises(MalformedError):
        drift.quiet({"kind": "X", "metadata": []})


def test_a_diff_shows_both_states_as_text() -> None:
    (found,) = compare(installed(config_map()), config_map(mesh="new"))
    shown = found.diff()
    assert shown["before_header"] == shown["after_header"] == "ConfigMap mesh/istio"
    assert "mesh: a" in shown["before"] and "mesh: new" in shown["after"]
    assert drift.removals([config_map()])[0].diff()["after"] == ""


def test_a_diff_shows_no_secret() -> None:
    """Of an installation there are Secrets, variables of istiod, and what a person has put into both."""

    def deployment(token: str) -> dict[str, Any]:
        container = {"name": "discovery", "env": [{"name": "VAULT_TOKEN", "value": token}]}
        return {"kind": "Deployment", "metadata": {"name": "istiod"}, "spec": {"containers": [container]}}

    old, new = deployment("s3cret-old"), deployment("s3cret-new")
    shown = drift.DriftedObject("x", "update", old, new, new).diff()
    assert "s3cret" not in str(shown)
    assert "<hidden, changed>" in shown["after"]
    secret = {"kind": "Secret", "metadata": {"name": "pull"}, "data": {"any": "czNjcmV0"}}
    assert "czNjcmV0" not in str(drift.DriftedObject("x", "create", {}, secret, secret).diff())
    assert "czNjcmV0" not in str(drift.removals([secret])[0].diff())


def crd(**version: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x"},
        "spec": {"group": "g", "versions": [{"name": "v1", **version}]},
    }


def test_a_whole_crd_is_shown_without_its_schema_and_a_changed_one_with_it() -> None:
    whole = crd(schema={"type": "secretly-long"})
    created = drift.DriftedObject("x", "create", {}, whole, whole)
    assert "secretly-long" not in created.diff()["after"]
    assert "left out of the diff" in created.diff()["after"] and "group: g" in created.diff()["after"]
    assert "secretly-long" not in drift.removals([whole])[0].diff()["before"]
    assert whole == crd(schema={"type": "secretly-long"})
    changed = drift.DriftedObject("x", "update", whole, whole, whole).diff()
    assert "secretly-long" in changed["before"] and "secretly-long" in changed["after"]
    without = drift.DriftedObject("x", "create", {}, crd(), crd())
    assert "left out" not in without.diff()["after"]
    other = {**whole, "kind": "Other"}
    assert "secretly-long" in drift.DriftedObject("x", "create", {}, other, other).diff()["after"]


def test_an_object_to_be_deleted() -> None:
    live = installed(config_map()).find("ConfigMap", "istio", "mesh")
    assert live is not None
    found = drift.removals([live])[0]
    assert (found.id, found.action, found.after, found.desired) == ("ConfigMap mesh/istio", "delete", {}, {})
    assert found.before == config_map()


def leaving(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
    return obj


def test_an_object_that_is_being_deleted_is_to_be_created_and_not_to_be_deleted_again() -> None:
    """What is written to it goes with it; and a Deployment deleted in the foreground is there for a while."""
    cluster = installed(config_map())
    live = cluster.find("ConfigMap", "istio", "mesh")
    assert live is not None
    assert drift.removals([leaving(live)]) == []
    (found,) = compare(cluster, config_map())
    assert (found.action, found.leaving, found.before, found.after) == ("create", True, {}, config_map())
    (again,) = drift.missing_namespaces(FakeCluster(leaving(drift.namespace("edge"))), ["edge"])
    assert (again.action, again.leaving) == ("create", True)


def test_what_is_being_deleted_is_waited_for() -> None:
    cluster, context = installed(config_map()), Context(clock=FakeClock())
    live = cluster.find("ConfigMap", "istio", "mesh")
    assert live is not None
    leaving(live)
    differences = compare(cluster, config_map(), config_map("new"))
    said = r"ConfigMap mesh/istio is still there \(finalizers: foregroundDeletion\)"
    with pytest.raises(WaitTimeout, match=said):
        drift.await_leaving(cluster, differences, timeout=5, context=context)
    context.clock.at(2, lambda: cluster.remove("ConfigMap", "istio", "mesh"))  # type: ignore[attr-defined]
    drift.await_leaving(cluster, differences, timeout=5, context=context)
    assert cluster.writes == []


def test_what_keeps_a_namespace_is_told() -> None:
    edge = leaving(drift.namespace("edge"))
    cluster, context = FakeCluster(edge), Context(clock=FakeClock())
    differences = drift.missing_namespaces(cluster, ["edge"])
    with pytest.raises(WaitTimeout, match=r"Namespace edge is still there \(its content is being deleted\)"):
        drift.await_leaving(cluster, differences, timeout=1, context=context)
    live = cluster.find("Namespace", "edge")
    assert live is not None
    message = "Some resources are remaining: gateways. has 1 resource instances"
    conditions = [
        ("NamespaceDeletionDiscoveryFailure", "False", "ok"),
        ("NamespaceContentRemaining", "True", message),
    ]
    live["status"] = {
        "conditions": [dict(zip(("type", "status", "message"), row, strict=True)) for row in conditions]
    }
    with pytest.raises(WaitTimeout, match=r"still there \(Some resources are remaining"):
        drift.await_leaving(cluster, differences, timeout=1, context=context)


def test_nothing_that_is_being_deleted_costs_no_look() -> None:
    cluster = installed()
    differences = compare(cluster, config_map())
    cluster.calls.clear()
    drift.await_leaving(cluster, differences, timeout=0, context=Context(clock=FakeClock()))
    assert cluster.calls == []


def test_only_missing_namespaces_are_created() -> None:
    cluster = installed()
    found = drift.missing_namespaces(cluster, ["mesh", "edge", "out"])
    assert [(item.id, item.action, item.validated) for item in found] == [
        ("Namespace edge", "create", False),
        ("Namespace out", "create", False),
    ]
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}
    assert found[0].before == {} and found[0].after == wanted and found[0].desired == wanted


def test_namespaces_that_may_not_be_read_are_not_taken_for_missing() -> None:
    cluster = installed()
    cluster.forbidden.add("Namespace")
    with pytest.raises(ApiError, match="forbidden"):
        drift.missing_namespaces(cluster, ["mesh"])


def test_a_repair_writes_exactly_what_differs_as_the_installer() -> None:
    cluster = installed(config_map("a"), config_map("b"))
    cluster.patch("v1", "ConfigMap", "a", "mesh", {"data": {"mesh": "theirs"}}, field_manager="argocd")
    cluster.writes.clear()
    differences = compare(cluster, config_map("a"), config_map("b"), config_map("c"))
    drift.repair(cluster, differences, field_manager=MANAGER)
    assert cluster.writes == [("apply", "ConfigMap mesh/a"), ("apply", "ConfigMap mesh/c")]
    created = cluster.find("ConfigMap", "c", "mesh")
    assert created is not None and [item["manager"] for item in created["metadata"]["managedFields"]] == [
        MANAGER
    ]
    assert compare(cluster, config_map("a"), config_map("b"), config_map("c")) == []


def test_a_repair_deletes_nothing() -> None:
    cluster = installed(config_map())
    with pytest.raises(ApiError, match="ConfigMap mesh/istio is to be deleted, not applied") as caught:
        drift.repair(cluster, [drift.removals([config_map()])[0]], field_manager=MANAGER)
    assert caught.value.details["subject"] == "ConfigMap mesh/istio"
    assert cluster.writes == []


def additions(cluster: FakeCluster) -> list[drift.DriftedObject]:
    found = compare(cluster, deployment("discovery"))
    cluster.calls.clear()
    return found


def added_by_hand() -> FakeCluster:
    cluster = installed(deployment("discovery"))
    edited_by_hand(cluster)
    return cluster


def take_out(cluster: FakeCluster, found: list[drift.DriftedObject]) -> None:
    drift.take_out_additions(cluster, found, field_manager=MANAGER)


def test_taking_out_looks_again_after_a_conflict() -> None:
    cluster = added_by_hand()
    found = additions(cluster)
    cluster.fail("patch", "Deployment", 409, times=5)
    take_out(cluster, found)
    assert cluster.writes == [("patch", "Deployment mesh/istiod")]
    assert [call.verb for call in cluster.calls] == ["get", "patch"] * 6
    assert containers(cluster.find("Deployment", "istiod", "mesh")) == containers(deployment("discovery"))


def test_taking_out_gives_up_when_others_never_stop_writing() -> None:
    cluster = added_by_hand()
    found = additions(cluster)
    cluster.fail("patch", "Deployment", 409, times=100)
    with pytest.raises(ApiError) as caught:
        take_out(cluster, found)
    assert caught.value.status == 409
    assert [call.verb for call in cluster.calls] == ["get", "patch"] * 6


def test_a_removal_that_is_refused_is_not_tried_again() -> None:
    cluster = added_by_hand()
    found = additions(cluster)
    cluster.fail("patch", "Deployment", 403)
    with pytest.raises(ApiError) as caught:
        take_out(cluster, found)
    assert caught.value.status == 403
    assert [call.verb for call in cluster.calls] == ["get", "patch"]


def test_an_object_or_an_addition_that_went_meanwhile_is_left_alone() -> None:
    cluster = added_by_hand()
    found = additions(cluster)
    cluster.remove("Deployment", "istiod", "mesh")
    take_out(cluster, found)
    cluster.apply(deployment("discovery"), field_manager=MANAGER)
    cluster.writes.clear()
    take_out(cluster, found)
    assert cluster.writes == []


def test_differences_without_additions_are_not_looked_at() -> None:
    cluster = added_by_hand()
    created = drift.DriftedObject("x", "create", {}, deployment("discovery"), deployment("discovery"))
    cluster.calls.clear()
    take_out(cluster, [created])
    assert cluster.calls == []


def test_an_object_of_the_wrong_shape_is_named() -> None:
    broken = {**crd(), "spec": {"versions": {"v1": 1}}}
    with pytest.raises(MeshError, match=r"CustomResourceDefinition x: spec\.versions is dict, not a list"):
        drift.removals([broken])[0].diff()
