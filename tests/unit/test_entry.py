"""A Python that is too old ends in one sentence, before it reads what it cannot."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils import entry

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "plugins" / "modules").glob("[a-z]*.py"))
COLLECTION = "ansible_collections.servicemesh.istio."


@pytest.mark.parametrize("version", [(3, 9), (3, 11), (2, 7)])
def test_an_old_python_is_told_in_one_sentence(version: tuple[int, int]) -> None:
    result = json.loads(entry.refusal(version, "/usr/bin/python3"))
    assert result["failed"] is True
    assert result["msg"].startswith("servicemesh.istio needs Python 3.12 or later, and /usr/bin/python3 is ")
    assert "ansible_python_interpreter" in result["msg"] and "\n" not in result["msg"]


@pytest.mark.parametrize("version", [(3, 12), (3, 13), (4, 0)])
def test_a_new_one_goes_on(version: tuple[int, int]) -> None:
    assert entry.refusal(version, "python3") == ""


def test_old_pythons_can_read_it() -> None:
    """Ansible starts modules with 3.9 and later."""
    source = (ROOT / "plugins" / "module_utils" / "entry.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    at_once = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in at_once}
    assert names == {"__future__", "json", "sys", "typing"}
    assert [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)] == ["_REFUSAL"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_begins_with_it(path: Path) -> None:
    imports = [
        node.module or ""
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(COLLECTION)
    ]
    assert imports[0] == f"{COLLECTION}plugins.module_utils.entry"
