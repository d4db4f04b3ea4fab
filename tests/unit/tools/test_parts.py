"""How the environments of ``make test`` divide the unit tests: nothing is left to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import meets_ansible
from tools import test as make_test
from tools.interpreters import Interpreter

from ..support.part import DIVIDED, part_of, runs_here

TESTS = [f"tests/unit/model/test_x.py::test_{number}" for number in range(200)]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_test_that_is_divided_runs_once(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    ran, thrown = [], []
    for number in range(1, parts + 1):
        monkeypatch.setenv("UNIT_PART", f"{number}/{parts}")
        mine = [test for test in TESTS if runs_here(test)]
        assert mine, "no part is empty"
        ran += mine
        thrown += part_of(range(50))
        assert runs_here("tests/unit/kube/test_client.py::test_a"), "Python decides it: everywhere"
    assert sorted(ran) == sorted(TESTS)
    assert sorted(thrown) == [*range(50)]


def test_what_is_divided_is_there() -> None:
    assert [name for name in DIVIDED if not (Path(__file__).parents[1] / name).exists()] == []


def test_an_older_ansible_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs a few of the files only, so what was its part would run nowhere."""
    versions = [(3, 12, 1), (3, 13, 0)]
    found = {f"3.{version[1]}": Interpreter(version, "python", True) for version in versions}
    taken: dict[str, str] = {}
    monkeypatch.setattr(make_test, "find_all", lambda: found)
    monkeypatch.setattr(make_test.unit, "measured_units", lambda part: taken.setdefault("main", part) and 1)
    monkeypatch.setattr(
        make_test,
        "matrix_units",
        lambda interpreter, core, part: taken.setdefault(f"{core} {interpreter.minor}", part) and 1,
    )
    monkeypatch.setattr(make_test, "matrix_sanity", lambda _core: 1)
    for stage in (*make_test.unit_stages(), *make_test.sanity_stages()):
        stage.run()
    older = {name: part for name, part in taken.items() if name.startswith(make_test.CORES[1])}
    assert set(older.values()) == {"1/1"}
    divided = sorted(part for name, part in taken.items() if name not in older)
    assert divided == [f"{number}/{len(divided)}" for number in range(1, len(divided) + 1)]


def test_every_environment_imports_all_files() -> None:
    """Else nobody would ask an older ansible-core and a newer Python: sanity imports with one of each."""
    name = "tests/unit/test_imports.py"
    assert not name.removeprefix("tests/unit/").startswith(DIVIDED)
    assert name in meets_ansible.test_files()
