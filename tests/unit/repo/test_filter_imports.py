"""What the filters cost a task that uses one: Ansible reads the files of all of them to find it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILTERS = Path(__file__).resolve().parents[3] / "plugins" / "filter"
CHEAP = ("errors", "fields", "model.reading")  # what every playbook of ours has imported anyway


@pytest.mark.parametrize("file", sorted(FILTERS.glob("*.py")), ids=lambda path: path.stem)
def test_a_file_imports_at_its_top_only_what_costs_nothing(file: Path) -> None:
    ours = "ansible_collections.servicemesh.istio.plugins.module_utils."
    found = [
        node.module.removeprefix(ours)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(ours)
    ]
    assert [name for name in found if not name.startswith(CHEAP)] == []
