"""A user who has the rights of the table in the namespaces of the mesh, and no others, applies it."""

from __future__ import annotations

import copy
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs

from ...support.access import Access, Restricted, access_of
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster, reaching

SHOP, LIMITS = "shop", "limits"
CATALOGUE: dict[str, Any] = {
    "mesh_name": "shop",
    "mesh_namespace": SHOP,
    "mesh_rate_limit_service": {"host": f"l.{LIMITS}.svc.cluster.local", "port": 81, "namespace": LIMITS},
    "mesh_services": [
        {
            "name": name,
            "ports": [{"name": "http", "number": 80, "protocol": "http"}],
            "versions": {"v1": {"labels": {"version": "v1"}}, "v2": {"labels": {"version": "v2"}}},
            "initial_version": "v1",
            "callers": callers,
            "rate_limit": {"scope": "global", "at": "service", "requests": 10, "per": "60s"},
        }
        for name, callers in (("web", []), ("cart", [{"service": "web"}]))
    ],
}


def test_a_mesh_needs_no_right_that_the_table_does_not_name() -> None:
    """Made, changed, seen unchanged, and taken away; the proof asks for pods and finds none."""
    cluster = FakeCluster(*({"kind": "Namespace", "metadata": {"name": name}} for name in (SHOP, LIMITS)))
    places = {
        table.CONTROL_PLANE: ["istio-system"],
        table.GATEWAYS: ["edge"],
        table.SERVICES: [SHOP],
        table.RATE_LIMITS: [LIMITS],
    }
    operator = Restricted(cluster, {access_of(need) for need in access_needs(["mesh"], places)})

    def run(catalogue: dict[str, Any], **params: Any) -> dict[str, Any]:
        given = {
            "catalogue": copy.deepcopy(catalogue),
            "strict_guard": "warn",
            "unproved": "warn",
            "cluster_check": "warn",
            **params,
        }
        checked = ArgumentSpecValidator(backend.ARGUMENT_SPEC).validate(given)
        assert checked.error_messages == []
        context = Context(connect=reaching(operator), clock=FakeClock())
        return backend.run(checked.validated_parameters, context)

    assert run(CATALOGUE, wait_timeout=1)["changed"]
    assert not run(CATALOGUE, wait_timeout=1)["changed"]
    smaller = {**CATALOGUE, "mesh_services": CATALOGUE["mesh_services"][:1]}
    assert run(smaller, prune=True, wait_timeout=1)["counts"]["deleted"]
    assert operator.refused == set()
    assert Access("", "configmaps", "create", LIMITS) in operator.used
