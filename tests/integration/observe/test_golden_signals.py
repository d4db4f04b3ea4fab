"""Golden signals of the shop are what a load generator counted, within two percent."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.observe import backend

from ...unit.support.arguments import validated
from .. import drains
from .load import Request, send

HOST = "api.example.com"
SHOP = "ecommerce"
SCRAPE = 2.0  # seconds, lab/addons/prometheus
FLUSH = 5.0  # seconds, stats_flush_interval: Envoy shows durations so much later than counts, at most
SHORTEST = 10.0  # seconds that may be looked at, at least
OFF = 0.02
ATTEMPTS = 2  # retries of api-gateway in the lab's catalogue, on gateway-error

DRAIN = 45.0  # seconds, --drain-time-s of the lab's proxies


@pytest.fixture(scope="module", autouse=True)
def drained() -> None:
    """Nothing that an earlier test has replaced in a proxy still drains: it takes its share of the counters
    with it when it goes, in parts, and a counter that has fallen is taken for a new one.
    """
    drains.wait(DRAIN + FLUSH)


@pytest.fixture
def address(client: KubeClient) -> str:
    found = client.get("v1", "Service", "istio-ingressgateway", "istio-system")
    assert found is not None
    return str(found["spec"]["clusterIP"])


def plan(number: int) -> list[Request]:
    """Four of five requests are for products, one for users; each tenth request fails at user-service."""
    failing = {"x-fault-status": "user-service=503"}
    return [
        ("/api/users", failing if index % 10 == 9 else {}) if index % 5 == 4 else ("/api/products", {})
        for index in range(number)
    ]


def traffic(kubeconfig: str, raw: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What module mesh_info says of the last seconds."""
    checked = validated(
        backend.ARGUMENT_SPEC,
        {
            "kubeconfig": kubeconfig,
            "catalogue": raw,
            "prometheus": {"namespace": "istio-system", "service": "prometheus"},
            "show": ["traffic"],
            "window": seconds,
            "top": 100,
        },
    )
    result = backend.run(checked, Context())
    found: dict[str, Any] = result["traffic"]
    return found


def judge(address: str, kubeconfig: str, raw: dict[str, Any], requests: list[Request], pause: float) -> None:
    time.sleep(4 * SCRAPE)  # nothing of an earlier test is in the window
    begun = time.monotonic()
    counted = send(address, HOST, requests, pause)
    time.sleep(FLUSH + SCRAPE + 1)
    window = time.monotonic() - begun + 1.5 * SCRAPE
    found = traffic(kubeconfig, raw, max(window, SHORTEST))
    sent = {
        path: sum(count for (one, _status), count in counted.items() if one == path) for path, _ in requests
    }
    failed = sum(count for (_path, status), count in counted.items() if status >= 500)
    assert set(counted) <= {("/api/products", 200), ("/api/users", 200), ("/api/users", 502)}, counted
    assert failed == len(requests) // 10
    products, users = sent["/api/products"], sent["/api/users"]
    services = {item["service"]: item for item in found["services"]}
    edges = {(item["source"], item["destination"]): item for item in found["edges"]}
    gate, gateway = f"{SHOP}/api-gateway", "istio-system/istio-ingressgateway"
    # The gateway tries a 502 again, so that each failure is three there: requests of a service are attempts.
    again = ATTEMPTS * failed
    for item, requests_there, failed_there in (
        (services[gate], products + users + again, failed + again),
        (services[f"{SHOP}/product-service"], products, 0),
        (services[f"{SHOP}/user-service"], users + again, failed + again),
        (edges[gateway, gate], products + users, failed),
        (edges[gate, f"{SHOP}/product-service"], products, 0),
        (edges[gate, f"{SHOP}/user-service"], users + again, failed + again),
    ):
        assert item["requests"] == pytest.approx(requests_there, rel=OFF), item
        assert item["error_share"] == pytest.approx(failed_there / requests_there, abs=OFF * 0.5), item
        assert item["rate"] == pytest.approx(item["requests"] / found["seconds"], rel=0.01)
        assert 0 < item["p50_ms"] <= item["p95_ms"] <= item["p99_ms"], item
    assert {edge["mtls"] for edge in edges.values()} == {"yes"}
    assert f"{SHOP}/notification-service" in found["idle"], "scraped, and really without a request"
    assert found["dark"] == []


def test_a_sample_of_requests(address: str, kubeconfig: str, raw: dict[str, Any]) -> None:
    judge(address, kubeconfig, raw, plan(300), 0.01)


def test_latency_of_a_burst_between_two_scrapes(address: str, kubeconfig: str, raw: dict[str, Any]) -> None:
    """A series that appears with all its requests at once never grows afterwards, and they took time."""
    window = SHORTEST + FLUSH
    time.sleep(window + SCRAPE)  # nothing else is in it
    status = random.randrange(230, 299)  # one that no proxy has counted yet, and that nobody tries again
    counted = send(address, HOST, [("/api/products", {"x-fault-status": f"api-gateway={status}"})] * 20, 0)
    assert counted == {("/api/products", status): 20}
    time.sleep(FLUSH + SCRAPE + 1)
    (found,) = traffic(kubeconfig, raw, window)["services"]
    assert (found["service"], found["requests"], found["error_share"]) == (f"{SHOP}/api-gateway", 20, 0)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"], found


def test_a_quiet_mesh_has_no_requests(kubeconfig: str, raw: dict[str, Any]) -> None:
    """Old counters are not new requests, wherever between two scrapes the look falls."""
    time.sleep(12 + SCRAPE)
    for _turn in range(12):
        found = traffic(kubeconfig, raw, 10)
        assert (found["services"], found["edges"], found["dark"]) == ([], [], [])
        time.sleep(0.3)


@pytest.mark.long
def test_thousands_of_requests(address: str, kubeconfig: str, raw: dict[str, Any]) -> None:
    judge(address, kubeconfig, raw, plan(6000), 0.02)
