# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods and the workloads that own them, reduced to what decides about proxies and restarts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..documents.json_text import from_json
from ..fields import (
    annotations_of,
    field,
    integer_at,
    labels_of,
    mapping_at,
    mappings_at,
    name_of,
    namespace_of,
    text_at,
)
from ..kube import pods
from ..kube.clock import seconds_of

PROXY_CONTAINER = "istio-proxy"
TEMPLATE_HASH = "pod-template-hash"
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
    """One pod.

    :param trouble: what its containers wait for, in the kubelet's words. :param created: seconds since the
        epoch; None when it is not known.
    """

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
    created: float | None = None


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
    return Pod(
        namespace=namespace_of(pod),
        name=name_of(pod),
        uid=text_at(pod, "metadata", "uid"),
        labels=labels_of(pod),
        annotations=annotations_of(pod),
        controller=controller_of(mapping_at(pod, "metadata")),
        phase=pods.phase_of(pod),
        terminating=pods.is_terminating(pod),
        host_network=field(pod, "spec", "hostNetwork") is True,
        ready=pods.is_ready(pod),
        proxy=_parse_proxy(pod),
        trouble=pods.trouble(pod),
        created=seconds_of(text_at(pod, "metadata", "creationTimestamp")),
    )


def _parse_proxy(pod: Mapping[str, Any]) -> Proxy | None:
    annotations = annotations_of(pod)
    injection = _injection_status(annotations)
    for container in pods.containers(pod):
        if container.name == PROXY_CONTAINER:
            return Proxy(
                image=container.image,
                injected=injection is not None,
                native=container.native_sidecar,
                ready=container.ready,
                revision=text_at(injection, "revision") or annotations.get(REVISION_ANNOTATION, ""),
            )
    return None


def _injection_status(annotations: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        status = from_json(annotations.get(STATUS_ANNOTATION, "null"))
    except ValueError:
        return None
    return status if isinstance(status, dict) else None


def controller_of(metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """``(kind, name)`` of the controlling owner reference, or None.

    :returns: (kind, name), None for an object that nobody controls.
    """
    for reference in mappings_at(metadata, "ownerReferences"):
        if reference.get("controller"):
            return str(reference["kind"]), str(reference["name"])
    return None


def workload_of(controller: tuple[str, str] | None, labels: Mapping[str, str]) -> tuple[str, str]:
    """What a pod is rolled out with: its controller, or the Deployment whose ReplicaSet that is, by the label
    that a Deployment alone gives (istio pkg/kube/inject/webhook.go, the names of workloads in metrics).

    :param controller: of the pod. :param labels: of the pod. :returns: (kind, name); empty when nobody
        controls it.
    """
    kind, name = controller or ("", "")
    ending = f"-{labels.get(TEMPLATE_HASH, '')}"
    if kind == "ReplicaSet" and len(ending) > 1 and name.endswith(ending):
        return "Deployment", name.removesuffix(ending)
    return kind, name


def parse_workload(workload: Mapping[str, Any], rolling: str = "") -> Workload:
    """A ``Workload`` out of a Deployment, StatefulSet, DaemonSet, Job, ReplicaSet or similar object."""
    kind = text_at(workload, "kind")
    template = mapping_at(workload, "spec", "template")
    replicas = (
        integer_at(workload, "status", "desiredNumberScheduled")
        if kind == "DaemonSet"
        else integer_at(workload, "spec", "replicas", default=1)
    )
    strategy, unavailable, surge = _strategy(kind, mapping_at(workload, "spec"), replicas)
    return Workload(
        owner=Owner(kind, namespace_of(workload), name_of(workload)),
        uid=text_at(workload, "metadata", "uid"),
        replicas=replicas,
        labels=labels_of(template),
        annotations=annotations_of(template),
        host_network=field(template, "spec", "hostNetwork") is True,
        strategy=strategy,
        max_unavailable=unavailable,
        max_surge=surge,
        partition=integer_at(workload, "spec", "updateStrategy", "rollingUpdate", "partition"),
        paused=field(workload, "spec", "paused") is True,
        proxy_image=_prescribed_image(template),
        rolling=rolling,
    )


def _prescribed_image(template: Mapping[str, Any]) -> str:
    for container in pods.containers(template):
        if container.name == PROXY_CONTAINER and container.image not in ("", AUTO_IMAGE):
            return container.image
    return ""


def _strategy(kind: str, spec: Mapping[str, Any], replicas: int) -> tuple[str, int, int]:
    """Strategy name, pods that may be missing, pods that may be added, as the controllers count them.

    Source: k8s.io/kubernetes pkg/controller/deployment/util (ResolveFenceposts), pkg/controller/daemon
    (MaxUnavailable, MaxSurge), pkg/controller/statefulset.
    """
    if kind == "Deployment":
        name = "strategy"
        defaults: dict[str, int | str] = {"maxUnavailable": "25%", "maxSurge": "25%"}
    elif kind in ("StatefulSet", "DaemonSet"):
        name, defaults = "updateStrategy", {"maxUnavailable": 1, "maxSurge": 0}
    else:
        return "", 0, 0
    rolling = {**defaults, **mapping_at(spec, name, "rollingUpdate")}
    unavailable = resolve(rolling["maxUnavailable"], replicas, round_up=kind != "Deployment")
    surge = resolve(rolling["maxSurge"], replicas, round_up=True)
    if not unavailable and not surge:
        unavailable = 1
    return text_at(spec, name, "type") or "RollingUpdate", min(unavailable, replicas), surge


def resolve(value: int | str, total: int, *, round_up: bool) -> int:
    """A Kubernetes int-or-percentage of ``total``."""
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def parse_budget(budget: Mapping[str, Any]) -> Budget:
    """A ``Budget`` out of a PodDisruptionBudget. Its status counts only when it is about the current spec."""
    generation = integer_at(budget, "metadata", "generation")
    current = integer_at(budget, "status", "observedGeneration") >= generation
    expected = integer_at(budget, "status", "expectedPods")
    return Budget(
        namespace=namespace_of(budget),
        name=name_of(budget),
        selector=field(budget, "spec", "selector"),
        allowed=integer_at(budget, "status", "disruptionsAllowed") if current else 0,
        exhausted=current and 0 < expected <= integer_at(budget, "status", "desiredHealthy"),
    )
