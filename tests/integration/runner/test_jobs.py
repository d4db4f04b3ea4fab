"""Each job template of awx/, run by ansible-runner as AWX lays jobs out, on the cluster with the mesh.

`KUBECONFIG=... pytest tests/integration/runner`; JOBS=all runs every template, else a sample.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..site.written import difference, fingerprint
from . import jobs

ROOT = Path(__file__).resolve().parents[3]
LAB = os.environ.get("LAB_CLUSTER", "t")
STATE = Path(os.environ.get("LAB_STATE", "/var/lib/servicemesh-istio-lab"))
LARGEST = 200_000  # of one event, in bytes: a site's diff; AWX cuts what is far larger


@dataclass(frozen=True)
class Expected:
    """What a job hands on: verdicts by artifact, "" where any will do. `answers`: of its survey, as text."""

    verdicts: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    code: int = 0


SERVICE = {"canary_service": "product-service", "canary_namespace": ""}
EXPECTED = {
    "Mesh: preflight": Expected({"servicemesh_preflight": "pass"}),
    # Check mode starts no probe, so what only a call proves stays open.
    "Mesh: check": Expected({"servicemesh_preflight": "pass", "servicemesh_verify": ""}),
    "Mesh: site": Expected({"servicemesh_preflight": "pass", "servicemesh_verify": "pass"}),
    "Mesh: install Istio": Expected(),
    "Mesh: injection": Expected(),
    "Mesh: add-ons": Expected(),
    "Mesh: resources": Expected({"servicemesh_mesh": ""}),
    "Mesh: certificates": Expected(
        {"servicemesh_certificates": "pass"}, {"certificates_force": "", "certificates_revoke": ""}
    ),
    "Mesh: rotate certificates": Expected({"servicemesh_certificates": "pass"}),
    # The lab states no CA, so the job says which variable it needs.
    "Mesh: rotate the mesh's CA": Expected({"servicemesh_mesh_ca": ""}, {"istio_ca_action": "rotate"}, 2),
    "Mesh: trust": Expected({"servicemesh_trust": "pass"}, {"trust_rotation_period": "0"}),
    "Mesh: verify": Expected({"servicemesh_verify": "pass"}),
    "Mesh: diagnose": Expected(
        {"servicemesh_diagnose": "pass"},
        {"diagnose_source": "frontend", "diagnose_destination": "api-gateway", "diagnose_port": ""},
    ),
    # Nobody measures the lab's containers, which is told.
    "Mesh: observe": Expected(
        {"servicemesh_observe": ""},
        {"observe_show": "addresses,versions,rollouts,traffic", "observe_window": "2m"},
    ),
    "Mesh: render": Expected(),
    "Mesh: bill": Expected({"servicemesh_bill": ""}),
    # The version serves already, and nothing runs: each says so and changes nothing.
    "Mesh: roll out": Expected({"servicemesh_canary": ""}, {**SERVICE, "canary_version": "v1"}),
    "Mesh: promote": Expected({"servicemesh_canary": ""}, SERVICE),
    "Mesh: pause": Expected({"servicemesh_canary": ""}, SERVICE),
    "Mesh: roll back": Expected({"servicemesh_canary": ""}, SERVICE),
    "Mesh: resume rollouts": Expected({"servicemesh_canary": ""}),
    "Mesh: rollout status": Expected({}, {"canary_service": ""}),
}
SAMPLE = ("Mesh: preflight", "Mesh: check", "Mesh: verify")
JOBS = EXPECTED if os.environ.get("JOBS") == "all" else SAMPLE


def templates() -> dict[str, dict[str, Any]]:
    text = (ROOT / "awx" / "objects" / "job_templates.yml").read_text()
    return {one["name"]: one for one in yaml.safe_load(text)["controller_templates"]}


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A directory that the job's user can reach; pytest's own are closed."""
    directory = Path(tempfile.mkdtemp(prefix="jobs-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def project(base: Path) -> Path:
    return jobs.project(base / "of-the-project")


@pytest.fixture(scope="session")
def hosts() -> str:
    """The lab's inventory in AWX's database: the credential says where the cluster is, not the inventory."""
    return jobs.inventory(ROOT / "inventories" / "lab", {"LAB_CLUSTER": LAB}, without=["mesh_connection"])


def kubeconfig() -> str:
    """Of the operator, who has the rights of docs/rbac and no more."""
    return (STATE / LAB / "kubeconfig" / "operator").read_text()


def secrets() -> list[str]:
    """What no artifact may hold: the operator's key, encoded and not."""
    encoded = json.loads(kubeconfig())["users"][0]["user"]["client-key-data"]
    return [encoded, base64.b64decode(encoded).decode().splitlines()[1]]


def credentials() -> dict[str, str]:
    """The type "Kubeconfig of meshes", and what the lab's inventory reads of its environment."""
    return {"K8S_AUTH_KUBECONFIG": f"file:{kubeconfig()}", "LAB_CLUSTER": LAB}


def command_line(template: dict[str, Any]) -> str:
    check = "--check" if template["job_type"] == "check" else ""
    return " ".join(filter(None, (check, "--diff" if template.get("diff_mode") else "")))


def look(job: jobs.Job, private: Path, name: str) -> None:
    """The verdicts that were handed on, small events, and no secret in what is kept."""
    assert job.code == EXPECTED[name].code, job.output[-3000:]
    for artifact, status in EXPECTED[name].verdicts.items():
        assert set(job.stats[artifact]) == {"lab"}, job.stats
        assert not status or job.stats[artifact]["lab"]["status"] == status, job.stats
    assert job.largest_event < LARGEST
    assert "Traceback" not in job.output
    for path in (private / "artifacts").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not any(secret in text for secret in secrets()), path


def test_every_template_has_an_expectation() -> None:
    assert set(templates()) == set(EXPECTED)


@pytest.mark.parametrize("name", JOBS)
def test_a_job(name: str, base: Path, project: Path, hosts: str, client: KubeClient) -> None:
    template = templates()[name]
    before = fingerprint(client)
    private = base / re.sub(r"\W+", "-", name)
    jobs.prepare(
        private,
        project / "requirements_collections",
        hosts=hosts,
        credentials=credentials(),
        answers={**template.get("extra_vars", {}), **EXPECTED[name].answers},
        command_line=command_line(template),
    )
    job = jobs.run(private, project, template["playbook"])
    look(job, private, name)
    if template["job_type"] == "check":  # of a finished mesh: there is nothing to change, and nothing is
        assert set(job.counts["changed"].values()) <= {0}, job.output
        assert "+++ after" not in job.output
        assert difference(before, fingerprint(client)) == set()


def test_a_job_is_carried_to_another_machine_and_back(base: Path, project: Path, hosts: str) -> None:
    private, worker = base / "sent", base / "worker"
    jobs.prepare(
        private,
        worker / "requirements_collections",
        runs_in=worker,
        hosts=hosts,
        credentials=credentials(),
    )
    job = jobs.run_elsewhere(private, project, worker, templates()["Mesh: trust"]["playbook"])
    look(job, private, "Mesh: trust")
