"""What the guides for developers name is there: a table that points nowhere is worse than none."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GUIDES = ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", ".github/pull_request_template.md")
FROM = (ROOT, ROOT / "plugins", ROOT / "plugins/module_utils", ROOT / "plugins/module_utils/operations")
TREES = ("plugins", "roles", "molecule", "tests")
MADE = (".cache/", "build/", ".venv/", "changelogs/fragments/", "collections/")


def named(guide: str) -> list[str]:
    """The paths in backticks, up to the first part with a placeholder (NAME, <layer>, *)."""
    text = re.sub(r"^    .*$", "", (ROOT / guide).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for word in re.findall(r"`([\w.\-/<>*]+)`", text):
        parts = itertools.takewhile(
            lambda part: not re.search(r"[A-Z]{3,}|[<*]", part), word.strip("/").split("/")
        )
        path = "/".join(parts)
        if "/" in path or path.endswith((".py", ".md", ".yml")):
            found.append(path)
    return [path for path in found if not path.startswith(MADE) and ".io/" not in path]


def exists(path: str) -> bool:
    """From one of the usual places, or by its end: `meta/argument_specs.yml` of a role, `safety.py`."""
    return any((start / path).exists() for start in FROM) or any(
        found.as_posix().endswith("/" + path)
        for tree in TREES
        for found in (ROOT / tree).rglob(Path(path).name)
    )


@pytest.mark.parametrize("guide", GUIDES)
def test_paths_in_the_guides_for_developers_are_there(guide: str) -> None:
    assert [path for path in named(guide) if not exists(path)] == []


def test_paths_are_found_at_all() -> None:
    assert "operations/rights/table.py" in named("CONTRIBUTING.md")
    assert len(named("CONTRIBUTING.md")) > 40
    assert not exists("operations/rights/tables.py")
