"""``make lint``: every checker of the repository, offline, fastest first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .kept_code import keeping
from .paths import COLLECTIONS
from .stages import Stage, command, report, run_stages
from .tree import repository_files

BIN = Path(sys.executable).parent


def ruff_check() -> int:
    """Rules of pyproject.toml."""
    command(BIN / "ruff", "check", "--quiet", ".")
    return 1


def ruff_format() -> int:
    """One formatting, not discussed."""
    command(BIN / "ruff", "format", "--check", "--quiet", ".")
    return 1


def types() -> int:
    """Strict types. The collection's relative imports resolve only under its full package name."""
    command(
        BIN / "mypy",
        *("-p", "ansible_collections.servicemesh.istio.plugins"),
        *("-p", "lab", "-p", "tools"),
        environment={"MYPYPATH": str(COLLECTIONS)},
    )
    return 1


def yaml_files() -> int:
    """Files that git knows or would add: never a cache or another collection."""
    files = repository_files("*.yml", "*.yaml", ".yamllint", ".ansible-lint")
    command(BIN / "yamllint", "--strict", *files)
    return len(files)


def ansible() -> int:
    """Profile production; reads only what lies here."""
    command(
        BIN / "ansible-lint",
        *("--offline", "-q"),
        # Each playbook is checked by an ansible-playbook of its own, which compiles the same plugins.
        environment={"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), **keeping()},
    )
    return 1


def changelog() -> int:
    """Fragments are well-formed."""
    command(BIN / "antsibull-changelog", "lint")
    return 1


def documentation() -> int:
    """Every plugin's and role's documentation is complete and refers to things that exist."""
    command(
        BIN / "antsibull-docs",
        *(
            "lint-collection-docs",
            "--plugin-docs",
            "--skip-rstcheck",
            "--validate-collection-refs",
            "self",
            ".",
        ),
        cwd=COLLECTIONS / "ansible_collections" / "servicemesh" / "istio",
        environment={
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        },
    )
    return 1


STAGES = (
    Stage("ruff check", ruff_check),
    Stage("ruff format", ruff_format),
    Stage("mypy --strict", types),
    Stage("yamllint", yaml_files),
    Stage("antsibull-changelog lint", changelog),
    Stage("antsibull-docs lint", documentation),
    Stage("ansible-lint, profile production", ansible),
)

if __name__ == "__main__":
    sys.exit(report(run_stages(STAGES, keep_going=True)))
