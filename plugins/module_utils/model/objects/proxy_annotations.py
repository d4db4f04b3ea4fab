# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations by which the injector sizes sidecars (istio-discovery/files/injection-template.yaml)."""

from __future__ import annotations

from typing import Any

from ..catalogue.mesh import Catalogue
from ..catalogue.services import ProxyResources, Service

_ANNOTATIONS = {
    "cpu": "sidecar.istio.io/proxyCPU",
    "memory": "sidecar.istio.io/proxyMemory",
    "cpu_limit": "sidecar.istio.io/proxyCPULimit",
    "memory_limit": "sidecar.istio.io/proxyMemoryLimit",
}
_CONFIG = "proxy.istio.io/config"


def proxy_patches(catalogue: Catalogue) -> list[dict[str, Any]]:
    """One partial Deployment per workload of each service with ``proxy``: its pod template's annotations.

    They are merged into existing Deployments, never created, and carry no ownership labels: the workloads are
    not part of the mesh's objects. A change rolls the Deployment. ``None`` takes an annotation away.

    :returns: Deployments with a name, a namespace and the template's annotations.
    """
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": workload, "namespace": service.namespace},
            "spec": {"template": {"metadata": {"annotations": proxy_annotations(service.proxy)}}},
        }
        for service in catalogue.services
        if service.proxy
        for workload in _workloads(service)
    ]


def proxy_annotations(proxy: ProxyResources) -> dict[str, str | None]:
    """The annotations of a pod template; a size that is not given is ``None``, the injector's own default.

    :returns: annotation key -> value; None takes the annotation away.
    """
    found: dict[str, str | None] = {name: getattr(proxy, field) for field, name in _ANNOTATIONS.items()}
    if proxy.concurrency is not None:
        # It holds other settings of the proxy, too: without a concurrency of ours it is not ours to remove.
        found[_CONFIG] = f"concurrency: {proxy.concurrency}\n"
    return found


def _workloads(service: Service) -> list[str]:
    return [version.workload for version in service.versions.values()] or [service.name]
