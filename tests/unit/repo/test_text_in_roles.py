"""No expression of a role takes a variable for a list, number or boolean that may be text.

`-e wait=no` is the text "no", which is true in Jinja. So whatever is no text is handed to a module as it is,
which reads it, or goes through one of our filters first.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import pytest

from ..support.repository import yaml_file

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path for kind in ("tasks", "vars", "defaults") for path in ROOT.glob(f"roles/*/{kind}/*.yml"))
TEXTS = {"str", "path"}


@functools.cache
def typed_variables() -> frozenset[str]:
    """Variables of all roles that are no text."""
    return frozenset(
        name
        for path in ROOT.glob("roles/*/meta/argument_specs.yml")
        for entry in yaml_file(path)["argument_specs"].values()
        for name, spec in entry.get("options", {}).items()
        if spec["type"] not in TEXTS
    )


def expressions(value: Any, *, conditional: bool = False) -> Iterator[str]:
    """What Ansible evaluates: text in braces, and conditions without any."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from expressions(
                item, conditional=key in ("when", "failed_when", "changed_when", "until", "that")
            )
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item, conditional=conditional)
    elif isinstance(value, str):
        braces = r"\{\{-?\s*(.*?)\s*-?\}\}|\{%-?\s*(.*?)\s*-?%\}"
        inside = ["".join(parts) for parts in re.findall(braces, value, re.DOTALL)]
        yield from [value] if conditional else inside


def faults(expression: str, typed: Set[str]) -> list[str]:
    """Variables that an expression uses as if they had their type."""
    bare = re.sub(r"'[^']*'", "''", expression)
    found = []
    for name in {*re.findall(r"(?<![\w.])[a-z]+(?:_[a-z0-9]+)+", bare)} & typed:
        as_it_is = re.fullmatch(
            rf"{name}( \| default\(omit, true\))?|omit if {name} is none else {name}", bare.strip()
        )
        filtered = all(
            re.match(r"\s*\|\s*servicemesh\.istio\.\w+", bare[match.end() :])
            for match in re.finditer(rf"(?<![\w.]){name}\b", bare)
        )
        if not (as_it_is or filtered):
            found.append(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "roles")))
def test_variables_that_may_be_text_are_read_by_modules_or_filters(path: Path) -> None:
    for expression in expressions(yaml_file(path)):
        assert faults(expression, typed_variables()) == [], expression


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("mesh_wait", []), ("mesh_wait | default(omit, true)", []), ("mesh_wait and x", ["mesh_wait"]),
        ("mesh_list | servicemesh.istio.typed('list')", []), ("mesh_list | length > 0", ["mesh_list"]),
        ("x in mesh_list | servicemesh.istio.typed", []), ("omit if mesh_list is none else mesh_list", []),
        ("'mesh_list' in names", []), ("not mesh_wait", ["mesh_wait"]), ("__mesh_list | length", []),
    ],
)  # fmt: skip
def test_faults_are_found(expression: str, wrong: list[str]) -> None:
    assert faults(expression, {"mesh_wait", "mesh_list"}) == wrong
