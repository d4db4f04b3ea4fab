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
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_FATAL = re.compile(r"^fatal: \[(.*?)\]: ")
_TASK = re.compile(r"^TASK \[(.*?)\] \**$")


@dataclasses.dataclass(frozen=True)
class Run:
    """One ansible-playbook: its exit code and everything it printed."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """``ok``, ``changed``, ``unreachable`` and ``failed`` of the one host."""
        (found,) = self.recaps.values()
        return found

    @property
    def recaps(self) -> dict[str, dict[str, int]]:
        """The same by host."""
        counted = ("ok", "changed", "unreachable", "failed")
        found = _RECAP.findall(self.output)
        assert found, self.output
        return {host: dict(zip(counted, map(int, numbers), strict=True)) for host, *numbers in found}

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
    def errors(self) -> dict[str, list[str]]:
        """Of each host that failed the lines that begin an error."""
        found: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in self.output.splitlines():
            if line.startswith("[ERROR]:"):
                lines.append(line)
            elif failed := _FATAL.match(line):
                found.setdefault(failed[1], []).extend(lines)
                lines = []
        assert not lines, f"of no host: {lines}"
        return found


def playbook(path: str, *arguments: str, extra: dict[str, Any] | None = None, timeout: float = 900) -> Run:
    """Run a playbook on the cluster that LAB_CLUSTER names, with the lab's inventory."""
    command = ["ansible-playbook", "-i", "inventories/lab", path, *arguments]
    if extra:
        command += ["-e", json.dumps(extra)]
    return typed(command, timeout=timeout)


def on_hosts(path: str, hosts: dict[str, dict[str, Any]], directory: Path, *arguments: str) -> Run:
    """Run a playbook once on hosts that all are the lab's cluster, each with variables of its own.

    Starting Ansible takes longer than most of what a run is asked. ``directory``: for their inventory.
    """
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory = directory / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {name: {**local, **hosts[name]} for name in hosts}}}))
    # As many at a time as have a busy machine answer within the few seconds that a preflight gives a server.
    return playbook(path, "-i", str(inventory), "--limit", ",".join(hosts), "--forks", "4", *arguments)


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
