"""The module's backend asks for exactly the rights that docs/rbac grants, and tells what is missing."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import ObjectList
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import (
    CLUSTER,
    PARTS,
    RIGHTS,
)

from ...support.access import RBAC, Access, Reviews, granted_by
from ...support.arguments import validated
from ...support.repository import yaml_file

HOME, SHOP, CA = "istio-system", "shop", "servicemesh-system"
EVERYTHING = Access("*", "*", "*")
METHODS = {"istioctl": "1.31.0", "helm": "3.17.0"}
CATALOGUE = {
    "mesh_name": "shop",
    "mesh_namespace": SHOP,
    "mesh_rate_limit_service": {"host": "limits.shop.svc.cluster.local", "port": 8081, "namespace": SHOP},
    "mesh_services": [
        {
            "name": "web",
            "ports": [{"name": "http", "number": 80, "protocol": "http"}],
            "versions": {"v1": {"workload": "web"}},
            "proxy": {"cpu": "10m"},
        }
    ],
}


class Server(Reviews):
    """An API server on which nobody is administrator unless a test says so."""

    host = "https://api.example"

    def __init__(self) -> None:
        super().__init__(lambda _user, access: access != EVERYTHING)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    def server_version(self) -> dict[str, Any]:
        return {"gitVersion": "v1.34.1"}

    def list(self, _api_version: str, kind: str, *_more: Any, **_selectors: Any) -> ObjectList:
        """What the catalogue talks about, and nothing else."""
        service = {"metadata": {"name": "web", "namespace": SHOP}, "spec": {"ports": [{"port": 80}]}}
        return ObjectList([service] if kind == "Service" else [])

    def get(self, _api_version: str, kind: str, name: str) -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": name}}


@pytest.fixture
def server() -> Server:
    return Server()


def run(
    server: Server,
    tmp_path: Path,
    *parts: str,
    method: str = "istioctl",
    istio: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    tools = {"istioctl": {"clientVersion": {"version": METHODS["istioctl"]}}, "helm": "v" + METHODS["helm"]}
    for name, answer in tools.items():
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (tmp_path / name).chmod(0o755)
    for chart in ("base", "istiod", "gateway"):
        (tmp_path / f"{chart}-1.31.0.tgz").touch()
    settings = {
        "version": "1.31.0",
        "method": method,
        "gateways": [{"name": "istio-ingressgateway"}],
        "istioctl_path": str(tmp_path / "istioctl"),
        "helm_binary": str(tmp_path / "helm"),
        "chart_source": str(tmp_path),
        **(istio or {}),
    }
    given = {"parts": list(parts), "istio": settings, "catalogue": copy.deepcopy(CATALOGUE), "kubeconfig": {}}
    given |= options
    checked = validated(backend.ARGUMENT_SPEC, given)
    context = Context(
        environment={"PATH": "/bin"}, connect=lambda _options, **_more: contextlib.nullcontext(server)
    )
    return backend.run(checked, context)


@pytest.mark.parametrize("name", ["site", *(f"parts/{part}" for part in PARTS)])
def test_what_is_asked_is_what_docs_rbac_grants(name: str, server: Server, tmp_path: Path) -> None:
    """With istioctl or Helm: verb by verb, place by place, name by name, and nothing else is granted."""
    parts = PARTS if name == "site" else [name.removeprefix("parts/")]
    for method in METHODS:
        run(
            server,
            tmp_path,
            *parts,
            method=method,
            cert_manager=["api"],
            istio_ca_source="own",
            addons={"storage": {"prometheus": "20Gi"}},
        )
    asked = server.asked_of() - {EVERYTHING}
    assert asked == granted_by(f"{name}.yaml", {"ecommerce": SHOP})


def test_a_ca_that_istiod_makes_itself_needs_no_right_to_secrets(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, "istio", istio_ca_source="istiod")
    assert not [access for access in server.asked_of() if access.resource == "secrets" and access.namespace]


def test_escalation_exec_and_secrets_are_granted_by_name_or_namespace() -> None:
    """Whoever has them everywhere is as good as an administrator. Helm 3 cannot be held to names."""
    strong_resources = ("pods/exec", "pods/portforward", "secrets")
    for path in RBAC.rglob("*.yaml"):
        everywhere = {access for access in granted_by(str(path.relative_to(RBAC))) if not access.namespace}
        strong = {
            (access.resource, access.verb)
            for access in everywhere
            if not access.name
            and (access.verb in ("escalate", "bind") or access.resource in strong_resources)
        }
        if path.name in ("site.yaml", "istio.yaml"):
            assert strong == {("secrets", "list"), ("clusterroles", "escalate")}
            assert roles_with(path, "secrets", "list") >= {f"servicemesh-{path.stem}-cluster-istioctl"}
            assert f"servicemesh-{path.stem}-cluster" not in roles_with(path, "secrets", "list")
            assert roles_with(path, "clusterroles", "escalate") == {f"servicemesh-{path.stem}-cluster-helm"}
        else:
            assert strong == set(), path


def roles_with(path: Path, resource: str, verb: str) -> set[str]:
    """The ClusterRoles of a file that grant a verb on all objects of a resource."""
    items = yaml_file(path)["items"]
    return {
        item["metadata"]["name"]
        for item in items
        for rule in item.get("rules", [])
        if resource in rule["resources"] and verb in rule["verbs"] and "resourceNames" not in rule
    }


def test_every_right_in_the_whole_cluster_says_why() -> None:
    without = [
        (part, right.resource)
        for part, rights in RIGHTS.items()
        for right in rights
        if (CLUSTER in right.places) != bool(right.why)
    ]
    assert without == []


def test_a_revision_and_a_namespace_have_names_of_their_own(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, "istio", istio={"revision": "blue", "namespace": "mesh"})
    roles = {access.name for access in server.asked_of() if access.resource == "clusterroles" and access.name}
    assert roles == {
        "istio-reader-clusterrole-blue-mesh",
        "istiod-clusterrole-blue-mesh",
        "istiod-gateway-controller-blue-mesh",
    }
    injectors = {
        access.name for access in server.asked_of() if access.resource == "mutatingwebhookconfigurations"
    }
    assert injectors >= {"istio-sidecar-injector-blue-mesh", "istio-revision-tag-default"}


def test_every_file_of_docs_rbac_is_compared() -> None:
    """Those of a rollout in operations/canary, the others with what their capability really asks for."""
    files = {str(path.relative_to(RBAC)) for path in RBAC.rglob("*.yaml")}
    others = {
        "canary.yaml",
        "deadman.yaml",
        "diagnose.yaml",
        "mesh_ca.yaml",
        "observe.yaml",
        "reports.yaml",
        "site.yaml",
        "trust.yaml",
    }
    assert files == {*others, *(f"parts/{part}.yaml" for part in PARTS)}


def test_rights_are_asked_in_the_namespaces_of_their_places(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, *PARTS, method="helm")
    asked = server.asked_of()
    secrets = {access.namespace for access in asked if access.resource == "secrets"}
    assert secrets == {HOME, CA}
    assert Access("", "pods/eviction", "create", SHOP) in asked
    assert Access("", "secrets", "list") not in asked


def test_the_root_namespace_of_a_mesh_is_asked_about(server: Server, tmp_path: Path) -> None:
    """There everybody's Sidecar and the mesh-wide policies lie; the parts that install have nothing there."""
    istio = {"mesh_config": {"rootNamespace": "root"}}
    catalogue = {**CATALOGUE, "mesh_root_namespace": "root"}
    run(server, tmp_path, "istio", "injection", "addons", "mesh", istio=istio, catalogue=catalogue)
    asked = {access for access in server.asked_of() if access.namespace == "root"}
    assert {(access.resource, access.verb) for access in asked} == {
        ("sidecars", "list"),
        ("configmaps", "list"),
    }
    run(server, tmp_path, "verify", istio=istio, catalogue=catalogue)
    assert Access("", "pods", "list", "root") in server.asked_of()


