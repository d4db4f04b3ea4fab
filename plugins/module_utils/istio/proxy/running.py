# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxies that run in a cluster, read from its pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import text_at
from ...kube.pods import containers
from ...labels import is_selected
from ..workloads import PROXY_CONTAINER, parse_pod

VARIANTS = ("-distroless", "-debug")
"""Suffixes of an image tag that say how an image is built, not which version it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class RunningProxy:
    """A ready istio-proxy container.

    :param gateway: whether it is a gateway (``proxy router``) rather than a sidecar.
    :param version: tag of its image without build variant; ``""`` for an image pinned by digest only.
    :param workload: controller of the pod, ``Kind/name``; pods of one workload hold the same configuration.
    """

    namespace: str
    pod: str
    labels: Mapping[str, str]
    service_account: str
    gateway: bool
    version: str
    revision: str
    workload: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}"

    @property
    def sync_id(self) -> str:
        """The proxy's name in istiod's debug output."""
        return f"{self.pod}.{self.namespace}"

    def selected_by(self, selector: Mapping[str, str]) -> bool:
        """Whether the pod carries all labels of ``selector``."""
        return is_selected(self.labels, selector)


def running_proxies(pods: Iterable[Mapping[str, Any]]) -> list[RunningProxy]:
    """The proxies among ``pods`` (API objects) that run, are ready and are not on their way out.

    :returns: one per pod with a proxy.
    """
    found = []
    for raw in pods:
        pod = parse_pod(raw)
        if pod.terminating or pod.phase != "Running" or pod.proxy is None or not pod.proxy.ready:
            continue
        kind, name = pod.controller or ("Pod", pod.name)
        found.append(
            RunningProxy(
                namespace=pod.namespace,
                pod=pod.name,
                labels=pod.labels,
                service_account=text_at(raw, "spec", "serviceAccountName") or "default",
                gateway="router" in _proxy_arguments(raw),
                version=image_version(pod.proxy.image),
                revision=pod.proxy.revision,
                workload=f"{kind}/{name}",
            )
        )
    return found


def sample(proxies: Sequence[RunningProxy], limit: int) -> list[RunningProxy]:
    """At most ``limit`` proxies, taken in turn from every workload, so that as many as possible are seen.

    :returns: all of them when they are few enough.
    """
    if len(proxies) <= limit:
        return list(proxies)
    rounds: dict[tuple[str, str], int] = {}
    numbered = []
    for proxy in proxies:
        key = (proxy.namespace, proxy.workload)
        rounds[key] = rounds.get(key, 0) + 1
        numbered.append((rounds[key], proxy))
    return [proxy for _turn, proxy in sorted(numbered, key=lambda item: item[0])][:limit]


def image_version(image: str) -> str:
    """``1.31.0`` of ``registry:5000/istio/proxyv2:1.31.0-distroless@sha256:...``."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    for variant in VARIANTS:
        tag = tag.removesuffix(variant)
    return tag


def _proxy_arguments(pod: Mapping[str, Any]) -> Sequence[str]:
    return next((item.arguments for item in containers(pod) if item.name == PROXY_CONTAINER), ())
