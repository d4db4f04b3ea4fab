"""Runs the collection's playbooks as a user does, and reads what the user reads."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
_RECAP = re.compile(r"^lab\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_TASK = re.compile(r"^TASK \[(.*?)\] \**$")


@dataclasses.dataclass(frozen=True)
class Run:
    """One ansible-playbook: its exit code and everything it printed."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """``ok``, ``changed``, ``unreachable`` and ``failed`` of the one host."""
        found = _RECAP.search(self.output)
        assert found, self.output
        return dict(zip(("ok", "changed", "unreachable", "failed"), map(int, found.groups()), strict=True))

    @property
    def changed_tasks(self) -> list[str]:
        """Names of the tasks that said ``changed``."""
        names, task = [], ""
        for line in self.output.splitlines():
            if header := _TASK.match(line):
                task = header[1]
            elif line.startswith("changed: [lab]"):
                names.append(task)
        return names

    @property
    def errors(self) -> list[str]:
        """The lines that begin an error."""
        return [line for line in self.output.splitlines() if line.startswith("[ERROR]:")]


def playbook(path: str, *arguments: str, extra: dict[str, Any] | None = None, timeout: float = 900) -> Run:
    """Run a playbook on the cluster that LAB_CLUSTER names, with the lab's inventory."""
    command = ["ansible-playbook", "-i", "inventories/lab", path, *arguments]
    if extra:
        command += ["-e", json.dumps(extra)]
    return typed(command, timeout=timeout)


def typed(command: list[str], *, directory: Path = ROOT, timeout: float = 900) -> Run:
    """Run a command of Ansible's as it is typed in ``directory``."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=directory,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=timeout,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "400",
        },
    )
    return Run(done.returncode, done.stdout)


def catalogue() -> dict[str, Any]:
    """The lab's catalogue, to be made wrong."""
    return yaml.safe_load((ROOT / "inventories/lab/group_vars/all/mesh.yml").read_text())
