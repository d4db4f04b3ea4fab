"""Which rights are asked for, and where."""

from __future__ import annotations

import dataclasses

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs
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
