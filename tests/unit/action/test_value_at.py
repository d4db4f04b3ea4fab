"""Where a refused variable is written: the value that knows its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
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


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("db_password: s3cret", False),
        ("when: {header: {x-api-token: s3cret}}", False),
        ("proxy: http://me:s3cret@proxy:3128", False),
        ("api_key:\n  value: s3cret", False),
        ("mesh_name: shop", True),
    ],
)
def test_a_secret_in_the_lines_before_is_not_shown(tmp_path: Path, before: str, shown: bool) -> None:
    file = tmp_path / "all.yml"
    file.write_text(f"{before}\nistio_hub: a b\n", "utf-8")
    action = BackendAction.__new__(BackendAction)
    action._variables = DataLoader().load_from_file(str(file))
    result = {"failed": True, "msg": "no hub", "problems": [{"where": "istio_hub"}]}
    place = f"Origin: {file}:{before.count(chr(10)) + 2}:"
    if not shown:
        action._point_at_source(result)
        assert str(result["msg"]).startswith(f"no hub ({place}")
        assert "s3cret" not in str(result["msg"])
        return
    with pytest.raises(AnsibleActionFail) as caught:
        action._point_at_source(result)
    context = str(caught.value._formatted_source_context)
    assert context.startswith(place)
    assert "istio_hub: a b" in context
