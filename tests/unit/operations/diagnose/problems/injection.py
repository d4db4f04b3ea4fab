# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ..healthy_mesh import Healthy, pod
from ..planted import CALL, NOTHING, Planted


def bare(cluster: Healthy, **metadata: Any) -> dict[str, Any]:
    """Takes the caller's sidecar away."""
    cluster.put(pod("web-1", meshed=False, **metadata))
    return cluster.edit("Namespace", "shop", "")["metadata"]["labels"]


def unlabelled(cluster: Healthy) -> None:
    bare(cluster).clear()


def disabled(cluster: Healthy) -> None:
    bare(cluster).update({"istio-injection": "disabled", "istio.io/rev": "default"})


def unknown_revision(cluster: Healthy) -> None:
    labels = bare(cluster)
    labels.clear()
    labels["istio.io/rev"] = "canary"


def switched_off(cluster: Healthy) -> None:
    bare(cluster)
    for webhook in cluster.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")["webhooks"]:
        webhook["namespaceSelector"] = {"matchLabels": {"istio.io/deactivated": "never-match"}}


def no_webhook(cluster: Healthy) -> None:
    bare(cluster)
    cluster.remove("MutatingWebhookConfiguration", "istio-sidecar-injector")


def quota(cluster: Healthy) -> None:
    message = (
        'pods "web-2" is forbidden: exceeded quota: small, requested: cpu=100m, used: cpu=1, limited: cpu=1'
    )
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    cluster.edit("Deployment", "web")["status"] = {"conditions": [condition]}


def refused_by_webhook(cluster: Healthy) -> None:
    message = 'failed calling webhook "namespace.sidecar-injector.istio.io": connect: refused (istio)'
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    cluster.edit("Deployment", "web")["status"] = {"conditions": [condition]}


def proxy_state(cluster: Healthy, **state: Any) -> None:
    status = cluster.edit("Pod", "web-1")["status"]
    status["initContainerStatuses"] = [{"name": "istio-proxy", "ready": False, **state}]
    status["conditions"] = [{"type": "Ready", "status": "False"}]


def early_init(cluster: Healthy) -> None:
    raw = cluster.edit("Pod", "web-1")
    raw["spec"]["initContainers"].insert(0, {"name": "migrate"})
    raw["status"]["initContainerStatuses"].insert(
        0, {"name": "migrate", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    )
    raw["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


INJECTION = [
    Planted("no label", "injection", "Namespace shop", {"pod": "web-1"}, unlabelled),
    Planted("label disabled", "injection", "Namespace shop", {"pod": "web-1"}, disabled),
    Planted("unknown revision", "injection", "Namespace shop", {"pod": "shop/web-1"}, unknown_revision),
    Planted(
        "opted out",
        "injection",
        "Pod shop/web-1",
        CALL,
        lambda one: bare(one, labels={"sidecar.istio.io/inject": "false"}),
    ),
    Planted(
        "opted out by annotation",
        "injection",
        "Pod shop/web-1",
        {"pod": "web-1"},
        lambda one: bare(one, annotations={"sidecar.istio.io/inject": "false"}),
    ),
    Planted(
        "host network",
        "injection",
        "Pod shop/web-1",
        {"source": "web"},
        lambda one: one.put(pod("web-1", meshed=False, hostNetwork=True)),
    ),
    Planted("older than the label", "injection", "Pod shop/web-1", NOTHING, bare),
    Planted(
        "webhook switched off",
        "injection",
        "MutatingWebhookConfiguration istio-sidecar-injector",
        {"pod": "web-1"},
        switched_off,
    ),
    Planted(
        "no webhook", "injection", "MutatingWebhookConfiguration istio-sidecar-injector", NOTHING, no_webhook
    ),
    Planted("quota", "injection", "ResourceQuota shop/small", NOTHING, quota),
    Planted(
        "webhook refuses",
        "injection",
        "MutatingWebhookConfiguration namespace.sidecar-injector.istio.io",
        {"source": "web"},
        refused_by_webhook,
    ),
    Planted(
        "proxy's image",
        "injection",
        "Pod shop/web-1",
        {"pod": "web-1"},
        lambda one: proxy_state(one, state={"waiting": {"reason": "ImagePullBackOff"}}),
    ),
    Planted(
        "proxy's memory",
        "injection",
        "Pod shop/web-1",
        NOTHING,
        lambda one: proxy_state(one, restartCount=4, lastState={"terminated": {"reason": "OOMKilled"}}),
    ),
    Planted("init container before the proxy", "injection", "Pod shop/web-1", {"pod": "web-1"}, early_init),
    Planted("proxy not ready", "injection", "Pod shop/web-1", NOTHING, proxy_state),
]
