"""The API server that integration tests use: the lab's control plane, brought up when it is not there.

``LAB_KUBECONFIG`` names another cluster instead; it needs Istio's custom resource definitions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml

from . import drains

ROOT = Path(__file__).resolve().parents[2]
LAB_NAME = os.environ.get("LAB_API_CLUSTER", "k")


def pytest_runtest_logfinish(nodeid: str) -> None:
    drains.ended(nodeid)


@pytest.fixture(scope="session")
def api() -> str:
    """Path of an admin kubeconfig of an API server with Istio's custom resource definitions."""
    given = os.environ.get("LAB_KUBECONFIG")
    if given:
        return given
    lab = [sys.executable, "-m", "lab"]
    subprocess.run(
        [*lab, "up", "--name", LAB_NAME, "--control-plane-only"], cwd=ROOT, check=True, timeout=300
    )
    shown = subprocess.run(
        [*lab, "env", "--name", LAB_NAME], cwd=ROOT, check=True, timeout=60, capture_output=True, text=True
    )
    values = dict(
        line.removeprefix("export ").split("=", 1) for line in shown.stdout.splitlines() if "=" in line
    )
    values = {name: value.strip("'\"") for name, value in values.items()}
    _install_definitions(values["KUBECONFIG"], Path(values["LAB_CHARTS"]) / "src/base/files/crd-all.gen.yaml")
    return values["KUBECONFIG"]


def _install_definitions(kubeconfig: str, file: Path) -> None:
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

    from ..unit.support.write_path import apply

    definitions = [
        document
        for document in yaml.load_all(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if document
    ]
    with connect(ConnectionOptions.from_params({"kubeconfig": kubeconfig}, {})) as client:
        apply(client, definitions)


@pytest.fixture(scope="session")
def kube(api: str):
    """A client of that server, as admin."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

    with connect(ConnectionOptions.from_params({"kubeconfig": api}, {})) as client:
        yield client


@pytest.fixture
def space(kube):
    """A namespace of the test's own."""
    name = f"kube-{uuid.uuid4().hex[:8]}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.delete("v1", "Namespace", name)
