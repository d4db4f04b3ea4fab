"""The CA of the finished shop is rotated under its traffic: nobody loses a request, whatever kills the run.

`KUBECONFIG=... pytest tests/integration/mesh_ca`: from istiod's own CA, or that of an earlier run, to a new
root, with runs that are killed in every stage, and back from each one until the drop. A rotation restarts
every workload, which takes minutes, so all of it is in `make campaign`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca.journal import (
    JOURNAL,
    STAGE,
)

from ...unit.support.arguments import validated

ROOT = Path(__file__).resolve().parents[3]
LOAD = ROOT / "tests" / "integration" / "mesh" / "load.py"
HOME, HOST, RATE = "istio-system", "api.example.com", 15
# istiod is restarted rather than waited for: a kubelet takes a minute to hand a Secret over.
QUICK = {"mesh": "shop", "source": "own", "batch": 20, "patience": 20, "timeout": 300}
RUNNER = """
import json, os, sys
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh_ca import backend
backend.run(json.loads(sys.argv[1]), Context(environment=os.environ))
"""

pytestmark = pytest.mark.long


class Mesh:
    """The mesh and the module's runs on it."""

    def __init__(self, client: KubeClient, kubeconfig: str) -> None:
        self.client, self.kubeconfig = client, kubeconfig
        self.lines: list[str] = []

    def params(self, **params: Any) -> dict[str, Any]:
        """The module's parameters, checked as Ansible checks them."""
        given = {"kubeconfig": self.kubeconfig, **QUICK, **params}
        return validated(backend.ARGUMENT_SPEC, given)

    def run(self, **params: Any) -> dict[str, Any]:
        context = Context(environment={}, progress=self.lines.append, warn=self.lines.append)
        return backend.run(self.params(**params), context)

    def stage(self) -> str:
        """Where the journal says that it is; empty without one."""
        found = self.client.get("v1", "Secret", JOURNAL, HOME)
        return str(found["metadata"]["annotations"][STAGE]) if found else ""

    def kill_when(self, seen: Callable[[], bool], **params: Any) -> None:
        """A run that is killed as soon as something is seen."""
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, json.dumps(self.params(**params))],
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        )
        end = time.monotonic() + 300
        try:
            while not seen():
                assert runner.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < end
                time.sleep(0.3)
        finally:
            runner.send_signal(signal.SIGKILL)
            runner.wait()

    def roots(self) -> str:
        """What every pod is given at its start."""
        found = self.client.get("v1", "ConfigMap", "istio-ca-root-cert", HOME)
        assert found is not None
        return str(found["data"]["root-cert.pem"])


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    kubeconfig = os.environ.get("KUBECONFIG")
    assert kubeconfig, "set KUBECONFIG to a cluster with the finished shop"
    with connect(ConnectionOptions.from_params({"kubeconfig": kubeconfig}, {})) as client:
        yield Mesh(client, kubeconfig)


@pytest.fixture
def patient_gateway(mesh: Mesh) -> None:
    """A gateway pod that ends takes connections for twenty seconds more.

    By default it is five, and a kube-proxy on a machine with more work than processors takes longer to send
    nobody there any more: connections then reach a pod that has ended. The guide says so.
    """
    name = "istio-ingressgateway"
    annotations = {"proxy.istio.io/config": "terminationDrainDuration: 20s"}
    body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    generation = mesh.client.patch("apps/v1", "Deployment", name, HOME, body)["metadata"]["generation"]
    for _second in range(120):
        status = (mesh.client.get("apps/v1", "Deployment", name, HOME) or {})["status"]
        done = status.get("updatedReplicas", 0) == status.get("replicas") == status.get("readyReplicas", 0)
        if done and status.get("observedGeneration", 0) >= generation:
            return
        time.sleep(1)
    raise AssertionError(f"{name} is not rolled out: {status}")


@pytest.fixture
def lossless(mesh: Mesh) -> Iterator[None]:
    """Orders through the gateway, which four services answer together, for as long as the test lasts."""
    service = mesh.client.get("v1", "Service", "istio-ingressgateway", HOME)
    assert service is not None
    address = service["spec"]["clusterIP"]
    load = subprocess.Popen(
        [sys.executable, str(LOAD), address, "443", "/api/orders", HOST, "1", str(RATE), "3000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    begin = time.monotonic()
    yield
    seconds = time.monotonic() - begin
    load.send_signal(signal.SIGTERM)
    told = json.loads(load.communicate(timeout=60)[0])
    assert told["failed"] == 0, told
    assert told["sent"] > seconds * RATE / 3, told
    print(f"\n{told['sent']} requests in {seconds:.0f} s: 0 failed")


def test_a_killed_rotation_is_finished_by_the_next_run(
    mesh: Mesh, patient_gateway: None, lossless: None
) -> None:
    before = mesh.roots()
    # A root of our own is there after the first run; then another one is asked for.
    renew = "root" if mesh.client.get("v1", "Secret", "servicemesh-mesh-root", "servicemesh-system") else ""
    mesh.kill_when(lambda: mesh.roots() != before, action="rotate", renew=renew)
    assert mesh.stage() == "1"
    result = mesh.run(action="rotate", renew=renew)
    assert result["outcome"] == "rotated", mesh.lines
    assert result["proxies"]["late"] == []
    after = mesh.roots()
    assert before not in after and after not in before
    assert mesh.stage() == ""
    assert mesh.run(action="rotate")["changed"] is False


@pytest.mark.parametrize("stage", ["1", "2"])
def test_it_goes_back_until_the_old_root_is_dropped(
    mesh: Mesh, patient_gateway: None, lossless: None, stage: str
) -> None:
    before = mesh.roots()
    mesh.kill_when(lambda: mesh.stage() == stage, action="rotate", renew="root")
    # The rollback is killed, too, as soon as it has changed its direction.
    mesh.kill_when(lambda: mesh.stage() == str(int(stage) - 1), action="rollback")
    assert mesh.run(action="rollback")["outcome"] == "rolled back", mesh.lines
    assert mesh.roots() == before
    assert mesh.stage() == ""


@pytest.mark.parametrize("stage", ["1", "2", "3"])
def test_killed_in_every_stage(mesh: Mesh, patient_gateway: None, lossless: None, stage: str) -> None:
    before = mesh.roots()
    mesh.kill_when(lambda: mesh.stage() == stage, action="rotate", renew="root")
    assert mesh.run(action="rotate")["outcome"] == "rotated", mesh.lines
    assert mesh.roots() != before


def test_an_intermediate_is_renewed(mesh: Mesh) -> None:
    """Whoever is not restarted keeps its certificate: it leads to the same root."""
    before = mesh.roots()
    result = mesh.run(action="rotate", renew="intermediate", restart=False)
    assert result["outcome"] == "waiting"
    assert mesh.run(action="rollback", restart=False)["outcome"] == "rolled back"
    assert mesh.roots() == before
