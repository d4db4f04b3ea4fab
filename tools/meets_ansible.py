"""Which unit tests an ansible-core can decide: nobody else needs to run with every one of them."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from .imports import Imports
from .paths import ROOT

# An import of Ansible itself (the collection's own name begins with ansible_), or one of its programs.
_IMPORT = r"^\s*(?:from|import) ansible(?:\.|\s)"
_PROGRAM = r"[\"'/ ]ansible-(?:playbook|doc|galaxy|config)\b"
_EITHER = f"{_IMPORT}|{_PROGRAM}"
# Plugins name its programs in what they tell people, and run none.
_ROOMS = {"plugins": _IMPORT, "tests": _EITHER, "lab": _EITHER, "tools": _EITHER}
# Thin: what Ansible does behind them is decided by the tests that import them, not by all further off.
SEAMS = frozenset(("plugins/module_utils/istio/metrics.py", "tests/unit/support/arguments.py"))
# Plugins that Ansible loads.
_WHOLE = ("tests/unit/action/",)


@functools.cache
def test_files(root: Path = ROOT) -> tuple[str, ...]:
    """The files of tests/unit that meet Ansible, or whose imports do; without tools, which it never runs.

    Where only a seam does, a test has to import that itself.

    :returns: paths from the root on, sorted.
    """
    names = sorted(str(path.relative_to(root)) for room in _ROOMS for path in (root / room).rglob("*.py"))
    imports = Imports(root, names)
    meets = {name for name in names if _meets(name, (root / name).read_text(encoding="utf-8"))}
    tests = [name for name in names if re.match(r"tests/unit/(?!tools/).*test_[^/]*\.py$", name)]
    return tuple(
        name
        for name in tests
        if name.startswith(_WHOLE)
        or imports.needed_by(name) & (meets - SEAMS)
        or imports.direct[name] & meets & SEAMS
    )


def _meets(name: str, text: str) -> bool:
    return re.search(_ROOMS[name.partition("/")[0]], text, re.MULTILINE) is not None
