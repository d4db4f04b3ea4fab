# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods, workloads and budgets, read out of the API's objects at their edges."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio import workloads
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.workloads import Owner, Proxy


def deployment(kind: str = "Deployment", /, template: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1"},
        "spec": {**({} if template is None else {"template": template}), **spec},
    }


def test_a_bare_workload_has_defaults() -> None:
    found = workloads.parse_workload(deployment())
    assert found.owner == Owner("Deployment", "shop", "web")
    assert (found.uid, found.replicas) == ("u-1", 1)
    assert (found.labels, found.annotations) == ({}, {})
    assert (found.host_network, found.paused, found.partition) == (False, False, 0)
    assert (found.proxy_image, found.rolling, found.is_gateway) == ("", "", False)


def test_what_decides_stands_in_the_template() -> None:
    template = {
        "metadata": {
            "labels": {"app": "web"},
            "annotations": {"inject.istio.io/templates": "grpc-agent,gateway"},
        },
        "spec": {"hostNetwork": True, "containers": [{"name": "istio-proxy", "image": "proxyv2:1.31.0"}]},
    }
    found = workloads.parse_workload(deployment(template=template, replicas=0, paused=True), "2 old replicas")
    assert found.labels == {"app": "web"}
    assert (found.is_gateway, found.host_network, found.paused) == (True, True, True)
    assert (found.replicas, found.proxy_image, found.rolling) == (0, "proxyv2:1.31.0", "2 old replicas")


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "istio-proxy", "image": "auto"}]},
        {"containers": [{"name": "istio-proxy"}]},
        {"containers": [{"name": "web", "image": "web:1"}]},
        {},
    ],
)
def test_an_image_that_the_injector_fills_in_prescribes_nothing(spec: dict[str, Any]) -> None:
    assert workloads.parse_workload(deployment(template={"spec": spec})).proxy_image == ""


def test_an_image_of_a_native_sidecar_counts_too() -> None:
    spec = {"initContainers": [{"name": "istio-proxy", "image": "p:1"}]}
    assert workloads.parse_workload(deployment(template={"spec": spec})).proxy_image == "p:1"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Deployment", {"replicas": 10}, ("RollingUpdate", 2, 3)),
        ("Deployment", {"replicas": 1}, ("RollingUpdate", 0, 1)),
        ("Deployment", {"replicas": 0}, ("RollingUpdate", 0, 0)),
        ("Deployment", {"replicas": 4, "strategy": {"type": "Recreate"}}, ("Recreate", 1, 1)),
        (
            "Deployment",
            {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}},
            ("RollingUpdate", 1, 0),
        ),
        (
            "Deployment",
            {"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 9, "maxSurge": "50%"}}},
            ("RollingUpdate", 3, 2),
        ),
        ("StatefulSet", {"replicas": 3}, ("RollingUpdate", 1, 0)),
        (
            "StatefulSet",
            {
                "replicas": 5,
                "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "30%"}},
            },
            ("OnDelete", 2, 0),
        ),
        (
            "StatefulSet",
            {"replicas": 5, "updateStrategy": {"rollingUpdate": {"maxUnavailable": "0%"}}},
            ("RollingUpdate", 1, 0),
        ),
        ("Job", {"replicas": 3}, ("", 0, 0)),
    ],
)
def test_rollouts_count_as_the_controllers_do(
    kind: str, spec: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    found = workloads.parse_workload(deployment(kind, **spec))
    assert (found.strategy, found.max_unavailable, found.max_surge) == expected


def test_a_daemon_set_has_as_many_replicas_as_nodes_want() -> None:
    obj = deployment("DaemonSet", updateStrategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}})
    obj["status"] = {"desiredNumberScheduled": 7}
    found = workloads.parse_workload(obj)
    assert (found.replicas, found.strategy, found.max_unavailable, found.max_surge) == (
        7,
        "RollingUpdate",
        0,
        2,
    )


