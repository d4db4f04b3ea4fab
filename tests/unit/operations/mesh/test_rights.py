"""A user who has the rights of the table in the namespaces of the mesh, and no others, applies it."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs

from ...support.access import Access, access_of, resource_of
from ...support.catalogues import full
from ...support.copies import copied
from .operators import CATALOGUE, GRANTED, LIMITS, NARROW, SHOP, SMALLER, Operator


def test_a_mesh_needs_no_right_that_the_table_does_not_name() -> None:
    """Made, changed, seen unchanged, and taken away; the proof asks for pods and finds none."""
    run = Operator(GRANTED)
    assert run(CATALOGUE, wait_timeout=1)["changed"]
    assert not run(CATALOGUE, wait_timeout=1)["changed"]
    assert run(SMALLER, prune=True, wait_timeout=1)["counts"]["deleted"]
    assert {access for access in run.client.refused if access.verb != "list"} == set()
    assert Access("", "configmaps", "create", LIMITS) in run.client.used


def test_rights_bound_in_the_namespaces_of_the_mesh_are_enough() -> None:
    """It ended in `pods is forbidden` after the first object was written."""
    run = Operator(NARROW)
    assert run(CATALOGUE, wait_timeout=1)["changed"]
    assert not run(CATALOGUE, wait_timeout=1)["changed"]
    assert run(SMALLER, prune=True, wait_timeout=1)["counts"]["deleted"]
    assert {access for access in run.client.refused if access.namespace and access.verb != "list"} == set()
    assert any(
        "what left mesh 'shop' is looked for in shop only: no right to list" in text for text in run.warnings
    )
    assert f"proxies are asked in {SHOP}: no right to look in the whole cluster" in run.lines


def test_who_may_look_at_all_proxies_and_may_nothing_else_everywhere_asks_all_of_them() -> None:
    everywhere = {
        access._replace(namespace="") for access in NARROW if access.resource.startswith(("pods", "sidecars"))
    }
    run = Operator(NARROW | everywhere)
    run(CATALOGUE, wait_timeout=1)
    assert not [line for line in run.lines if "no right to look" in line]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (Access("", "pods", "list", SHOP), "pods"),
        (
            Access("", "pods/portforward", "get", SHOP),
            "whether proxies hold the change: in shop: get on pods/portforward",
        ),
        (Access("", "configmaps", "list", SHOP), "configmaps"),
        (Access("networking.istio.io", "sidecars", "list", SHOP), "sidecars"),
        (Access("networking.istio.io", "virtualservices", "patch", SHOP), "virtualservices"),
        (Access("networking.istio.io", "destinationrules", "create", SHOP), "destinationrules"),
        (Access("", "configmaps", "create", LIMITS), "configmaps"),
    ],
)
def test_a_missing_right_is_known_before_the_first_write(lost: Access, said: str, check_mode: bool) -> None:
    run = Operator(NARROW - {lost})
    with pytest.raises(ApiError) as caught:
        run(CATALOGUE, check_mode=check_mode)
    assert caught.value.status == 403
    assert said in caught.value.message
    assert run.cluster.writes == []


def test_a_missing_right_to_delete_is_known_before_the_first_write() -> None:
    run = Operator(NARROW)
    run(CATALOGUE, wait_timeout=1)
    run.client.allowed -= {Access("networking.istio.io", "destinationrules", "delete", SHOP)}
    before = list(run.cluster.writes)
    with pytest.raises(ApiError, match=r"in shop: delete on destinationrules\.networking\.istio\.io"):
        run(SMALLER, prune=True)
    assert run.cluster.writes == before
    run.client.allowed.add(Access("networking.istio.io", "destinationrules", "delete", SHOP, "cart"))
    assert run(SMALLER, prune=True, wait_timeout=1)["counts"]["deleted"], "a right by name is a right"


def test_a_record_that_cannot_be_seen_is_not_an_absent_one() -> None:
    """ConfigMaps that are written elsewhere may be listed; those of the service's namespace may not."""
    run = Operator(NARROW - {Access("", "configmaps", "list", SHOP)})
    with pytest.raises(ApiError, match="to see which version of a service is released"):
        run(CATALOGUE)
    assert run.cluster.writes == []


def test_callers_of_other_namespaces_are_asked_as_far_as_that_is_allowed() -> None:
    web, cart = CATALOGUE["mesh_services"]
    callers = [{"principal": f"cluster.local/ns/{name}/sa/x"} for name in ("far", "near")]
    catalogue = {**CATALOGUE, "mesh_services": [web, {**cart, "callers": callers}]}
    near = {access._replace(namespace="near") for access in NARROW if access.namespace == SHOP}
    run = Operator(NARROW | near)
    run(catalogue, wait_timeout=1)
    assert "proxies are asked in shop, near: no right to look in the whole cluster" in run.lines


def test_each_object_of_a_mesh_lies_where_the_table_grants_it() -> None:
    """And beside the pods of gateways nothing is granted that no catalogue has there."""
    catalogue = parse_catalogue(full())
    limits = catalogue.rate_limit_service
    assert limits is not None
    places = {
        table.CONTROL_PLANE: [catalogue.root_namespace],
        table.GATEWAYS: catalogue.gateway_namespaces,
        table.SERVICES: catalogue.namespaces,
        table.OBJECTS: catalogue.object_namespaces,
        table.RATE_LIMITS: [limits.namespace],
    }
    granted = {access_of(need) for need in access_needs(["mesh"], places)}
    written: set[Access] = set()
    for obj in render(catalogue):
        group, where = obj["apiVersion"].rpartition("/")[0], obj["metadata"]["namespace"]
        for verb in ("get", "list", "create", "patch", "delete"):
            written.add(Access(group, resource_of(obj["kind"]), verb, where))
    assert written <= granted
    bare = set(catalogue.gateway_namespaces) - set(catalogue.object_namespaces)
    assert bare
    assert {access.resource for access in granted if access.namespace in bare and access.verb == "create"} - {
        "pods/portforward"
    } == {access.resource for access in written if access.namespace in bare}


def changed() -> dict[str, Any]:
    """What updates, creates and deletes at once."""
    found = copy.deepcopy(SMALLER)
    found["mesh_services"][0] |= {"timeout": "3s", "open_paths": ["/health"], "mtls": LOOSE}
    return found


LOOSE = {"mode": "PERMISSIVE", "reason": "a test"}


@pytest.mark.parametrize("rights", [NARROW, GRANTED], ids=["in the namespaces", "of the table"])
def test_each_right_that_is_missing_is_known_before_anything_is_written(rights: set[Access]) -> None:
    """Every right is taken away once, of a run that changes a mesh and of one that removes it."""
    made = Operator(rights)
    made(CATALOGUE, wait_timeout=1)
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (changed(), {"prune": True}),
        (CATALOGUE, {"state": "absent"}),
    ]
    told = 0
    for lost, (catalogue, params) in itertools.product(sorted(rights), runs):
        run = Operator(rights - {lost})
        run.cluster.objects.update(copied(made.cluster.objects))
        try:
            run(catalogue, wait_timeout=1, **params)
        except ApiError as error:
            told += 1
            assert error.status == 403, lost
            assert run.cluster.writes == [], lost
    assert told > 20
