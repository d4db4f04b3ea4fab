# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small mesh in memory, with a Prometheus that answers; single things can be taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.observe import backend

from ...model.observe.telemetry import Labels, both
from ...support.arguments import validated
from ...support.certificates import NOW
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

HOME, SHOP = "istio-system", "shop"
HOST = "api.example.com"
PORT = {"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}
CATALOGUE: dict[str, Any] = {
    "mesh_name": "shop",
    "mesh_namespace": SHOP,
    "istio_gateways": [{"name": "istio-ingressgateway"}],
    "mesh_gateways": [
        {
            "name": "public",
            "workload": "istio-ingressgateway",
            "servers": [{"host": HOST, "certificate": "api-example-com"}, {"host": "*.shop.example.com"}],
        }
    ],
    "mesh_services": [
        {
            "name": "web",
            "ports": [PORT],
            "exposed": [
                {"gateway": "public", "host": HOST, "path": "/"},
                {"gateway": "public", "host": "a.shop.example.com", "path": "/a"},
            ],
        },
        {
            "name": "api",
            "ports": [PORT],
            "callers": [{"service": "web"}],
            "versions": {"v1": {}, "v2": {}},
            "initial_version": "v1",
        },
        {"name": "quiet", "ports": [PORT], "callers": [{"service": "api"}]},
    ],
}


def pod(
    namespace: str, name: str, labels: Mapping[str, str], image: str = "istio/proxyv2:1.31.1", **more: Any
) -> dict[str, Any]:
    """A ready pod with a proxy beside its application."""
    container = {"name": "app", "image": "app:1", "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(labels)},
        "spec": {"containers": [container, {"name": "istio-proxy", "image": image}]},
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.5",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "app", "ready": True, "state": {"running": {}}},
                {"name": "istio-proxy", "ready": True, "state": {"running": {}}},
            ],
        },
        **more,
    }


def service(
    name: str, selector: Mapping[str, str], ports: list[dict[str, Any]], **spec: Any
) -> dict[str, Any]:
    """A Service of the gateways' namespace. ``balancer``: entries of its load balancer."""
    balancer = spec.pop("balancer", [])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": HOME, "name": name},
        "spec": {"selector": dict(selector), "ports": ports, "clusterIP": "10.0.0.9", **spec},
        "status": {"loadBalancer": {"ingress": balancer}},
    }


GATEWAY_PORTS = [{"name": "http2", "port": 80}, {"name": "https", "port": 443}]


class ObservedMesh(FakeCluster):
    """Requests of the last 100 seconds, four scrapes; ``run`` looks at it.

    :ivar requests: series and how much each grew. :ivar answers: part of a query -> what Prometheus says.
    :ivar up: pods whose last scrape went well.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = NOW
        self.requests: dict[Labels, float] = {**both("web", "api", 90), **both("web", "api", 10, "503")}
        self.answers: dict[str, Any] = {}
        self.up = [f"{name}-1" for name in ("web", "api", "quiet")]
        self.queries: list[str] = []
        self.times: dict[str, str | None] = {}  # of a query -> the moment that it asks about
        labels = {"app": "istio-ingressgateway", "istio": "ingressgateway"}
        self.put(pod(HOME, "gw-1", labels))
        istiod = pod(HOME, "istiod-1", {"app": "istiod"})
        istiod["spec"]["containers"] = [{"name": "discovery", "image": "istio/pilot:1.31.1"}]
        self.put(istiod)
        self.put(
            service(
                "istio-ingressgateway",
                labels,
                GATEWAY_PORTS,
                type="LoadBalancer",
                balancer=[{"ip": "203.0.113.7"}],
            )
        )
        self.put(service("prometheus", {"app": "prometheus"}, [{"name": "http", "port": 9090}]))
        for name in ("web", "api", "quiet"):
            self.put(pod(SHOP, f"{name}-1", {"app": name}))
        self.missing = {"PodMetrics"}

    def service_proxy_get(
        self, namespace: str, service: str, port: Any, path: str, *, query: Any = None, timeout: float = 30.0
    ) -> Any:
        """Prometheus, reached through the API server."""
        asked = query["query"]
        self.queries.append(asked)
        self.times[asked] = query.get("time")
        for part, answer in self.answers.items():
            if part in asked:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        if asked.startswith("istio_requests_total"):
            side = "source" if 'reporter="source"' in asked else "destination"
            return matrix({key: grown for key, grown in self.requests.items() if ("reporter", side) in key})
        if asked.startswith("up{"):
            return matrix({frozenset({("namespace", SHOP), ("pod", name)}): 0.0 for name in self.up}, 1.0)
        if asked.startswith("histogram_quantile"):
            labels = {
                "destination_service_name": "api",
                "destination_service_namespace": SHOP,
                "source_canonical_service": "web",
                "source_workload_namespace": SHOP,
            }
            return vector([(labels, float(asked.partition("(")[2].partition(",")[0]) * 100)])
        return vector([])

    def run(self, *, client: Any = None, **params: Any) -> dict[str, Any]:
        """The backend's result."""
        given: dict[str, Any] = {
            "catalogue": CATALOGUE,
            "kubeconfig": None,
            "host": "https://api.example",
            "prometheus": {"namespace": HOME, "service": "prometheus"},
            "show": ["addresses", "dashboards", "versions", "rollouts", "traffic", "overhead"],
            **params,
        }
        said = {key: value for key, value in given.items() if value is not None}
        clock = FakeClock()
        clock.time = NOW.timestamp()
        context = Context(connect=reaching(client or self), clock=clock)
        result: dict[str, Any] = backend.run(validated(backend.ARGUMENT_SPEC, said), context)
        json.dumps(result)
        return result


def matrix(grown: Mapping[Labels, float], start: float = 1000.0) -> dict[str, Any]:
    """Raw samples: each series began at ``start`` and has grown by that much within 90 seconds."""
    result = []
    for labels, value in grown.items():
        metric = dict(labels)
        metric.setdefault("pod", f"{metric.get('destination_workload')}-1")
        metric["instance"] = f"{metric['pod']}:15020"
        points = [[NOW.timestamp() - 90 + step * 30, str(start + value * step / 3)] for step in range(4)]
        result.append({"metric": metric, "values": points})
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def vector(found: list[tuple[Mapping[str, str], float]]) -> dict[str, Any]:
    """An instant vector."""
    result = [{"metric": dict(labels), "value": [NOW.timestamp(), str(value)]} for labels, value in found]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def forbidden(what: str) -> ApiError:
    """The answer of a server that refuses."""
    return ApiError(f"{what} is forbidden", status=403, reason="Forbidden")
