# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A destination that only stands for another host is named with the host, not as unknown."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend

from ...support.catalogues import minimal
from ...support.cluster import FakeCluster, reaching
from ...support.deployed import kube_service, shop

BANK = {
    "name": "bank-out",
    "hosts": ["pay.example.com"],
    "ports": [{"number": 443, "protocol": "HTTPS"}],
    "callers": [{"service": "web"}],
}


def causes(
    destination: str, external: Any = (BANK,), target: str = "pay.example.com"
) -> list[dict[str, Any]]:
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
    found: list[dict[str, Any]] = backend.run(params, Context(connect=reaching(cluster)))["causes"]
    return [cause for cause in found if cause["family"] == "dns"]


@pytest.mark.parametrize("name", ["bank", "shop/bank"])
def test_a_name_for_an_external_host_says_whose(name: str) -> None:
    (cause,) = causes(name)
    assert cause["object"] == "Service shop/bank"
    assert "only stands for pay.example.com, a host of external service 'bank-out'" in cause["cause"]
    assert cause["remedy"] == "call pay.example.com itself"


def test_a_name_for_a_host_that_nobody_describes() -> None:
    (cause,) = causes("bank", (), "other.example.com.")
    assert "which no ServiceEntry describes" in cause["cause"]


def test_any_other_name_does_not_exist() -> None:
    (cause,) = causes("nobody")
    assert cause["cause"].startswith("does not exist")
