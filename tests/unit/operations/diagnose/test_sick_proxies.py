# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Init containers that need the network too early, and sidecars that are not ready: what of it is a cause."""

from __future__ import annotations

from typing import Any

import pytest

from .healthy_mesh import Healthy, Obj
from .planted import CALL, YOUNG
from .test_sentences import found

CRASHES: Obj = {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
HAS_FAILED: Obj = {"ready": False, "lastState": {"terminated": {"exitCode": 1}}}
FAILS: Obj = {"ready": False, "state": {"terminated": {"exitCode": 137}}}
DONE: Obj = {"ready": True, "state": {"terminated": {"exitCode": 0}}}
FAILED_ONCE: Obj = {"ready": True, "lastState": {"terminated": {"exitCode": 1}}}
WAITS: Obj = {"ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}
TOO_EARLY = "has an init container migrate that fails before the sidecar runs, so it has no network"


def web(order: str, status: Obj, *, name: str = "migrate") -> list[str]:
    """What is said of a pod whose init containers come in this order.

    :param status: of ``name``. :param order: without ``istio-proxy`` it is an ordinary container.
    """
    names = order.split()

    def plant(cluster: Healthy) -> None:
        held = cluster.edit("Pod", "web-1")
        (proxy,) = held["spec"]["initContainers"]
        held["spec"]["initContainers"] = [proxy if one == "istio-proxy" else {"name": one} for one in names]
        own = {"name": "istio-proxy", "ready": True}
        statuses = [
            {"name": one, **(status if one == name else DONE)} for one in names if one != "istio-proxy"
        ]
        if "istio-proxy" in names:
            statuses.append(own)
        else:
            held["spec"]["containers"].append({**proxy, "restartPolicy": None})
            held["status"]["containerStatuses"].append(own)
        held["status"]["initContainerStatuses"] = statuses

    return [one.partition(": ")[2] for one in found(plant, CALL, "Pod shop/web-1") if "init container" in one]


@pytest.mark.parametrize(
    ("status", "told"),
    [(CRASHES, True), (HAS_FAILED, True), (FAILS, True), (DONE, False), (FAILED_ONCE, False), (WAITS, False)],
)
def test_an_init_container_before_a_native_sidecar(status: Obj, *, told: bool) -> None:
    assert web("migrate istio-proxy", status) == ([TOO_EARLY] if told else [])


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("istio-proxy migrate", False),  # the sidecar carries it
        ("other istio-proxy migrate", False),
        ("other migrate istio-proxy", True),
        ("istio-init migrate", True),
        ("istio-validation migrate", True),
        ("migrate istio-init", True),  # as it stands: the pod is redirected, and it has failed
        ("migrate", False),  # nothing redirects it: the CNI plugin's own order
    ],
)
def test_where_an_init_container_has_no_network(order: str, *, told: bool) -> None:
    assert web(order, CRASHES) == ([TOO_EARLY] if told else [])


@pytest.mark.parametrize("name", ["istio-init", "istio-validation"])
def test_istio_s_own_init_containers_are_no_such_thing(name: str) -> None:
    assert web(f"{name} migrate", CRASHES, name=name) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"ready": True}, False),
        ({"phase": "Pending"}, False),
        ({"young": True}, False),
    ],
)
def test_a_sidecar_that_is_not_ready(changes: dict[str, Any], *, told: bool) -> None:
    def plant(cluster: Healthy) -> None:
        held = cluster.edit("Pod", "web-1")
        held["status"]["initContainerStatuses"][0]["ready"] = changes.get("ready", False)
        held["status"]["phase"] = changes.get("phase", "Running")
        held["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        if changes.get("young"):
            held["metadata"]["creationTimestamp"] = YOUNG

    said = [one for one in found(plant, CALL, "Pod shop/web-1") if "has a sidecar that is not ready" in one]
    assert len(said) == told


@pytest.mark.parametrize("name", ["istio-init", "istio-validation", "istio-proxy", "app"])
def test_an_image_that_cannot_be_pulled_is_the_sidecar_s_own(name: str) -> None:
    def plant(cluster: Healthy) -> None:
        held = cluster.edit("Pod", "web-1")
        if name.startswith("istio-") and name != "istio-proxy":
            held["spec"]["initContainers"].append({"name": name, "image": "hub/other:1"})
            held["status"]["initContainerStatuses"].append({"name": name})
        for section in ("initContainerStatuses", "containerStatuses"):
            for status in held["status"][section]:
                if status["name"] == name:
                    status |= {"ready": False, "state": {"waiting": {"reason": "ImagePullBackOff"}}}

    image = {"istio-proxy": "hub/proxyv2:1.31.0"}.get(name, "hub/other:1")
    said = f"Pod shop/web-1: cannot pull its sidecar's image {image} (ImagePullBackOff)"
    told = [one for one in found(plant, CALL) if "sidecar's image" in one]
    assert told == ([] if name == "app" else [said])
