"""The objects for AWX: each playbook has a template, and nothing refers to what is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ENVIRONMENT

from ..support.repository import options_of_roles

ROOT = Path(__file__).resolve().parents[3]
AWX = ROOT / "awx"


class Loader(yaml.SafeLoader):
    """Ansible's `!unsafe` is text."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader


OBJECTS: dict[str, Any] = {
    name: value for path in sorted(AWX.glob("objects/*.yml")) for name, value in load(path).items()
}
TEMPLATES = OBJECTS["controller_templates"]
NAMES = [template["name"] for template in TEMPLATES]
PLAYS = load(AWX / "apply.yml")


def role_options(name: str) -> dict[str, Any]:
    return options_of_roles().get(name) or {}


def test_every_playbook_is_offered() -> None:
    assert {template["playbook"] for template in TEMPLATES} == {
        f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml")
    }


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_a_survey_asks_for_variables_that_are_there_and_never_for_the_inventorys(template: Any) -> None:
    example = "".join(path.read_text() for path in (ROOT / "inventories" / "example").rglob("*.yml"))
    for question in template.get("survey_spec", {}).get("spec", []):
        option = role_options(question["variable"])
        assert option, question
        assert not re.search(rf"^{question['variable']}:", example, re.MULTILINE), question
        if question["type"] == "multiplechoice":
            assert question["default"] in question["choices"]
            assert set(question["choices"]) <= set(option.get("choices") or question["choices"])
        if question["required"]:
            assert question["min"] >= 1
        else:  # a default would be sent by every schedule
            assert "default" not in question or question["type"] == "multiplechoice"


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_two_jobs_of_one_template_never_run_at_once(template: Any) -> None:
    assert template["allow_simultaneous"] is False


@pytest.mark.parametrize("template", TEMPLATES, ids=NAMES)
def test_variables_of_a_template_are_options(template: Any) -> None:
    for name in template.get("extra_vars", {}):
        assert role_options(name), name


def test_only_what_treats_each_cluster_by_itself_is_sliced() -> None:
    """Preflight compares the hosts of one run; plays with a serial stop at the first mistake."""
    for template in TEMPLATES:
        if "job_slice_count" in template:
            (play,) = load(ROOT / template["playbook"])
            assert not play.get("any_errors_fatal"), template["name"]
            assert "serial" not in play, template["name"]


def test_schedules_and_workflows_name_templates() -> None:
    for schedule in OBJECTS["controller_schedules"]:
        assert schedule["unified_job_template"] in NAMES
    for workflow in OBJECTS["controller_workflows"]:
        nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
        for node in nodes.values():
            wanted = node["unified_job_template"]
            assert wanted["type"] == "workflow_approval" or wanted["name"] in NAMES
            for after in node.get("related", {}).values():
                assert {link["identifier"] for link in after} <= set(nodes)


def test_the_cluster_credential_sets_what_we_read() -> None:
    kubeconfig = OBJECTS["controller_credential_types"][0]
    assert set(kubeconfig["injectors"]["env"]) <= set(ENVIRONMENT.values())


def test_settings_are_all_that_the_objects_refer_to() -> None:
    texts = "".join(path.read_text() for path in AWX.glob("objects/*.yml"))
    used = set(re.findall(r"\bawx_\w+", texts))
    given = set(load(AWX / "settings.yml")) | {name for name in OBJECTS if name.startswith("awx_")}
    assert used == given


@pytest.mark.parametrize("task", PLAYS[0]["tasks"], ids=lambda task: task["name"])
def test_apply_hands_over_every_field(task: Any) -> None:
    """A field of the data that no module gets would be a wish that AWX never hears of."""
    (module,) = (name for name in task if name.startswith("awx.awx."))
    objects = OBJECTS[re.findall(r"\w+", task["loop"])[0]]
    if isinstance(objects, str):
        objects = OBJECTS["awx_alerts"]
    assert set(task[module]) == {field for one in objects for field in one}


def test_apply_reads_every_file() -> None:
    assert {Path(name).name for name in PLAYS[0]["vars_files"]} == {
        "settings.yml",
        *(path.name for path in AWX.glob("objects/*.yml")),
    }
