# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import trouble

from ...waiting import until
from ..planting import CALL, SICK_NAMESPACE, Block, Problem, extra, network_policy, settled, with_new
from ..sick import ISTIO, PLACE, Obj, Sick, credential, obj


@contextlib.contextmanager
def scaled(sick: Sick, replicas: int) -> Iterator[None]:
    """istiod with so many pods."""

    def set_to(number: int) -> None:
        patch = {"spec": {"replicas": number}}
        sick.client.patch("apps/v1", "Deployment", "istiod", ISTIO, patch)

    try:
        set_to(replicas)
        until(lambda: not sick.istiods(), "end of istiod", 60)
        yield
    finally:
        set_to(1)
        until(sick.istiods, "istiod", 120)
        until(lambda: sick.diagnose(**SICK_NAMESPACE)["status"] == "pass", "mesh that is well", 90)


@contextlib.contextmanager
def webhook(sick: Sick, change: Callable[[Obj], None]) -> Iterator[None]:
    """Every injecting webhook changed, and put back; istiod repairs a bundle by itself sooner or later."""
    kind, version = "MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    before = sick.client.list(version, kind).items
    try:
        for one in before:
            changed = {**one, "webhooks": [dict(hook) for hook in one["webhooks"]]}
            for hook in changed["webhooks"]:
                hook["clientConfig"] = dict(hook["clientConfig"])
                change(hook)
            sick.client.replace(changed)
        yield
    finally:
        for one in before:
            live = sick.client.get(version, kind, one["metadata"]["name"])
            if live is not None:
                sick.client.replace({**live, "webhooks": one["webhooks"]})


def lua(sick: Sick) -> Block:
    """A filter that Envoy refuses, for the caller."""
    source = {"inline_code": "this is no lua"}
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": source["inline_code"]},
    }
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {
            "context": "SIDECAR_INBOUND",
            "listener": {
                "filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}
            },
        },
        "patch": {
            "operation": "INSERT_FIRST",
            "value": {"name": "envoy.filters.http.lua", "typed_config": typed},
        },
    }
    spec = {"workloadSelector": {"labels": {"app": "caller"}}, "configPatches": [patch]}
    return sick.planted(obj("EnvoyFilter", "lua", spec))


@contextlib.contextmanager
def switched_off(sick: Sick) -> Iterator[None]:
    off = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    with webhook(sick, lambda hook: hook.update(namespaceSelector=off)), extra()(sick):
        yield


@contextlib.contextmanager
def unpullable(sick: Sick) -> Iterator[None]:
    """istiod is made anew with an image that nobody has."""
    live = sick.client.get("apps/v1", "Deployment", "istiod", ISTIO)
    assert live is not None
    containers = live["spec"]["template"]["spec"]["containers"]
    wrong = [{**one, "image": "lab.local/none:1"} for one in containers]

    def use(images: list[Obj]) -> None:
        patch = {"spec": {"template": {"spec": {"containers": images}}}}
        sick.client.patch("apps/v1", "Deployment", "istiod", ISTIO, patch)

    with scaled(sick, 0):
        use(wrong)
        patch = {"spec": {"replicas": 1}}
        sick.client.patch("apps/v1", "Deployment", "istiod", ISTIO, patch)
        try:
            until(lambda: any(map(trouble, _istiod_pods(sick))), "kubelet that has given up", 90)
            yield
        finally:
            use(containers)


def _istiod_pods(sick: Sick) -> list[Obj]:
    return sick.client.list("v1", "Pod", ISTIO, label_selector="app=istiod").items


@contextlib.contextmanager
def crowded(sick: Sick) -> Iterator[None]:
    """A quota leaves no room for istiod's pod once it has gone."""
    quota = obj("ResourceQuota", "none", {"hard": {"pods": "0"}}, ISTIO)
    with scaled(sick, 0), sick.planted(quota):
        patch = {"spec": {"replicas": 1}}
        sick.client.patch("apps/v1", "Deployment", "istiod", ISTIO, patch)

        def refused() -> bool:
            live = sick.client.get("apps/v1", "Deployment", "istiod", ISTIO) or {}
            conditions = live.get("status", {}).get("conditions", [])
            return any(one["type"] == "ReplicaFailure" for one in conditions)

        until(refused, "refusal", 60)
        yield


