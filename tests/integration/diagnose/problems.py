# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planted on the lab, one after the other, and what has to be found: at least five of each family."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from .sick import (
    CALLEE,
    HOST,
    ISTIO,
    OUTSIDE,
    PLACE,
    Obj,
    Sick,
    allow,
    credential,
    deployment,
    obj,
    route,
    service,
)

CALL = {"source": f"{PLACE}/caller", "destination": f"{PLACE}/callee"}
AT_GATEWAY = {"hostname": HOST}
TO_OUTSIDE = {"source": f"{PLACE}/caller", "hostname": OUTSIDE}
SICK_NAMESPACE = {"namespace": PLACE}
Block = contextlib.AbstractContextManager[Any]


@dataclasses.dataclass(frozen=True)
class Problem:
    """:param plant: a block in which the problem is there. :param object: whose name has to be found; a
    pod's as far as its workload.
    """

    name: str
    family: str
    object: str
    symptom: dict[str, str]
    plant: Callable[[Sick], Block]


def of(kind: str, name: str, **spec: Any) -> Callable[[Sick], Block]:
    """An object of the namespace with other fields."""
    return lambda sick: sick.planted(sick.changed(kind, name, **spec))


def with_new(*objects: Obj, gone: tuple[tuple[str, str], ...] = ()) -> Callable[[Sick], Block]:
    """Further objects."""
    return lambda sick: sick.planted(*objects, gone=gone)


def labelled(labels: dict[str, str | None]) -> Callable[[Sick], Block]:
    """The namespace with other labels, and a pod that is made meanwhile."""

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        patch = {"metadata": {"labels": labels}}
        before = {"metadata": {"labels": dict.fromkeys(labels) | {"istio-injection": "enabled"}}}
        sick.client.patch("v1", "Namespace", PLACE, None, patch)
        try:
            with extra()(sick):
                yield
        finally:
            sick.client.patch("v1", "Namespace", PLACE, None, before)

    return block


def extra(wait: str = "Running", **pod: Any) -> Callable[[Sick], Block]:
    """A Deployment `extra` besides, of the callee's account.

    :param wait: phase of its pod that is waited for; ``""`` for no pod.
    """

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        made = deployment("extra", **pod)
        made["spec"]["template"]["spec"]["serviceAccountName"] = "callee"
        with sick.planted(made):
            if wait:
                sick.wait_for(
                    lambda: any(one["status"].get("phase") == wait for one in sick.pods("extra")), "pod", 60
                )
            yield
        sick.wait_for(lambda: not sick.pods("extra"), "end of the pod", 60)

    return block


@contextlib.contextmanager
def quota(sick: Sick) -> Iterator[None]:
    with sick.planted(obj("ResourceQuota", "small", {"hard": {"pods": "1"}})), extra(wait="")(sick):

        def refused() -> bool:
            live = sick.client.get("apps/v1", "Deployment", "extra", PLACE) or {}
            conditions = live.get("status", {}).get("conditions", [])
            return any(one["type"] == "ReplicaFailure" for one in conditions)

        sick.wait_for(refused, "refusal", 30)
        yield


def after_calls(plant: Callable[[Sick], Block], number: int = 5, **call: str) -> Callable[[Sick], Block]:
    """A problem that is seen once there are requests."""

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        with plant(sick):
            sick.settle()
            sick.call(number, **call)
            sick.settle()
            yield

    return block


def settled(plant: Callable[[Sick], Block]) -> Callable[[Sick], Block]:
    """A problem that the proxies have to be told of."""
    return after_calls(plant, 0)


def image(sick: Sick) -> Block:
    notes = {"sidecar.istio.io/proxyImage": "lab.local/none:1"}
    return extra("Pending", annotations=notes)(sick)


