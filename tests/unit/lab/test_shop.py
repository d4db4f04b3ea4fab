"""The demo service, run for real, and the shop's manifests."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import jinja2
import pytest
import yaml

SHOP = Path(__file__).resolve().parents[3] / "lab" / "shop"


@pytest.fixture(scope="module")
def service():
    return importlib.import_module("lab.shop.service")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """One service process; `request` returns (status, JSON body)."""

    def __init__(self, **environment):
        self.port = free_port()
        settings = {"PORT": str(self.port), "DRAIN_SECONDS": "0", **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(SHOP / "service.py")],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                assert self.request("/health/readiness")[0] == 200
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def request(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body=body, headers=named)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()


@pytest.fixture
def start():
    running = []

    def run(**environment):
        running.append(Running(**environment))
        return running[-1]

    yield run
    for one in running:
        one.process.terminate()
        one.process.wait(10)


def test_it_says_what_it_is_and_what_it_saw(start):
    one = start(SERVICE="frontend", VERSION="v2")
    status, body = one.request("/some/path?q=1", method="POST", body=b"ignored", x_user_id="7")
    assert status == 200
    assert {key: body[key] for key in ("service", "version", "path", "method", "upstream")} == {
        "service": "frontend",
        "version": "v2",
        "path": "/some/path?q=1",
        "method": "POST",
        "upstream": [],
    }
    assert body["headers"]["x-user-id"] == "7"
    assert one.request("/health/liveness") == (200, {"status": "alive"})
    assert one.request("/x", method="HEAD") == (200, None)


def test_it_calls_what_the_path_needs_and_forwards_tracing_and_users(start):
    product = start(SERVICE="product-service")
    gateway = start(SERVICE="api-gateway", UPSTREAMS=f"/api/products=127.0.0.1:{product.port}/api/products")
    assert gateway.request("/other")[1]["upstream"] == []
    status, body = gateway.request("/api/products/1")
    assert (status, body["upstream"][0]["status"], body["upstream"][0]["version"]) == (200, 200, "v1")


def test_a_failing_call_fails_the_request(start):
    gateway = start(UPSTREAMS=f"127.0.0.1:{free_port()}/", UPSTREAM_TIMEOUT="1")
    status, body = gateway.request("/")
    assert status == 502
    assert body["upstream"][0]["status"] == 0
    assert "refused" in body["upstream"][0]["error"]


def test_faults_by_header_hit_the_service_they_name(start):
    product = start(SERVICE="product-service")
    gateway = start(SERVICE="api-gateway", UPSTREAMS=f"127.0.0.1:{product.port}/api/products")
    assert gateway.request("/", x_fault_status="503")[0] == 503
    status, body = gateway.request("/", x_fault_status="product-service=500")
    assert (status, body["upstream"][0]["status"]) == (502, 500)
    began = time.monotonic()
    assert gateway.request("/", x_fault_delay_ms="product-service=300")[0] == 200
    assert time.monotonic() - began >= 0.3


def test_faults_by_environment(start):
    assert start(FAULT_STATUS="500").request("/")[0] == 500
    assert start(FAULT_STATUS="500", FAULT_STATUS_PERCENT="0").request("/")[0] == 200
    assert start(FAULT_STATUS="500").request("/health/readiness")[0] == 200
    crashing = start(FAULT_CRASH_AFTER="2")
    assert crashing.request("/")[0] == 200
    with pytest.raises((http.client.HTTPException, OSError)):
        crashing.request("/")
    assert crashing.process.wait(5) == 13


def test_lines_come_back_over_tcp(start):
    port = free_port()
    start(SERVICE="external", TCP_PORT=str(port))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"hello\n")
        assert client.makefile().readline() == "external v1 hello\n"


def test_connections_are_kept_alive(start):
    one = start()
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=5)
    connection.request("GET", "/1")
    connection.getresponse().read()
    first = connection.sock
    connection.request("GET", "/2")
    assert json.loads(connection.getresponse().read())["path"] == "/2"
    assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", []),
        ("a:3000/x", [("/", "a", 3000, "/x")]),
        ("a.b.c", [("/", "a.b.c", 80, "/")]),
        ("/api/p=a:3000/x/y, b:1/", [("/api/p", "a", 3000, "/x/y"), ("/", "b", 1, "/")]),
    ],
)
def test_upstreams_are_parsed(service, text, parsed):
    assert service.parse_upstreams(text) == parsed


def test_only_headers_for_others_are_forwarded(service):
    given = {
        "Traceparent": "00-1",
        "X-Request-Id": "r",
        "x-b3-traceid": "t",
        "Cookie": "experiment=version-b",
        "Host": "api.example.com",
        "x-fault-status": "503",
        "X-Fault-Delay-Ms": "other=5",
    }
    assert service.forwarded_headers(given) == {
        "Traceparent": "00-1",
        "X-Request-Id": "r",
        "x-b3-traceid": "t",
        "Cookie": "experiment=version-b",
        "x-fault-delay-ms": "other=5",
    }


@pytest.fixture(scope="module")
def objects():
    variables = yaml.safe_load((SHOP / "services.yml").read_text())
    template = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701 (YAML)
    text = template.from_string((SHOP / "shop.yaml.j2").read_text()).render(variables)
    return [document for document in yaml.safe_load_all(text) if document]


def test_the_shop_has_its_eight_services_and_two_second_versions(objects):
    names = {kind: set() for kind in ("Deployment", "Service", "ServiceAccount", "Namespace")}
    for item in objects:
        if item["kind"] == "Namespace" or item["metadata"]["namespace"] == "ecommerce":
            names[item["kind"]].add(item["metadata"]["name"])
    assert names["Namespace"] == {"ecommerce", "outside", "external"}
    assert len(names["Service"]) == 8
    assert names["ServiceAccount"] == names["Service"]
    second = {"frontend-v2", "product-service-v2"}
    assert names["Deployment"] == {f"{name}-v1" for name in names["Service"]} | second


def test_the_shop_knows_nothing_of_a_mesh(objects):
    text = json.dumps(objects)
    assert "istio" not in text and "sidecar" not in text


def test_every_call_goes_to_a_service_of_the_shop_or_the_external_one(objects, service):
    services = {item["metadata"]["name"] for item in objects if item["kind"] == "Service"}
    calls = [
        (host, port)
        for item in objects
        if item["kind"] == "Deployment"
        for variable in item["spec"]["template"]["spec"]["containers"][0].get("env", [])
        if variable["name"] == "UPSTREAMS"
        for _unused, host, port, _unused in service.parse_upstreams(variable["value"])
    ]
    assert ("payment-service", 3000) in calls
    for host, port in calls:
        assert (host, port) == ("external.example.com", 80) or (host in services and port == 3000)


def test_selectors_labels_and_ports_agree(objects):
    for item in objects:
        if item["kind"] != "Deployment":
            continue
        template = item["spec"]["template"]
        assert item["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        if item["metadata"]["namespace"] == "ecommerce":
            container = template["spec"]["containers"][0]
            environment = {variable["name"]: variable["value"] for variable in container["env"]}
            labels = template["metadata"]["labels"]
            assert (environment["SERVICE"], environment["VERSION"]) == (labels["app"], labels["version"])
            assert template["spec"]["serviceAccountName"] == labels["app"]
            assert (
                container["readinessProbe"]["httpGet"]["port"]
                == container["ports"][0]["containerPort"]
                == 3000
            )
