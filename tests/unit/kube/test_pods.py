# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one definition of a pod's states, at its edges."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube import pods

READY = {"type": "Ready", "status": "True"}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(
    *conditions: dict[str, str],
    phase: str | None = "Running",
    deleted: bool = False,
    containers: tuple[dict[str, Any], ...] = (),
    init: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """A pod; each container is its specification, with its status under ``status``."""

    def split(items: tuple[dict[str, Any], ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        specs = [{key: value for key, value in item.items() if key != "status"} for item in items]
        return specs, [{"name": item["name"], **item["status"]} for item in items if "status" in item]

    (specs, statuses), (init_specs, init_statuses) = split(containers), split(init)
    return {
        "metadata": {
            "name": "a",
            "namespace": "shop",
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}),
        },
        "spec": {"containers": specs, "initContainers": init_specs},
        "status": {
            "conditions": list(conditions),
            "containerStatuses": statuses,
            "initContainerStatuses": init_statuses,
            **({"phase": phase} if phase else {}),
        },
    }


def waits(name: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    waiting = {"reason": reason, **({"message": message} if message else {})}
    return {"name": name, **more, "status": {"ready": False, "state": {"waiting": waiting}}}


@pytest.mark.parametrize(
    ("obj", "ready", "active", "takes"),
    [
        (pod(READY), True, True, True),
        (pod(SCHEDULED, READY), True, True, True),
        (pod({"type": "Ready", "status": "False"}), False, True, False),
        (pod({"type": "Ready", "status": "Unknown"}), False, True, False),
        (pod({"type": "ContainersReady", "status": "True"}), False, True, False),
        (pod(READY, deleted=True), True, False, False),
        (pod(READY, phase="Succeeded"), True, False, False),
        (pod(READY, phase="Failed"), True, False, False),
        (pod(READY, phase="Unknown"), True, True, True),
        ({"metadata": {"name": "a"}}, False, True, False),
    ],
)
def test_a_service_sends_to_pods_that_are_ready_and_stay(
    obj: dict[str, Any], ready: bool, active: bool, takes: bool
) -> None:
    assert (pods.is_ready(obj), pods.is_active(obj), pods.takes_requests(obj)) == (ready, active, takes)


def test_a_pod_that_no_kubelet_has_seen_is_pending() -> None:
    assert pods.phase_of(pod(phase=None)) == "Pending"
    assert pods.phase_of(pod(phase="Running")) == "Running"


def test_containers_stand_with_their_own_status() -> None:
    found = pods.containers(
        pod(
            containers=(
                {"name": "web", "image": "web:1", "args": ["--port", "80"], "status": {"ready": True}},
                {"name": "late", "image": "late:1", "restartPolicy": "Always"},
            ),
            init=(
                {"name": "setup", "image": "setup:1", "status": {"ready": True}},
                {
                    "name": "istio-proxy",
                    "image": "proxy:1",
                    "restartPolicy": "Always",
                    "status": {"ready": True},
                },
            ),
        )
    )
    assert [(item.name, item.native_sidecar, item.ready) for item in found] == [
        ("setup", False, True),
        ("istio-proxy", True, True),
        ("web", False, True),
        ("late", False, False),
    ]
    assert found[2].arguments == ("--port", "80")
    assert found[2].image == "web:1"


def test_faults_are_what_no_start_explains() -> None:
    obj = pod(
        containers=(waits("web", "CrashLoopBackOff", "back-off 5m0s"), waits("log", "ContainerCreating")),
        init=(waits("setup", "ImagePullBackOff"), waits("next", "PodInitializing")),
    )
    assert pods.faults(obj) == ["ImagePullBackOff", "CrashLoopBackOff"]


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (pod(READY), ""),
        (
            pod(containers=(waits("log", "ContainerCreating"), waits("web", "ErrImagePull", "no image"))),
            "web: ErrImagePull no image",
        ),
        (pod(containers=(waits("web", "ContainerCreating"),), phase="Pending"), "web: ContainerCreating"),
        (
            pod({"type": "PodScheduled", "status": "False", "message": "0/1 nodes", "reason": "x"}),
            "not scheduled: 0/1 nodes",
        ),
        (
            pod({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}),
            "not scheduled: Unschedulable",
        ),
        (pod({"type": "PodScheduled", "status": "False"}), "not scheduled: no reason given"),
        (pod(SCHEDULED, phase="Pending"), "starting"),
        (pod(SCHEDULED, {"type": "Ready", "status": "False"}), "not ready"),
    ],
)
def test_trouble_says_what_readiness_waits_for(obj: dict[str, Any], words: str) -> None:
    assert pods.trouble(obj) == words


def test_labels_are_asked_for_all_at_once() -> None:
    obj = {"metadata": {"name": "a", "labels": {"app": "web", "version": "v1"}}}
    assert pods.has_labels(obj, {"app": "web"})
    assert pods.has_labels(obj, {})
    assert not pods.has_labels(obj, {"app": "web", "version": "v2"})
    assert not pods.has_labels({"metadata": {"name": "a"}}, {"app": "web"})


def test_a_pod_of_another_shape_is_no_pod_without_conditions() -> None:
    with pytest.raises(MalformedError, match=r"status\.conditions is str, not a list"):
        pods.is_ready({"kind": "Pod", "metadata": {"name": "a"}, "status": {"conditions": "Ready"}})


RUNNING = {"name": "app", "status": {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}}
ENDED = {"name": "app", "status": {"state": {"terminated": {"exitCode": 0}}}}


@pytest.mark.parametrize(
    ("given", "leaving"),
    [
        (pod(deleted=True, containers=(RUNNING,)), True),
        (pod(deleted=True, containers=(ENDED, {**RUNNING, "name": "b"})), True),
        (pod(deleted=False, containers=(RUNNING,)), False),
        (pod(deleted=True, containers=(ENDED,)), False),
        (pod(deleted=True), False),
        (pod(deleted=True, phase="Failed", containers=(RUNNING,)), False),
    ],
)
def test_a_pod_that_leaves_answers_until_it_has_ended(given: dict[str, Any], leaving: bool) -> None:
    assert pods.is_leaving(given) is leaving


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, set()),
        ({"podIP": "10.0.0.1"}, {"10.0.0.1"}),
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}, {"10.0.0.1", "fd00::1"}),
        ({"podIPs": [{"ip": "fd00::1"}, {}]}, {"fd00::1"}),
    ],
)
def test_its_addresses_of_both_families(status: dict[str, Any], expected: set[str]) -> None:
    assert pods.addresses({"status": status}) == expected
