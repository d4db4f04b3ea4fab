"""Virtual environments inside the clone. A stamp says what is installed, so the second time costs nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .installer import install
from .interpreters import Interpreter
from .needs import install_packages
from .paths import REQUIREMENTS, ROOT, VENV
from .screen import SetupError, timed

CORES = ("2.21", "2.20")  # of ansible-core, those that are supported; the first is the main environment's
_STAMP = "servicemesh-stamp.json"
_UNFINISHED = "servicemesh-unfinished"


def main_environment(interpreter: Interpreter, sets: Sequence[str], command: str) -> Path:
    """`.venv`, with the named requirement sets (files of requirements/, without .txt). Returns its python."""
    return environment(VENV, interpreter, sets, command)


def matrix_environment(interpreter: Interpreter, core: str, sets: Sequence[str], command: str) -> Path:
    """An environment for one ansible-core minor and one Python: `.venv-core2.20-py3.13`."""
    return environment(
        ROOT / f".venv-core{core}-py{interpreter.minor}", interpreter, (f"core-{core}", *sets), command
    )


def environment(directory: Path, interpreter: Interpreter, sets: Sequence[str], command: str) -> Path:
    """Make sure that `directory` holds these requirement sets, and return its python."""
    python = directory / "bin" / "python"
    stamp = directory / _STAMP
    installed = _read(stamp)
    wanted = {name: _digest(name) for name in sets}
    home = {"": f"{directory} {interpreter.path} {interpreter.version}"}
    whole = python.exists() and not (directory / _UNFINISHED).exists()
    if whole and installed.get("", home[""]) == home[""] and wanted.items() <= installed.items():
        return python
    with timed(f"{directory.name}: Python {interpreter.minor} with {', '.join(sets)}"):
        if not whole or (installed and installed.get("") != home[""]):
            _create(directory, interpreter, command)
        unfinished = directory / _UNFINISHED
        unfinished.touch()  # a killed installation is started over: nobody can tell what it left half-written
        _fill(python, sets, command)
        kept = {name: digest for name, digest in installed.items() if name and _digest(name) == digest}
        draft = stamp.with_suffix(".new")
        draft.write_text(json.dumps({**kept, **wanted, **home}, indent=1))
        draft.replace(stamp)
        unfinished.unlink()
    return python


def _create(directory: Path, interpreter: Interpreter, command: str) -> None:
    if not interpreter.has_venv:
        install_packages(command, [f"python{interpreter.minor}-venv"])
    shutil.rmtree(directory, ignore_errors=True)
    done = subprocess.run(
        [interpreter.path, "-m", "venv", str(directory)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        shutil.rmtree(directory, ignore_errors=True)
        raise SetupError(
            f"{interpreter.path} cannot make a virtual environment: {_last(done.stdout + done.stderr)}"
        )


def _fill(python: Path, sets: Sequence[str], command: str) -> None:
    if trouble := install(python, sets):
        raise SetupError(
            f"make {command} could not install {', '.join(sets)} from the package index: {_last(trouble)}"
        )


def _digest(name: str) -> str:
    """Hash of a requirements file and of those that it includes; "" when there is none (any more)."""
    path = REQUIREMENTS / f"{name}.txt"
    if not path.is_file():
        return ""
    text = path.read_text()
    included = re.findall(r"^-r\s+(\S+)\.txt", text, re.MULTILINE)
    return hashlib.sha256("\n".join([text, *map(_digest, included)]).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _last(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip() and not line.startswith("[notice]")]
    return " ".join(lines[-2:])