def test_an_administrator_is_asked_once(server: Server, tmp_path: Path) -> None:
    server.allowed = lambda _user, _access: True
    result = run(server, tmp_path, "mesh")
    assert server.asked_of() == {EVERYTHING}
    assert result["rights"]["missing"] == 0
    assert result["rights"]["needed"] > 1


def test_missing_rights_are_one_error_with_all_of_them(server: Server, tmp_path: Path) -> None:
    server.allowed = lambda _user, access: access.resource not in ("*", "leases")
    with pytest.raises(ApiError) as caught:
        run(server, tmp_path, "mesh")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert caught.value.details["missing_rights"] == ["in shop: get on leases.coordination.k8s.io"]
    assert caught.value.message.startswith("only ")


def test_what_a_run_does_without_is_a_warning(server: Server, tmp_path: Path) -> None:
    server.allowed = lambda _user, access: access != EVERYTHING and access.resource != "services"
    result = run(server, tmp_path, "mesh")
    assert result["rights"]["missing"] == 0
    assert result["findings"][:2] == [
        "istioctl analyze does not see other namespaces: no right to list services",
        "the catalogue is not compared with Services: no right to list services in namespace shop, "
        "list services in namespace istio-system",
    ]


def test_only_what_is_necessary_counts_as_missing(server: Server, tmp_path: Path) -> None:
    server.allowed = lambda _user, access: access.resource not in ("*", "services", "leases")
    with pytest.raises(ApiError) as caught:
        run(server, tmp_path, "mesh")
    assert caught.value.details["missing_rights"] == ["in shop: get on leases.coordination.k8s.io"]


def test_who_has_no_right_at_all_reads_that(server: Server, tmp_path: Path) -> None:
    server.allowed = lambda _user, _access: False
    with pytest.raises(ApiError, match=r"^none of \d+ needed rights are granted; mesh\.yml needs more: "):
        run(server, tmp_path, "mesh")


def test_each_play_that_needs_more_is_named_with_what_it_lacks(server: Server, tmp_path: Path) -> None:
    """Rights that are bound in one namespace are enough for some plays and not for others."""
    narrow = {access for access in granted_by("parts/mesh.yaml", {"ecommerce": SHOP}) if access.namespace}
    server.allowed = lambda _user, access: access in narrow
    with pytest.raises(ApiError) as caught:
        run(server, tmp_path, "mesh", "injection")
    assert "; injection.yml needs more: " in caught.value.message
    assert set(caught.value.details["missing_rights_of"]) == {"injection"}
    result = run(server, tmp_path, "mesh")
    assert result["rights"]["missing"] == 0, "a mesh does without rights in the whole cluster"
    assert any("is not found outside its namespaces" in text for text in result["findings"])
