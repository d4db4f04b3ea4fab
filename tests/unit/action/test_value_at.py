"""Where a refused variable is written: the value that knows its file and line."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
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


@pytest.mark.parametrize(
    "path",
    [
        "mesh_connection.api_key",
        "kubeconfig",
        "certificates_provided[0].private_key",
        "certificates_provided[0].certificate",
        "canary_prometheus.bearer_token",
        "istio_values.global.adminPassword",
    ],
)
def test_the_lines_around_a_secret_are_not_shown(path: str) -> None:
    """Ansible prints the line in which a refused value is written, and the two before it."""
    action = BackendAction.__new__(BackendAction)
    action._variables = {path.partition(".")[0].partition("[")[0]: "anything"}
    action._point_at_source({"failed": True, "msg": "refused", "problems": [{"where": path}]})


def test_the_line_of_anything_else_is_shown() -> None:
    action = BackendAction.__new__(BackendAction)
    action._variables = {"mesh_services": [{"name": "x"}]}
    with pytest.raises(AnsibleActionFail):
        action._point_at_source(
            {"failed": True, "msg": "no", "problems": [{"where": "mesh_services[0].name"}]}
        )
