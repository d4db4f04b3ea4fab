"""Which unit tests an ansible-core can decide: nobody else needs to run with every one of them."""

from __future__ import annotations

import re
from pathlib import Path

from .imports import Imports
from .paths import ROOT

# An import of Ansible itself (the collection's own name begins with ansible_), or one of its programs.
_IMPORT = r"^\s*(?:from|import) ansible(?:\.|\s)"
_PROGRAM = r"[\"'/ ]ansible-(?:playbook|doc|galaxy|config)\b"
_MEETS = re.compile(f"{_IMPORT}|{_PROGRAM}", re.MULTILINE)
_WHOLE = "tests/unit/repo/"  # looks at roles, playbooks and documentation with Ansible's eyes


def test_files(root: Path = ROOT) -> list[str]:
    """The files of tests/unit that meet Ansible, or whose imports do; without tools, which it never runs."""
    rooms = ("plugins", "tests", "lab", "tools")
    names = sorted(str(path.relative_to(root)) for room in rooms for path in (root / room).rglob("*.py"))
    imports = Imports(root, names)
    meets = {name for name in names if _MEETS.search((root / name).read_text(encoding="utf-8"))}
    tests = [name for name in names if re.match(r"tests/unit/(?!tools/).*test_[^/]*\.py$", name)]
    return [name for name in tests if name.startswith(_WHOLE) or imports.needed_by(name) & meets]
