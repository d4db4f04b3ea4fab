"""What modules say of their results: each value has a sample, and each module names its neighbours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ..support.repository import yaml_text

MODULES = sorted(Path(__file__).resolve().parents[3].glob("plugins/modules/[a-z]*.py"))


def part(path: Path, name: str) -> Any:
    found = re.search(rf'^{name} = r?"""(.*?)"""', path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, name
    return yaml_text(found[1])


def without_sample(values: dict[str, Any], place: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        if "sample" in value:
            continue
        inner = without_sample(value.get("contains", {}), f"{place}{name}.")
        found += inner if "contains" in value else [f"{place}{name}"]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_value_has_a_sample_of_its_type(path: Path) -> None:
    values = part(path, "RETURN")
    assert without_sample(values) == []
    types = {"str": str, "dict": dict, "list": list, "bool": bool, "int": int, "float": (int, float)}
    for name, value in values.items():
        if "sample" in value and value["type"] in types:
            assert isinstance(value["sample"], types[value["type"]]), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_names_its_neighbours(path: Path) -> None:
    assert part(path, "DOCUMENTATION").get("seealso")
