# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A destination that only stands for another host is named with the host, not as unknown."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend

from ..support.catalogues import minimal
from ..support.cluster import FakeCluster, reaching
from ..support.deployed import kube_service, shop

BANK = {
    "name": "bank-out",
    "hosts": ["pay.example.com"],
    "ports": [{"number": 443, "protocol": "HTTPS"}],
    "callers": [{"service": "web"}],
}


def refused(destination: str, external: Any = (BANK,), target: str = "pay.example.com") -> str:
    cluster = FakeCluster(
        *shop(), kube_service("bank", selector={}, type="ExternalName", externalName=target)
    )
    params = {
        "catalogue": minimal(mesh_external_services=list(external)),
        "source": "web",
        "destination": destination,
        "method": "GET",
        "path": "/",
        "port": "",
        "kubeconfig": {},
    }
    with pytest.raises(InputError) as caught:
        backend.run(params, Context(connect=reaching(cluster)))
    return str(caught.value)


@pytest.mark.parametrize("name", ["bank", "shop/bank"])
def test_a_name_for_an_external_host_says_whose(name: str) -> None:
    assert (
        "Service shop/bank of type ExternalName only stands for pay.example.com, a host of "
        "external service 'bank-out': calls through that name fail with 502; call pay.example.com itself"
    ) in refused(name)


def test_a_name_for_a_host_that_nobody_describes() -> None:
    assert "which the catalogue does not describe" in refused("bank", (), "other.example.com.")


def test_any_other_name_is_unknown_as_before() -> None:
    assert "unknown-service" in refused("nobody")
