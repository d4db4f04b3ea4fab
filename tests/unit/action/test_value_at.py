"""Where a refused variable is written: the value that knows its file and line."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.plugin_utils.backend_action import BackendAction, value_at

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


def test_findings_about_the_cluster_are_sentences_without_a_place() -> None:
    """A refused rollout lists sentences: its own message is what a person must read."""
    action = BackendAction.__new__(BackendAction)
    action._variables = VARIABLES
    action._point_at_source({"failed": True, "msg": "refused", "problems": ["metrics: no series"]})
