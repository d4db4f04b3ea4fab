# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever does without what may not be read must not do without what merely failed to come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.rollouts import pod_trouble
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.scaling.sizes import (
    budget_findings,
    read_sizes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.callers import (
    CallerSurroundings,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.live_policies import (
    live_policies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.neighbours import (
    refuse_shared,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.rights import proof_namespaces
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.backend import (
    cluster_uid,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.asking import refuse_missing
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.live_objects import (
    published_roots,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    KINDS,
    read_everywhere,
    read_surroundings,
)

from ..support.cluster import FakeCluster
from ..support.deployed import namespace, pod
from ..support.outages import OUTAGES, one_call_fails
from .mesh.test_neighbours import CATALOGUE, plan

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "api"}}},
}
NEED = AccessNeed("list", "", "pods", "shop")


class Reader(NamedTuple):
    """What reads. :param without: what it makes of nothing but missing rights."""

    run: Callable[[FakeCluster], Any]
    without: Any


READERS = {
    "the faults of a workload's pods": Reader(lambda client: pod_trouble(client, DEPLOYMENT), ""),
    "who joined the mesh when": Reader(lambda client: CallerSurroundings(client, ["shop"]).joins, []),
    "live policies": Reader(lambda client: live_policies(client, "AuthorizationPolicy", ["shop"]), []),
    "meshes beside this one": Reader(lambda client: refuse_shared(client, CATALOGUE, plan()), None),
    "what may be asked for": Reader(lambda client: refuse_missing(client, [NEED]), None),
    "where proxies can be asked": Reader(lambda client: proof_namespaces(client, CATALOGUE, Context()), None),
    "the cluster's UID": Reader(cluster_uid, ""),
    "sizes of versions": Reader(lambda client: read_sizes(client, "shop", {"v1": "api"}), {}),
    "disruption budgets": Reader(lambda client: budget_findings(client, "shop", {"app": "api"}, "v1", 1), []),
    "published roots": Reader(lambda client: published_roots(client, "istio-system"), ""),
    "objects of a kind": Reader(
        lambda client: read_everywhere(client, "v1", "Service", ["shop", "back"]),
        ([], "list Service: not read"),
    ),
    "what lies beside the mesh": Reader(
        lambda client: sorted(read_surroundings(client, ["shop"]).unread),
        sorted([*KINDS, "EndpointSlice", "Pod"]),
    ),
}


def cluster() -> FakeCluster:
    return FakeCluster(namespace("shop"), namespace("kube-system"), pod("api"), DEPLOYMENT)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", [*OUTAGES, 401, 429])
def test_an_outage_at_any_call_is_no_answer(name: str, how: int | str) -> None:
    reader = READERS[name]
    tried = 0
    for call, failing in one_call_fails(cluster, reader.run, how):
        with pytest.raises(ApiError):
            pytest.fail(f"{call}: {how} was taken for an answer: {reader.run(failing)}")
        tried += 1
    assert tried


@pytest.mark.parametrize("name", READERS)
def test_a_missing_right_is_done_without(name: str) -> None:
    refusing = cluster()
    refusing.fail(how=403, times=99)
    found = READERS[name].run(refusing)
    assert _without_words(found) == READERS[name].without


def _without_words(found: Any) -> Any:
    """The server's words for it stand in the tests of ``kube``."""
    if isinstance(found, tuple):
        return found[0], found[1].partition(":")[0] + ": not read"
    return found
