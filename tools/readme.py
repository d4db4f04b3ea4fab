"""The README's way to a mesh on one's own cluster, line by line, on a cluster that knows nothing of us."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.places import cache_root

from . import artefact, lab
from .dependencies import TREE
from .paths import BUILD, ROOT
from .processes import run
from .screen import say
from .stages import StageError
from .tree import copy_repository

DIRECTORY = BUILD / "readme"
HEADING = "## Use it on your own cluster"
MINE = Path("inventories/mine")
# Galaxy does not have what is being tested: the built artefact takes the clone's place.
FROM_GALAXY = re.compile(r"ansible-galaxy collection install -r collections/requirements\.yml --force")
# What decides about clusters, collections and configuration; a new user has none of it.
_FOREIGN = ("ANSIBLE_", "K8S_AUTH_", "LAB_", "KUBECONFIG", "VIRTUAL_ENV", "PYTHON", "MOLECULE_")


def section() -> str:
    """The README's text about one's own cluster."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition(f"{HEADING}\n")[2].partition("\n## ")[0]


def commands() -> list[str]:
    """Every line of the section's shell blocks, in order, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", section(), re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def edits(cluster: str) -> dict[str, dict[str, str]]:
    """What the section tells a person to change: file of the inventory -> pattern of a line -> new line."""
    kubeconfig = lab.kubeconfig(cluster, "operator")
    context = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["current-context"]
    return {
        "hosts.yml": {
            r"^( +)kubeconfig: .*$": rf"\1kubeconfig: {kubeconfig}",
            r"^( +)context: .*$": rf"\1context: {context}",
        },
        "group_vars/all/istio.yml": {r"^( +)service_type: LoadBalancer.*$": r"\1service_type: ClusterIP"},
    }


def lab_only() -> dict[str, Any]:
    """What this cluster needs because it has images of its own, no registry and no internet."""
    found: dict[str, Any] = {}
    for name in ("istio", "verify", "mesh_lab"):
        path = ROOT / "inventories" / "lab" / "group_vars" / "all" / f"{name}.yml"
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    names = (
        *("istio_version", "istio_hub", "istio_mesh_config", "istio_values"),
        *("verify_probe_image", "verify_accepted_objects"),
    )
    addons = ("request-metrics", "prometheus")
    return {
        **{name: found[name] for name in names},
        "mesh_external_services": found["mesh_external_services"],
        "istio_istioctl_path": str(cache_root() / "bin" / "istioctl"),
        "addons_enabled": list(addons),
        "addons_sources": {name: {"path": str(ROOT / "lab" / "addons" / name)} for name in addons},
    }


def own_cluster(cluster: str) -> int:
    """Run every line; the last one must change nothing. :returns: how many lines held."""
    lab.fresh(cluster)
    copy_repository(DIRECTORY)
    programs = DIRECTORY.parent / "readme-bin"  # `python3` of a person whose system has the right one
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    (programs / "python3").symlink_to(os.path.realpath(sys.executable))
    extra = programs / "lab.yml"
    extra.write_text(yaml.safe_dump(lab_only()), encoding="utf-8")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN) or key == "PATH"
    }
    environment["PATH"] = f"{programs}{os.pathsep}{_path_without_ours(environment['PATH'])}"
    lines = commands()
    for line in lines:
        if line.startswith("cp "):
            _run(line, environment)
            _edit(cluster)
        elif FROM_GALAXY.fullmatch(line):
            _install(line, environment)
        elif line.startswith("ansible-playbook "):
            output = _run(f"{line} -e @{extra}", environment)
        else:
            _run(line, environment)
    if not re.search(r"^production +: ok=\d+ +changed=0 .*failed=0", output, re.MULTILINE):
        raise StageError(f"{lines[-1]!r} changed something when it was run again:\n{output[-3000:]}")
    return len(lines)


def _path_without_ours(path: str) -> str:
    return os.pathsep.join(part for part in path.split(os.pathsep) if not part.startswith(str(ROOT)))


def _edit(cluster: str) -> None:
    """Exactly the changes that the section names, each in a line that the example has."""
    for name, changes in edits(cluster).items():
        if f"`{name}`" not in section():
            raise StageError(f"README.md does not say that {name} is to be changed")
        path = DIRECTORY / MINE / name
        text = path.read_text(encoding="utf-8")
        for pattern, line in changes.items():
            text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
            if count != 1:
                raise StageError(f"inventories/example/{name} has {count} lines like {pattern}")
        path.write_text(text, encoding="utf-8")


def _install(line: str, environment: Mapping[str, str]) -> None:
    """The built artefact in place of the clone; its dependency is there, so that nobody asks Galaxy."""
    shutil.copytree(TREE / "kubernetes", DIRECTORY / "collections" / "ansible_collections" / "kubernetes")
    tarball = next(artefact.DIRECTORY.glob("*.tar.gz"))
    wanted = f"ansible-galaxy collection install {tarball} --offline"
    say(f"    {line}\n      -> {wanted}")
    _run(wanted, environment)


def _run(line: str, environment: Mapping[str, str]) -> str:
    """One line in the activated environment, as a person's shell runs it. :returns: its output."""
    say(f"    $ {line}")
    activate = ". .mesh/bin/activate; " if (DIRECTORY / ".mesh").exists() else ""
    done = run(
        [
            "env",
            "-i",
            *(f"{key}={value}" for key, value in environment.items()),
            "bash",
            "-c",
            activate + line,
        ],
        cwd=DIRECTORY,
        capture=True,
    )
    if done.returncode:
        raise StageError(f"{line!r} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout
