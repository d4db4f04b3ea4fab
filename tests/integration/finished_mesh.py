"""A cluster with the finished mesh of `inventories/lab`: fixtures of the suites that look at it.

A conftest imports what its tests ask for; `KUBECONFIG` says which cluster.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

from lab.places import cache_root

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ROOT / "inventories" / "lab" / "group_vars" / "all"
KUBECTL = os.environ.get("LAB_KUBECTL") or str(cache_root() / "bin" / "kubectl")
INSTALLED = ("istio_gateways", "istio_namespace", "istio_revision")


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
