"""awx/apply.yml, run by the modules of awx.awx themselves against an API that refuses what refers to nothing.

Needs the collection awx.awx in `AWX_COLLECTIONS` (a directory with `ansible_collections`); `make test` brings
it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.kept_code import keeping

from .controller import Controller

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"


ARGUMENTS = ("-e", "awx_notification_url=https://alerts.example.com/hook", "-e", "awx_slices=3")


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    """An AWX that had an organization and the credential that settings.yml names, and got our objects."""
    server = Controller()
    server.add("organizations", name="Default")
    kind = server.add("credential_types", name="Somebody's")
    server.add("credentials", name="mesh-clusters", credential_type=kind["id"], organization=1)
    assert changed(apply(server, *ARGUMENTS)) > 0
    yield server
    server.close()


def apply(controller: Controller, *arguments: str) -> str:
    """Run the playbook; returns its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "ANSIBLE_COLLECTIONS_PATH": os.environ["AWX_COLLECTIONS"],
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "CONTROLLER_HOST": controller.url,
        "CONTROLLER_OAUTH_TOKEN": "a-token",
        "CONTROLLER_VERIFY_SSL": "false",
        **keeping(),
    }
    done = subprocess.run(
        [ANSIBLE, "awx/apply.yml", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert controller.refused == []
    return done.stdout


def changed(output: str) -> int:
    found = re.search(r"changed=(\d+)", output)
    assert found, output
    return int(found[1])


def test_awx_takes_every_object(controller: Controller) -> None:
    templates = controller.lists["job_templates"].values()
    assert len(templates) >= 18
    for template in templates:
        assert controller.relation("job_templates", template["name"], "credentials"), template["name"]
        assert controller.relation("job_templates", template["name"], "notification_templates_error")
    rotate = controller.named("job_templates", "Mesh: rotate certificates")
    assert rotate["job_slice_count"] == 3
    assert rotate["allow_simultaneous"] is False
    canary = controller.named("job_templates", "Mesh: roll out")
    asked = controller.surveys["job_templates", canary["id"]]["spec"]
    assert [question["variable"] for question in asked] == [
        "canary_service",
        "canary_version",
        "canary_namespace",
    ]
    assert len(controller.lists["schedules"]) == 4
    kubeconfig = controller.named("credential_types", "Kubeconfig of meshes")
    assert kubeconfig["injectors"]["env"] == {"K8S_AUTH_KUBECONFIG": "{{ tower.filename.kubeconfig }}"}


def test_a_second_run_changes_nothing(controller: Controller) -> None:
    controller.writes.clear()
    assert changed(apply(controller, *ARGUMENTS)) == 0
    # Surveys are sent again by the module, which has no way to compare them; nothing else is written.
    assert [path for _, path in controller.writes if not path.endswith("survey_spec")] == []


def test_the_workflow_waits_for_a_person_between_check_and_change(controller: Controller) -> None:
    nodes = {one["identifier"]: one for one in controller.lists["workflow_job_template_nodes"].values()}
    order, here = [], nodes["preflight"]["id"]
    names = {one["id"]: name for name, one in nodes.items()}
    while True:
        order.append(names[here])
        after = controller.related.get(("workflow_job_template_nodes", here, "success_nodes"), [])
        if not after:
            break
        (here,) = after
    assert order == ["preflight", "check", "approval", "site", "trust"]
    approval = nodes["approval"]["unified_job_template"]
    assert approval in controller.lists["workflow_approval_templates"]
    failed = controller.related["workflow_job_template_nodes", nodes["site"]["id"], "failure_nodes"]
    assert [names[number] for number in failed] == ["verify"]
