"""A mesh of 200 services and 600 pods: few probes at once, and none of them stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import is_probe
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify

from . import simulated_mesh
from .builders import pod
from .simulated_mesh import run

SERVICES, REPLICAS, AT_ONCE = 200, 3, 12
LARGE: dict[str, Any] = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "mesh_services": [
        {
            "name": f"s{number}",
            "service_account": f"s{number}",
            "ports": [{"name": "http", "number": 80, "target_port": 3000, "protocol": "http"}],
            "versions": {"v1": {"labels": {"version": "v1"}, "workload": f"s{number}-v1"}},
            "initial_version": "v1",
            "callers": [{"service": f"s{(number + step) % SERVICES}"} for step in range(1, 5)],
        }
        for number in range(SERVICES)
    ],
}


class LargeMesh(simulated_mesh.Mesh):
    """Counts the probes that exist at the same time."""

    most = 0

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        made = super().create(obj, dry_run=dry_run)
        self.most = max(self.most, self.probes())
        return made

    def probes(self) -> int:
        return sum(1 for one in self.of_kind("Pod") if is_probe(one["metadata"].get("labels", {})))


def test_a_large_mesh_is_called_by_few_probes_at_once() -> None:
    mesh = LargeMesh(simulated_mesh.made(LARGE))
    for service in mesh.catalogue.services:
        for number in range(2, REPLICAS + 1):
            spec = {"serviceAccountName": service.service_account}
            mesh.put(pod(f"{service.name}-{number}", {**service.labels, "version": "v1"}, spec=spec))
    assert len(mesh.of_kind("Pod")) > SERVICES * REPLICAS
    result = run(mesh, verify, catalogue=LARGE, checks=["plaintext", "authorization"])
    assert result["problems"] == []
    assert 1 < mesh.most <= AT_ONCE
    assert mesh.probes() == 0
    (plaintext,) = (record for record in result["checks"] if record["check"] == "plaintext")
    assert plaintext["pass"] == SERVICES
