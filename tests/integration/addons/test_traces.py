# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request through the shop, found in Jaeger with every hop: provider, Telemetry, sampling and add-on.

The lab builds Jaeger on request (minutes, the first time), so this is in `make campaign`.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from lab.cluster import read_cluster
from lab.extras import load

from ..mesh.applying import apply_of_the_lab
from .applying import HOME, image_of, keep
from .test_access import opener

pytestmark = pytest.mark.long
HOST = "api.example.com"
COLLECTOR = {"service": f"jaeger-collector.{HOME}.svc.cluster.local", "port": 4317}
PROVIDERS = {"mesh_extension_providers": [{"name": "jaeger", "opentelemetry": COLLECTOR}]}
TRACED = {"access_log": "errors", "trace_sampling_percent": 100, "tracing_provider": "jaeger"}
HOPS = {
    ("api-gateway", "order-service"),
    ("order-service", "product-service"),
    ("order-service", "payment-service"),
    ("order-service", "notification-service"),
}


@pytest.fixture
def traced(client: KubeClient, kubeconfig: str, raw: dict[str, Any], samples: Path) -> Iterator[None]:
    """The finished mesh with Jaeger, every request traced; at the end as the inventory says."""
    cluster = read_cluster(os.environ["LAB_CLUSTER"])
    assert cluster is not None
    images = {image_of(samples, "jaeger"): load(cluster, "jaeger")}
    config = client.get("v1", "ConfigMap", "istio", HOME)
    assert config is not None
    before = config["data"]["mesh"]
    providers = {"extensionProviders": PROVIDERS["mesh_extension_providers"]}

    def write(mesh: str) -> None:
        """As role istio does, without the rest of an installation."""
        client.patch("v1", "ConfigMap", "istio", HOME, {"data": {"mesh": mesh}})

    try:
        keep(kubeconfig, samples, "jaeger", images=images)
        write(yaml.safe_dump(yaml.safe_load(before) | providers))
        apply_of_the_lab({**raw, **PROVIDERS, "mesh_telemetry": TRACED})
        assert keep(kubeconfig, samples, "jaeger", images=images)["changed"] is False
        yield
    finally:
        apply_of_the_lab(raw)
        write(before)
        keep(kubeconfig, samples)


def order(client: KubeClient) -> str:
    """One order through the gateway. :returns: the id of its trace, as the first service was told it."""
    service = client.get("v1", "Service", "istio-ingressgateway", HOME)
    assert service is not None
    url = f"https://{service['spec']['clusterIP']}/api/orders"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Host": HOST})
    end = time.monotonic() + 150  # a kubelet takes a minute or two to hand the mesh's configuration to istiod
    while True:
        with opener(HOST, trusting).open(request, timeout=10) as answer:
            headers = json.loads(answer.read())["headers"]
        version, _dash, rest = headers.get("traceparent", "").partition("-")
        if version == "00" and rest.endswith("-01"):
            return str(rest.partition("-")[0])
        assert time.monotonic() < end, headers
        time.sleep(2)


def hops(found: dict[str, Any]) -> set[tuple[str, str]]:
    """Who called whom: each span of a service whose parent is one of another service."""
    names = {key: one["serviceName"].partition(".")[0] for key, one in found["processes"].items()}
    owner = {span["spanID"]: names[span["processID"]] for span in found["spans"]}
    return {
        (owner[parent["spanID"]], owner[span["spanID"]])
        for span in found["spans"]
        for parent in span["references"]
        if parent["refType"] == "CHILD_OF" and owner[parent["spanID"]] != owner[span["spanID"]]
    }


def test_a_request_through_five_services_is_one_trace(client: KubeClient, traced: None) -> None:
    trace = order(client)
    found: dict[str, Any] = {"spans": [], "processes": {}}
    end = time.monotonic() + 60
    while hops(found) != HOPS:
        assert time.monotonic() < end, found
        time.sleep(1)
        try:
            path = f"/jaeger/api/traces/{trace}"
            (found,) = client.service_proxy_get(HOME, "tracing", 80, path)["data"]
        except ApiError as error:  # not yet
            assert error.status == 404, error
    begun = [span for span in found["spans"] if not span["references"]]
    assert len(begun) == 1, "one request has one beginning"
    assert {span["traceID"] for span in found["spans"]} == {trace}
    kept = client.service_proxy_get(HOME, "tracing", 80, "/jaeger/api/services")["data"]
    assert {f"{name}.ecommerce" for hop in HOPS for name in hop} <= set(kept)
    print(f"\n{len(found['spans'])} spans of trace {trace}: {sorted(hops(found))}")
