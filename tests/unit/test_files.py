# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is replaced as a whole, or it and its directory stay as they were."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.files import write_new, write_whole


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_is_replaced(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    write_whole(file, "new é", mode)
    assert file.read_text(encoding="utf-8") == "new é"
    assert file.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "\udc80")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "nowhere" / "report.json", "x")


def test_a_new_file_is_never_written_over_another(tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    write_new(file, b"key", 0o600)
    assert file.read_bytes() == b"key"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_new(file, b"another", 0o600)
    assert file.read_bytes() == b"key"
    assert list(tmp_path.iterdir()) == [file]


PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# Directories that nobody reads before they are complete: of one run, 0700, removed at its end; and drafts of
# the store of downloads, which gets them by a rename.
PRIVATE = {
    "module_utils/kube/exec_plugin.py",
    "module_utils/kube/pool.py",
    "module_utils/kube/target.py",
    "module_utils/operations/download/store.py",
}


OPENS, WRITES = ("open", "fdopen"), ("write_text", "write_bytes", "copyfile", "copy2")


def writes(source: str) -> Iterator[str]:
    """The calls that write a file in place."""
    if not any(name in source for name in (*OPENS, *WRITES)):
        return  # not parsed for that
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        modes += [word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)]
        opened = name in OPENS and any(
            isinstance(mode, str) and set(mode) <= set("rwabtx+") and set(mode) & set("wax+")
            for mode in modes
        )
        if opened or name in WRITES:
            yield f"{name} in line {node.lineno}"


@pytest.mark.parametrize(
    "path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS))
)
def test_nobody_else_writes_files(path: Path) -> None:
    """A killed run, or a full disk, leaves the old report and the old evidence, never half of a new one."""
    found = list(writes(path.read_text(encoding="utf-8")))
    name = str(path.relative_to(PLUGINS))
    if name == "module_utils/files.py":
        assert len(found) == 2
    elif name in PRIVATE:
        assert found, "it writes no more: take it out of PRIVATE"
    else:
        assert found == [], "write with module_utils/files.py"


def test_the_scan_sees_what_it_looks_for() -> None:
    source = 'p.write_text("x")\nopen(p, "wb")\np.open("a")\nos.fdopen(h, mode="w")\nopen(p)\np.open("rb")\n'
    assert [found.split()[-1] for found in writes(source)] == ["1", "2", "3", "4"]
