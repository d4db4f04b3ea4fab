# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of sidecars: only annotations of pod templates change, and only where they differ."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    RefusedError,
    WaitTimeout,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import sidecar_sizes
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import (
    SERVICES,
    SIDECAR_SIZES,
)

from ..support.access import Access, Restricted, access_of
from ..support.clock import FakeClock
from ..support.cluster import FakeCluster, reaching

PORTS = [{"number": 80, "target_port": 8080, "protocol": "http"}]
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
CPU, MEMORY = "sidecar.istio.io/proxyCPU", "sidecar.istio.io/proxyMemory"


def catalogue(**proxy: Any) -> dict[str, Any]:
    services = [{"name": "web", "ports": PORTS, **({"proxy": proxy} if proxy else {})}]
    return {"mesh_name": "shop", "mesh_namespace": "shop", "mesh_services": services}


def deployment(name: str = "web", *, rolled_out: bool = True, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": annotations}, "spec": {}}},
        "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": int(rolled_out)},
    }


def run(
    cluster: Any,
    given: dict[str, Any],
    *,
    check_mode: bool = False,
    wait: bool = True,
    owner: str = "",
    take_over: bool = False,
) -> dict[str, Any]:
    context = Context(check_mode=check_mode, diff_mode=True, clock=FakeClock(), connect=reaching(cluster))
    params = {"catalogue": given, "wait": wait, "wait_timeout": 5, "host": "https://h"}
    params |= {"owner": owner, "take_over": take_over}
    return sidecar_sizes.run(params, context)


def test_a_size_that_differs_is_set_and_the_rest_stays() -> None:
    cluster = FakeCluster(NAMESPACE, deployment(other="stays"))
    result = run(cluster, catalogue(cpu="50m"))
    assert (result["changed"], result["objects"]) == (True, ["Deployment shop/web"])
    live = cluster.find("Deployment", "web", "shop")
    assert live is not None
    assert live["spec"]["template"]["metadata"]["annotations"] == {"other": "stays", CPU: "50m"}
    assert "annotations" not in live["metadata"], "who has no name leaves no mark"
    (diff,) = result["diff"]
    assert diff["before"]["spec"]["template"]["metadata"]["annotations"] == {"other": "stays"}
    assert run(cluster, catalogue(cpu="50m")) == {"changed": False, "objects": [], "diff": []}
    assert [verb for verb, _unused in cluster.writes] == ["patch"]


def test_a_size_that_left_the_catalogue_is_taken_away() -> None:
    cluster = FakeCluster(NAMESPACE, deployment(**{CPU: "50m", MEMORY: "64Mi"}))
    assert run(cluster, catalogue(cpu="50m"))["changed"]
    live = cluster.find("Deployment", "web", "shop")
    assert live is not None
    assert live["spec"]["template"]["metadata"]["annotations"] == {CPU: "50m"}


def test_check_mode_asks_and_writes_nothing() -> None:
    cluster = FakeCluster(NAMESPACE, deployment(rolled_out=False))
    assert run(cluster, catalogue(cpu="50m"), check_mode=True)["changed"]
    assert (len(cluster.writes), len(cluster.dry_runs)) == (0, 1)


def test_without_sizes_nothing_is_asked() -> None:
    cluster = FakeCluster(NAMESPACE)
    assert run(cluster, catalogue()) == {"changed": False, "objects": []}
    assert cluster.calls == []


def test_a_workload_that_is_not_there_is_named_before_the_first_write() -> None:
    with pytest.raises(ApiError, match="Deployment shop/web does not exist"):
        run(FakeCluster(NAMESPACE), catalogue(cpu="50m"))


def test_it_waits_for_what_rolls_and_says_what_it_sees() -> None:
    cluster = FakeCluster(NAMESPACE, deployment(rolled_out=False))
    with pytest.raises(WaitTimeout, match="Deployment shop/web: 0 of 1 updated replicas available"):
        run(cluster, catalogue(cpu="50m"))
    assert not run(cluster, catalogue(cpu="50m"))["changed"]  # what does not roll is not waited for
    assert run(cluster, catalogue(cpu="60m"), wait=False)["changed"]


MARK = "servicemesh.istio/sized-by"


def test_two_schedules_do_not_restart_a_workload_in_turn() -> None:
    """The objects of their meshes are the same: nothing else would tell them of each other."""
    cluster = FakeCluster(NAMESPACE, deployment())
    assert run(cluster, catalogue(cpu="50m"), owner="shop@prod")["changed"]
    cluster.writes.clear()
    for _night in range(2):
        for check in (True, False):
            with pytest.raises(RefusedError) as caught:
                run(cluster, catalogue(cpu="60m"), check_mode=check, owner="shop@copy")
        assert run(cluster, catalogue(cpu="50m"), owner="shop@prod")["changed"] is False
    said = caught.value.message
    assert "the sidecars are sized by the inventory of 'shop@prod'" in said
    assert "update Deployment shop/web" in said and "-e mesh_take_over=true" in said
    assert run(cluster, catalogue(cpu="50m"), owner="shop@copy")["changed"] is False, "the same is fine"
    assert cluster.writes == []
    assert run(cluster, catalogue(cpu="60m"), owner="shop@copy", take_over=True)["changed"]
    with pytest.raises(RefusedError, match="'shop@copy'"):
        run(cluster, catalogue(cpu="50m"), owner="shop@prod")


def test_a_right_size_is_claimed_without_a_restart() -> None:
    cluster = FakeCluster(NAMESPACE, deployment(rolled_out=False, **{CPU: "50m"}))
    claimed = run(cluster, catalogue(cpu="50m"), owner="shop@prod")
    assert (claimed["changed"], claimed["diff"][0]["after"]["metadata"]) == (
        True,
        {"annotations": {MARK: "shop@prod"}},
    )
    assert "metadata" not in claimed["diff"][0]["before"]
    live = cluster.find("Deployment", "web", "shop")
    assert live is not None
    assert live["metadata"]["annotations"] == {MARK: "shop@prod"}
    assert live["spec"]["template"]["metadata"]["annotations"] == {CPU: "50m"}
    assert run(cluster, catalogue(cpu="50m"))["changed"] is False, "who has no name takes no mark away"


def test_a_bad_catalogue_is_refused() -> None:
    with pytest.raises(InputError, match="proxy"):
        run(FakeCluster(NAMESPACE), catalogue(cpu="many"))


def test_the_rights_of_the_table_suffice() -> None:
    cluster = FakeCluster(NAMESPACE, deployment())
    needs = access_needs(["mesh"], _Places(), {SIDECAR_SIZES})
    assert run(Restricted(cluster, set(map(access_of, needs))), catalogue(cpu="50m"))["changed"]


class _Places(dict[str, tuple[str, ...]]):
    """Everything is in one namespace."""

    def __missing__(self, place: str) -> tuple[str, ...]:
        return ("shop",) if place == SERVICES else ()


def test_a_right_that_is_missing_for_the_second_workload_is_known_before_the_first_patch() -> None:
    given = catalogue(cpu="50m")
    given["mesh_services"].append({**given["mesh_services"][0], "name": "api"})
    cluster = FakeCluster(NAMESPACE, deployment(), deployment("api"))
    for check in (True, False):
        only_web = Restricted(
            cluster,
            {
                Access("apps", "deployments", "get", "shop"),
                Access("apps", "deployments", "patch", "shop", "web"),
            },
        )
        with pytest.raises(ApiError, match="nothing was written: rights are missing to size the sidecars"):
            run(only_web, given, check_mode=check)
    assert cluster.writes == []
