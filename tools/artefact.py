"""The built collection: what is in it, and that it works installed, with nothing of the checkout near."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from .dependencies import TREE
from .paths import BUILD, ROOT
from .processes import run
from .screen import say
from .stages import StageError, command
from .tree import copy_repository

BIN = Path(sys.executable).parent
DIRECTORY = BUILD / "artefact"
INSTALLED = DIRECTORY / "installed"

# What a user gets: anything else in the tarball is a forgotten build_ignore entry.
CONTENT = {
    "CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MAINTAINERS.md",
    "MANIFEST.json", "README.md", "SECURITY.md",
    "awx", "changelogs", "docs", "inventories", "meta", "playbooks", "plugins", "requirements.txt", "roles",
}  # fmt: skip
KINDS = {"modules": "module", "filter": "filter", "lookup": "lookup", "test": "test"}


def build() -> Path:
    """Build the tarball from the repository's files, and look at its content."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    source = DIRECTORY / "source"
    copy_repository(source)
    command(BIN / "ansible-galaxy", "collection", "build", source, "--output-path", DIRECTORY, quiet=True)
    tarball = next(DIRECTORY.glob("*.tar.gz"))
    with tarfile.open(tarball) as archive:
        names = [name.removeprefix("./") for name in archive.getnames()]
    foreign = sorted({name.split("/")[0] for name in names if name} - CONTENT)
    if foreign:
        raise StageError(f"{tarball.name} holds what nobody needs: {', '.join(foreign)} (build_ignore)")
    if missing := sorted(CONTENT - {name.split("/")[0] for name in names}):
        raise StageError(f"{tarball.name} lacks {', '.join(missing)}")
    return tarball


def install(tarball: Path) -> None:
    """Install into an empty tree; the dependency is copied there, so that no Galaxy is asked."""
    tree = INSTALLED / "ansible_collections"
    shutil.copytree(TREE / "kubernetes", tree / "kubernetes")
    options = ("-p", INSTALLED, "--offline")
    command(
        BIN / "ansible-galaxy",
        "collection",
        "install",
        tarball,
        *options,
        environment=environment(),
        quiet=True,
    )
    if not (tree / "servicemesh" / "istio" / "MANIFEST.json").is_file():
        raise StageError(f"{tarball.name} was not installed into {INSTALLED}")


def environment() -> dict[str, str]:
    """Ansible sees the installed tree and nothing else of ours but the configuration."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(INSTALLED), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def documented() -> int:
    """Every plugin and role of the sources shows its documentation out of the installed collection."""
    count = 0
    for directory, kind in KINDS.items():
        files = (ROOT / "plugins" / directory).glob("[a-z]*.*")
        count += _show(kind, {path.stem for path in files if path.suffix in (".py", ".yml")})
    return count + _show("role", {path.parent.name for path in ROOT.glob("roles/*/tasks")})


def _show(kind: str, names: set[str]) -> int:
    """One process for all of a kind: its start takes longer than its work."""
    wanted = sorted(f"servicemesh.istio.{name}" for name in names)
    if not wanted:
        return 0
    done = subprocess.run(
        [BIN / "ansible-doc", "-t", kind, "--json", *wanted],
        capture_output=True,
        text=True,
        check=False,
        env={**_clean_environment(), **environment()},
        cwd=DIRECTORY,
    )
    found = json.loads(done.stdout or "{}") if done.returncode == 0 else {}
    missing = [name for name in wanted if not found.get(name) or "error" in found[name]]
    if missing:
        last = re.sub(r"\s+", " ", done.stderr.strip())[-300:]
        what = f"{kind} {', '.join(missing)}"
        raise StageError(f"ansible-doc has nothing on {what} out of the installed collection: {last}")
    return len(wanted)


def _clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}


def artefact() -> int:
    """Build, install, and read all documentation out of the installed copy."""
    install(build())
    return 2 + documented()


def site_check(name: str) -> int:
    """Run `servicemesh.istio.site` out of the installed copy on a finished cluster: nothing to change."""
    done = run(
        [
            *(BIN / "ansible-playbook", "-i", ROOT / "inventories" / "lab"),
            *("--check", "--diff", "servicemesh.istio.site"),
        ],
        cwd=DIRECTORY,
        environment={**environment(), "LAB_CLUSTER": name},
        capture=True,
    )
    say(done.stdout)
    if done.returncode or not re.search(r"^lab +: ok=\d+ +changed=0 ", done.stdout, re.MULTILINE):
        raise StageError("check mode on a finished mesh did not end with changed=0")
    return 1
