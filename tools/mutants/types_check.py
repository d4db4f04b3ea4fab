"""Survivors that mypy refuses: what the type check finds needs no test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..paths import ROOT
from .operators import Mutant

_PACKAGE = "ansible_collections.servicemesh.istio.plugins"


def refused(
    mutants: Sequence[Mutant], code: Mapping[str, str], trees: Sequence[Path], cache: Path
) -> set[Mutant]:
    """The mutants that mypy finds. One process in each tree; `cache`: a directory for what it remembers."""
    waiting = list(mutants)
    found: set[Mutant] = set()

    def work(number: int) -> None:
        check = _TypesCheck(trees[number], cache / f"mypy-{number}")
        while waiting:
            mutant = waiting.pop()
            if check.finds(mutant, code[mutant.path]):
                found.add(mutant)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(trees))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class _TypesCheck:
    """mypy in one copy of the tree, with a cache of its own."""

    def __init__(self, tree: Path, cache: Path) -> None:
        self._tree = tree
        self._cache = cache
        if not cache.exists() and (ROOT / ".mypy_cache").exists():
            shutil.copytree(ROOT / ".mypy_cache", cache)
        self._usable = self._holds()

    def finds(self, mutant: Mutant, code: str) -> bool:
        """Whether the change is an error of types. `code`: the file without the change."""
        if not self._usable:
            return False
        path = self._tree / mutant.path
        try:
            path.write_text(mutant.apply(code), encoding="utf-8")
            return not self._holds()
        finally:
            path.write_text(code, encoding="utf-8")

    def _holds(self) -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--cache-dir", str(self._cache), "-p", _PACKAGE],
            cwd=self._tree,
            env={**os.environ, "MYPYPATH": "collections"},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
