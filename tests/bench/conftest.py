"""Where the collection and the helpers of the measurements are; Istio's definitions in the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def definitions():
    """Istio's custom resource definitions, which a bare cluster lacks."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
    from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

    from ..unit.support.write_path import apply

    assert os.environ.get("KUBECONFIG"), "set KUBECONFIG to a cluster on this machine, or run `make bench`"
    shown = subprocess.run(
        [sys.executable, "-m", "lab", "env", "--name", os.environ.get("LAB_CLUSTER", "k")],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line.removeprefix("export ").split("=", 1) for line in shown.stdout.splitlines() if "=" in line]
    charts = Path({name: value.strip("'\"") for name, value in lines}["LAB_CHARTS"])
    text = (charts / "src/base/files/crd-all.gen.yaml").read_text()
    with connect(ConnectionOptions.from_params({"kubeconfig": os.environ["KUBECONFIG"]}, {})) as client:
        apply(client, [found for found in yaml.load_all(text, yaml.CSafeLoader) if found])
