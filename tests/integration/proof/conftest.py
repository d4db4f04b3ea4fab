"""The campaigns that put verify to the proof, on the finished mesh: samples in `make test`, all of it in
`make campaign`. ``PROOF`` is `sample` or `all`, ``PROOF_SEED`` where the dice begin.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

ROOT = Path(__file__).resolve().parents[3]
VARIABLES = ROOT / "inventories" / "lab" / "group_vars" / "all"
INSTALLED = ("istio_gateways", "istio_namespace", "istio_revision")


def sized(sample: int, whole: int) -> int:
    """How much of a campaign is asked for."""
    return whole if os.environ.get("PROOF", "sample") == "all" else sample


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("PROOF_SEED", "1"))


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    path = os.environ.get("KUBECONFIG")
    assert path, "set KUBECONFIG to a lab after site.yml, such as `python -m lab kubeconfig`"
    return path


@pytest.fixture(scope="session")
def client(kubeconfig: str) -> Iterator[KubeClient]:
    with connect(ConnectionOptions.from_params({"kubeconfig": kubeconfig}, {})) as connection:
        yield connection


@pytest.fixture(scope="session")
def raw() -> dict[str, Any]:
    """The catalogue variables of the lab's inventory."""
    found: dict[str, Any] = {}
    for name in ("istio", "mesh", "mesh_lab"):
        found |= yaml.safe_load((VARIABLES / f"{name}.yml").read_text())
    kept = {key: value for key, value in found.items() if key.startswith("mesh_") or key in INSTALLED}
    return {key: value for key, value in kept.items() if "{{" not in str(value)}


@pytest.fixture(scope="session")
def options(client: KubeClient) -> dict[str, Any]:
    """What the lab's inventory hands to a whole verification, by the names of the module's options."""
    told = yaml.safe_load((VARIABLES / "verify.yml").read_text())
    found = {name.removeprefix("verify_"): value for name, value in told.items()}
    authority = client.get("v1", "Secret", "servicemesh-ca", "servicemesh-system")
    assert authority is not None
    return {**found, "gateway_ca": base64.b64decode(authority["data"]["tls.crt"]).decode()}