@contextlib.contextmanager
def foreign_bundle(sick: Sick) -> Iterator[None]:
    """Somebody keeps another CA in the webhooks; istiod has lost the right to put its own back."""
    group, name = "rbac.authorization.k8s.io/v1", f"istiod-clusterrole-{ISTIO}"
    role = sick.client.get(group, "ClusterRole", name)
    assert role is not None
    rules = [
        {**rule, "verbs": ["get", "list", "watch"]}
        if "mutatingwebhookconfigurations" in rule.get("resources", [])
        else rule
        for rule in role["rules"]
    ]
    certificate = credential()["data"]["tls.crt"]
    sick.client.patch(group, "ClusterRole", name, None, {"rules": rules})
    try:
        with webhook(sick, lambda hook: hook["clientConfig"].update(caBundle=certificate)):
            yield
    finally:
        sick.client.patch(group, "ClusterRole", name, None, {"rules": role["rules"]})


@contextlib.contextmanager
def no_webhook(sick: Sick) -> Iterator[None]:
    """All injecting webhooks are deleted, and a pod comes afterwards."""
    kind, version = "MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    before = sick.client.list(version, kind).items
    try:
        for one in before:
            sick.client.delete(version, kind, one["metadata"]["name"], None)
        with extra()(sick):
            yield
    finally:
        kept = ("name", "labels", "annotations")
        for one in before:
            metadata = {name: one["metadata"][name] for name in kept if name in one["metadata"]}
            sick.client.create({**one, "apiVersion": version, "kind": kind, "metadata": metadata})


@contextlib.contextmanager
def hidden(sick: Sick) -> Iterator[None]:
    """istiod is told to look at all namespaces but this one."""
    before = sick.client.get("v1", "ConfigMap", "istio", ISTIO)
    assert before is not None
    others = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [PLACE]}]
    mesh = yaml.safe_load(before["data"]["mesh"]) | {"discoverySelectors": [{"matchExpressions": others}]}

    def write(text: str) -> None:
        sick.client.patch("v1", "ConfigMap", "istio", ISTIO, {"data": {"mesh": text}})

    try:
        write(yaml.safe_dump(mesh))
        sick.settle()
        yield
    finally:
        write(before["data"]["mesh"])
        until(lambda: sick.diagnose(**CALL)["status"] == "pass", "mesh that is well", 90)


ISTIOD = f"Deployment {ISTIO}/istiod"
CONTROL_PLANE = [
    Problem("image of istiod", "control plane", ISTIOD, CALL, unpullable),
    Problem("quota around istiod", "control plane", ISTIOD, SICK_NAMESPACE, crowded),
    Problem(
        "webhooks with another CA",
        "control plane",
        "MutatingWebhookConfiguration",
        SICK_NAMESPACE,
        foreign_bundle,
    ),
    Problem(
        "webhooks deleted", "injection", "MutatingWebhookConfiguration", {"pod": f"{PLACE}/extra"}, no_webhook
    ),
    Problem("namespace that is hidden", "control plane", f"ConfigMap {ISTIO}/istio", CALL, hidden),
    Problem(
        "network policy without istiod",
        "control plane",
        f"NetworkPolicy {PLACE}/dns-only",
        {"source": f"{PLACE}/caller"},
        with_new(network_policy("dns-only", "caller", egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}])),
    ),
    Problem(
        "istiod scaled to 0",
        "control plane",
        ISTIOD,
        CALL,
        lambda sick: scaled(sick, 0),
    ),
    Problem(
        "filter that proxies refuse",
        "control plane",
        f"EnvoyFilter {PLACE}/lua",
        {"source": f"{PLACE}/caller"},
        settled(lua),
    ),
    Problem(
        "webhook switched off",
        "injection",
        "MutatingWebhookConfiguration",
        {"pod": f"{PLACE}/extra"},
        switched_off,
    ),
]
