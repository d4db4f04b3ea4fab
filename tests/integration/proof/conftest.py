"""The campaigns that put verify to the proof, on the finished mesh: samples in `make test`, all of it in
`make campaign`. ``PROOF`` is `sample` or `all`, ``PROOF_SEED`` where the dice begin.
"""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..finished_mesh import VARIABLES, client, kubeconfig, raw

__all__ = ["client", "kubeconfig", "raw"]


def sized(sample: int, whole: int) -> int:
    """How much of a campaign is asked for."""
    return whole if os.environ.get("PROOF", "sample") == "all" else sample


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("PROOF_SEED", "1"))


@pytest.fixture(scope="session")
def options(client: KubeClient) -> dict[str, Any]:
    """What the lab's inventory hands to a whole verification, by the names of the module's options."""
    told = yaml.safe_load((VARIABLES / "verify.yml").read_text())
    found = {name.removeprefix("verify_"): value for name, value in told.items()}
    authority = client.get("v1", "Secret", "servicemesh-ca", "servicemesh-system")
    assert authority is not None
    return {**found, "gateway_ca": base64.b64decode(authority["data"]["tls.crt"]).decode()}
