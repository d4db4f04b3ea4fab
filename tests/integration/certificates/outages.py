"""Rotations while something is down, on a mesh that nobody else uses: `make campaign` runs them.

What is asked of each: the documented end, and the pair from before served all the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import SystemClock
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend,
    rotation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.previous import SUFFIX

from lab.cluster import read_cluster
from lab.processes import find_tree

from .conftest import HOME
from .test_rotations import Clients, first_served, gateway, wait_for_handshakes

__all__ = ["gateway"]

CLUSTER = os.environ.get("LAB_CLUSTER", "a")
DAY = 24 * 3600.0


@contextlib.contextmanager
def without_istiod(client) -> Iterator[None]:
    """No istiod at all, and one that is ready again afterwards."""
    before = client.get("apps/v1", "Deployment", "istiod", HOME)["spec"]["replicas"]
    scale(client, 0)
    try:
        yield
    finally:
        scale(client, before)


def scale(client, replicas: int) -> None:
    client.patch("apps/v1", "Deployment", "istiod", HOME, {"spec": {"replicas": replicas}})
    for _second in range(180):
        pods = client.list("v1", "Pod", HOME, label_selector="app=istiod").items
        found = client.get("apps/v1", "Deployment", "istiod", HOME)["status"]
        if len(pods) == replicas == found.get("readyReplicas", 0):
            return
        time.sleep(1)
    raise AssertionError(f"istiod does not get {replicas} pods")


def test_a_gateway_without_a_connection_to_istiod_is_named_with_the_reason(edge, gateway, client) -> None:
    ca = first_served(edge)
    served = edge.secret()["data"]["tls.crt"]
    with Clients(gateway, edge.host, ca) as clients:
        with without_istiod(client), pytest.raises(MeshError) as caught:
            edge.run(force=[edge.name], timeout=20)
        assert "the proxy of pod istio-ingressgateway-" in caught.value.message
        assert "has no connection to istiod" in caught.value.message
        assert "the previous certificate is back and served" in caught.value.message
        assert edge.secret()["data"]["tls.crt"] == served
        assert edge.secret(f"{edge.name}{SUFFIX}") is None
        wait_for_handshakes(gateway, edge.host, ca)
        again = edge.run(force=[edge.name])
        assert again["status"] == "pass", again["reason"]
    assert clients.told["failed"] == []


def test_the_kept_pair_deleted_in_mid_run(edge, gateway, client) -> None:
    ca = first_served(edge)
    stop = threading.Event()

    def tidy() -> None:
        while not stop.wait(0.05):
            client.delete("v1", "Secret", f"{edge.name}{SUFFIX}", HOME)

    thread = threading.Thread(target=tidy)
    with Clients(gateway, edge.host, ca) as clients:
        thread.start()
        try:
            done = edge.run(force=[edge.name], overlap=2)
        finally:
            stop.set()
            thread.join()
        assert done["status"] == "pass", done["reason"]
        assert edge.run()["changed"] is False
    assert clients.told["failed"] == []


class Program:
    """One of the lab's programs: ended as by a crash, and started again as it had been.

    :param name: as `lab status` tells it.
    """

    def __init__(self, name: str) -> None:
        cluster = read_cluster(CLUSTER)
        init = find_tree(cluster).init
        assert init is not None, f"cluster {CLUSTER} is not there"
        plan = json.loads((cluster.state / "plan.json").read_text())
        (self._argv,) = [step["argv"] for step in plan["steps"] if step.get("start") == name]
        self._init = init

    def crash(self) -> None:
        """The arguments name the cluster's directory, so there is one process that has them."""
        (pid,) = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _command_of(entry) == self._argv
        ]
        os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        """In the namespaces of the cluster, so that it ends with it."""
        inside = ["nsenter", "--target", str(self._init), "--all", "--", *self._argv]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(inside, **quiet, start_new_session=True)


