"""A mesh is built, changed and changed back under load, and nobody loses a request.

Needs the shop of the lab, injected, and a certificate for api.example.com. 50 requests/s go through the
gateway to frontend, 50 from api-gateway to product-service, all with a header that routes to v2 while v2 is
there.
The same change with the steps in reverse order must lose requests, else this test could not fail.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply import engine as apply

from .applying import apply_of_the_lab

HERE = Path(__file__).parent
LOAD = HERE / "load.py"
RATE = int(os.environ.get("RATE", "50"))
Apply = Callable[..., dict[str, Any]]


def full() -> dict[str, Any]:
    """The example's catalogue, with routes to v2 in use on both paths of the load."""
    path = HERE.parents[2] / "inventories" / "example" / "group_vars" / "all" / "mesh.yml"
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    raw["istio_gateways"] = [{"name": "istio-ingressgateway"}]
    services = by_name(raw)
    services["product-service"]["variants"] = [
        {"name": "beta", "to": "v2", "when": {"header": {"x-version": "v2"}}}
    ]
    services["auth-service"]["callers"].append({"service": "frontend"})
    return raw


def narrowed() -> dict[str, Any]:
    """Without v2 of both services, with tighter policies and a Sidecar that sees less."""
    raw = copy.deepcopy(full())
    services = by_name(raw)
    for name in ("frontend", "product-service"):
        services[name]["versions"].pop("v2")
        services[name].pop("variants")
    callers = services["product-service"]["callers"]
    callers[0] |= {"methods": ["GET"], "paths": ["/api/products", "/api/products/*"]}
    callers.pop()
    services["auth-service"]["callers"].pop()
    return raw


def by_name(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in raw["mesh_services"]}


@pytest.fixture(scope="module", autouse=True)
def own_catalogue(raw: dict[str, Any]) -> Iterator[None]:
    """The mesh has the catalogue of the lab's inventory again when these tests have ended."""
    yield
    apply_of_the_lab(raw, prune_all=True)


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Apply:
    """Applies a catalogue with the module's backend; ``reverse`` turns its steps around."""

    def run(raw: dict[str, Any], *, reverse: bool = False, **more: Any) -> dict[str, Any]:
        if not reverse:
            return apply_of_the_lab(raw, prune_all=True, **more)
        with monkeypatch.context() as patch:
            forward = apply.steps_of
            patch.setattr(apply, "steps_of", lambda *args, **how: forward(*args, **how)[::-1])
            return apply_of_the_lab(raw, prune_all=True, unproved="warn", **more)

    return run


@pytest.fixture
def load(client: KubeClient) -> Iterator[Callable[..., Load]]:
    loads: list[Load] = []

    def start(through_gateway: bool, service: str = "product-service") -> Load:
        loads.append(Load(client, through_gateway, service))
        return loads[-1]

    yield start
    for item in loads:
        item.stop()


