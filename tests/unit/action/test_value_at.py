"""Where a refused variable is written: the value that knows its file and line."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.plugin_utils.backend_action import value_at

VARIABLES = {
    "istio_version": "9.9.9",
    "mesh_services": [{"name": "a"}, {"name": "b", "ports": [{"number": 0}]}],
    "mesh_gateways": "{{ gateways }}",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("istio_version", "9.9.9"),
        ("mesh_services[1].ports[0].number", 0),
        ("mesh_services[1].ports[0]", {"number": 0}),
        ("mesh_services[1].timout", VARIABLES["mesh_services"][1]),  # missing: the entry that lacks it
        ("mesh_services[1].name.more", "b"),
        ("mesh_services[7].name", VARIABLES["mesh_services"]),
        ("mesh_gateways[0].servers", "{{ gateways }}"),  # a template: the place where it is written
        ("mesh_servces", None),
        ("kubeconfig /nonexistent", None),
        ("", None),
    ],
)
def test_value_at(path: str, expected: object) -> None:
    assert value_at(VARIABLES, path) == expected
