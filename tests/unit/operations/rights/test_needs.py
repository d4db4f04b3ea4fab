"""Which rights are asked for, where, and how missing ones are told."""

from __future__ import annotations

import dataclasses

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import (
    access_needs,
    describe_missing,
    losses,
    shorten,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import (
    ADDONS,
    CA,
    CALLERS,
    CONTROL_PLANE,
    DEADMAN,
    GATEWAYS,
    HELM,
    ISTIOCTL,
    METRICS,
    OBJECTS,
    PARTS,
    RATE_LIMITS,
    RIGHTS,
    ROUTES,
    SERVICE,
    SERVICES,
    SYNTHETIC,
)

PLACES = {
    CONTROL_PLANE: ["istio-system"],
    GATEWAYS: ["istio-system"],
    SERVICES: ["shop"],
    OBJECTS: ["shop"],
    ADDONS: ["istio-system"],
    CA: [],
    RATE_LIMITS: [],
}
ROLLOUT = {CONTROL_PLANE: [], SERVICE: ["shop"], ROUTES: ["edge"], CALLERS: [], SYNTHETIC: [], METRICS: []}


def test_rights_are_asked_where_they_are_needed_and_once() -> None:
    needs = access_needs(PARTS, PLACES, {ISTIOCTL})
    evict = AccessNeed("create", "", "pods", "shop", subresource="eviction")
    assert evict in needs
    assert AccessNeed("create", "", "pods", "", subresource="eviction") not in needs
    escalate = AccessNeed("escalate", "rbac.authorization.k8s.io", "clusterroles")
    assert escalate not in needs
    assert dataclasses.replace(escalate, name="istiod-clusterrole-istio-system") in needs
    assert escalate in access_needs(PARTS, PLACES, {HELM}), "Helm 3 creates with POST"
    assert needs[evict] == ""
    assert set(RIGHTS) == {*PARTS, "canary", "deadman", "diagnose", "mesh_ca", "observe", "reports", "trust"}


def test_an_option_needs_rights_of_its_own() -> None:
    helm_only = AccessNeed("create", "", "secrets", "istio-system")
    assert helm_only not in access_needs(["istio"], PLACES, {ISTIOCTL})
    assert helm_only in access_needs(["istio"], PLACES, {HELM})
    job = AccessNeed("create", "batch", "jobs", "shop")
    assert job not in access_needs(["canary"], ROLLOUT)
    assert job in access_needs(["canary"], ROLLOUT, [DEADMAN])


def test_a_place_without_namespaces_needs_nothing() -> None:
    assert access_needs(["addons"], {**PLACES, ADDONS: []}).keys() == {
        need for need in access_needs(["addons"], PLACES) if not need.namespace
    }


def test_routes_of_another_namespace_are_written_there_only() -> None:
    needs = access_needs(["canary"], ROLLOUT)
    assert AccessNeed("patch", "networking.istio.io", "virtualservices", "edge") in needs
    assert AccessNeed("patch", "networking.istio.io", "virtualservices", "shop") not in needs


def test_what_is_necessary_for_one_purpose_is_necessary() -> None:
    """Both orders: the loss of the optional purpose must not hide the other."""
    namespaces = AccessNeed("get", "", "namespaces")
    assert access_needs(["canary"], ROLLOUT)[namespaces] == "the evidence does not name the cluster"
    for parts in (["canary", "injection"], ["injection", "canary"]):
        assert access_needs(parts, {**ROLLOUT, **PLACES})[namespaces] == ""


def test_losses_name_what_is_lost_and_for_want_of_which_right() -> None:
    get, patch = AccessNeed("get", "", "pods", "a"), AccessNeed("get", "", "pods", "b")
    needs = {get: "no pods are shown", patch: "no pods are shown", AccessNeed("list", "", "nodes"): ""}
    assert losses(needs, needs) == [
        "no pods are shown: no right to get pods in namespace a, get pods in namespace b"
    ]
    assert losses([], needs) == []


def test_equal_missing_rights_are_one_phrase() -> None:
    missing = [
        AccessNeed(verb=verb, group=group, resource=resource, namespace=namespace)
        for namespace, group, resource in (
            ("shop", "apps", "deployments"),
            ("shop", "", "pods"),
            ("", "", "nodes"),
        )
        for verb in ("get", "list")
    ]
    assert describe_missing(missing) == [
        "in shop: get, list on deployments.apps, pods",
        "in the cluster: get, list on nodes",
    ]


def test_a_wall_of_missing_rights_is_shortened_and_says_so() -> None:
    assert (
        shorten(["in shop: get on pods", "in a: list on nodes"])
        == "in shop: get on pods; in a: list on nodes"
    )
    many = shorten([f"in shop: get on kind-{number}" for number in range(100)])
    assert many.startswith("in shop: get on kind-0; in shop: get on kind-1; ")
    assert many.endswith("; and 83 more such lines under missing_rights")
    assert shorten(["x" * 4, "y" * 6], limit=10) == "xxxx; yyyyyy"
    assert shorten(["x" * 4, "y" * 7], limit=10) == "xxxx; and 1 more such lines under missing_rights"
    assert shorten(["x" * 900, "y"]) == "x" * 900 + "; and 1 more such lines under missing_rights"
