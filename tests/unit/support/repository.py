"""What the repository's files say, each read once for all tests of a process: nobody changes what it gets."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def yaml_text(text: str) -> Any:
    return yaml.load(text, _LOADER)  # noqa: S506 - a SafeLoader, of either kind


@functools.cache
def yaml_file(path: Path) -> Any:
    return yaml_text(path.read_text(encoding="utf-8"))


@functools.cache
def options_of(role: Path) -> dict[str, dict[str, Any]]:
    """Options of all entry points of a role together."""
    found: dict[str, dict[str, Any]] = {}
    for entry in yaml_file(role / "meta" / "argument_specs.yml")["argument_specs"].values():
        found.update(entry.get("options", {}))
    return found


@functools.cache
def options_of_roles() -> dict[str, dict[str, Any]]:
    """Options of all roles together."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        found.update(options_of(path.parents[1]))
    return found
