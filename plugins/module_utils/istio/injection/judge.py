# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges pods: which carry the proxy that their injector would give them now, and which do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..workloads import Budget, Owner, Pod, Workload
from .webhooks import ExpectedProxy, Injector, InjectorSettings, expected_proxy


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceState:
    """What one namespace holds.

    :param labels: labels of the namespace as they will be when pods are created.
    :param keep: whether only workloads that already have to do with injection are looked at.
    :param parents: controller of a controller, ``(kind, name) -> (kind, name)``: ReplicaSets and Jobs.
    """

    namespace: str
    labels: Mapping[str, str]
    pods: Sequence[Pod] = ()
    workloads: Mapping[tuple[str, str], Workload] = dataclasses.field(default_factory=dict)
    parents: Mapping[tuple[str, str], tuple[str, str]] = dataclasses.field(default_factory=dict)
    budgets: Sequence[Budget] = ()
    keep: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class PodVerdict:
    """``ok``, ``stale``, ``skipped`` or ``leaving`` (it terminates, it counts for nothing); the reason."""

    pod: Pod
    owner: Owner
    state: str
    reason: str = ""


def judge(
    pod: Pod,
    home: NamespaceState,
    injectors: Sequence[Injector],
    settings: Mapping[str, InjectorSettings],
) -> PodVerdict:
    """Whether ``pod`` carries what the injector would give it now."""
    owner = owner_of(pod, home)
    if pod.phase in ("Succeeded", "Failed"):
        return PodVerdict(pod, owner, "skipped", f"finished ({pod.phase})")
    if pod.terminating:
        return PodVerdict(pod, owner, "leaving", "terminating")
    expected = expected_proxy(
        injectors,
        settings,
        namespace=home.namespace,
        namespace_labels=home.labels,
        labels=pod.labels,
        annotations=pod.annotations,
        host_network=pod.host_network,
    )
    if not expected.inject:
        left_over = pod.proxy is not None and pod.proxy.injected
        reason = f"carries a proxy although it would get none: {expected.why}" if left_over else expected.why
        return PodVerdict(pod, owner, "skipped", reason)
    workload = home.workloads.get((owner.kind, owner.name))
    reason = _fault(pod, expected, workload)
    return PodVerdict(pod, owner, "stale" if reason else "ok", reason)


def _fault(pod: Pod, expected: ExpectedProxy, workload: Workload | None) -> str:
    proxy = pod.proxy
    if proxy is None:
        return "not injected"
    if not proxy.injected:
        return "has an istio-proxy container that no injector wrote"
    if proxy.revision and proxy.revision != expected.revision:
        return f"revision {proxy.revision}, the injector gives {expected.revision}"
    image = (workload.proxy_image if workload else "") or expected.image
    if image and proxy.image != image:
        return f"proxy {proxy.image}, the injector gives {image}"
    return ""


def owner_of(pod: Pod, home: NamespaceState) -> Owner:
    """The workload a person knows: the Deployment, not its ReplicaSet; the pod itself when it has none."""
    if pod.controller is None:
        return Owner("Pod", pod.namespace, pod.name)
    kind, name = pod.controller
    while (kind, name) in home.parents:
        kind, name = home.parents[kind, name]
    return Owner(kind, pod.namespace, name)
