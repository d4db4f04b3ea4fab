"""What the repository says twice says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tools import dependencies, environments

from ..support.repository import yaml_file, yaml_text

ROOT = Path(__file__).resolve().parents[3]

FRAGMENT = "servicemesh.istio.cluster"


def load(name: str) -> Any:
    return yaml_file(ROOT / name)


def documentation(path: Path) -> dict[str, Any]:
    found = re.search(
        r'^DOCUMENTATION = r?"""(.*?)"""', path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"{path.name} has no DOCUMENTATION"
    return dict(yaml_text(found[1]))


def modules() -> dict[str, dict[str, Any]]:
    return {
        path.stem: documentation(path) for path in sorted((ROOT / "plugins" / "modules").glob("[a-z]*.py"))
    }


def test_the_action_group_is_the_modules_with_connection_options() -> None:
    """One member that lacks an option makes `module_defaults: group/...` fail for every task."""
    connected = {
        name for name, text in modules().items() if FRAGMENT in text.get("extends_documentation_fragment", [])
    }
    assert connected
    assert set(load("meta/runtime.yml")["action_groups"]["cluster"]) == connected


def test_every_module_runs_in_the_controller_too() -> None:
    assert {path.stem for path in (ROOT / "plugins" / "action").glob("[a-z]*.py")} == set(modules())


def test_one_range_for_kubernetes_core() -> None:
    name, range_ = dependencies.RANGE.split(":")
    entries = load("collections/requirements.yml")["collections"]
    assert load("galaxy.yml")["dependencies"] == {name: range_}
    assert entries[0] == {"name": ".", "type": "dir"}
    assert {"name": name, "version": range_} in entries


USES_ANOTHER = re.compile(
    r"\b(kubernetes\.core|community\.\w+)\.\w+\s*:|ansible_collections\.(kubernetes|community)\b"
)


def test_nothing_here_needs_another_collection() -> None:
    """As README.md says; kubernetes.core is a dependency for what people deploy into a mesh."""
    used = {
        str(path.relative_to(ROOT)): line
        for place in ("roles", "playbooks", "plugins")
        for path in sorted((ROOT / place).rglob("*"))
        if path.suffix == (".py" if place == "plugins" else ".yml")  # examples in documentation may use it
        for line in path.read_text(encoding="utf-8").splitlines()
        if USES_ANOTHER.search(line)
    }
    assert used == {}
    assert "Roles and modules need no other collection" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lowest_ansible_core_is_tested() -> None:
    lowest = re.fullmatch(r">=(\d+\.\d+)\.0", load("meta/runtime.yml")["requires_ansible"])
    assert lowest
    pinned = {
        match[1]
        for path in (ROOT / "requirements").glob("core-*.txt")
        for match in re.finditer(r"^ansible-core==(\d+\.\d+)\.", path.read_text(), re.MULTILINE)
    }
    assert lowest[1] in pinned
    assert f"ansible-core>={lowest[1]}.0" in (ROOT / "requirements.txt").read_text()


def test_every_requirement_is_pinned() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.split("#")[0].strip()
            assert not text or text.startswith("-r ") or re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.]+", text), (
                f"{path.name}: {line}"
            )


def test_ansible_test_units_installs_what_our_units_do() -> None:
    """It reads this file alone, and brings a pytest of its own."""
    wanted = {
        line
        for name in ("libraries", "unit")
        for line in (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"(?!pytest==)[A-Za-z]", line)
    }
    found = (ROOT / "tests" / "unit" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in found if not line.startswith("#")} == wanted


def test_a_changed_requirement_changes_the_stamp(tmp_path: Path, monkeypatch: Any) -> None:
    """Included files count too, or a new pin would not reach an existing environment."""
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    (tmp_path / "outer.txt").write_text("-r inner.txt\n")
    (tmp_path / "inner.txt").write_text("one==1\n")
    before = environments._digest("outer")
    (tmp_path / "inner.txt").write_text("one==2\n")
    assert environments._digest("outer") != before


def test_playbook_names_work_as_part_of_the_collection() -> None:
    """`servicemesh.istio.verify-all` cannot be found: only identifiers can."""
    for path in (ROOT / "playbooks").glob("*.yml"):
        assert path.name.split(".")[0].isidentifier(), path.name


def test_no_sanity_exceptions() -> None:
    assert not list((ROOT / "tests" / "sanity").glob("ignore-*.txt"))


def test_every_playbook_has_a_page() -> None:
    """The pages of one family, such as canary_*, are one."""
    pages = {path.stem for path in (ROOT / "docs" / "playbooks").glob("*.md")}
    playbooks = {path.name.split(".")[0] for path in (ROOT / "playbooks").glob("*.yml")}
    assert pages
    assert {name if name in pages else name.split("_")[0] for name in playbooks} == pages


def test_pages_link_to_files_that_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
        for target in re.findall(r"`(docs/[\w./-]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{page.name} names {target}"
