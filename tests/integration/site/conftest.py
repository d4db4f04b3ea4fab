"""Whole playbooks on a finished mesh: `LAB_CLUSTER=NAME KUBECONFIG=... pytest tests/integration/site`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient, connect
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.base import API_VERSIONS


@pytest.fixture(scope="session")
def kinds() -> list[str]:
    """The kinds that a catalogue can own, release records included."""
    return list(API_VERSIONS)


@pytest.fixture(scope="session")
def admin() -> str:
    path = os.environ.get("KUBECONFIG")
    assert path, "set KUBECONFIG to the lab cluster's administrator: python -m lab kubeconfig"
    assert os.environ.get("LAB_CLUSTER"), "set LAB_CLUSTER to the cluster's name, for inventories/lab"
    return path


@pytest.fixture(scope="session")
def client(admin: str) -> Iterator[KubeClient]:
    with connect(ConnectionOptions.from_params({"kubeconfig": admin}, {})) as connection:
        yield connection
