"""A client for a cluster with Istio: `KUBECONFIG=... pytest tests/integration/mesh`."""

# ruff: noqa: E402, F401 - the path comes first

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Imported here, with the path just set: pytest-ansible puts its own loader in between later.
import ansible_collections.servicemesh.istio.plugins.module_utils.context
import ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.apply  # pylint: disable=unused-import
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions


@pytest.fixture(scope="session")
def client() -> Iterator[KubeClient]:
    path = os.environ.get("KUBECONFIG")
    assert path, "set KUBECONFIG to a cluster with Istio, such as `python -m lab kubeconfig`"
    with connect(ConnectionOptions.from_params({"kubeconfig": path}, {})) as connection:
        yield connection


@pytest.fixture(scope="session")
def namespaces(client: KubeClient) -> Iterator[None]:
    """The namespaces of generated catalogues, removed again if they were not there."""
    made = []
    for name in ("shop", "back", "limits"):
        if client.get("v1", "Namespace", name) is None:
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            made.append(name)
    yield
    for name in made:
        client.delete("v1", "Namespace", name)
