"""How the environments of ``make test`` divide the unit tests: nothing is left to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import meets_ansible
from tools import test as make_test
from tools.interpreters import Interpreter

from ..support.part import DIVIDED, WHOLE, is_divided, runs_here
from ..support.planted import CASES, ENDS

UNIT = Path(__file__).parents[1]
TESTS = [f"tests/unit/model/test_host_patterns.py::test_{number}" for number in range(200)]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_test_that_is_divided_runs_once(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    ran = []
    for number in range(1, parts + 1):
        monkeypatch.setenv("UNIT_PART", f"{number}/{parts}")
        mine = [test for test in TESTS if runs_here(test)]
        assert mine, "no part is empty"
        ran += mine
        assert runs_here("tests/unit/kube/test_client.py::test_a"), "Python decides it: everywhere"
    assert sorted(ran) == sorted(TESTS)


def test_what_is_divided_is_there() -> None:
    assert [name for name in (*DIVIDED, *WHOLE) if not (UNIT / name).exists()] == []


@pytest.mark.parametrize(
    ("place", "divided"),
    [
        ("model/catalogue/test_rules.py", True),
        ("operations/verify/test_lost_answers.py", True),
        ("repo/test_pages.py", True),  # it uses Ansible, whose own checks of a page are no Python's
        ("action/test_secrets.py", True),
        ("action/test_files.py", False),
        ("documents/test_read.py", False),
        ("filter/test_typed.py", False),
        ("kube/test_client.py", False),
        ("istio/probe/test_pods.py", False),  # sockets
        ("operations/canary/deadman/test_switch.py", False),  # a process
        ("operations/certificates/test_proof.py", False),  # TLS
        ("operations/test_argument_specs.py", False),  # Ansible
        ("operations/control_plane/test_installer.py", False),  # archives, by what it tests
    ],
)
def test_what_a_version_of_python_decides_is_whole_everywhere(place: str, divided: bool) -> None:
    assert is_divided(place) is divided


def test_each_part_of_what_is_crossed_has_each_way_each_end_and_each_road(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [
        (f"{module}-{name}", end, road)
        for module, name, _way in CASES
        for end in ENDS
        for road in ("controller", "module")
    ]
    for number in (1, 2):
        monkeypatch.setenv("UNIT_PART", f"{number}/2")
        mine = [
            one
            for one in names
            if runs_here(
                f"tests/unit/action/test_secrets.py::test_nobody_sees_a_secret[{one[0]}-{one[1]}-{one[2]}]"
            )
        ]
        for place in range(3):
            assert {one[place] for one in mine} == {one[place] for one in names}
        assert {one[1:] for one in mine} == {one[1:] for one in names}


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
    for stage in (*make_test.unit_stages(), make_test.newest_sanity(), *make_test.older_cores()):
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
