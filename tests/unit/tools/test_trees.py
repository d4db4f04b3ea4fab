"""Copies of the tree for mutants: whatever a killed run left in one is put right by the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants import trees

CODE = "def f():\n    return 1\n"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "clone"
    (root / "plugins").mkdir(parents=True)
    (root / "plugins" / "a.py").write_text(CODE)
    (root / "notes.md").write_text("words\n")
    (root / "collections" / "ansible_collections" / "kubernetes" / "core").mkdir(parents=True)
    monkeypatch.setattr(trees, "ROOT", root)
    monkeypatch.setattr(trees, "COLLECTIONS", root / "collections")
    monkeypatch.setattr(
        trees,
        "repository_files",
        lambda: sorted(
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and "collections" not in path.parts and "__pycache__" not in path.parts
        ),
    )
    return root


def imported(tree: Path) -> str:
    """What the tree's file returns, in a Python of its own that may use bytecode."""
    return subprocess.run(
        [sys.executable, "-c", "from plugins.a import f; print(f())"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_a_mutant_of_a_killed_run_is_gone(clone: Path, tmp_path: Path) -> None:
    copies = [tmp_path / "one", tmp_path / "two"]
    assert trees.make(copies) == ["notes.md", "plugins/a.py"]
    mutated = copies[0] / "plugins" / "a.py"
    mutated.write_text(CODE.replace("1", "2"))
    (copies[0] / "plugins" / "left.py").write_text("x = 1\n")
    (copies[1] / "notes.md").unlink()
    trees.make(copies)
    for copy in copies:
        assert (copy / "plugins" / "a.py").read_text() == CODE
        assert (copy / "notes.md").read_text() == "words\n"
        assert not (copy / "plugins" / "left.py").exists()
        assert imported(copy) == "1"
    assert (clone / "plugins" / "a.py").read_text() == CODE


def test_a_mutant_of_the_same_size_and_second_is_not_taken_for_what_it_replaced(
    clone: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "one"
    trees.make([copy])
    assert imported(copy) == "1"
    file = copy / "plugins" / "a.py"
    times = file.stat()
    file.write_text(CODE.replace("1", "2"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert imported(copy) == "2"


def test_the_collection_has_its_full_name_there(clone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "one"
    trees.make([copy])
    trees.make([copy])
    namespaces = copy / "collections" / "ansible_collections"
    assert (namespaces / "servicemesh" / "istio").resolve() == copy
    assert (namespaces / "kubernetes" / "core").is_dir()


def test_a_file_that_left_the_clone_leaves_the_copy(clone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "one"
    trees.make([copy])
    (clone / "plugins" / "a.py").unlink()
    trees.make([copy])
    assert not (copy / "plugins" / "a.py").exists()
    assert not list((copy / "plugins").rglob("a.*.pyc"))


def test_a_link_is_a_link_in_the_copy(clone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "one"
    (clone / "link.md").symlink_to("notes.md")
    trees.make([copy])
    assert (copy / "link.md").readlink() == Path("notes.md")
    (clone / "link.md").unlink()
    (clone / "link.md").write_text("its own words\n")
    trees.make([copy])
    assert not (copy / "link.md").is_symlink()
    (clone / "link.md").unlink()
    (clone / "link.md").symlink_to("plugins/a.py")
    trees.make([copy])
    trees.make([copy])
    assert (copy / "link.md").readlink() == Path("plugins/a.py")
    assert (copy / "notes.md").read_text() == "words\n"
