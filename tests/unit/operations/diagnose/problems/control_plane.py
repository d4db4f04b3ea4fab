# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: what is planted, and what has to be found."""

from __future__ import annotations

import base64
from typing import Any

from ....support.certificates import OTHER_ROOT, pem
from ..healthy_mesh import Healthy, istio, network_policy, obj, pod
from ..planted import CALL, NOTHING, Planted


def istiod(cluster: Healthy) -> dict[str, Any]:
    return cluster.edit("Pod", "istiod-1", "istio-system")


def refusing(cluster: Healthy) -> None:
    patch = {"applyTo": "HTTP_FILTER", "patch": {"value": {"name": "envoy.filters.http.lua"}}}
    spec = {"workloadSelector": {"labels": {"app": "web"}}, "configPatches": [patch]}
    cluster.put(istio("EnvoyFilter", "lua", spec))
    cluster.refused["web-1"] = "Error adding listener: envoy.filters.http.lua: script load error"


def foreign_validator(cluster: Healthy) -> None:
    called = {"name": "istiod", "namespace": "istio-system"}
    client = {"service": called, "caBundle": base64.b64encode(pem(OTHER_ROOT)).decode()}
    hooks = [{"name": "rev.validation.istio.io", "clientConfig": client}]
    version = "admissionregistration.k8s.io/v1"
    made = obj("ValidatingWebhookConfiguration", "istio-validator-istio-system", "", version=version)
    cluster.put({**made, "webhooks": hooks})


def hidden(cluster: Healthy) -> None:
    selectors = "discoverySelectors: [{matchLabels: {team: other}}, {matchLabels: {istio: here}}]"
    cluster.edit("ConfigMap", "istio", "istio-system")["data"]["mesh"] += "\n" + selectors


def cut_off(cluster: Healthy) -> None:
    cluster.lost.add("web-1")
    cluster.put(network_policy("no-egress", {"app": "web"}, egress=[]))


def without_istiod(cluster: Healthy) -> None:
    cluster.remove("Pod", "istiod-1", "istio-system")


CONTROL_PLANE = [
    Planted(
        "scaled to 0",
        "control plane",
        "Deployment istio-system/istiod",
        NOTHING,
        lambda one: (
            without_istiod(one),
            one.edit("Deployment", "istiod", "istio-system")["spec"].update(replicas=0),
        ),
    ),
    Planted(
        "not ready",
        "control plane",
        "Deployment istio-system/istiod",
        CALL,
        lambda one: istiod(one)["status"].update(conditions=[{"type": "Ready", "status": "False"}]),
    ),
    Planted(
        "ended for its memory",
        "control plane",
        "Pod istio-system/istiod-1",
        NOTHING,
        lambda one: istiod(one)["status"]["containerStatuses"][0].update(
            restartCount=3, lastState={"terminated": {"reason": "OOMKilled"}}
        ),
    ),
    Planted(
        "memory nearly full",
        "control plane",
        "Pod istio-system/istiod-1",
        NOTHING,
        lambda one: one.figures.update(process_resident_memory_bytes=2.1e9),
    ),
    Planted("a filter that is refused", "control plane", "EnvoyFilter shop/lua", {"source": "web"}, refusing),
    Planted(
        "a proxy that has lost istiod",
        "control plane",
        "Pod shop/web-1",
        NOTHING,
        lambda one: one.lost.add("web-1"),
    ),
    Planted(
        "no CA bundle",
        "control plane",
        "MutatingWebhookConfiguration istio-sidecar-injector",
        NOTHING,
        lambda one: [
            hook["clientConfig"].pop("caBundle")
            for hook in one.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")["webhooks"]
        ],
    ),
    Planted(
        "a foreign CA bundle",
        "control plane",
        "MutatingWebhookConfiguration istio-sidecar-injector",
        NOTHING,
        lambda one: [
            hook["clientConfig"].update(caBundle=base64.b64encode(pem(OTHER_ROOT)).decode())
            for hook in one.edit("MutatingWebhookConfiguration", "istio-sidecar-injector", "")["webhooks"]
        ],
    ),
    Planted(
        "a foreign CA bundle of the validation",
        "control plane",
        "ValidatingWebhookConfiguration istio-validator-istio-system",
        NOTHING,
        foreign_validator,
    ),
    Planted("a hidden namespace", "control plane", "ConfigMap istio-system/istio", CALL, hidden),
    Planted(
        "a hidden namespace, looked for", "control plane", "ConfigMap istio-system/istio", NOTHING, hidden
    ),
    Planted(
        "a network without a way to istiod", "control plane", "NetworkPolicy shop/no-egress", NOTHING, cut_off
    ),
    Planted(
        "a revision that nobody serves",
        "control plane",
        "Pod shop/web-1",
        {"pod": "web-1"},
        lambda one: one.put(pod("web-1", annotations={"sidecar.istio.io/status": '{"revision": "old"}'})),
    ),
]
