"""Somebody with some rights and no others, who applies a mesh in memory."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.resources import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs

from ...support.access import Access, Restricted, access_of
from ...support.arguments import validated
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


PLACES = {
    table.CONTROL_PLANE: ["istio-system"],
    table.GATEWAYS: ["edge"],
    table.SERVICES: [SHOP],
    table.OBJECTS: [SHOP],
    table.RATE_LIMITS: [LIMITS],
}
GRANTED = {access_of(need) for need in access_needs(["mesh"], PLACES)}
NARROW = {access for access in GRANTED if access.namespace}


class Operator:
    """Somebody with some rights and no others, who applies the mesh."""

    def __init__(self, granted: set[Access]) -> None:
        self.cluster = FakeCluster(
            *({"kind": "Namespace", "metadata": {"name": name}} for name in (SHOP, LIMITS, "edge"))
        )
        self.client = Restricted(self.cluster, granted)
        self.warnings: list[str] = []
        self.lines: list[str] = []

    def __call__(
        self, catalogue: dict[str, Any], *, check_mode: bool = False, **params: Any
    ) -> dict[str, Any]:
        modes = {"strict_guard": "warn", "unproved": "warn", "cluster_check": "warn"}
        given = {"catalogue": copy.deepcopy(catalogue), **modes, **params}
        checked = validated(backend.ARGUMENT_SPEC, given)
        context = Context(
            connect=reaching(self.client),
            clock=FakeClock(),
            check_mode=check_mode,
            warn=self.warnings.append,
            progress=self.lines.append,
        )
        return backend.run(checked, context)


SMALLER = {**CATALOGUE, "mesh_services": CATALOGUE["mesh_services"][:1]}
