# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team deploys beside a catalogue: Services and their pods, and the gateway's."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def namespace(name: str, **labels: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def kube_service(
    name: str, place: str = "shop", *, selector: dict[str, str] | None = None, ports: Any = None, **spec: Any
) -> Obj:
    """A Service; without ``selector`` it selects ``app: NAME``."""
    chosen = {"app": name} if selector is None else selector
    wanted = ports or [{"name": "http", "port": 3000, "targetPort": 3000}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": place},
        "spec": {**({"selector": chosen} if chosen else {}), "ports": wanted, **spec},
    }


def pod(
    name: str,
    place: str = "shop",
    *,
    labels: dict[str, str] | None = None,
    account: str = "",
    ports: Any = (),
    **spec: Any,
) -> Obj:
    """A running pod of ``app: NAME``; its account is NAME unless told otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-1",
            "namespace": place,
            "labels": {"app": name} if labels is None else labels,
        },
        "spec": {
            "serviceAccountName": account or name,
            "containers": [{"name": "app", "image": "app:1", "ports": list(ports)}],
            **spec,
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def shop() -> list[Obj]:
    """Everything that ``catalogues.minimal()`` talks about."""
    gateway = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
    return [
        namespace("shop"),
        namespace("istio-system"),
        kube_service("web"),
        pod("web"),
        kube_service("api"),
        pod("api", labels={"app": "api", "version": "v1"}),
        kube_service(
            "istio-ingressgateway",
            "istio-system",
            selector=gateway,
            ports=[{"name": "http2", "port": 80}, {"name": "https", "port": 443}],
        ),
        pod(
            "istio-ingressgateway",
            "istio-system",
            labels=gateway,
            account="istio-ingressgateway-service-account",
        ),
    ]
