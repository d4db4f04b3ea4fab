"""One host and one object belongs to one mesh."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError, Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.base import build
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item, Plan
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.neighbours import (
    refuse_shared,
)

from ...support.cluster import FakeCluster

SELECTOR = "app.kubernetes.io/managed-by=servicemesh.istio,app.kubernetes.io/part-of!=shop"


def cluster_with(*objects: dict[str, Any], status: int = 0) -> FakeCluster:
    """A cluster that answers lists of all namespaces with ``status``."""
    cluster = FakeCluster(*objects)
    if status:
        cluster.fail("list", how=status, times=99, when=lambda call: call.namespace is None)
    return cluster


CATALOGUE = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": "ecommerce",
        "istio_gateways": [{"name": "ingress"}],
        "mesh_gateways": [
            {
                "name": "public",
                "workload": "ingress",
                "servers": [{"host": "api.example.com", "certificate": "api"}],
            }
        ],
        "mesh_services": [
            {
                "name": "frontend",
                "ports": [{"name": "http", "number": 80, "protocol": "http"}],
                "versions": {"v1": {}},
                "exposed": [{"gateway": "public", "host": "api.example.com", "path": "/"}],
            }
        ],
    }
)


def plan(*before: dict[str, Any]) -> Plan:
    known = {(obj["kind"], obj["metadata"]["name"]): obj for obj in before}
    items = []
    for obj in render(CATALOGUE):
        live = known.get((obj["kind"], obj["metadata"]["name"]))
        items.append(Item(obj, live, action="updated" if live else "created"))
    return Plan(items, Live())


def problems(cluster: FakeCluster, *before: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        refuse_shared(cluster, CATALOGUE, plan(*before))
    return caught.value.problems


def test_a_host_of_a_gateway_is_served_by_one_mesh() -> None:
    other = build(
        "Gateway", "edge", "books", "books", {"servers": [{"hosts": ["./api.example.com", "b.example.com"]}]}
    )
    (found,) = problems(cluster_with(other))
    assert (found.where, found.rule) == ("mesh_gateways[0].servers[0].host", "two-meshes")
    assert found.message == "host 'api.example.com' is already in mesh 'books' (Gateway books/edge)"


def test_a_services_host_is_routed_by_one_mesh() -> None:
    other = build(
        "VirtualService", "front", "books", "books", {"hosts": ["frontend.ecommerce.svc.cluster.local"]}
    )
    (found,) = problems(cluster_with(other))
    assert found.where == "mesh_services[0].name"
    assert "already in mesh 'books' (VirtualService books/front)" in found.message


def test_an_object_is_not_taken_from_another_mesh() -> None:
    taken = build("PeerAuthentication", "default", "ecommerce", "books", {})
    (found,) = problems(cluster_with(), taken)
    assert found.where == "mesh_name"
    assert (
        "PeerAuthentication ecommerce/default of mesh 'shop' would be taken from mesh 'books'"
        in found.message
    )


def test_objects_that_nobody_looked_at_are_found_by_the_list() -> None:
    """Without a dry-run before the first write nobody has seen the live objects of the other mesh."""
    route = next(obj for obj in render(CATALOGUE) if obj["kind"] == "VirtualService")
    theirs = build("VirtualService", route["metadata"]["name"], "ecommerce", "books", {})
    (found,) = problems(cluster_with(theirs))
    assert f"VirtualService ecommerce/{route['metadata']['name']} of mesh" in found.message


def test_many_objects_are_one_sentence() -> None:
    taken = [
        {**obj, "metadata": {**obj["metadata"], "labels": {**obj["metadata"]["labels"], **_PART_OF_BOOKS}}}
        for obj in render(CATALOGUE)
    ]
    (found,) = problems(cluster_with(), *taken)
    assert f" and {len(taken) - 3} more of mesh" in found.message


_PART_OF_BOOKS = {"app.kubernetes.io/part-of": "books"}


def test_other_hosts_and_objects_of_nobody_are_no_obstacle() -> None:
    other = build("VirtualService", "front", "books", "books", {"hosts": ["books.example.com"]})
    manual = {"kind": "VirtualService", "metadata": {"name": "hand", "namespace": "ecommerce"}, "spec": {}}
    refuse_shared(cluster_with(other), CATALOGUE, plan(manual))


def test_with_narrow_rights_the_namespaces_of_the_run_are_asked() -> None:
    other = build("VirtualService", "x", "ecommerce", "books", {"hosts": ["api.example.com"]})
    cluster = cluster_with(other, status=403)
    (found,) = problems(cluster)
    assert "already in mesh 'books'" in found.message
    assert "ecommerce" in [call.namespace for call in cluster.calls]
    assert {call.selector for call in cluster.calls} == {SELECTOR}


def test_before_istio_is_installed_there_is_no_other_mesh() -> None:
    cluster = cluster_with()
    cluster.missing |= {"Gateway", "VirtualService", "DestinationRule", "ServiceEntry"}
    refuse_shared(cluster, CATALOGUE, plan())


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_that_fails_is_no_server_without_other_meshes(status: int) -> None:
    with pytest.raises(ApiError):
        refuse_shared(cluster_with(status=status), CATALOGUE, plan())


def test_three_objects_are_named_and_none_is_left_out() -> None:
    taken = [
        {**obj, "metadata": {**obj["metadata"], "labels": {**obj["metadata"]["labels"], **_PART_OF_BOOKS}}}
        for obj in render(CATALOGUE)
    ][:3]
    (found,) = problems(cluster_with(), *taken)
    assert found.message == (
        "Gateway ecommerce/public, DestinationRule ecommerce/frontend, VirtualService ecommerce/frontend"
        " of mesh 'shop' would be taken from mesh 'books';"
        " docs/guides/mesh.md, Several meshes on one cluster, says what to do"
    )


def test_objects_that_do_not_change_are_nobody_s_loss() -> None:
    taken = build("PeerAuthentication", "default", "ecommerce", "books", {})
    unchanged = Plan([Item(taken, taken, action="unchanged")], Live())
    refuse_shared(cluster_with(), CATALOGUE, unchanged)


def test_a_route_s_servers_are_no_hosts_and_a_gateway_s_own_list_neither() -> None:
    route = build("VirtualService", "x", "books", "books", {"hosts": ["b.example.com"]})
    gateway = build("Gateway", "y", "books", "books", {"hosts": ["api.example.com"], "servers": []})
    refuse_shared(cluster_with(route, gateway), CATALOGUE, plan())
