"""The examples in docs/schedules run as far as that goes without a scheduler, and name what exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ..support.repository import options_of_roles

ROOT = Path(__file__).resolve().parents[3]
SCHEDULES = ROOT / "docs" / "schedules"
COLLECTION = "servicemesh.istio."
BIN = Path(sys.executable).parent
INVENTORY = ROOT / "inventories" / "example" / "hosts.yml"


def text(name: str) -> str:
    return (SCHEDULES / name).read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of a program of Ansible's, with its file."""
    for path in sorted(SCHEDULES.iterdir()):
        for found in re.finditer(
            r"(?:[\w/]*/)?\b(ansible-(?:playbook|galaxy)\b[^\n|>`)]*)", path.read_text()
        ):
            yield path.name, shlex.split(found[1].replace("2>&1", "").replace(" 2", ""))


def test_every_file_is_listed() -> None:
    files = {path.name for path in SCHEDULES.iterdir()} - {"README.md"}
    assert files == set(re.findall(r"\[`([\w.-]+)`\]", text("README.md")))


def test_the_commands_name_playbooks_options_and_variables_that_exist() -> None:
    known = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    seen = set()
    for file, (program, *words) in commands():
        playbooks = [word for word in words if word.startswith(COLLECTION)]
        if program == "ansible-playbook":
            assert [word.removeprefix(COLLECTION) in known for word in playbooks] == [True], (file, words)
        seen.add((file, program))
        pairs = [words[at + 1] for at, word in enumerate(words) if word == "-e"]
        assert {pair.partition("=")[0] for pair in pairs} <= set(options_of_roles()), file
        flags = {word for word in words if word.startswith("-")}
        assert flags <= {"-i", "-e", "-p"}, (file, flags)
    assert {file for file, program in seen if program == "ansible-playbook"} == {
        "github-workflow.yml",
        "gitlab-ci.yml",
        "mesh-rotation.service",
        "mesh.cron",
    }


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("mesh-rotation.service", "mesh-rotation.timer"):
        unit = text(name).replace("/opt/mesh/venv/bin/ansible-playbook", str(program))
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(tmp_path.glob("mesh-*")))],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "mesh-rotation" in line]
    assert ours == [], done.stderr


def cron_lines() -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The environment of the file, and of each line its times, user and command (crontab(5), system form)."""
    environment: dict[str, str] = {}
    lines = []
    for line in text("mesh.cron").splitlines():
        if re.fullmatch(r"\w+=.*", line):
            name, _equals, value = line.partition("=")
            environment[name] = value
        elif line and not line.startswith("#"):
            *times, user, command = line.split(maxsplit=6)
            lines.append((" ".join(times), user, command))
    return environment, lines


def test_cron_lines_are_well_formed() -> None:
    _environment, lines = cron_lines()
    assert len(lines) == 2
    for times, user, command in lines:
        assert all(re.fullmatch(r"\*|\d+", field) for field in times.split()), times
        assert user == "mesh"
        assert "%" not in command, "cron makes a line break of it"


@pytest.mark.parametrize("number", [0, 1])
def test_a_cron_line_runs_with_an_empty_environment(number: int, tmp_path: Path) -> None:
    """With the real ansible-playbook, up to the point where it would reach a cluster: the files are found."""
    environment, lines = cron_lines()
    command = lines[number][2].replace("/opt/mesh/inventory", f"{INVENTORY} --syntax-check")
    environment |= {
        "PATH": environment["PATH"].replace("/opt/mesh/venv/bin", str(BIN)),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
    }
    environment |= {"HOME": str(tmp_path), "LOGNAME": "mesh"}
    done = subprocess.run(
        [environment["SHELL"], "-c", command],
        env=environment,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "silent when all is well"


def test_a_cron_line_that_fails_says_why_and_ends_with_1(tmp_path: Path) -> None:
    environment, lines = cron_lines()
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/bin/sh\necho out; echo err >&2; exit 2\n")
    program.chmod(0o755)
    done = subprocess.run(
        [environment["SHELL"], "-c", lines[0][2]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout.split()) == (1, ["out", "err"])


STRINGS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
WORKFLOW = {
    "type": "object",
    "required": ["name", "on", "permissions", "concurrency", "jobs"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "on": {
            "type": "object",
            "required": ["schedule", "workflow_dispatch"],
            "additionalProperties": False,
            "properties": {
                "schedule": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["cron"],
                        "properties": {"cron": {"pattern": r"^([\d*/,-]+ ){4}[\d*/,-]+$"}},
                    },
                },
                "workflow_dispatch": {"type": "object"},
            },
        },
        "permissions": {"const": {"contents": "read"}},
        "concurrency": {
            "type": "object",
            "required": ["group", "cancel-in-progress"],
            "properties": {"cancel-in-progress": {"const": False}},
        },
        "jobs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["runs-on", "steps"],
                "additionalProperties": False,
                "properties": {
                    "runs-on": {"type": "string"},
                    "environment": {"type": "string"},
                    "timeout-minutes": {"type": "integer"},
                    "env": {"type": "object"},
                    "steps": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "oneOf": [{"required": ["uses"]}, {"required": ["run"]}],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"type": "string"},
                                "if": {"type": "string"},
                                "env": {"type": "object"},
                                "run": {"type": "string"},
                                "uses": {"pattern": r"^[\w-]+/[\w-]+@v\d+$"},
                                "with": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}
JOB = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string"},
        "extends": {"const": ".mesh"},
        "variables": {"type": "object"},
        "before_script": STRINGS,
        "script": STRINGS,
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["if"],
                "additionalProperties": False,
                "properties": {"if": {}},
            },
        },
        "resource_group": {"type": "string"},
        "timeout": {"type": "string"},
        "artifacts": {"type": "object", "required": ["when", "reports"]},
    },
}


@pytest.mark.parametrize(
    ("name", "schema"),
    [("github-workflow.yml", WORKFLOW), ("gitlab-ci.yml", {"type": "object", "additionalProperties": JOB})],
)
def test_the_pipelines_have_the_shape_that_their_servers_document(name: str, schema: dict[str, Any]) -> None:
    jsonschema.validate(yaml.safe_load(text(name)), schema)


def test_the_shapes_notice_a_mistake() -> None:
    wrong = yaml.safe_load(text("github-workflow.yml"))
    wrong["jobs"]["rotate"]["steps"][0]["runs"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, WORKFLOW)


def test_no_secret_is_on_a_command_line() -> None:
    for path in SCHEDULES.iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            if "ansible-playbook" in line:
                assert not re.search(r"token|password|secret", line, re.IGNORECASE), path.name
