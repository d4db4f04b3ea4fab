# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes itself says of a pod: ready, terminating, ended, and what its containers wait for.

Sources: k8s.io/kubernetes pkg/api/v1/pod/util.go (IsPodReady, IsPodTerminal), the endpoint rules of
k8s.io/endpointslice utils.go (podToEndpoint, shouldPodBeInEndpoints), and KEP-753 for native sidecars.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..fields import field, labels_of, list_at, mapping_at, mappings_at, text_at
from ..labels import is_selected

SUCCEEDED, FAILED = "Succeeded", "Failed"
STARTING = ("PodInitializing", "ContainerCreating")
"""Reasons to wait that every container has on its way up (kubelet pkg/kubelet/kubelet_pods.go)."""

Pod = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod: what its specification says, and its status beside it.

    :param native_sidecar: an init container that keeps running (``restartPolicy: Always``).
    :param ready: the kubelet's word; of a native sidecar it is in ``initContainerStatuses``.
    :param waiting: the reason why it does not run, ``""`` when it does. :param message: the kubelet's text
        to that reason.
    """

    name: str
    image: str
    arguments: tuple[str, ...]
    native_sidecar: bool
    ready: bool
    waiting: str
    message: str


def phase_of(pod: Pod) -> str:
    """``status.phase``; ``Pending`` for a pod that no kubelet has seen."""
    return text_at(pod, "status", "phase") or "Pending"


def is_ready(pod: Pod) -> bool:
    """Whether the condition ``Ready`` is true: all containers are, and all readiness gates."""
    return _condition(pod, "Ready").get("status") == "True"


def is_terminating(pod: Pod) -> bool:
    """Whether somebody has deleted the pod; its containers may still run."""
    return field(pod, "metadata", "deletionTimestamp") is not None


def is_ended(pod: Pod) -> bool:
    """Whether no container of the pod will ever run again."""
    return phase_of(pod) in (SUCCEEDED, FAILED)


def is_active(pod: Pod) -> bool:
    """Whether the pod counts for its controller (kube-controller-manager's IsPodActive)."""
    return not is_terminating(pod) and not is_ended(pod)


def is_leaving(pod: Pod) -> bool:
    """Whether somebody has deleted the pod and it still runs: its address answers until its grace period is
    over."""
    running = any(
        field(status, "state", "running") is not None
        for status in mappings_at(pod, "status", "containerStatuses")
    )
    return is_terminating(pod) and not is_ended(pod) and running


def takes_requests(pod: Pod) -> bool:
    """Whether a Service that selects the pod sends requests to it: an EndpointSlice calls it ready."""
    return is_ready(pod) and is_active(pod)


def addresses(pod: Pod) -> frozenset[str]:
    """Its addresses, of both families where it has them."""
    found = {text_at(item, "ip") for item in mappings_at(pod, "status", "podIPs")}
    return frozenset((found | {text_at(pod, "status", "podIP")}) - {""})


def has_labels(pod: Pod, labels: Mapping[str, str]) -> bool:
    """Whether the pod carries all of ``labels``; an empty selector selects all."""
    return is_selected(labels_of(pod), labels)


def containers(pod: Pod) -> list[Container]:
    """Init containers and native sidecars, then the others, each in the order of the specification.

    :returns: one entry per container of the specification, also when it has no status yet.
    """
    return [
        _container(container, _status(pod, statuses, text_at(container, "name")), init=init)
        for section, statuses, init in (
            ("initContainers", "initContainerStatuses", True),
            ("containers", "containerStatuses", False),
        )
        for container in mappings_at(pod, "spec", section)
    ]


def faults(pod: Pod) -> list[str]:
    """Why containers wait, other than for their start: ``CrashLoopBackOff``, ``ImagePullBackOff``.

    :returns: reasons in the order of the containers.
    """
    return [item.waiting for item in containers(pod) if item.waiting and item.waiting not in STARTING]


def trouble(pod: Pod) -> str:
    """What a pod's readiness waits for, in the words of kubelet and scheduler; ``""`` when it is ready."""
    waiting = [item for item in containers(pod) if item.waiting]
    for item in waiting:
        if item.waiting not in STARTING:
            return f"{item.name}: {item.waiting} {item.message}".strip()
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status", "True") != "True":
        reason = text_at(scheduled, "message") or text_at(scheduled, "reason")
        return f"not scheduled: {reason or 'no reason given'}"
    if is_ready(pod):
        return ""
    if waiting:
        return f"{waiting[-1].name}: {waiting[-1].waiting}"
    return "starting" if phase_of(pod) == "Pending" else "not ready"


def _condition(pod: Pod, kind: str) -> Mapping[str, Any]:
    for condition in mappings_at(pod, "status", "conditions"):
        if condition.get("type") == kind:
            return condition
    return {}


def _status(pod: Pod, section: str, name: str) -> Mapping[str, Any]:
    for status in mappings_at(pod, "status", section):
        if status.get("name") == name:
            return status
    return {}


def _container(container: Mapping[str, Any], status: Mapping[str, Any], *, init: bool) -> Container:
    waiting = mapping_at(status, "state", "waiting")
    return Container(
        name=text_at(container, "name"),
        image=text_at(container, "image"),
        arguments=tuple(str(argument) for argument in list_at(container, "args")),
        native_sidecar=init and text_at(container, "restartPolicy") == "Always",
        ready=status.get("ready") is True,
        waiting=text_at(waiting, "reason"),
        message=text_at(waiting, "message"),
    )