def test_a_partition_is_told() -> None:
    spec = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
    assert workloads.parse_workload(deployment("StatefulSet", **spec)).partition == 2


def pod(container: dict[str, Any], status: dict[str, Any], annotations: Any = None, **spec: Any) -> Any:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "uid": "u-2",
            "annotations": annotations or {},
            "ownerReferences": [
                {"kind": "Node", "name": "n"},
                {"kind": "ReplicaSet", "name": "web-abc", "controller": True},
            ],
        },
        "spec": {"containers": [container], **spec},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


PROXY = {"name": "istio-proxy", "image": "proxyv2:1.31.0"}
READY = {"name": "istio-proxy", "ready": True}


@pytest.mark.parametrize(
    ("annotations", "injected", "revision"),
    [
        ({}, False, ""),
        ({"istio.io/rev": "one"}, False, "one"),
        ({"sidecar.istio.io/status": "{}"}, True, ""),
        ({"sidecar.istio.io/status": '{"revision": "two"}', "istio.io/rev": "one"}, True, "two"),
        ({"sidecar.istio.io/status": '{"revision": ""}', "istio.io/rev": "one"}, True, "one"),
        ({"sidecar.istio.io/status": "no json", "istio.io/rev": "one"}, False, "one"),
        ({"sidecar.istio.io/status": "[]"}, False, ""),
    ],
)
def test_who_put_the_proxy_there(annotations: dict[str, str], injected: bool, revision: str) -> None:
    found = workloads.parse_pod(pod(PROXY, READY, annotations))
    assert found.proxy == Proxy("proxyv2:1.31.0", injected, False, True, revision)
    assert found.controller == ("ReplicaSet", "web-abc")


def test_a_pod_without_a_proxy_or_with_one_that_is_not_ready() -> None:
    assert workloads.parse_pod(pod({"name": "web"}, {"name": "web", "ready": True})).proxy is None
    found = workloads.parse_pod(pod(PROXY, {"name": "istio-proxy", "ready": False}, hostNetwork=True))
    assert found.proxy
    assert (found.proxy.ready, found.ready, found.host_network) == (False, False, True)
    assert (found.trouble, found.phase, found.uid) == ("not ready", "Running", "u-2")


@pytest.mark.parametrize(
    ("status", "allowed", "exhausted"),
    [
        (
            {"observedGeneration": 2, "disruptionsAllowed": 1, "expectedPods": 3, "desiredHealthy": 2},
            1,
            False,
        ),
        ({"observedGeneration": 2, "disruptionsAllowed": 0, "expectedPods": 3, "desiredHealthy": 3}, 0, True),
        ({"observedGeneration": 3, "disruptionsAllowed": 0, "expectedPods": 1, "desiredHealthy": 2}, 0, True),
        (
            {"observedGeneration": 1, "disruptionsAllowed": 1, "expectedPods": 3, "desiredHealthy": 3},
            0,
            False,
        ),
        ({"observedGeneration": 2, "expectedPods": 0, "desiredHealthy": 0}, 0, False),
        ({}, 0, False),
    ],
)
def test_a_budget_counts_when_it_is_about_the_current_specification(
    status: dict[str, int], allowed: int, exhausted: bool
) -> None:
    selector = {"matchLabels": {"app": "web"}}
    obj = {
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": {"selector": selector},
        "status": status,
    }
    found = workloads.parse_budget(obj)
    assert (found.namespace, found.name, found.selector) == ("shop", "web", selector)
    assert (found.allowed, found.exhausted) == (allowed, exhausted)


@pytest.mark.parametrize("status", ["[" * 100_000, "{", "[]", "7"], ids=["deep", "cut", "list", "number"])
def test_an_annotation_that_says_nothing_ends_no_run(status: str) -> None:
    """Whoever may annotate a pod may write what he likes there."""
    found = workloads.parse_pod(pod(PROXY, READY, {"sidecar.istio.io/status": status}))
    assert found.proxy is not None
    assert (found.proxy.injected, found.proxy.revision) == (False, "")
