"""The Makefile's one entry: ``python3 -m tools COMMAND``, with any Python from 3.9 on.

Checks what the machine must offer, prepares the virtual environment, and goes on in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

if sys.version_info < (3, 9):  # noqa: UP036 - the point of this line is to be read by an old Python
    sys.exit("make needs python3 >= 3.9 to begin with, and Python >= 3.12 for the rest")

from .dependencies import collections
from .environments import main_environment
from .interpreters import find_main
from .needs import check_clone, check_for_lab
from .paths import ROOT
from .processes import end_with_parent
from .screen import SetupError


class Command(NamedTuple):
    """What a make target needs. `module`: what goes on in the environment; `sets`: files of requirements/."""

    module: str
    sets: tuple[str, ...]
    lab: bool = False


COMMANDS = {
    "demo": Command("tools.demo", ("runtime",), lab=True),
    "test": Command("tools.test", ("runtime", "test", "lint", "mutants", "release"), lab=True),
    "lint": Command("tools.lint", ("runtime", "test", "lint", "mutants")),
    "unit": Command("tools.unit", ("runtime", "test", "mutants")),
    "mutants": Command("tools.mutants", ("runtime", "test", "lint", "mutants")),
    "bench": Command("tools.bench", ("runtime", "test"), lab=True),
    "promises": Command("tools.promises", ("runtime", "test")),
    "campaign": Command("tools.campaign", ("runtime", "test", "release"), lab=True),
    "docs": Command("tools.docsite", ("runtime", "test", "lint", "release")),
    "lab": Command("tools.lab", ("runtime",), lab=True),
    "lab-down": Command("tools.lab", ("runtime",), lab=True),
    "prepare": Command("tools.prepared", ("runtime", "test", "lint", "mutants", "release")),
}


def main(arguments: Sequence[str]) -> int:
    """Prepare, then become the command (this process is replaced). Returns only when that is not possible."""
    name, *rest = arguments or [""]
    command = COMMANDS.get(name)
    if command is None:
        sys.stderr.write(f"python3 -m tools {'|'.join(COMMANDS)}\n")
        return 2
    if os.environ.get("MAKELEVEL"):
        # Nobody reads the output of a killed make: Ansible would wait for its own broken pipe for ever, and
        # the next make for Ansible. The kernel keeps this wish through execve.
        end_with_parent()()
    try:
        if command.lab:
            check_for_lab(name)
        check_clone(name)
        python = main_environment(find_main(name), command.sets, name)
        collections(python, name)
    except SetupError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    os.chdir(ROOT)
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}
    environment.pop("PYTHONHOME", None)
    # Compiled anew by every process, the tests alone cost twenty seconds; `make clean` removes what it keeps.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return os.execve(python, [str(python), "-m", command.module, name, *rest], environment)  # noqa: S606 - no shell, on purpose


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
