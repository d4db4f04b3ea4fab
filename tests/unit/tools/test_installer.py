"""uv stands in for pip where it can be told all that pip is told, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import installer

LISTED = """\
:env:.cert='/etc/ssl/one.pem'
:env:.default-timeout='180'
:env:.extra-index-url='https://c.example/simple\\n  https://d.example/simple'
global.cert='/etc/ssl/other.pem'
global.index-url='https://a.example/simple'
install.find-links='/opt/wheels\\n/opt/more'
install.index-url='https://b.example/simple'
"""

CONFIGURED = 'case "$3" in config) echo "global.index-url=\'https://a.example\'";; esac'


def test_uv_is_told_what_pip_is_told() -> None:
    assert installer.settings(LISTED) == {
        "SSL_CERT_FILE": "/etc/ssl/one.pem",  # a variable is stronger than a file
        "UV_INDEX": "https://c.example/simple https://d.example/simple",
        "UV_DEFAULT_INDEX": "https://b.example/simple",  # and a section of the command than a general one
        "UV_FIND_LINKS": "/opt/wheels,/opt/more",
    }
    assert installer.settings("") == {}
    assert installer.settings("download.no-index='1'\n") == {}


@pytest.mark.parametrize(
    "line",
    [
        ":env:.no-index='1'",
        "global.constraint='/etc/pip/constraints.txt'",
        "install.trusted-host='mirror.example'",
        "global.proxy='http://proxy.example:3128'",
        "install.only-binary=':all:'",
        'global.something-new="it\'s new"',
    ],
)
def test_where_it_cannot_be_told_pip_works(line: str) -> None:
    assert installer.settings(f"{LISTED}{line}\n") is None


class Machine:
    """An environment whose python and uv write down how they are called."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = directory / "calls"
        self.calls.touch()
        self.python = directory / "bin" / "python"
        self.uv = directory / "main" / "bin" / "uv"
        self.has(
            "python", self.python, 'case "$3" in config) echo "global.index-url=\'https://a.example\'";; esac'
        )
        monkeypatch.setattr(installer, "UV", self.uv)

    def has(self, name: str, path: Path, then: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $* $UV_DEFAULT_INDEX" >> {self.calls}\n{then}\n')
        path.chmod(0o755)

    @property
    def installed_by(self) -> list[str]:
        """Which program was asked to install what, in order."""
        found = []
        for line in self.calls.read_text().splitlines():
            if " install " in line:
                sets = [Path(word).stem for word in line.split() if word.endswith(".txt")]
                found.append(f"{line.split()[0]}: {' '.join(sets)}")
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_uv_installs_all_from_the_index_that_pip_has(machine: Machine) -> None:
    machine.has("uv", machine.uv)
    assert installer.install(machine.python, ["runtime", "test"]) == ""
    assert machine.installed_by == ["uv: runtime test"]
    assert machine.calls.read_text().rstrip().endswith("test.txt https://a.example")


def test_the_main_environment_gets_uv_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = machine.python.with_name("uv")
    monkeypatch.setattr(installer, "UV", uv)
    machine.has("uv", uv)
    assert installer.install(machine.python, ["runtime"]) == ""
    assert machine.installed_by == ["python: installer", "uv: runtime"]


def test_where_uv_fails_or_is_missing_pip_installs(machine: Machine) -> None:
    assert installer.install(machine.python, ["unit"]) == ""
    machine.has("uv", machine.uv, "echo cannot >&2; exit 2")
    assert installer.install(machine.python, ["unit"]) == ""
    assert machine.installed_by == ["python: unit", "uv: unit", "python: unit"]


def test_settings_that_pip_itself_cannot_read_are_left_to_pip(machine: Machine) -> None:
    machine.has("uv", machine.uv)
    machine.has("python", machine.python, 'case "$3" in config) exit 3;; esac')
    assert installer.install(machine.python, ["unit"]) == ""
    assert machine.installed_by == ["python: unit"]


def test_what_pip_refuses_is_told(machine: Machine) -> None:
    machine.has("python", machine.python, 'case "$3" in install) echo "no such version" >&2; exit 1;; esac')
    assert installer.install(machine.python, ["unit"]) == "no such version\n"


def test_pip_alone_where_it_is_told_more(machine: Machine) -> None:
    machine.has("uv", machine.uv)
    machine.has("python", machine.python, 'case "$3" in config) echo "global.no-index=\'1\'";; esac')
    assert installer.install(machine.python, ["unit"]) == ""
    assert machine.installed_by == ["python: unit"]