INJECTION = [
    Problem(
        "label taken away",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None}),
    ),
    Problem(
        "unknown revision",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None, "istio.io/rev": "canary"}),
    ),
    Problem(
        "injection disabled",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": "disabled"}),
    ),
    Problem(
        "opted out",
        "injection",
        f"Pod {PLACE}/extra",
        {"pod": f"{PLACE}/extra"},
        extra(labels={"sidecar.istio.io/inject": "false"}),
    ),
    Problem(
        "host network",
        "injection",
        f"Pod {PLACE}/extra",
        {"source": f"{PLACE}/extra"},
        extra(hostNetwork=True),
    ),
    Problem("image of the proxy", "injection", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, image),
    Problem("quota", "injection", f"ResourceQuota {PLACE}/small", SICK_NAMESPACE, quota),
]
SUBSETS = [{"name": "v1", "labels": {"version": "one"}}]
ABORT = {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}
EJECT = {
    "outlierDetection": {
        "consecutive5xxErrors": 1,
        "interval": "1s",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 100,
    },
}


def failing(sick: Sick) -> Block:
    """The callee answers 503, and its callers throw it out."""
    subsets = sick.get("DestinationRule", "callee")["spec"]["subsets"]
    rule = sick.changed("DestinationRule", "callee", trafficPolicy=EJECT, subsets=subsets)
    return sick.planted(rule)


def thrown_out(sick: Sick) -> Block:
    @contextlib.contextmanager
    def block() -> Iterator[None]:
        with failing(sick):
            sick.settle()
            sick.call(6, header="x-fault-status: 503")
            sick.settle()
            yield

    return block()


ROUTING = [
    Problem(
        "unknown subset",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[route(subset="v9")]),
    ),
    Problem(
        "unknown host",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[route("calle")]),
    ),
    Problem(
        "subset without pods",
        "routing",
        f"DestinationRule {PLACE}/callee",
        CALL,
        of("DestinationRule", "callee", subsets=SUBSETS),
    ),
    Problem(
        "selector of the Service",
        "routing",
        f"Service {PLACE}/callee",
        CALL,
        of("Service", "callee", selector={"app": "calle"}),
    ),
    Problem(
        "port is TCP by its name",
        "routing",
        f"Service {PLACE}/callee",
        CALL,
        of("Service", "callee", ports=[{"name": "tcp-web", "port": 80, "targetPort": 3000}]),
    ),
    Problem(
        "Sidecar hides it",
        "routing",
        f"Sidecar {PLACE}/narrow",
        CALL,
        with_new(obj("Sidecar", "narrow", {"egress": [{"hosts": ["istio-system/*"]}]})),
    ),
    Problem(
        "two routes for one host",
        "routing",
        f"VirtualService {PLACE}/second",
        SICK_NAMESPACE,
        with_new(obj("VirtualService", "second", {"hosts": [CALLEE], "http": [route(subset="v2")]})),
    ),
    Problem(
        "no route for the path",
        "routing",
        f"VirtualService {PLACE}/callee",
        {**CALL, "path": "/orders"},
        of(
            "VirtualService",
            "callee",
            http=[{**route(subset="v1"), "match": [{"uri": {"prefix": "/items"}}]}],
        ),
    ),
    Problem(
        "abort",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "fault": ABORT}]),
    ),
    Problem("endpoints thrown out", "routing", f"DestinationRule {PLACE}/callee", CALL, thrown_out),
]


def policy(name: str, place: str = PLACE, **spec: Any) -> Obj:
    return obj("AuthorizationPolicy", name, {"selector": {"matchLabels": {"app": "callee"}}, **spec}, place)


def without_tls(sick: Sick) -> Block:
    rule = sick.changed("DestinationRule", "callee", trafficPolicy={"tls": {"mode": "DISABLE"}})
    return sick.planted(STRICT, rule)


