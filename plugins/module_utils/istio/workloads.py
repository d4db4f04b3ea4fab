# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods and the workloads that own them, reduced to what decides about proxies and restarts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

PROXY_CONTAINER = "istio-proxy"
STATUS_ANNOTATION = "sidecar.istio.io/status"
REVISION_ANNOTATION = "istio.io/rev"
TEMPLATES_ANNOTATION = "inject.istio.io/templates"
AUTO_IMAGE = "auto"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Owner:
    """A controller: ``Deployment shop/frontend``; kind ``Pod`` stands for a bare pod itself."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Proxy:
    """The istio-proxy container of a pod.

    :param injected: whether the injector put it there; an installer can also write it into a template.
    :param native: whether it is a native sidecar (an init container that keeps running, Istio >= 1.27).
    """

    image: str
    injected: bool
    native: bool
    ready: bool
    revision: str


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """One pod. ``trouble`` is what its containers wait for, in the kubelet's words."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    controller: tuple[str, str] | None
    phase: str
    terminating: bool
    host_network: bool
    ready: bool
    proxy: Proxy | None
    trouble: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """A controller of pods.

    :param strategy: ``RollingUpdate``, ``Recreate``, ``OnDelete``, or ``""`` for kinds without one.
    :param max_unavailable: pods that a rollout may take away at once, resolved to a number.
    :param max_surge: pods that a rollout may add first, resolved to a number.
    :param partition: a StatefulSet's update partition; pods below it are not updated by a rollout.
    :param proxy_image: image that the template itself prescribes for istio-proxy, else ``""``.
    :param rolling: what a rollout still waits for, or ``""`` when none is under way.
    """

    owner: Owner
    uid: str
    replicas: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    host_network: bool
    strategy: str = ""
    max_unavailable: int = 0
    max_surge: int = 0
    partition: int = 0
    paused: bool = False
    proxy_image: str = ""
    rolling: str = ""

    @property
    def is_gateway(self) -> bool:
        """Whether it runs a gateway proxy rather than a sidecar."""
        return "gateway" in self.annotations.get(TEMPLATES_ANNOTATION, "").split(",")


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget.

    :param allowed: evictions it admits now.
    :param exhausted: whether it admits none even when all pods are healthy.
    """

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int
    exhausted: bool


def parse_pod(pod: Mapping[str, Any]) -> Pod:
    """A ``Pod`` out of the API's object."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    controller = controller_of(metadata)
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    annotations = metadata.get("annotations") or {}
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        labels=metadata.get("labels") or {},
        annotations=annotations,
        controller=controller,
        phase=status.get("phase", "Pending"),
        terminating="deletionTimestamp" in metadata,
        host_network=bool(spec.get("hostNetwork")),
        ready=conditions.get("Ready") == "True",
        proxy=_parse_proxy(spec, status, annotations),
        trouble=_trouble(status, conditions),
    )


def _parse_proxy(
    spec: Mapping[str, Any], status: Mapping[str, Any], annotations: Mapping[str, str]
) -> Proxy | None:
    for field, states in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        for container in spec.get(field) or ():
            if container.get("name") != PROXY_CONTAINER:
                continue
            state: Mapping[str, Any] = next(
                (s for s in status.get(states) or () if s.get("name") == PROXY_CONTAINER), {}
            )
            injection = _injection_status(annotations)
            return Proxy(
                image=str(container.get("image", "")),
                injected=injection is not None,
                native=field == "initContainers" and container.get("restartPolicy") == "Always",
                ready=bool(state.get("ready")),
                revision=str((injection or {}).get("revision") or annotations.get(REVISION_ANNOTATION, "")),
            )
    return None


def _injection_status(annotations: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        status = json.loads(annotations.get(STATUS_ANNOTATION, "null"))
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, str]) -> str:
    for states in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(states) or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] != "PodInitializing":
                return f"{container['name']}: {waiting['reason']}"
    for entry in status.get("conditions") or ():
        if entry["type"] == "PodScheduled" and entry["status"] != "True":
            return f"not scheduled: {entry.get('message') or entry.get('reason') or 'no reason given'}"
    return "" if conditions.get("Ready") == "True" else "not ready"