def _command_of(entry: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (entry / "cmdline").read_text().split("\0")[:-1]
    return []


@pytest.fixture
def api_server() -> Program:
    return Program("kube-apiserver")


@pytest.mark.parametrize("moment", ["before the write", "after the write", "in the overlap"])
def test_the_api_server_crashes_in_mid_rotation(
    edge, gateway, client, monkeypatch, api_server: Program, moment: str
) -> None:
    """It is away for eight seconds: the run ends well or with one sentence, and the next one ends it."""
    ca = first_served(edge)
    back = threading.Event()

    def crash() -> None:
        api_server.crash()

        def later() -> None:
            time.sleep(8)
            api_server.start()
            back.set()

        threading.Thread(target=later).start()

    real = rotation.write_credential

    def write(renewal, item, pair) -> None:
        if moment == "before the write" and not back.is_set():
            crash()
        real(renewal, item, pair)
        if moment == "after the write":
            crash()
        elif moment == "in the overlap":
            threading.Timer(6, crash).start()

    monkeypatch.setattr(rotation, "write_credential", write)
    with Clients(gateway, edge.host, ca) as clients:
        try:
            ended = edge.run(force=[edge.name], overlap=10, timeout=60)["status"]
        except MeshError as error:
            ended = error.message
        monkeypatch.undo()
        assert back.wait(60)
        for _second in range(60):
            with contextlib.suppress(MeshError):
                client.get("v1", "Namespace", HOME)
                break
            time.sleep(1)
        done = edge.run(overlap=0)
        assert done["status"] == "pass", done["reason"]
        assert edge.secret(f"{edge.name}{SUFFIX}") is None
        assert edge.run()["changed"] is False
    assert clients.told["failed"] == []
    print(f"\n{moment}: {ended}")


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_controller_whose_clock_is_a_day_off(edge, gateway, seconds: float) -> None:
    class Off(SystemClock):
        def now(self) -> float:
            return super().now() + seconds

    ca = first_served(edge)
    before = edge.secret()
    with Clients(gateway, edge.host, ca) as clients:
        with pytest.raises(RefusedError, match="certificates would be dated wrongly"):
            backend.run(edge.params(force=[edge.name]), Context(environment={}, clock=Off()))
        assert edge.secret() == before
        wait_for_handshakes(gateway, edge.host, ca)
    assert clients.told["failed"] == []


def test_the_ca_s_secret_is_lost(edge, gateway, client) -> None:
    """Nothing is issued by another CA that clients do not know; what is served is served on."""
    ca = first_served(edge)
    before = edge.secret()
    with Clients(gateway, edge.host, ca) as clients:
        kept = edge.authority()
        client.delete("v1", "Secret", "servicemesh-ca", edge.name)
        for params in ({}, {"force": [edge.name]}, {"revoke": [edge.name]}):
            with pytest.raises(RefusedError, match="the CA is gone while its certificates are in use"):
                edge.run(**params)
        assert edge.secret() == before
        assert edge.authority() is None
        metadata = {name: kept["metadata"][name] for name in ("name", "namespace", "labels")}
        client.create({**kept, "metadata": metadata})
        restored = edge.run(force=[edge.name], overlap=0)
        assert restored["status"] == "pass", restored["reason"]
    assert clients.told["failed"] == []


def test_a_gateway_whose_only_pod_is_replaced_in_mid_rotation(edge, gateway, client, monkeypatch) -> None:
    """The pod that comes is looked at, and takes the new pair: nothing is taken back."""
    first_served(edge)
    real = rotation.write_credential

    def write(renewal, item, pair) -> None:
        for pod in client.list("v1", "Pod", HOME, label_selector="istio=ingressgateway").items:
            client.delete("v1", "Pod", pod["metadata"]["name"], HOME)
        real(renewal, item, pair)

    monkeypatch.setattr(rotation, "write_credential", write)
    done = edge.run(force=[edge.name], overlap=0, timeout=120)
    assert (done["status"], done["outcome"]) == ("pass", "renewed"), done["reason"]
    assert edge.secret(f"{edge.name}{SUFFIX}") is None


@pytest.fixture
def broken_pod(client) -> Iterator[str]:
    """A pod of the gateway that runs, and will never be ready nor serve anything."""
    (pod, *_others) = client.list("v1", "Pod", HOME, label_selector="istio=ingressgateway").items
    name = "ingressgateway-that-never-starts"
    image = pod["spec"]["containers"][0]["image"]
    probe = {"exec": {"command": ["false"]}}
    container = {"name": "c", "image": image, "command": ["sleep", "3600"], "readinessProbe": probe}
    labels = {"istio": "ingressgateway", "sidecar.istio.io/inject": "false"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": HOME, "labels": labels}
    client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        for _second in range(60):
            if client.get("v1", "Pod", name, HOME)["status"].get("phase") == "Running":
                break
            time.sleep(1)
        yield name
    finally:
        client.delete("v1", "Pod", name, HOME)


def test_a_pod_that_never_gets_ready_keeps_no_other_from_its_certificate(edge, gateway, broken_pod) -> None:
    edge.expose()
    first = edge.run(overlap=0)
    assert first["status"] == "cannot tell", first["reason"]
    ca = first["ca"]["certificate"]
    served = edge.secret()["data"]["tls.crt"]
    with Clients(gateway, edge.host, ca) as clients:
        done = edge.run(force=[edge.name], overlap=0)
        assert (done["status"], done["outcome"]) == ("cannot tell", "renewed")
        assert f"but not ready: {broken_pod}; " in done["reason"]
        assert edge.secret()["data"]["tls.crt"] != served
        assert edge.secret(f"{edge.name}{SUFFIX}") is None
    assert clients.told["failed"] == []


def test_a_webhook_that_denies_the_way_back_keeps_the_old_pair(edge, gateway, client, monkeypatch) -> None:
    """A policy of the cluster lets the new pair in, which no gateway takes, and nothing after it."""
    ca = first_served(edge)
    served = edge.secret()["data"]["tls.crt"]
    policy = Policy(client, edge.name)
    real = rotation.write_credential
    spoilt: list[str] = []

    def spoil(renewal, item, pair) -> None:
        real(renewal, item, pair)
        if not spoilt:
            spoilt.append(item.credential.name)
            item.current = client.patch(
                "v1", "Secret", edge.name, HOME, {"data": {"tls.crt": "Z2FyYmFnZQ=="}}
            )
            policy.deny()

    monkeypatch.setattr(rotation, "write_credential", spoil)
    try:
        with Clients(gateway, edge.host, ca) as clients:
            with pytest.raises(MeshError, match=r"cannot be put back, Secret .*-prev keeps it .*not today"):
                edge.run(force=[edge.name], overlap=0, timeout=10)
            with pytest.raises(MeshError, match=r"cannot be put back, Secret .*-prev keeps it .*not today"):
                edge.run(force=[edge.name], overlap=0, timeout=10)
            assert edge.secret(f"{edge.name}{SUFFIX}")["data"]["tls.crt"] == served
            policy.remove()
            done = edge.run(overlap=0)
            assert done["status"] == "pass", done["reason"]
            assert edge.secret()["data"]["tls.crt"] == served
            assert edge.secret(f"{edge.name}{SUFFIX}") is None
    finally:
        policy.remove()
    assert clients.told["failed"] == []


class Policy:
    """A ValidatingAdmissionPolicy that denies every write of one Secret."""

    GROUP = "admissionregistration.k8s.io/v1"

    def __init__(self, client, name: str) -> None:
        self._client, self._name = client, name

    def deny(self) -> None:
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["UPDATE"],
            "resources": ["secrets"],
            "resourceNames": [self._name],
        }
        self._client.create(
            {
                "apiVersion": self.GROUP,
                "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": self._name},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"resourceRules": [rule]},
                    "validations": [{"expression": "false", "message": "not today"}],
                },
            }
        )
        self._client.create(
            {
                "apiVersion": self.GROUP,
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": self._name},
                "spec": {"policyName": self._name, "validationActions": ["Deny"]},
            }
        )
        for _try in range(60):  # it takes a moment until the API server knows it
            secret = self._client.get("v1", "Secret", self._name, HOME)
            try:
                self._client.patch("v1", "Secret", self._name, HOME, {"data": secret["data"]}, dry_run=True)
            except MeshError:
                return
            time.sleep(0.5)
        raise AssertionError("the policy is not enforced")

    def remove(self) -> None:
        for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
            self._client.delete(self.GROUP, kind, self._name)
        for _try in range(60):
            secret = self._client.get("v1", "Secret", self._name, HOME)
            with contextlib.suppress(MeshError):
                self._client.patch("v1", "Secret", self._name, HOME, {"data": secret["data"]}, dry_run=True)
                return
            time.sleep(0.5)