class Load:
    """Both loads; ``stop`` ends them and answers with their totals."""

    def __init__(self, client: KubeClient, through_gateway: bool, service: str) -> None:
        self.client, self.outside = client, None
        pods = client.list("v1", "Pod", "ecommerce", label_selector="app=api-gateway").items
        self.pod = next(pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running")
        self._inside("rm -f /tmp/stop-load /tmp/load.json; cat > /tmp/load.py", LOAD.read_text())
        to_products = f"{service} 3000 /api/products {service}:3000 0 {RATE} 900 x-version=v2"
        self._inside(f"nohup python3 /tmp/load.py {to_products} > /tmp/load.json 2>&1 &")
        if through_gateway:
            service = client.get("v1", "Service", "istio-ingressgateway", "istio-system")
            address = str((service or {})["spec"]["clusterIP"])
            argv = [sys.executable, str(LOAD), address, "443", "/", "api.example.com", "1", str(RATE), "900"]
            self.outside = subprocess.Popen([*argv, "x-version=v2"], stdout=subprocess.PIPE, text=True)
        self.totals: dict[str, dict[str, Any]] = {}
        time.sleep(3)

    def _inside(self, command: str, text: str | None = None) -> str:
        answer = self.client.exec("ecommerce", self.pod, "service", ["sh", "-c", command], stdin=text)
        return answer.stdout

    def stop(self) -> dict[str, dict[str, Any]]:
        if self.totals:
            return self.totals
        time.sleep(3)
        if self.outside:
            self.outside.terminate()
            self.totals["gateway"] = json.loads(self.outside.communicate(timeout=60)[0])
        self._inside("touch /tmp/stop-load")
        deadline = time.monotonic() + 60
        while not (said := self._inside("cat /tmp/load.json").strip()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.totals["mesh"] = json.loads(said)
        return self.totals


def assert_lossless(totals: dict[str, dict[str, Any]]) -> None:
    print(json.dumps(totals))
    for name, total in totals.items():
        assert total["failed"] == 0, f"{name}: {total}"
        assert total["sent"] > RATE, f"{name}: {total}"


def test_nobody_loses_a_request(write: Apply, load: Callable[..., Load]) -> None:
    bare = full() | {"mesh_services": [], "mesh_gateways": [], "mesh_external_services": []}
    write(bare)
    running = load(False)
    assert write(full())["changed"]
    assert_lossless(running.stop())

    running = load(True)
    assert write(narrowed())["changed"]
    assert write(full())["changed"]
    totals = running.stop()
    assert_lossless(totals)
    assert all(total["versions"].keys() >= {"v1", "v2"} for total in totals.values()), totals


def test_the_same_in_reverse_order_loses_requests(write: Apply, load: Callable[..., Load]) -> None:
    write(full())
    running = load(True)
    write(narrowed(), reverse=True)
    time.sleep(2)
    write(full(), reverse=True)
    totals = running.stop()
    write(full())
    print(json.dumps(totals))
    assert sum(total["failed"] for total in totals.values()) > 0, totals


def test_a_mesh_goes_away_and_calls_inside_go_on(write: Apply, load: Callable[..., Load]) -> None:
    write(full())
    running = load(False)
    done = write(full(), state="absent")
    assert done["counts"]["deleted"] > 30
    time.sleep(3)
    assert_lossless(running.stop())
    assert not write(full(), state="absent")["changed"]
    assert write(full())["counts"]["created"] == done["counts"]["deleted"]


SERVICE, SPACE = "product-service", "ecommerce"


def twin(name: str, space: str, client: KubeClient) -> Iterator[None]:
    """product-service once more, under another name or in another namespace: Service, ServiceAccount and
    Deployments of its own; until they are ready."""
    made: list[dict[str, Any]] = []
    if client.get("v1", "Namespace", space) is None:
        labels = {"istio-injection": "enabled"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}}
        made.append(client.apply(namespace, field_manager="twin"))
    deployments = [f"{SERVICE}-{version}" for version in ("v1", "v2")]
    for api, kind, old in (
        ("v1", "ServiceAccount", SERVICE),
        ("v1", "Service", SERVICE),
        *(("apps/v1", "Deployment", deployment) for deployment in deployments),
    ):
        live = client.get(api, kind, old, SPACE)
        assert live is not None
        text = json.dumps({key: live[key] for key in ("apiVersion", "kind", "spec") if key in live})
        copied = json.loads(text.replace(SERVICE, name))
        copied["metadata"] = {"name": old.replace(SERVICE, name), "namespace": space}
        if kind == "Service":
            for key in ("clusterIP", "clusterIPs"):
                copied["spec"].pop(key)
        else:
            copied["metadata"]["labels"] = {"app": name}
        if kind == "Deployment":
            for container in copied["spec"]["template"]["spec"]["containers"]:
                original = live["spec"]["template"]["spec"]["containers"][0]
                container["image"] = original["image"]
        client.apply(copied, field_manager="twin")
        made.append(copied)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [
            client.get("apps/v1", "Deployment", old.replace(SERVICE, name), space) for old in deployments
        ]
        if all((rule or {}).get("status", {}).get("readyReplicas") for rule in found):
            break
        time.sleep(1)
    yield
    for obj in reversed(made):
        client.delete(
            obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
        )


@pytest.fixture
def renamed(client: KubeClient) -> Iterator[None]:
    yield from twin("products", SPACE, client)


@pytest.fixture
def moved(client: KubeClient) -> Iterator[None]:
    yield from twin(SERVICE, "catalog", client)


def replaced(*, with_old: bool, **other: Any) -> dict[str, Any]:
    """The catalogue with the service under another name or in another namespace, with or without the old."""
    raw = full()
    old = by_name(raw)[SERVICE]
    new = {**copy.deepcopy(old), **other}
    for caller in new["callers"]:
        caller["namespace"] = SPACE
    raw["mesh_services"].append(new)
    if not with_old:
        raw["mesh_services"].remove(old)
    return raw


@pytest.mark.usefixtures("renamed")
def test_a_service_gets_another_name_under_load(
    write: Apply, load: Callable[..., Load], client: KubeClient
) -> None:
    takes_over(write, load, client, "products", name="products")


@pytest.mark.long
@pytest.mark.usefixtures("moved")
def test_a_service_moves_to_another_namespace_under_load(
    write: Apply, load: Callable[..., Load], client: KubeClient
) -> None:
    takes_over(write, load, client, f"{SERVICE}.catalog", namespace="catalog")
    left = client.list("networking.istio.io/v1", "VirtualService", "catalog").items
    assert left == [], "the catalogue without it leaves nothing there"


def takes_over(write: Apply, load: Callable[..., Load], client: KubeClient, host: str, **other: str) -> None:
    """As docs/guides/mesh.md says: the new one beside the old, callers move, the old one goes.

    :param host: by which callers reach the new one.
    """
    write(full())
    running = load(False)
    assert write(replaced(with_old=True, **other))["changed"]
    assert_lossless(running.stop())
    running = load(False, host)
    assert write(replaced(with_old=False, **other))["counts"]["deleted"] >= 4
    totals = running.stop()
    assert_lossless(totals)
    assert totals["mesh"]["versions"].keys() >= {"v2"}, "its own versions and variants"
    assert client.get("networking.istio.io/v1", "VirtualService", SERVICE, SPACE) is None
    write(full())
