"""execution-environment.yml as ansible-builder reads it, and its step run where no container is needed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
BUILDER = Path(sys.executable).parent / "ansible-builder"
PROGRAMS = ROOT / "requirements" / "image" / "programs.txt"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build context that ansible-builder makes."""
    directory = tmp_path_factory.mktemp("context")
    subprocess.run(
        [
            BUILDER,
            "create",
            "-f",
            "execution-environment.yml",
            "-c",
            directory,
            "--output-filename",
            "Containerfile",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return directory


def step(context: Path) -> str:
    """The shell text that installs the programs."""
    steps = re.findall(
        r"^RUN (set -eu; .*programs\.txt.*)$", (context / "Containerfile").read_text(), re.MULTILINE
    )
    assert len(steps) == 1
    return str(steps[0])


def archive(member: str) -> bytes:
    """A release's archive."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        content = b"#!/bin/sh\necho it runs\n"
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def build(context: Path, tmp_path: Path, programs: str, served: bytes) -> subprocess.CompletedProcess[str]:
    """Run the step with a curl that serves one archive whatever it is asked for, below `tmp_path`."""
    for name in ("bin", "tmp", "stub"):
        (tmp_path / name).mkdir()
    (tmp_path / "tmp" / "programs.txt").write_text(programs)
    (tmp_path / "served").write_bytes(served)
    curl = tmp_path / "stub" / "curl"
    curl.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncp {tmp_path}/served "$2"\n')
    curl.chmod(0o755)
    text = (
        step(context).replace("/usr/local/bin", str(tmp_path / "bin")).replace(" /tmp/", f" {tmp_path}/tmp/")
    )
    return subprocess.run(
        ["sh", "-c", text],
        env={"PATH": f"{tmp_path}/stub:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def lines() -> list[list[str]]:
    return [line.split() for line in PROGRAMS.read_text().splitlines() if line]


def machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def test_the_context_has_what_the_image_installs(context: Path) -> None:
    assert (context / "_build" / "programs" / "programs.txt").read_text() == PROGRAMS.read_text()
    python = (context / "_build" / "requirements.txt").read_text()
    assert python == (ROOT / "requirements" / "libraries.txt").read_text()
    galaxy = yaml.safe_load((context / "_build" / "requirements.yml").read_text())
    wanted = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    assert {one["name"]: one["version"] for one in galaxy["collections"]} == wanted


def test_the_image_has_the_versions_that_are_tested() -> None:
    definition = yaml.safe_load((ROOT / "execution-environment.yml").read_text())["dependencies"]
    core = (ROOT / "requirements" / "core-2.21.txt").read_text()
    assert definition["ansible_core"]["package_pip"] in core
    assert definition["ansible_runner"]["package_pip"] in (ROOT / "requirements" / "release.txt").read_text()
    istio = yaml.safe_load((ROOT / "roles" / "shared" / "defaults" / "main.yml").read_text())["istio_version"]
    helm = re.search(r"internal/version\.version=(v[\d.]+)", (ROOT / "lab" / "programs.py").read_text())
    assert helm
    for name, _machine, _member, sha256, url in lines():
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
        assert {"istioctl": istio, "helm": helm[1]}[name] in url


def test_a_program_whose_sha256_is_right_is_installed(context: Path, tmp_path: Path) -> None:
    served = archive("linux/tool")
    programs = (
        f"tool {machine()} linux/tool {hashlib.sha256(served).hexdigest()} https://example.com/tool.tar.gz\n"
    )
    done = build(context, tmp_path, programs, served)
    assert done.returncode == 0, done.stderr
    assert subprocess.check_output([tmp_path / "bin" / "tool"], text=True) == "it runs\n"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "programs",
    [
        pytest.param(
            f"tool {{machine}} linux/tool {'0' * 64} https://example.com/t.tar.gz\n", id="another-file"
        ),
        pytest.param("tool another linux/tool {sha256} https://example.com/t.tar.gz\n", id="no-machine"),
        pytest.param("tool {machine} linux/other {sha256} https://example.com/t.tar.gz\n", id="no-member"),
        pytest.param("", id="empty"),
    ],
)
def test_anything_else_ends_the_build(context: Path, tmp_path: Path, programs: str) -> None:
    served = archive("linux/tool")
    text = programs.format(machine=machine(), sha256=hashlib.sha256(served).hexdigest())
    assert build(context, tmp_path, text, served).returncode != 0


def test_a_builder_finds_the_collections_own_needs(tmp_path: Path) -> None:
    """What ansible-builder takes out of the installed collection: meta/execution-environment.yml."""
    at = tmp_path / "ansible_collections" / "servicemesh" / "istio"
    (at / "meta").mkdir(parents=True)
    for name in ("galaxy.yml", "meta/execution-environment.yml", "requirements.txt"):
        shutil.copy(ROOT / name, at / name)
    found = subprocess.run(
        [
            BUILDER,
            "introspect",
            "--write-pip",
            tmp_path / "pip",
            "--write-bindep",
            tmp_path / "bindep",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    names = {
        re.split(r"[><=!~ #\[]", line)[0].lower() for line in (tmp_path / "pip").read_text().splitlines()
    }
    assert {"kubernetes", "cryptography", "jsonpatch"} <= names  # ansible-core brings PyYAML
