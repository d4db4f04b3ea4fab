"""One job as AWX lays it out for ansible-runner: a user without rights, a read-only project, no home.

Root prepares what AWX's control plane prepares - the project, its collections, the inventory as its
database has it, the credentials - and the job itself runs as another user in a mount namespace of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.tree import copy_repository

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
BECOME = Path(__file__).with_name("become.py")
USER = 12345  # nobody of the machine, as in a pod
IDENT = "job"
INVENTORY = '#!/bin/sh\ncat "$(dirname "$0")/../hosts.json"\n'


@dataclass
class Job:
    """What a job left. `stats`: the artifacts that AWX would hand to the next node of a workflow."""

    code: int
    output: str
    stats: dict[str, Any]
    largest_event: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def project(directory: Path) -> Path:
    """A project after its update: a read-only checkout, and its collections beside it.

    :returns: the directory that holds `project` and `requirements_collections`.
    """
    checkout = directory / "project"
    copy_repository(checkout, without=("lab", "molecule", "tests", "tools"))
    collections = directory / "requirements_collections"
    (collections / "ansible_collections").mkdir(parents=True)
    installed = ROOT / "collections" / "ansible_collections" / "kubernetes"
    shutil.copytree(installed, collections / "ansible_collections" / "kubernetes")
    subprocess.run(
        [
            *(BIN / "ansible-galaxy", "collection", "install", "--offline"),
            *("-r", "collections/requirements.yml", "-p", collections),
        ],
        cwd=checkout,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)},
        check=True,
        capture_output=True,
    )
    subprocess.run(["chmod", "-R", "a-w,a+rX", directory], check=True)
    return directory


def inventory(sources: Path, environment: Mapping[str, str], without: Sequence[str] = ()) -> str:
    """What AWX imports of an inventory: hosts, groups and raw variables, as one JSON.

    :param without: variables of group `all` that the credential stands for.
    """
    listed = subprocess.run(
        [BIN / "ansible-inventory", "-i", sources, "--list", "--export"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(listed)
    for name in without:
        del found["all"]["vars"][name]
    # A database has no directory; the lab's inventory names files beside it.
    return json.dumps(found).replace("{{ inventory_dir }}", str(sources))


def prepare(
    private: Path,
    collections: Path,
    *,
    runs_in: Path | None = None,
    hosts: str,
    credentials: Mapping[str, str],
    answers: Mapping[str, Any] | None = None,
    command_line: str = "",
) -> None:
    """Write what AWX writes before a job into its private data, but for the project.

    :param collections: where the project's collections will be when the job runs.
    :param runs_in: where the private data will be then; here, unless said.
    :param hosts: what `inventory` returned.
    :param credentials: environment variables; a value that begins with `file:` is what a file shall hold.
    :param answers: of the survey, and the template's variables.
    """
    private.mkdir(parents=True, exist_ok=True)
    for name in ("inventory", "credentials", "env"):
        (private / name).mkdir()
    script = private / "inventory" / "hosts"
    script.write_text(INVENTORY)
    script.chmod(0o755)
    (private / "hosts.json").write_text(hosts)
    variables = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_FORCE_COLOR": "True",
        # Ansible itself writes there before it reads a playbook; homes of images that AWX runs are writable.
        "ANSIBLE_HOME": str((runs_in or private) / "ansible"),
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
    }
    for name, value in credentials.items():
        variables[name] = value
        if value.startswith("file:"):
            file = private / "credentials" / name.lower()
            file.write_text(value.removeprefix("file:"))
            file.chmod(0o600)
            variables[name] = str((runs_in or private) / "credentials" / file.name)
    (private / "env" / "envvars").write_text(json.dumps(variables))
    (private / "env" / "extravars").write_text(json.dumps(dict(answers or {})))
    (private / "env" / "cmdline").write_text(command_line)


def hand_over(*directories: Path) -> None:
    """Give directories to the job's user."""
    for directory in directories:
        for path in [directory, *directory.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)


def run(private: Path, at: Path, playbook: str) -> Job:
    """Run one job here. `at`: what `project` returned."""
    (private / "project").symlink_to(at / "project")
    hand_over(private)
    return collect(private, as_user(["run", str(private), "-p", playbook, "-i", IDENT], private))


def run_elsewhere(private: Path, at: Path, worker: Path, playbook: str) -> Job:
    """Run one job as receptor carries it: packed here, run where only the stream arrives, read here again.

    The worker has mounts and processes of its own, and sees neither the project nor the private data.
    """
    shutil.copytree(at / "project", private / "project")
    shutil.copytree(at / "requirements_collections", private / "requirements_collections")
    worker.mkdir()
    subprocess.run(
        ["chmod", "-R", "u+w", private], check=True
    )  # or the worker cannot unpack into directories
    hand_over(private, worker)
    stream = as_user(["transmit", str(private), "-p", playbook, "-i", IDENT], private).stdout
    hidden = [str(private), str(at)]
    answer = as_user(["worker", "--private-data-dir", str(worker)], worker, given=stream, hidden=hidden)
    assert '"status": "error"' not in answer.stdout, answer.stdout[-2000:]
    assert not (private / "artifacts").exists()
    return collect(private, as_user(["process", str(private), "-i", IDENT], private, given=answer.stdout))


def as_user(
    arguments: Sequence[str], directory: Path, given: str | None = None, hidden: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run ansible-runner as the job's user, without an environment, where nobody's home can be seen."""
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "HIDDEN": os.pathsep.join(hidden),
    }
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    return subprocess.run(
        [*own, sys.executable, str(BECOME), str(USER), str(BIN / "ansible-runner"), *arguments],
        env=environment,
        cwd=directory,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def collect(private: Path, done: subprocess.CompletedProcess[str]) -> Job:
    """Read what the job left in its artifacts."""
    events = [json.loads(path.read_text()) for path in private.glob(f"artifacts/{IDENT}/job_events/*.json")]
    assert events, done.stdout + done.stderr
    stats: dict[str, Any] = {}
    counts: dict[str, dict[str, int]] = {}
    for event in events:
        data = event.get("event_data", {})
        if event["event"] == "playbook_on_stats":
            stats = data.get("artifact_data", {})
            counts = {name: data.get(name, {}) for name in ("ok", "changed", "failures", "dark")}
    largest = max(len(json.dumps(event)) for event in events)
    return Job(done.returncode, done.stdout, stats, largest, counts)
