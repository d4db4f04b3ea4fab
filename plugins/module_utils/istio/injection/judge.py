# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges pods: which carry the proxy that their injector would give them now, and which do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from ..images import PERHAPS, SAME, compare_images, parse_image
from ..workloads import Budget, Owner, Pod, Workload
from .webhooks import ExpectedProxy, Injector, InjectorSettings, expected_proxy

Pinned = Mapping[str, frozenset[str]]


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
    pinned: Pinned | None = None,
) -> PodVerdict:
    """Whether ``pod`` carries what the injector would give it now.

    :param pinned: see ``pinned_images``.
    """
    owner = owner_of(pod, home)
    if pod.phase in ("Succeeded", "Failed"):
        return PodVerdict(pod, owner, "skipped", f"finished ({pod.phase})")
    if pod.terminating:
        return PodVerdict(pod, owner, "leaving", "terminating")
    expected = _expected(pod, home, injectors, settings)
    if not expected.inject:
        left_over = pod.proxy is not None and pod.proxy.injected
        reason = f"carries a proxy although it would get none: {expected.why}" if left_over else expected.why
        return PodVerdict(pod, owner, "skipped", reason)
    workload = home.workloads.get((owner.kind, owner.name))
    reason = _fault(pod, expected, workload, settings, pinned or {})
    return PodVerdict(pod, owner, "stale" if reason else "ok", reason)


def _expected(
    pod: Pod,
    home: NamespaceState,
    injectors: Sequence[Injector],
    settings: Mapping[str, InjectorSettings],
) -> ExpectedProxy:
    return expected_proxy(
        injectors,
        settings,
        namespace=home.namespace,
        namespace_labels=home.labels,
        labels=pod.labels,
        annotations=pod.annotations,
        host_network=pod.host_network,
    )


def _fault(
    pod: Pod,
    expected: ExpectedProxy,
    workload: Workload | None,
    settings: Mapping[str, InjectorSettings],
    pinned: Pinned,
) -> str:
    proxy = pod.proxy
    if proxy is None:
        return "not injected"
    if not proxy.injected:
        return "has an istio-proxy container that no injector wrote"
    if proxy.revision and proxy.revision != expected.revision:
        return f"revision {proxy.revision}, the injector gives {expected.revision}"
    image = (workload.proxy_image if workload else "") or expected.image
    if not image or _tags_agree(image, proxy.image):
        return ""
    if compare_images(image, proxy.image) == PERHAPS:
        if _is_newer(pod, settings.get(expected.revision)) or proxy.image in pinned.get(image, ()):
            return ""
        return (
            f"proxy {proxy.image}, pinned before the injector's settings changed last; now it gives {image}"
        )
    return f"proxy {proxy.image}, the injector gives {image}"


def _tags_agree(image: str, found: str) -> bool:
    """Whether both run the same, as far as tags tell: a mirror keeps name and tag."""
    verdict = compare_images(image, found)
    tagged = bool(parse_image(image).tag and parse_image(found).tag)
    return verdict == SAME or (verdict == PERHAPS and tagged)


def _is_newer(pod: Pod, settings: InjectorSettings | None) -> bool:
    """Whether the pod was made by the settings of today: what it carries is then what they give."""
    if settings is None or settings.changed is None or pod.created is None:
        return True
    return pod.created >= settings.changed


def pinned_images(
    namespaces: Iterable[NamespaceState],
    injectors: Sequence[Injector],
    settings: Mapping[str, InjectorSettings],
) -> Pinned:
    """What a policy makes of images: image of the injector -> references of pods made by today's settings.

    A digest cannot be compared with a tag without asking the registry; a pod that was just made can tell.

    :returns: only those that differ from what the injector says.
    """
    found: dict[str, set[str]] = {}
    for home in namespaces:
        for pod in home.pods:
            if pod.proxy is None or not pod.proxy.injected or parse_image(pod.proxy.image).tag:
                continue
            expected = _expected(pod, home, injectors, settings)
            workload = home.workloads.get((owner_of(pod, home).kind, owner_of(pod, home).name))
            image = (workload.proxy_image if workload else "") or expected.image
            if image and pod.created is not None and _is_newer(pod, settings.get(expected.revision)):
                found.setdefault(image, set()).add(pod.proxy.image)
    return {image: frozenset(references) for image, references in found.items()}


def owner_of(pod: Pod, home: NamespaceState) -> Owner:
    """The workload a person knows: the Deployment, not its ReplicaSet; the pod itself when it has none."""
    if pod.controller is None:
        return Owner("Pod", pod.namespace, pod.name)
    kind, name = pod.controller
    while (kind, name) in home.parents:
        kind, name = home.parents[kind, name]
    return Owner(kind, pod.namespace, name)
