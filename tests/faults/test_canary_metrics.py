"""Metrics on the lab that are slow, doubled, or of two clusters.

``CANARY_LAB=NAME pytest tests/faults/test_canary_metrics.py -v -s`` (see canary_lab.py)
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from .canary_lab import ROOT, Lab
from .fake_prometheus import FakePrometheus, fake_prometheus
from .own_mesh import SERVICE, OwnMesh, own_mesh
from .test_canary_lab import shown

QUICK: dict[str, Any] = {"steps": [50, 100], "duration": 4}


@pytest.fixture
def mesh(lab: Lab) -> Iterator[OwnMesh]:
    with own_mesh(lab) as found:
        yield found


@pytest.fixture
def central(lab: Lab) -> Iterator[FakePrometheus]:
    address = lab.get("service", "prometheus", "istio-system")["spec"]["clusterIP"]
    with fake_prometheus(f"http://{address}:9090") as found:
        yield found


def test_series_of_two_clusters_are_refused_until_one_is_chosen(
    mesh: OwnMesh, central: FakePrometheus
) -> None:
    central.copies, central.times = [{"cluster": "west"}, {"cluster": "east"}], 3
    with mesh.callers("load", 40):
        refused, _lines = mesh.canary(**QUICK, prometheus={"url": central.url})
        assert "the metrics are of several clusters (cluster: east, west)" in refused["reason"]
        assert mesh.get("configmap", f"servicemesh-canary-{SERVICE}") == {}, "nothing was written"
        west = {"url": central.url, "matchers": {"cluster": "west"}}
        result, lines = mesh.canary(**QUICK, prometheus=west)
    assert result["outcome"] == "promoted", "\n".join(lines)
    rate = result["counts"]["requests"] / result["seconds"]
    shown("two clusters", counts=result["counts"], seconds=result["seconds"], rate=round(rate, 1))
    assert rate < 60, "requests of the other cluster were counted"


def test_a_target_that_is_scraped_twice_counts_once_by_a_declared_label(
    mesh: OwnMesh, central: FakePrometheus
) -> None:
    central.copies = [{"prometheus_replica": "a"}, {"prometheus_replica": "b"}]
    with mesh.callers("load", 40):
        refused, _lines = mesh.canary(**QUICK, prometheus={"url": central.url})
        assert "is scraped twice, told apart by prometheus_replica" in refused["reason"]
        replicas = {"url": central.url, "replica_labels": ["prometheus_replica"]}
        result, lines = mesh.canary(**QUICK, prometheus=replicas)
    assert result["outcome"] == "promoted", "\n".join(lines)
    rate = result["counts"]["requests"] / result["seconds"]
    shown("two replicas", counts=result["counts"], seconds=result["seconds"], rate=round(rate, 1))
    assert rate < 60, "each request was counted twice"


RELAY = """
import http.server, pathlib, time, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        slow = pathlib.Path("/tmp/slow")
        if slow.exists():
            time.sleep(float(slow.read_text()))
            status, body = 503, b"upstream is gone"
        else:
            answer = urllib.request.urlopen("http://prometheus.istio-system:9090" + self.path, timeout=10)
            status, body = answer.status, answer.read()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 9090), Handler).serve_forever()
"""
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "servicemesh-deadman"}
SLOW, LEASE = 8.0, 12  # seconds: of each 503, and of the runner's Lease
OUTAGE = 60.0


def relay(mesh: OwnMesh, image: str) -> None:
    """A Service ``relay`` in front of Prometheus, that answers slowly with 503 when it is told to."""
    container = {"name": "service", "image": image, "command": ["python3", "-c", RELAY]}
    container["readinessProbe"] = {"tcpSocket": {"port": 9090}, "periodSeconds": 1}
    metadata: dict[str, Any] = {"name": "relay", "namespace": mesh.space}
    labels = {"app": "relay", "sidecar.istio.io/inject": "false"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    mesh.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels}, "spec": spec})
    ports = [{"name": "http", "port": 9090}]
    service = {"selector": {"app": "relay"}, "ports": ports}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    mesh.lab.kubectl("wait", "--for=condition=Ready", "pod/relay", "-n", mesh.space, "--timeout=90s")


def test_a_prometheus_that_answers_503_slowly_ends_no_run_with_a_deadman(lab: Lab, mesh: OwnMesh) -> None:
    """Through the API server, as most reach it. The Lease is renewed: neither Job nor schedule steps in."""
    image = mesh.get("deployment", "caller")["spec"]["template"]["spec"]["containers"][0]["image"]
    relay(mesh, image)
    lab.kubectl("apply", "-f", str(ROOT / "docs" / "rbac" / "deadman.yaml"))
    account = {"name": "servicemesh-deadman", "namespace": mesh.space}
    mesh.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    subjects = [{"kind": "ServiceAccount", **account}]
    binding = {"apiVersion": ROLE["apiGroup"] + "/v1", "kind": "RoleBinding", "metadata": account}
    mesh.apply({**binding, "roleRef": ROLE, "subjects": subjects})
    shares: list[int] = []
    renewed: list[float] = []
    resumed: list[dict[str, Any]] = []
    inside = ["exec", "-n", mesh.space, "relay", "-c", "service", "--"]

    def outage() -> None:
        lab.kubectl(*inside, "sh", "-c", f"echo {SLOW} > /tmp/slow")
        end = time.time() + OUTAGE
        while time.time() < end:
            spec = mesh.get("lease", f"servicemesh-canary-{SERVICE}")["spec"]
            renewed.append(datetime.fromisoformat(spec["renewTime"]).timestamp())
            time.sleep(1)
        resumed.append(mesh.canary("resume", lease=LEASE)[0])
        lab.kubectl(*inside, "rm", "/tmp/slow")

    thread = threading.Thread(target=outage)

    def act(share: int) -> None:
        shares.append(share)
        if share == 50:
            thread.start()

    guarded = {"deadman": "job", "deadman_job": {"image": image}, "lease": LEASE, "unmeasurable": 200}
    slow = {"namespace": mesh.space, "service": "relay", "port": 9090}
    with mesh.callers("load", 40) as seen, mesh.in_background(act):
        began = time.time()
        result, lines = mesh.canary(
            **{**QUICK, **guarded, "duration": 10, "phase_deadline": 300}, prometheus=slow
        )
        seconds = time.time() - began
    thread.join(60)
    gaps = [later - earlier for earlier, later in itertools.pairwise(renewed)]
    shown(
        "slow 503",
        outcome=result["outcome"],
        seconds=round(seconds, 1),
        longest_without_renewal=round(max(gaps), 1),
        failed=seen["fails"],
        resumed=json.dumps(resumed[0], default=str)[:200],
    )
    assert result["outcome"] == "promoted", "\n".join(lines)
    assert shares[shares.index(50) :] == [50, 100], "somebody gave the routes back"
    assert max(gaps) < LEASE
    assert "held by" in json.dumps(resumed[0], default=str)
    assert not seen["fails"]