TO_POST = [{"operation": {"methods": ["POST"]}}]
STRICT = obj("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})
STOP = policy("stop", action="DENY", rules=[{}])
SECURITY = [
    Problem("deny", "security", f"AuthorizationPolicy {PLACE}/stop", CALL, with_new(STOP)),
    Problem(
        "allow of another method",
        "security",
        f"AuthorizationPolicy {PLACE}/callee",
        CALL,
        with_new(allow(f"{PLACE}/caller", to=TO_POST)),
    ),
    Problem(
        "allow of another caller",
        "security",
        f"AuthorizationPolicy {PLACE}/callee",
        CALL,
        with_new(allow(f"{PLACE}/somebody")),
    ),
    Problem("rule disables TLS", "security", f"DestinationRule {PLACE}/callee", CALL, without_tls),
    Problem(
        "caller outside of the mesh",
        "security",
        "PeerAuthentication",
        {"source": "outside/client", "destination": f"{PLACE}/callee"},
        with_new(STRICT),
    ),
    Problem(
        "unknown provider",
        "security",
        f"AuthorizationPolicy {PLACE}/opa",
        CALL,
        with_new(policy("opa", action="CUSTOM", provider={"name": "opa"}, rules=[{}])),
    ),
    Problem(
        "refused as its proxy logged it",
        "security",
        f"AuthorizationPolicy {PLACE}/stop",
        {"destination": f"{PLACE}/callee"},
        after_calls(with_new(STOP)),
    ),
]


def foreign_key(sick: Sick) -> Block:
    made = sick.get("Secret", "sick-cert")
    made["data"]["tls.key"] = credential()["data"]["tls.key"]
    return sick.planted(made)


def server(sick: Sick, **more: Any) -> Block:
    one = sick.get("Gateway", "sick")
    one["spec"]["servers"][0].update(more)
    return sick.planted(one)


GATEWAY = [
    Problem(
        "selector",
        "gateway",
        f"Gateway {PLACE}/sick",
        AT_GATEWAY,
        of("Gateway", "sick", selector={"istio": "ingresgateway"}),
    ),
    Problem(
        "port",
        "gateway",
        f"Gateway {PLACE}/sick",
        AT_GATEWAY,
        lambda sick: server(sick, port={"number": 8443, "name": "https", "protocol": "HTTPS"}),
    ),
    Problem(
        "no Secret",
        "gateway",
        f"Secret {ISTIO}/sick-cert",
        AT_GATEWAY,
        with_new(gone=(("Secret", "sick-cert"),)),
    ),
    Problem("foreign key", "gateway", f"Secret {ISTIO}/sick-cert", AT_GATEWAY, foreign_key),
    Problem(
        "certificate has ended",
        "gateway",
        f"Secret {ISTIO}/sick-cert",
        AT_GATEWAY,
        with_new(credential(days=-1)),
    ),
    Problem(
        "route to no Gateway",
        "gateway",
        f"VirtualService {PLACE}/sick",
        AT_GATEWAY,
        of("VirtualService", "sick", gateways=["sik"]),
    ),
    Problem(
        "host that nobody serves",
        "gateway",
        "host sick2.example.com",
        {"hostname": "sick2.example.com"},
        with_new(),
    ),
]
SE_PORTS = [{"number": 443, "name": "tls", "protocol": "TLS"}]
NARROW = obj(
    "Sidecar",
    "narrow",
    {"egress": [{"hosts": ["./*", "istio-system/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
)
SIMPLE = obj("DestinationRule", "outside", {"host": OUTSIDE, "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})


def entry(**spec: Any) -> Callable[[Sick], Block]:
    def plant(sick: Sick) -> Block:
        one = sick.get("ServiceEntry", "outside")
        one["spec"] = {key: text for key, text in {**one["spec"], **spec}.items() if text is not None}
        return sick.planted(one)

    return plant


EGRESS = [
    Problem(
        "not declared",
        "egress",
        "host bank.example.net",
        {"source": f"{PLACE}/caller", "hostname": "bank.example.net"},
        with_new(NARROW),
    ),
    Problem(
        "port not declared",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        {**TO_OUTSIDE, "port": "8443"},
        with_new(),
    ),
    Problem("TLS inside TLS", "egress", f"DestinationRule {PLACE}/outside", TO_OUTSIDE, with_new(SIMPLE)),
    Problem(
        "nobody begins TLS",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        TO_OUTSIDE,
        entry(ports=[{"number": 443, "name": "http", "protocol": "HTTP"}]),
    ),
    Problem(
        "Sidecar hides it",
        "egress",
        f"Sidecar {PLACE}/narrow",
        TO_OUTSIDE,
        with_new(obj("Sidecar", "narrow", {"egress": [{"hosts": ["istio-system/*"]}]})),
    ),
    Problem(
        "cannot be reached",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        TO_OUTSIDE,
        after_calls(entry(endpoints=[{"address": "127.0.0.1"}]), 3, url=f"https://{OUTSIDE}/"),
    ),
]
SLOW = {"delay": {"fixedDelay": "2s", "percentage": {"value": 100}}}


def sized(sick: Sick) -> Block:
    return extra(annotations={"sidecar.istio.io/proxyCPULimit": "20m", "sidecar.istio.io/proxyCPU": "10m"})(
        sick
    )


LATENCY = [
    Problem(
        "delay",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "fault": SLOW}]),
    ),
    Problem(
        "timeout that requests meet",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        after_calls(
            of("VirtualService", "callee", http=[{**route(subset="v1"), "timeout": "0.3s"}]),
            3,
            header="x-fault-delay-ms: 1000",
        ),
    ),
    Problem(
        "timeout below everything",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "timeout": "5ms"}]),
    ),
    Problem(
        "many retries",
        "latency",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "retries": {"attempts": 9}}]),
    ),
    Problem(
        "slow application",
        "latency",
        f"Pod {PLACE}/callee-v1",
        {"destination": f"{PLACE}/callee"},
        after_calls(with_new(), 6, header="x-fault-delay-ms: 1200"),
    ),
    Problem("sidecar without processor", "latency", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, sized),
]


