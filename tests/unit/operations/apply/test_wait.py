"""When an applied object counts as ready, and what is said while it is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.wait import (
    Wait,
    check_conditions,
    wait_for_objects,
)

from ...support.cluster import FakeCluster
from .objects import config_map, namespace, quiet


def thing(kind: str, api_version: str = "v1", *, generation: int = 1, **status: Any) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "shop", "generation": generation}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": status}


def condition(kind: str, status: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Other", "status": "True"}, {"type": kind, "status": status}]}


def waited(obj: dict[str, Any], *conditions: dict[str, Any], context: Any = None) -> str:
    """What is said about an object that does not get ready; empty when it is."""
    cluster = FakeCluster(namespace(), obj)
    try:
        wait_for_objects(cluster, [obj], [], Wait(5.0, conditions), context or quiet())
    except WaitTimeout as error:
        return error.last_seen
    return ""


@pytest.mark.parametrize(
    ("obj", "seen"),
    [
        (config_map(), ""),
        (thing("Pod", **condition("Ready", "True")), ""),
        (thing("Pod", **condition("Ready", "False")), "Pod shop/x: Ready is False"),
        (thing("Pod"), "Pod shop/x: Ready is not reported yet"),
        (thing("Job", "batch/v1", **condition("Complete", "True")), ""),
        (thing("APIService", "apiregistration.k8s.io/v1", **condition("Available", "Unknown")),
         "APIService shop/x: Available is Unknown"),
        (thing("CustomResourceDefinition", "x.k8s.io/v1", **condition("Established", "True")), ""),
        (thing("Pod", generation=3, observedGeneration=2, **condition("Ready", "True")),
         "Pod shop/x: its controller has not seen the change yet"),
        (thing("Pod", generation=3, observedGeneration=3, **condition("Ready", "True")), ""),
        (thing("Deployment", "apps/v1", observedGeneration=1, replicas=1, updatedReplicas=1),
         "Deployment shop/x: 0 of 1 updated replicas available"),
        (thing("Deployment", "apps/v1", observedGeneration=1, replicas=1, updatedReplicas=1,
               availableReplicas=1), ""),
        ({**namespace("x"), "status": {"phase": "Active"}}, ""),
        ({**namespace("x"), "status": {"phase": "Terminating"}}, "Namespace x: phase Terminating"),
        (namespace("x"), "Namespace x: phase unknown"),
    ],
)  # fmt: skip
def test_readiness(obj: dict[str, Any], seen: str) -> None:
    assert waited(obj) == seen


@pytest.mark.parametrize(
    ("expression", "equals", "seen"),
    [
        ("status.phase", "Bound", ""),
        ("status.phase", "Lost", "ConfigMap shop/x: status.phase is 'Bound', not 'Lost'"),
        ("status.count", 1, ""),
        ("status.count", True, "ConfigMap shop/x: status.count is 1, not True"),
        ("status.flag", True, ""),
        ("status.missing", None, ""),
        ("length(status.list)", 2, ""),
        ("metadata.name", "x", ""),
    ],
)
def test_conditions_of_the_user(expression: str, equals: Any, seen: str) -> None:
    obj = thing("ConfigMap", phase="Bound", count=1, flag=True, list=[1, 2])
    assert waited(obj, {"jmespath": expression, "equals": equals}) == seen


def test_a_function_on_a_field_that_is_not_there_yet_goes_on_waiting() -> None:
    """It ended the wait at once."""
    obj, context = thing("ConfigMap"), quiet()
    cluster = FakeCluster(namespace(), obj)
    live = cluster.find("ConfigMap", "x", "shop")
    context.clock.at(2.0, lambda: live["status"].update(list=[1]))
    wait = Wait(5.0, ({"jmespath": "length(status.list)", "equals": 1},))
    wait_for_objects(cluster, [obj], [], wait, context)
    assert "cannot be computed" in waited(obj, {"jmespath": "length(status.list)", "equals": 1})


def test_an_expression_is_checked_before_anything_is_written() -> None:
    check_conditions([{"jmespath": "a.b", "equals": 1}])
    with pytest.raises(InputError) as caught:
        check_conditions([{"jmespath": "a", "equals": 1}, {"jmespath": "a[", "equals": 1}])
    (problem,) = caught.value.problems
    assert (problem.where, problem.rule) == ("wait_for[1].jmespath", "jmespath")
    assert "\n" not in problem.message


def test_what_a_secret_holds_is_not_told() -> None:
    obj = thing("Secret")
    obj["data"] = {"pin": "s3cret"}
    told = waited(obj, {"jmespath": "data.pin", "equals": "other-s3cret"})
    assert told == "Secret shop/x: data.pin is something else"
    told = waited(obj, {"jmespath": "abs(data.pin)", "equals": 1})
    assert told == "Secret shop/x: abs(data.pin) cannot be computed"


def test_what_a_field_of_a_secret_name_holds_is_not_told() -> None:
    obj = thing("Database")
    obj["status"] = {"adminPassword": "s3cret"}
    told = waited(obj, {"jmespath": "status.adminPassword", "equals": "other-s3cret"})
    assert told == "Database shop/x: status.adminPassword is something else"


def test_without_jmespath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    with pytest.raises(MeshError, match="'jmespath' is needed"):
        check_conditions([{"jmespath": "a", "equals": 1}])


class TestSeveral:
    def test_the_first_late_one_is_named_and_the_others_are_counted(self) -> None:
        pods = [{**thing("Pod"), "metadata": {"name": name, "namespace": "shop"}} for name in "ab"]
        cluster = FakeCluster(namespace(), *pods)
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(cluster, pods, [config_map()], Wait(3.0), quiet())
        assert caught.value.last_seen == "Pod shop/a: Ready is not reported yet (and 1 more)"

    def test_who_is_ready_is_not_asked_again(self) -> None:
        ready = thing("Pod", **condition("Ready", "True"))
        late = {**thing("Pod"), "metadata": {"name": "late", "namespace": "shop"}}
        cluster = FakeCluster(namespace(), ready, late)
        with pytest.raises(WaitTimeout):
            wait_for_objects(cluster, [ready, late], [], Wait(5.0), quiet())
        names = [call.name for call in cluster.calls]
        assert names.count("x") == 1
        assert names.count("late") > 2

    def test_an_object_that_is_not_there(self) -> None:
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(FakeCluster(), [thing("Pod")], [], Wait(1.0), quiet())
        assert caught.value.last_seen == "Pod shop/x: not there yet"

    def test_nothing_to_wait_for_asks_nothing(self) -> None:
        cluster = FakeCluster()
        wait_for_objects(cluster, [config_map()], [], Wait(1.0), quiet())
        assert cluster.calls == []


class TestDeleted:
    def test_an_object_with_finalizers(self) -> None:
        cluster = FakeCluster(namespace(), config_map())
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(cluster, [], [config_map()], Wait(1.0), quiet())
        assert caught.value.last_seen == "ConfigMap shop/a is still there (finalizers: none)"
        kept = config_map()
        kept["metadata"] |= {"finalizers": ["x/y", "z"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(FakeCluster(namespace(), kept), [], [kept], Wait(1.0), quiet())
        assert caught.value.last_seen == "ConfigMap shop/a is still there (finalizers: x/y, z)"

    def test_another_object_of_the_same_name(self) -> None:
        gone = config_map()
        gone["metadata"]["uid"] = "old"
        there = config_map()
        there["metadata"]["uid"] = "new"
        wait_for_objects(FakeCluster(namespace(), there), [], [gone], Wait(1.0), quiet())
        there["metadata"]["uid"] = "old"
        with pytest.raises(WaitTimeout):
            wait_for_objects(FakeCluster(namespace(), there), [], [gone], Wait(1.0), quiet())

    def test_a_stop_ends_the_wait(self) -> None:
        cluster, told = FakeCluster(namespace(), config_map()), []
        context = quiet(stop=lambda: True, progress=told.append)
        with pytest.raises(ApiError) as caught:
            wait_for_objects(cluster, [], [config_map()], Wait(60.0), context)
        assert caught.value.reason == "Interrupted"
        assert told == [
            "waiting for the objects to be ready: ConfigMap shop/a is still there (finalizers: none)"
        ]


class TestPods:
    """Of a workload that is late, its sick pod is named."""

    def deployment(self) -> dict[str, Any]:
        late = thing("Deployment", "apps/v1", observedGeneration=1, replicas=1, updatedReplicas=1)
        late["spec"] = {"selector": {"matchLabels": {"app": "x"}}}
        return late

    def pod(self, **status: Any) -> dict[str, Any]:
        metadata = {"name": "x-1", "namespace": "shop", "labels": {"app": "x"}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Pending", **status},
        }

    def seen(self, cluster: FakeCluster) -> str:
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(cluster, [self.deployment()], [], Wait(1.0), quiet())
        return caught.value.last_seen

    def test_an_image_that_cannot_be_pulled(self) -> None:
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        pod = self.pod(containerStatuses=[{"name": "c", "state": waiting}])
        cluster = FakeCluster(namespace(), self.deployment(), pod)
        said = "Deployment shop/x: 0 of 1 updated replicas available"
        assert self.seen(cluster) == f"{said}; Pod x-1: c: ImagePullBackOff no such image"
        cluster.forbidden.add("Pod")
        assert self.seen(cluster) == said, "without the right to list pods"

    def test_a_quota_that_refuses_its_pods(self) -> None:
        late = self.deployment()
        message = 'pods "x-1" is forbidden: exceeded quota: small,\nrequested: cpu=2'
        late["status"]["conditions"] = [
            {"type": "Progressing", "status": "True", "message": "on its way"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
        ]
        assert self.seen(FakeCluster(namespace(), late)).endswith(
            '; its pods are refused: pods "x-1" is forbidden: exceeded quota: small, requested: cpu=2'
        )
        late["status"]["conditions"][1]["status"] = "False"
        assert "refused" not in self.seen(FakeCluster(namespace(), late))

    def test_a_job_that_failed(self) -> None:
        job = thing(
            "Job",
            "batch/v1",
            conditions=[
                {
                    "type": "Failed",
                    "status": "True",
                    "reason": "BackoffLimitExceeded",
                    "message": "tried 6 times",
                }
            ],
        )
        with pytest.raises(WaitTimeout) as caught:
            wait_for_objects(FakeCluster(namespace(), job), [job], [], Wait(1.0), quiet())
        assert caught.value.last_seen == "Job shop/x: failed: BackoffLimitExceeded tried 6 times"

    def test_no_node_has_room(self) -> None:
        condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
        cluster = FakeCluster(namespace(), self.deployment(), self.pod(conditions=[condition]))
        assert self.seen(cluster).endswith("; Pod x-1: not scheduled: 0/1 nodes are available")

    def test_a_pod_on_its_way_up_is_no_fault(self) -> None:
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        pod = self.pod(containerStatuses=[{"name": "c", "state": waiting}])
        assert "Pod x-1" not in self.seen(FakeCluster(namespace(), self.deployment(), pod))
