"""What a command of the Makefile becomes, once the machine and the environment have what it needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import __main__ as entry


class BecameError(Exception):
    """This process would be replaced."""


def test_nothing_of_the_caller_s_python_comes_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Least of all that nothing compiled is kept: everything would be compiled in every process."""
    python = tmp_path / ".venv" / "bin" / "python"

    def become(program: Path, arguments: list[str], environment: dict[str, str]) -> None:
        raise BecameError(program, arguments, environment)

    monkeypatch.setattr(entry, "check_clone", lambda _name: None)
    monkeypatch.setattr(entry, "find_main", lambda _name: None)
    monkeypatch.setattr(entry, "main_environment", lambda *_what: python)
    monkeypatch.setattr(entry, "collections", lambda *_what: None)
    monkeypatch.setattr(os, "chdir", lambda _path: None)
    monkeypatch.setattr(os, "execve", become)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PATH", "/bin")
    with pytest.raises(BecameError) as became:
        entry.main(["unit", "-x"])
    program, arguments, environment = became.value.args
    assert (program, arguments) == (python, [str(python), "-m", "tools.unit", "unit", "-x"])
    assert environment["PATH"] == f"{python.parent}{os.pathsep}/bin"
    assert environment["VIRTUAL_ENV"] == str(python.parents[1])
    assert not {"PYTHONHOME", "PYTHONDONTWRITEBYTECODE"} & environment.keys()
