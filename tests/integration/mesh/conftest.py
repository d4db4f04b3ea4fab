"""A client for a cluster with Istio: `KUBECONFIG=... pytest tests/integration/mesh`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..finished_mesh import client, kubeconfig, raw

__all__ = ["client", "kubeconfig", "raw"]


@pytest.fixture(scope="session")
def namespaces(client: KubeClient) -> Iterator[None]:
    """The namespaces of generated catalogues, removed again if they were not there."""
    made = []
    for name in ("shop", "back", "limits", "edge"):
        if client.get("v1", "Namespace", name) is None:
            client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            made.append(name)
    yield
    for name in made:
        client.delete("v1", "Namespace", name)
