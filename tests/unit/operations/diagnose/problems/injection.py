# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: what is planted, and what has to be found."""

from __future__ import annotations

from typing import Any

from ....support.injection import webhook_configuration
from ..healthy_mesh import Healthy, obj, pod
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


def refused_with(cluster: Healthy, message: str) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    cluster.edit("Deployment", "web")["status"] = {"conditions": [condition]}


def refused_by_webhook(cluster: Healthy) -> None:
    refused_with(
        cluster, 'failed calling webhook "namespace.sidecar-injector.istio.io": connect: refused (istio)'
    )


def tag_without_istiod(cluster: Healthy) -> None:
    """Every webhook of a revision has the same name as those of the others; the Service tells them apart."""
    configuration = webhook_configuration("istio-revision-tag-prod", "gone", ["prod"], tag="prod")
    kept = {"labels": configuration["metadata"]["labels"]}
    version = "admissionregistration.k8s.io/v1"
    made = obj("MutatingWebhookConfiguration", "istio-revision-tag-prod", "", version=version, **kept)
    cluster.put({**made, "webhooks": configuration["webhooks"]})
    for name in ("istio-sidecar-injector", "istio-revision-tag-prod"):
        hooks = cluster.edit("MutatingWebhookConfiguration", name, "")["webhooks"]
        assert "rev.namespace.sidecar-injector.istio.io" in {hook["name"] for hook in hooks}
    url = "https://istiod-gone.istio-system.svc:443/inject?timeout=10s"
    refused_with(
        cluster,
        'Internal error occurred: failed calling webhook "rev.namespace.sidecar-injector.istio.io": '
        f'failed to call webhook: Post "{url}": service "istiod-gone" not found',
    )


def validator(cluster: Healthy, name: str, webhook: str) -> None:
    service = {"name": name, "namespace": "policies"}
    hooks = [{"name": webhook, "clientConfig": {"service": service}}]
    version = "admissionregistration.k8s.io/v1"
    cluster.put({**obj("ValidatingWebhookConfiguration", name, "", version=version), "webhooks": hooks})


def denied(cluster: Healthy) -> None:
    validator(cluster, "kyverno", "validate.kyverno.svc")
    refused_with(cluster, 'admission webhook "validate.kyverno.svc" denied the request: no NET_ADMIN here')


def unreachable(cluster: Healthy) -> None:
    validator(cluster, "kyverno", "validate.kyverno.svc")
    refused_with(
        cluster,
        'failed calling webhook "validate.kyverno.svc": failed to call webhook: Post '
        '"https://kyverno.policies.svc:443/validate": no endpoints available for service "kyverno"',
    )


def denied_by_policy(cluster: Healthy) -> None:
    refused_with(
        cluster,
        "pods \"web-7d9f-x\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'all' denied "
        "request: runs as root",
    )


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
        "MutatingWebhookConfiguration istio-sidecar-injector",
        {"source": "web"},
        refused_by_webhook,
    ),
    Planted(
        "revision tag without istiod",
        "injection",
        "MutatingWebhookConfiguration istio-revision-tag-prod",
        {"namespace": "shop"},
        tag_without_istiod,
    ),
    Planted(
        "webhook denies", "injection", "ValidatingWebhookConfiguration kyverno", {"source": "web"}, denied
    ),
    Planted(
        "webhook of others is away",
        "injection",
        "ValidatingWebhookConfiguration kyverno",
        {"namespace": "shop"},
        unreachable,
    ),
    Planted(
        "policy denies", "injection", "ValidatingAdmissionPolicy no-root", {"source": "web"}, denied_by_policy
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
