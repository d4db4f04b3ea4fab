# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not be read, and what cannot be read: the first is told, the second ends the run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import live_objects

from ...support.cluster import FakeCluster


class Failing:
    def __init__(self, status: int) -> None:
        self.status = status

    def list(self, *_asked: str, **_more: str) -> Any:
        raise ApiError("no", status=self.status)

    get = list


def test_what_may_not_be_read_is_told() -> None:
    read: Any = live_objects._read
    assert read(Failing(403), "v1", "Service", "shop") == ([], "no", False)
    roots: Any = live_objects.published_roots
    assert roots(Failing(403), "istio-system") == ""


@pytest.mark.parametrize(
    ("unknown", "installed"),
    [(set(), True), ({"DestinationRule"}, True), ({"PeerAuthentication"}, False)],
)
def test_a_mesh_whose_istiod_is_down_is_a_mesh(unknown: set[str], installed: bool) -> None:
    """By the kinds that the cluster knows."""
    cluster = FakeCluster()
    cluster.missing = unknown
    found = live_objects.read_live_objects(
        cluster, namespaces=["shop"], root_namespace="istio-system", istio_namespace="istio-system"
    )
    assert (found.installed, found.missing) == (installed, unknown)


@pytest.mark.parametrize(
    ("kind", "status"), [("Pod", 403), ("Pod", 500), ("Service", 500), ("Service", 401), ("Service", 0)]
)
def test_without_pods_and_without_an_answer_nothing_can_be_judged(kind: str, status: int) -> None:
    read: Any = live_objects._read
    with pytest.raises(ApiError, match="no"):
        read(Failing(status), "v1", kind, "shop")