@contextlib.contextmanager
def scaled(sick: Sick, replicas: int) -> Iterator[None]:
    """istiod with so many pods."""

    def set_to(number: int) -> None:
        patch = {"spec": {"replicas": number}}
        sick.client.patch("apps/v1", "Deployment", "istiod", ISTIO, patch)

    try:
        set_to(replicas)
        sick.wait_for(lambda: not sick.istiods(), "end of istiod", 60)
        yield
    finally:
        set_to(1)
        sick.wait_for(sick.istiods, "istiod", 120)
        sick.wait_for(lambda: sick.diagnose(**SICK_NAMESPACE)["status"] == "pass", "mesh that is well", 90)


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
        "foreign CA bundle",
        "control plane",
        "MutatingWebhookConfiguration",
        SICK_NAMESPACE,
        lambda sick: webhook(
            sick,
            lambda hook: hook["clientConfig"].update(
                caBundle=sick.get("Secret", "sick-cert")["data"]["tls.crt"]
            ),
        ),
    ),
    Problem(
        "webhook switched off",
        "injection",
        "MutatingWebhookConfiguration",
        {"pod": f"{PLACE}/extra"},
        switched_off,
    ),
]


def named(sick: Sick, target: str) -> Block:
    return sick.planted(service("bank", selector=None, type="ExternalName", externalName=target))


UNKNOWN = obj(
    "ServiceEntry",
    "nowhere",
    {
        "hosts": ["nowhere.example.invalid"],
        "resolution": "DNS",
        "ports": SE_PORTS,
        "location": "MESH_EXTERNAL",
    },
)
DNS = [
    Problem(
        "misspelt",
        "dns",
        f"Service {PLACE}/calle",
        {"source": f"{PLACE}/caller", "destination": f"{PLACE}/calle"},
        with_new(),
    ),
    Problem(
        "of another namespace",
        "dns",
        f"Service {PLACE}/frontend",
        {"source": f"{PLACE}/caller", "hostname": "frontend"},
        with_new(),
    ),
    Problem(
        "short name in a route",
        "dns",
        f"VirtualService {PLACE}/short",
        SICK_NAMESPACE,
        with_new(
            obj("VirtualService", "short", {"hosts": ["x.example.com"], "http": [route("payment-service")]})
        ),
    ),
    Problem(
        "stands for nothing",
        "dns",
        f"Service {PLACE}/bank",
        {"source": f"{PLACE}/caller", "destination": f"{PLACE}/bank"},
        lambda sick: named(sick, f"gone.{PLACE}.svc.cluster.local"),
    ),
    Problem(
        "another DNS server",
        "dns",
        f"Pod {PLACE}/extra",
        {"source": f"{PLACE}/extra", "destination": f"{PLACE}/callee"},
        extra(dnsPolicy="Default"),
    ),
    Problem(
        "no address",
        "dns",
        f"ServiceEntry {PLACE}/nowhere",
        {"source": f"{PLACE}/caller", "hostname": "nowhere.example.invalid"},
        settled(with_new(UNKNOWN)),
    ),
]
PROBLEMS = [*INJECTION, *ROUTING, *SECURITY, *GATEWAY, *EGRESS, *LATENCY, *DNS, *CONTROL_PLANE]
