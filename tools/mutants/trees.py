"""Copies of the working tree, one for each worker: a mutant is never written into the clone."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ..paths import COLLECTIONS, ROOT
from ..tree import repository_files

_OWN_LINK = Path("collections/ansible_collections/servicemesh/istio")


def make(trees: Sequence[Path]) -> list[str]:
    """Make every tree the working tree as it is now. :returns: the names of its files.

    The clone is read once: it may change while the mutants are tried.
    """
    names = repository_files()
    for source, target in pairwise([ROOT, *trees]):
        _synchronise(source, target, set(names))
    return names


def _synchronise(source: Path, target: Path, wanted: set[str]) -> None:
    """Put right whatever a killed run left in the target.

    Bytecode lies beside each source and is bound to its content, not to its time.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(wanted):
        if _same(source / name, target / name):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).unlink(missing_ok=True)
        shutil.copy2(source / name, target / name, follow_symlinks=False)
    _remove_others(target, wanted)
    for name in sorted(wanted):
        if name.endswith(".py") and not (target / name).is_symlink():
            _compile(target / name)
    _link_collections(target)


def _same(source: Path, copy: Path) -> bool:
    """A link is the same when it points to the same name: what it leads to is a file of its own."""
    if source.is_symlink() or copy.is_symlink():
        return source.is_symlink() and copy.is_symlink() and source.readlink() == copy.readlink()
    return copy.is_file() and copy.read_bytes() == source.read_bytes()


def _remove_others(target: Path, wanted: set[str]) -> None:
    for directory, names, files in os.walk(target):
        here = Path(directory)
        if here == target:
            names[:] = [name for name in names if name != "collections"]
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            if str((here / name).relative_to(target)) not in wanted:
                (here / name).unlink()
    for cache in target.rglob("__pycache__"):
        for file in cache.iterdir():
            # pytest's own (`-pytest-`) go by time and size, which a copied test file keeps
            if not (cache.parent / f"{file.name.partition('.')[0]}.py").exists():
                file.unlink()


def _compile(source: Path) -> None:
    compiled = Path(importlib.util.cache_from_source(str(source)))
    if compiled.exists() and compiled.stat().st_mtime_ns >= source.stat().st_ctime_ns:
        return
    py_compile.compile(
        str(source), cfile=str(compiled), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
    )


def _link_collections(target: Path) -> None:
    """The collection under its full name, and the ones that it uses, as in the clone."""
    own = target / _OWN_LINK
    own.parent.mkdir(parents=True, exist_ok=True)
    if not own.is_symlink():
        own.symlink_to("../../..")
    for namespace in sorted((COLLECTIONS / "ansible_collections").iterdir()):
        link = target / "collections" / "ansible_collections" / namespace.name
        if namespace.name != "servicemesh" and not link.is_symlink():
            link.symlink_to(namespace)
