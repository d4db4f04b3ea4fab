"""The README's way to a mesh on one's own cluster, line by line, on a cluster that knows nothing of us."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from . import lab
from .paths import BUILD, ROOT
from .reader import Reader, lab_only, shell_lines
from .stages import StageError
from .tree import copy_repository

DIRECTORY = BUILD / "readme"
HEADING = "## Use it on your own cluster"
MINE = Path("inventories/mine")
# Galaxy does not have what is being tested: the built artefact takes the clone's place.
FROM_GALAXY = re.compile(r"ansible-galaxy collection install -r collections/requirements\.yml --force")


def section() -> str:
    """The README's text about one's own cluster."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition(f"{HEADING}\n")[2].partition("\n## ")[0]


def commands() -> list[str]:
    """Every line of the section's shell blocks, in order, without comments."""
    return shell_lines(section())


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


def of_the_shop() -> dict[str, Any]:
    """What the shop of the example needs on the lab besides."""
    found: dict[str, Any] = {}
    for name in ("verify", "mesh_lab"):
        path = ROOT / "inventories" / "lab" / "group_vars" / "all" / f"{name}.yml"
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    addons = ("request-metrics", "prometheus")
    return {
        "verify_accepted_objects": found["verify_accepted_objects"],
        "mesh_external_services": found["mesh_external_services"],
        "addons_enabled": list(addons),
        "addons_sources": {name: {"path": str(ROOT / "lab" / "addons" / name)} for name in addons},
    }


def own_cluster(cluster: str) -> int:
    """Run every line; the last one must change nothing. :returns: how many lines held."""
    lab.fresh(cluster)
    copy_repository(DIRECTORY)
    reader = Reader(DIRECTORY)
    extra = reader.programs / "lab.yml"
    extra.write_text(yaml.safe_dump({**lab_only(), **of_the_shop()}), encoding="utf-8")
    lines = commands()
    for line in lines:
        if line.startswith("cp "):
            reader.types(line)
            _edit(cluster)
        elif FROM_GALAXY.fullmatch(line):
            reader.installs(line, DIRECTORY / "collections")
        elif line.startswith("ansible-playbook "):
            output = reader.types(f"{line} -e @{extra}")
        else:
            reader.types(line)
    if not re.search(r"^production +: ok=\d+ +changed=0 .*failed=0", output, re.MULTILINE):
        raise StageError(f"{lines[-1]!r} changed something when it was run again:\n{output[-3000:]}")
    return len(lines)


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
