# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ...waiting import until
from ..planting import CALL, SICK_NAMESPACE, Block, Problem, extra, settled
from ..sick import ISTIO, PLACE, Obj, Sick, obj


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


CONTROL_PLANE = [
    Problem(
        "istiod scaled to 0",
        "control plane",
        f"Deployment {ISTIO}/istiod",
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
