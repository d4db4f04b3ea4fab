# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made once, whose change is a person's, where a kind lives, and what time the server has."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    ConflictError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.create_once import create_once
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.hand_edits import changed_by_hand
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.rollouts import pod_trouble
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.scopes import (
    definition_of,
    is_namespaced,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.server_time import server_time

from ..support.cluster import FakeCluster

Obj = dict[str, Any]
SECRET: Obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": "shop"}}


def bare() -> FakeCluster:
    return FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})


def test_what_is_made_once_is_there_afterwards() -> None:
    cluster = bare()
    create_once(cluster, SECRET, "Secret shop/ca", "a CA", dry_run=True)
    assert cluster.find("Secret", "ca", "shop") is None
    create_once(cluster, SECRET, "Secret shop/ca", "a CA")
    assert cluster.find("Secret", "ca", "shop") is not None


def test_whoever_comes_second_is_told_and_overwrites_nothing() -> None:
    cluster = bare()
    cluster.put({**SECRET, "data": {"x": "Zmlyc3Q="}})
    with pytest.raises(
        RefusedError, match="Secret shop/ca: another run made a CA at the same moment"
    ) as caught:
        create_once(cluster, SECRET, "Secret shop/ca", "a CA")
    assert caught.value.rule == "race"
    found = cluster.find("Secret", "ca", "shop")
    assert found is not None and found["data"] == {"x": "Zmlyc3Q="}


@pytest.mark.parametrize("how", [403, 422, 500, "lost request"])
def test_other_trouble_of_the_making_is_no_race(how: int | str) -> None:
    cluster = bare()
    cluster.fail("create", "Secret", how)
    with pytest.raises(ApiError):
        create_once(cluster, SECRET, "Secret shop/ca", "a CA")


APPLIED = {"manager": "servicemesh.istio", "operation": "Apply"}


@pytest.mark.parametrize(
    ("entries", "managers", "by_hand"),
    [
        ([APPLIED], "kubectl-edit", True),
        ([APPLIED], "Kubectl-Edit, kubectl-patch", True),
        ([APPLIED], "servicemesh.istio", True),
        ([APPLIED], "kubectl-edit, argocd-controller", False),
        ([APPLIED], "argocd-controller", False),
        ([], "kubectl-edit", False),
        ([{**APPLIED, "operation": "Update"}], "kubectl-edit", False),
        ([{**APPLIED, "manager": "helm"}], "kubectl-edit", False),
    ],
)
def test_a_persons_change_of_an_object_of_ours(entries: list[Obj], managers: str, *, by_hand: bool) -> None:
    before = {"metadata": {"managedFields": entries}}
    error = ConflictError("conflict", manager=managers, fields=[".spec"])
    assert changed_by_hand(before, error, "servicemesh.istio") is by_hand
    assert changed_by_hand(None, error, "servicemesh.istio") is False


DEFINITION: Obj = {
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "example.com",
        "names": {"kind": "Shop"},
        "scope": "Namespaced",
        "versions": [{"name": "v1"}, {"name": "v2"}],
    },
}


def test_the_server_knows_where_a_kind_lives() -> None:
    assert is_namespaced(bare(), ("v1", "Secret")) is True
    assert is_namespaced(bare(), ("v1", "Namespace")) is False


@pytest.mark.parametrize(
    ("kind", "change", "known"),
    [
        (("example.com/v1", "Shop"), {}, True),
        (("example.com/v2", "Shop"), {}, True),
        (("example.com/v3", "Shop"), {}, False),
        (("example.org/v1", "Shop"), {}, False),
        (("example.com/v1", "Shops"), {}, False),
        (("example.com/v1", "Shop"), {"kind": "ConfigMap"}, False),
    ],
)
def test_a_definition_says_it_of_a_kind_to_come(kind: tuple[str, str], change: Obj, known: bool) -> None:
    cluster = bare()
    cluster.missing = {kind[1]}
    definition = {**DEFINITION, **change}
    other = {"kind": "Namespace", "metadata": {"name": "a"}}
    assert definition_of(kind, [other, definition]) is (definition if known else None)
    assert is_namespaced(cluster, kind, [other, definition]) is (True if known else None)
    of_cluster = {**definition, "spec": {**DEFINITION["spec"], "scope": "Cluster"}}
    assert is_namespaced(cluster, kind, [of_cluster]) is (False if known else None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, (1994, 11, 6, 8, 49, 37)),
        ({"date": "Sun, 06 Nov 1994 08:49:37 GMT"}, (1994, 11, 6, 8, 49, 37)),
        ({}, None),
        ({"Date": "soon"}, None),
    ],
)
def test_the_servers_time(headers: dict[str, str], expected: tuple[int, ...] | None) -> None:
    client: Any = SimpleNamespace(request=lambda _method, _path: SimpleNamespace(headers=headers))
    found = server_time(client)
    assert (found and found.timetuple()[:6]) == expected
    assert found is None or found.tzinfo == datetime.UTC


def waiting(name: str, reason: str, **metadata: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "a", "tier": "b"}, **metadata},
        "spec": {"containers": [{"name": "app"}]},
        "status": {
            "phase": "Pending",
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason, "message": "no"}}}],
        },
    }


UNSCHEDULED: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p-0", "namespace": "shop", "labels": {"app": "a", "tier": "b"}},
    "spec": {"containers": [{"name": "app"}]},
    "status": {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ],
    },
}
WORKLOAD: Obj = {
    "metadata": {"name": "a", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "a", "tier": "b"}}},
}


def test_the_fault_of_a_workloads_pods_goes_before_the_wait_for_a_node() -> None:
    cluster = FakeCluster(UNSCHEDULED, waiting("p-1", "ImagePullBackOff"))
    assert pod_trouble(cluster, WORKLOAD).startswith("Pod p-1: ")
    assert "ImagePullBackOff" in pod_trouble(cluster, WORKLOAD)
    assert pod_trouble(FakeCluster(UNSCHEDULED), WORKLOAD).startswith("Pod p-0: not scheduled")
    assert [call.selector for call in cluster.calls] == ["app=a,tier=b"] * 2


def test_pods_that_go_or_only_start_are_no_trouble() -> None:
    going = waiting("p-1", "ImagePullBackOff", deletionTimestamp="2026-01-01T00:00:00Z")
    assert pod_trouble(FakeCluster(going, waiting("p-2", "ContainerCreating")), WORKLOAD) == ""
    assert pod_trouble(FakeCluster(waiting("p-1", "ImagePullBackOff")), {"metadata": {"name": "a"}}) == ""


@pytest.mark.parametrize("reason", ["Forbidden", "Unreachable", ""])
def test_a_server_that_does_not_say_its_kinds_leaves_no_kind_to_a_guess(reason: str) -> None:
    def resource(*_kind: str) -> Any:
        raise ApiError("no", reason=reason)

    spec = {"group": "x.io", "scope": "Namespaced", "names": {"kind": "X"}, "versions": [{"name": "v1"}]}
    definition = {"kind": "CustomResourceDefinition", "spec": spec}
    client: Any = SimpleNamespace(resource=resource)
    with pytest.raises(ApiError, match=r"^no$"):
        is_namespaced(client, ("x.io/v1", "X"), [definition])
