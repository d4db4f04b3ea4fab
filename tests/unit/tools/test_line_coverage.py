"""The table of line coverage: every file counts in its package, also one that nobody imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import line_coverage
from tools.line_coverage import Lines


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("plugins/module_utils/model/catalogue/readers/ports.py", "model/catalogue"),
        ("plugins/module_utils/kube/wait.py", "kube"),
        ("plugins/module_utils/errors.py", "module_utils"),
        ("plugins/modules/canary.py", "modules"),
    ],
)
def test_packages(path: str, package: str) -> None:
    assert line_coverage.package_of(path) == package


def test_the_table_adds_up() -> None:
    files = {
        "plugins/module_utils/kube/a.py": Lines(10, 9),
        "plugins/module_utils/kube/b.py": Lines(30, 0),
        "plugins/module_utils/errors.py": Lines(5, 5),
    }
    assert [line.split() for line in line_coverage.table(files)] == [
        ["package", "lines", "percent"],
        ["kube", "40", "22.5"],
        ["module_utils", "5", "100.0"],
        ["in", "all", "45", "31.1"],
    ]


def test_what_ran_is_what_is_reported(tmp_path: Path) -> None:
    package = tmp_path / "plugins" / "kube"
    package.mkdir(parents=True)
    (package / "a.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n\n\nprint(f(0))\n")
    (package / "b.py").write_text("x = 1\ny = 2\n")
    data = tmp_path / "data"
    command = line_coverage.command()
    command[command.index(next(word for word in command if word.startswith("--data-file")))] = (
        f"--data-file={data}"
    )
    subprocess.run(
        [sys.executable, *command, "plugins.kube.a"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )
    assert line_coverage.measured(data, tmp_path) == {
        "plugins/kube/a.py": Lines(5, 4),
        "plugins/kube/b.py": Lines(2, 0),
    }
