# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any one call of the comparison fails: an outage ends it, a missing right leaves a hole that is told."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.compare import (
    compare,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.cluster_check.findings import (
    UNKNOWN,
    Comparison,
)

from ...support.catalogues import minimal, service
from ...support.cluster import FakeCluster
from ...support.deployed import shop
from ...support.outages import OUTAGES, one_call_fails
from .test_settings import config_maps

CATALOGUE = minimal()
CATALOGUE["mesh_services"].append(service("batch", namespace="back"))  # a namespace that holds nothing yet
IDLE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "old", "namespace": "shop"},
    "spec": {
        "selector": {"istio": "gone"},
        "servers": [{"port": {"number": 80}, "hosts": ["shop.example.com"]}],
    },
}
SELECTING = {"discoverySelectors": [{"matchLabels": {"mesh": "on"}}]}


def everything_looked_at() -> FakeCluster:
    """A cluster of which the comparison reads all that it ever reads."""
    return FakeCluster(*shop(), IDLE, *config_maps(SELECTING))


def compared(cluster: FakeCluster) -> Comparison:
    return compare(cluster, parse_catalogue(CATALOGUE))


def test_every_kind_of_object_is_asked_for() -> None:
    cluster = everything_looked_at()
    compared(cluster)
    asked = {(call.verb, call.kind, bool(call.selector)) for call in cluster.calls}
    assert asked >= {
        ("list", "Service", False),
        ("list", "Pod", False),
        ("list", "Pod", True),
        ("list", "Gateway", False),
        ("get", "Namespace", False),
    }
    assert {call.kind for call in cluster.calls} >= {"ConfigMap"}


@pytest.mark.parametrize("how", OUTAGES)
def test_an_outage_at_any_call_is_no_answer(how: int | str) -> None:
    for call, cluster in one_call_fails(everything_looked_at, compared, how):
        with pytest.raises(ApiError):
            pytest.fail(f"{call} was not needed: {compared(cluster)}")


def test_without_one_right_the_rest_is_compared() -> None:
    whole = {str(item) for item in compared(everything_looked_at()).differences}
    for call, cluster in one_call_fails(everything_looked_at, compared, 403):
        found = compared(cluster).differences
        unknown = [item for item in found if item.weight == UNKNOWN]
        more = [item for item in found if str(item) not in whole and item.weight != UNKNOWN]
        # Who may not ask for a namespace takes it for there, so that its Services are missed.
        may = {"service-missing", "mesh-config"} if call.kind == "Namespace" else set()
        assert {item.rule for item in more} <= may, (
            f"{call}: what could not be seen was taken for a difference"
        )
        assert unknown or call.kind == "Gateway" or (call.kind, call.name) == ("Namespace", "back"), call


def test_where_the_kind_is_not_served_there_are_no_gateways() -> None:
    assert "Gateway shop/old" in str(compared(everything_looked_at()).notes)
    for call, cluster in one_call_fails(everything_looked_at, compared, 404):
        if (call.kind, call.namespace) == ("Gateway", "shop"):
            assert "Gateway shop/old" not in str(compared(cluster).notes)


def test_a_selector_of_namespaces_that_may_not_be_read_is_no_pass() -> None:
    cluster = FakeCluster(*shop(), *config_maps(SELECTING))
    cluster.forbidden = {"Namespace"}
    found = compare(cluster, parse_catalogue(minimal()))
    assert (found.cuts, found.status) == ([], "cannot tell")
    assert (
        "mesh_services: discoverySelectors in ConfigMap istio-system/istio: cannot tell whether istiod sees "
        "istio-system, shop: no right to get these namespaces (mesh-config)"
    ) in found.notes
