"""Dependencies point one way; the imports are read, not trusted.

playbooks -> roles -> plugins -> operations -> (model, istio, kube); istio -> kube. All use `errors.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.servicemesh.istio"
OURS = f"{PACKAGE}.plugins"

# layer -> layers that it may import (itself always)
MAY_IMPORT = {
    "errors": set(),
    "model": {"errors"},
    "kube": {"errors"},
    "istio": {"errors", "kube"},
    "operations": {"errors", "model", "kube", "istio"},
    "run": {"errors", "operations", "kube"},
    "plugin_utils": {"errors", "operations", "kube", "run"},
    "doc_fragments": set(),
    "modules": {"errors", "operations", "run", "doc_fragments"},
    "action": {"errors", "operations", "run", "plugin_utils"},
    "filter": {"errors", "model", "plugin_utils"},
    "lookup": {"errors", "model", "plugin_utils"},
    "test": {"errors", "model", "plugin_utils"},
}
PURE = {"errors", "model"}
NO_INPUT_OR_OUTPUT = {
    "ansible", "http", "kubernetes", "logging", "os", "random", "requests", "secrets", "select", "shutil",
    "socket", "subprocess", "tempfile", "threading", "time", "urllib.request", "urllib3",
}  # fmt: skip


def sources() -> list[Path]:
    return sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")


def layer(parts: tuple[str, ...]) -> str:
    """The layer of a dotted path below plugins/: ('module_utils', 'kube', 'client') is in `kube`."""
    if parts[0] != "module_utils":
        return parts[0]
    name = parts[1] if len(parts) > 1 else ""
    return name if name in MAY_IMPORT else "run"


def imports(path: Path) -> set[str]:
    """Absolute names of what a file imports, at its top, in functions and for type checks alike."""
    package = (OURS, *path.relative_to(PLUGINS).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def own_layer(path: Path) -> str:
    return layer(path.relative_to(PLUGINS).with_suffix("").parts)


def test_every_layer_has_files() -> None:
    """The rules below would hold for an empty tree too."""
    assert {"errors", "model", "kube", "istio", "operations", "modules", "action"} <= {
        *map(own_layer, sources())
    }


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_imports_point_down(path: Path) -> None:
    allowed = {own_layer(path), *MAY_IMPORT[own_layer(path)]}
    for name in imports(path):
        if name.startswith(f"{OURS}."):
            target = layer(tuple(name.removeprefix(f"{OURS}.").split(".")))
            assert target in allowed, f"{own_layer(path)} must not import {target}: {name}"
        else:
            assert not name.startswith(PACKAGE), f"{name} is outside plugins"


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if own_layer(path) in PURE],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_the_model_is_pure(path: Path) -> None:
    """No input, no output, no clock, no Ansible: a mesh is computed from what is handed in."""
    for name in imports(path):
        heads = {name, name.split(".")[0], ".".join(name.split(".")[:2])}
        assert not heads & NO_INPUT_OR_OUTPUT, f"a pure layer imports {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if own_layer(path) in {"kube", "model"}],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_only_upper_layers_know_of_ansible(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] != "ansible", f"{own_layer(path)} imports {name}"


def test_kube_knows_nothing_of_istio() -> None:
    """It writes and waits for any object: an Istio group in its code would be a hidden dependency."""
    for path in sources():
        if own_layer(path) != "kube":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.endswith(".istio.io"), f"{path.name}:{node.lineno}"


def test_module_utils_can_be_shipped() -> None:
    """A module's payload holds what a static scan reaches: importlib would work in the controller only."""
    for path in sources():
        if path.is_relative_to(PLUGINS / "module_utils"):
            assert "importlib.import_module" not in path.read_text(encoding="utf-8"), path.name


def test_playbooks_hold_plays_and_roles_only() -> None:
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    plays = [
        play
        for path in playbooks
        if not path.name.endswith(".meta.yml")
        for play in yaml.safe_load(path.read_text())
    ]
    assert plays
    for play in plays:
        if "ansible.builtin.import_playbook" in play:
            continue
        assert play["gather_facts"] is False, play["name"]
        for task in play.get("tasks", []):
            names = {"ansible.builtin.import_role", "ansible.builtin.include_role"}
            assert names & set(task), f"{play['name']}: {task['name']} belongs into a role"
