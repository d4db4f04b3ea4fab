"""Finding Python interpreters: on PATH, under pyenv, in the usual prefixes. Shims are asked, not trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .screen import SetupError

SUPPORTED = ((3, 12), (3, 13))  # tested; the first one found carries the main environment
ALSO = ((3, 14),)  # works with the same pins, is not part of the test matrix
_QUESTION = (
    "import importlib.util as u, json, sys;"
    "print(json.dumps([list(sys.version_info[:3]), sys.executable,"
    " bool(u.find_spec('ensurepip')) and bool(u.find_spec('venv'))]))"
)


class Interpreter(NamedTuple):
    """A Python that answered. `version`: (3, 12, 1); `has_venv`: it can make a virtual environment."""

    version: tuple[int, int, int]
    path: str
    has_venv: bool

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def candidates() -> Iterable[str]:
    """Paths that may be interpreters of a usable version, most trusted first."""
    names = [f"python{major}.{minor}" for major, minor in (*SUPPORTED, *ALSO)]
    for name in (*names, "python3"):
        if found := shutil.which(name):
            yield found
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    prefixes = [
        *sorted(pyenv.glob("versions/*"), reverse=True),
        Path("/usr/local"),
        Path("/usr"),
        Path("/opt/python"),
    ]
    for prefix in prefixes:
        for name in names:
            candidate = prefix / "bin" / name
            if candidate.exists():
                yield str(candidate)


def ask(path: str) -> Interpreter | None:
    """What an interpreter says about itself; None when it does not run (a pyenv shim without a version)."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [path, "-I", "-c", _QUESTION],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=environment,
        )
        version, executable, has_venv = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter((version[0], version[1], version[2]), os.path.realpath(executable), has_venv)


def find_all() -> dict[str, Interpreter]:
    """The best interpreter of each usable minor version: {"3.12": ..., "3.13": ...}, preferred first."""
    found: dict[str, Interpreter] = {}
    for path in candidates():
        answer = ask(path)
        if answer is None or answer.version[:2] not in (*SUPPORTED, *ALSO):
            continue
        known = found.get(answer.minor)
        if known is None or (answer.has_venv and not known.has_venv):
            found[answer.minor] = answer
    order = [f"{major}.{minor}" for major, minor in (*SUPPORTED, *ALSO)]
    return {minor: found[minor] for minor in order if minor in found}


def path_of_interpreters() -> str:
    """PATH for programs that trust every `python3.X` on it: without dead shims, with what we found.

    A pyenv directory of shims has a name for each version that is installed, and runs only the chosen ones.
    """
    names = [f"python3.{minor}" for minor in range(9, 16)]
    kept = []
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        present = [Path(directory) / name for name in names if (Path(directory) / name).exists()]
        if all(ask(str(path)) for path in present):
            kept.append(directory)
    found = [str(Path(interpreter.path).parent) for interpreter in find_all().values()]
    return os.pathsep.join([*kept, *(directory for directory in found if directory not in kept)])


def find_main(command: str) -> Interpreter:
    """The interpreter for the main environment."""
    found = find_all()
    if not found:
        raise SetupError(
            f"make {command} needs Python >= 3.12, as ansible-core does, and finds none on PATH, under pyenv "
            "or in /usr/local: on Debian 13 install python3 and python3-venv, elsewhere pyenv install 3.12"
        )
    able = [interpreter for interpreter in found.values() if interpreter.has_venv]
    return able[0] if able else next(iter(found.values()))
