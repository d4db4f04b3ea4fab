# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU and memory of containers, of the metrics API or else of Prometheus, and the limits beside them.

The metrics API (metrics.k8s.io) is asked first; without it the kubelet's own series in Prometheus
(``container_cpu_usage_seconds_total``, ``container_memory_working_set_bytes``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ApiError
from ...fields import list_at, mapping_at, mappings_at, name_of, namespace_of, text_at
from ...istio.metrics import MetricsError
from ...istio.workloads import PROXY_CONTAINER
from ...model.observe.report import Saturation
from ...model.promql import matching
from ...model.reading.values import amount
from .look import ObserveLook, Pod

PART = "overhead"
METRICS_API = "metrics.k8s.io/v1beta1"
Container = tuple[str, str, str]
"""Namespace, pod, container."""


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """Cores and bytes that a container uses now."""

    cpu: float
    memory: float


def usage(look: ObserveLook) -> dict[Container, Use]:
    """What each container of the mesh's namespaces uses; empty, with a note, where nobody measures it.

    :returns: namespace, pod and container -> use.
    """
    found: dict[Container, Use] = {}
    served = True
    for namespace in look.namespaces:
        try:
            answer = look.client.list(METRICS_API, "PodMetrics", namespace)
        except ApiError as error:
            look.tell_not(PART, error.message)
            continue
        if answer.missing:
            served = False
            break
        for entry in answer.items:
            found |= dict(_of_entry(entry))
    if not served:
        found = _of_prometheus(look)
    return found


def _of_entry(entry: Mapping[str, Any]) -> Iterable[tuple[Container, Use]]:
    for container in mappings_at(entry, "containers"):
        cpu, memory = (text_at(container, "usage", name) for name in ("cpu", "memory"))
        if cpu and memory:
            key = (namespace_of(entry), name_of(entry), text_at(container, "name"))
            yield key, Use(float(amount(cpu)), float(amount(memory)))


def _of_prometheus(look: ObserveLook) -> dict[Container, Use]:
    prometheus = look.prometheus
    why = "the metrics API is not served, and Prometheus has no container_cpu_usage_seconds_total"
    if prometheus is None:
        look.tell_not(PART, "the metrics API is not served, and nobody says where Prometheus is")
        return {}
    spaces = "|".join(sorted(look.namespaces))
    chosen = f'{{container!="",namespace=~"{spaces}"{matching(prometheus.options.matchers)}}}'
    window = max(60, math.ceil(look.options.window))
    by = "max by (namespace,pod,container)"  # two scrapes of one kubelet say the same
    try:
        cores = prometheus.vector(f"{by} (rate(container_cpu_usage_seconds_total{chosen}[{window}s]))")
        sizes = prometheus.vector(f"{by} (container_memory_working_set_bytes{chosen})")
    except MetricsError as error:
        look.tell_not(PART, str(error))
        return {}
    cpu, memory = ({_key(labels): value for labels, value in found} for found in (cores, sizes))
    if not cpu:
        look.tell_not(PART, why)
    return {key: Use(cpu[key], memory[key]) for key in cpu if key in memory}


def _key(labels: Mapping[str, str]) -> Container:
    return labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", "")


def overhead(look: ObserveLook, used: Mapping[Container, Use]) -> dict[str, Any] | None:
    """What the sidecars cost, in all and at most; None where nobody measures it.

    :returns: ``proxies``, ``cpu`` (cores), ``memory`` (bytes), ``cpu_share`` (of all that the mesh's pods
        use), ``memory_share``, and ``largest`` (the proxy that uses most memory).
    """
    if not used:
        return None
    inside = {(namespace_of(pod), name_of(pod)) for pod in look.pods}
    ours = {key: use for key, use in used.items() if key[:2] in inside}
    proxies = {key: use for key, use in ours.items() if key[2] == PROXY_CONTAINER}
    if not proxies:
        look.tell_not(PART, "the metrics hold no container istio-proxy of the mesh")
        return None
    cpu, memory = (sum(getattr(use, name) for use in proxies.values()) for name in ("cpu", "memory"))
    every_cpu, every_memory = (sum(getattr(use, name) for use in ours.values()) for name in ("cpu", "memory"))
    largest = max(proxies, key=lambda key: proxies[key].memory)
    return {
        "proxies": len(proxies),
        "cpu": round(cpu, 4),
        "memory": round(memory),
        "cpu_share": round(cpu / every_cpu, 4) if every_cpu else 0.0,
        "memory_share": round(memory / every_memory, 4) if every_memory else 0.0,
        "largest": {"pod": "/".join(largest[:2]), "memory": round(proxies[largest].memory)},
    }


def saturations(look: ObserveLook, used: Mapping[Container, Use]) -> dict[str, Saturation]:
    """How full each service of the catalogue is. :returns: service key -> its fullest pod."""
    found = {}
    for service in look.catalogue.services:
        shares = [share for pod in look.pods_of(service) for share in _shares(pod, used)]
        found[service.key] = Saturation(
            *(
                max((value for name, value in shares if name == kind), default=None)
                for kind in ("cpu", "memory")
            )
        )
    return found


def _shares(pod: Pod, used: Mapping[Container, Use]) -> Iterable[tuple[str, float]]:
    """Use by limit of each container that has one."""
    for container in (*mappings_at(pod, "spec", "containers"), *list_at(pod, "spec", "initContainers")):
        use = used.get((namespace_of(pod), name_of(pod), text_at(container, "name")))
        limits = mapping_at(container, "resources", "limits")
        for name in ("cpu", "memory") if use else ():
            limit = float(amount(str(limits.get(name) or "0")))
            if limit and use:
                yield name, getattr(use, name) / limit
