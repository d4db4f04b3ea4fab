"""A person who follows a page of the docs: a directory and a shell that know nothing of this clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.places import cache_root

from . import artefact
from .dependencies import TREE
from .paths import ROOT
from .processes import run
from .screen import say
from .stages import StageError

# What decides about clusters, collections and configuration; a new user has none of it.
_FOREIGN = ("ANSIBLE_", "K8S_AUTH_", "LAB_", "KUBECONFIG", "VIRTUAL_ENV", "PYTHON", "MOLECULE_")


def shell_lines(text: str) -> list[str]:
    """Every line of a text's shell blocks, in order, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def lab_only() -> dict[str, Any]:
    """What the lab's cluster needs because it has images of its own, no registry and no internet."""
    found: dict[str, Any] = {}
    for name in ("istio", "verify", "mesh_lab"):
        path = ROOT / "inventories" / "lab" / "group_vars" / "all" / f"{name}.yml"
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    names = ("istio_version", "istio_hub", "istio_mesh_config", "istio_values", "verify_probe_image")
    return {
        **{name: found[name] for name in names},
        "istio_istioctl_path": str(cache_root() / "bin" / "istioctl"),
    }


class Reader:
    """A directory to work in, and a shell whose `python3` is the one that runs this.

    :param directory: where the lines are typed; its sibling `<name>-bin` holds programs.
    :param programs: name -> path of what the person has installed besides.
    """

    def __init__(self, directory: Path, programs: Mapping[str, Path] | None = None) -> None:
        self.directory = directory
        self.programs = directory.parent / f"{directory.name}-bin"
        shutil.rmtree(self.programs, ignore_errors=True)
        self.programs.mkdir(parents=True)
        found = {"python3": Path(os.path.realpath(sys.executable)), **(programs or {})}
        for name, path in found.items():
            (self.programs / name).symlink_to(path)
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN) or key == "PATH"
        }
        others = [part for part in os.environ["PATH"].split(os.pathsep) if not part.startswith(str(ROOT))]
        self.environment["PATH"] = os.pathsep.join([str(self.programs), *others])
        self.environment["PIP_NO_COMPILE"] = "1"  # Python compiles what is run: a small part of all

    def _command(self, line: str) -> list[str]:
        activate = ". .mesh/bin/activate; " if (self.directory / ".mesh").exists() else ""
        variables = (f"{key}={value}" for key, value in self.environment.items())
        return ["env", "-i", *variables, "bash", "-c", activate + line]

    def types(self, line: str) -> str:
        """One line in the activated environment. :returns: its output. :raises StageError: it failed."""
        say(f"    $ {line}")
        done = run(self._command(line), cwd=self.directory, capture=True)
        if done.returncode:
            raise StageError(f"{line!r} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def starts(self, line: str) -> subprocess.Popen[bytes]:
        """A line that goes on in the background; whoever starts it ends it."""
        say(f"    $ {line} &")
        return subprocess.Popen(self._command(f"exec {line}"), cwd=self.directory)

    def installs(self, line: str, collections: Path) -> None:
        """The built artefact, where the page takes the collection from Galaxy or from the clone.

        :param collections: where the dependency lies, so that nobody asks Galaxy.
        """
        shutil.copytree(TREE / "kubernetes", collections / "ansible_collections" / "kubernetes")
        tarball = next(artefact.DIRECTORY.glob("*.tar.gz"))
        wanted = f"ansible-galaxy collection install {tarball} --offline"
        say(f"    {line}\n      -> {wanted}")
        self.types(wanted)