def controller_of(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """``(kind, name)`` of the controlling owner reference, or None."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["kind"]), str(reference["name"])
    return None


def parse_workload(workload: Mapping[str, Any], rolling: str = "") -> Workload:
    """A ``Workload`` out of a Deployment, StatefulSet, DaemonSet, Job, ReplicaSet or similar object."""
    metadata, spec, status = workload["metadata"], workload.get("spec") or {}, workload.get("status") or {}
    kind = str(workload["kind"])
    template = spec.get("template") or {}
    template_metadata, pod_spec = template.get("metadata") or {}, template.get("spec") or {}
    replicas = (
        int(status.get("desiredNumberScheduled") or 0)
        if kind == "DaemonSet"
        else int(spec.get("replicas", 1))
    )
    strategy, unavailable, surge = _strategy(kind, spec, replicas)
    return Workload(
        owner=Owner(kind, metadata.get("namespace", ""), metadata["name"]),
        uid=metadata.get("uid", ""),
        replicas=replicas,
        labels=template_metadata.get("labels") or {},
        annotations=template_metadata.get("annotations") or {},
        host_network=bool(pod_spec.get("hostNetwork")),
        strategy=strategy,
        max_unavailable=unavailable,
        max_surge=surge,
        partition=int(
            (((spec.get("updateStrategy") or {}).get("rollingUpdate")) or {}).get("partition") or 0
        ),
        paused=bool(spec.get("paused")),
        proxy_image=_prescribed_image(pod_spec),
        rolling=rolling,
    )


def _prescribed_image(pod_spec: Mapping[str, Any]) -> str:
    for container in [*(pod_spec.get("containers") or ()), *(pod_spec.get("initContainers") or ())]:
        if container.get("name") == PROXY_CONTAINER and container.get("image", AUTO_IMAGE) != AUTO_IMAGE:
            return str(container["image"])
    return ""


def _strategy(kind: str, spec: Mapping[str, Any], replicas: int) -> tuple[str, int, int]:
    """Strategy name, pods that may be missing, pods that may be added, as the controllers count them.

    Source: k8s.io/kubernetes pkg/controller/deployment/util (ResolveFenceposts), pkg/controller/daemon
    (MaxUnavailable, MaxSurge), pkg/controller/statefulset.
    """
    if kind == "Deployment":
        strategy = spec.get("strategy") or {}
        rolling = strategy.get("rollingUpdate") or {}
        unavailable = resolve(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
        surge = resolve(rolling.get("maxSurge", "25%"), replicas, round_up=True)
        if not unavailable and not surge:
            unavailable = 1
        return str(strategy.get("type", "RollingUpdate")), min(unavailable, replicas), surge
    if kind in ("StatefulSet", "DaemonSet"):
        strategy = spec.get("updateStrategy") or {}
        rolling = strategy.get("rollingUpdate") or {}
        surge = resolve(rolling.get("maxSurge", 0), replicas, round_up=True)
        unavailable = resolve(rolling.get("maxUnavailable", 1), replicas, round_up=True)
        if not unavailable and not surge:
            unavailable = 1
        return str(strategy.get("type", "RollingUpdate")), min(unavailable, replicas), surge
    return "", 0, 0


def resolve(value: int | str, total: int, *, round_up: bool) -> int:
    """A Kubernetes int-or-percentage of ``total``."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def parse_budget(budget: Mapping[str, Any]) -> Budget:
    """A ``Budget`` out of a PodDisruptionBudget. Its status counts only when it is about the current spec."""
    metadata, status = budget["metadata"], budget.get("status") or {}
    current = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    expected, healthy_floor = int(status.get("expectedPods") or 0), int(status.get("desiredHealthy") or 0)
    return Budget(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        selector=(budget.get("spec") or {}).get("selector"),
        allowed=int(status.get("disruptionsAllowed") or 0) if current else 0,
        exhausted=current and expected > 0 and healthy_floor >= expected,
    )
