"""What has changed since the last report, and reports that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import findings as told
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports import history
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.reports.record import (
    Circumstances,
    is_whole,
    record_of,
)

from ..builders import catalogue, service

MESH = catalogue(service("web", open_paths=["/health"]))
HOLE = told.failed(
    "policies", "AuthorizationPolicy shop/hole", "opens shop/web to anybody (24 cells)", cells=24
)
OWN = told.failed(
    "policies", "AuthorizationPolicy shop/web", "is not as the catalogue computes it: opens shop/web", cells=3
)
DENY = told.failed("policies", "AuthorizationPolicy shop/deny", "refuses shop/web GET / at shop/web", cells=5)
LATE = told.unknown("sync", "Pod shop/web-1", "could not be read")
GOOD = told.passed("policies", "shop/web", "12 cells as the catalogue states", cells=12)


def record(
    *findings: told.Finding,
    mesh: Any = MESH,
    previous: Any = None,
    time: str = "2026-11-24T10:00:00+00:00",
    **more: Any,
) -> dict[str, Any]:
    circumstances = Circumstances(time, more.get("cluster", "uid"), objects=more.get("objects", {}))
    return record_of(told.Findings(findings), mesh, {}, circumstances, previous)


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    return history.told(history.compared(before, after))


def test_nothing_changed() -> None:
    one = record(GOOD, LATE)
    assert changes(one, record(GOOD, LATE)) == "since 2026-11-24: nothing changed"


def test_cells_that_opened_and_closed_are_counted() -> None:
    first, second = record(GOOD), record(GOOD, HOLE, OWN)
    assert changes(first, second) == (
        "since 2026-11-24: 27 cells opened; 2 new problems (policies AuthorizationPolicy shop/hole: fail,"
        " policies AuthorizationPolicy shop/web: fail)"
    )
    found = history.compared(second, record(GOOD, OWN, DENY))
    assert (found["opened"], found["closed"]) == (0, 24)
    assert found["new"] == ["policies AuthorizationPolicy shop/deny: fail"]
    assert found["gone"] == ["policies AuthorizationPolicy shop/hole: fail"]


def test_the_catalogue_and_the_objects_are_compared_as_well() -> None:
    other = catalogue(service("web", open_paths=["/health"]), service("pay", callers=[{"service": "web"}]))
    first = record(objects={"Gateway shop/a": "1", "Gateway shop/b": "1"})
    second = record(mesh=other, objects={"Gateway shop/a": "2", "Gateway shop/c": "1"}, cluster="another")
    assert changes(first, second) == (
        "since 2026-11-24: 1 rule added (shop/pay: shop/web on 3000); 3 objects written; another cluster"
    )
    assert "1 rule removed" in changes(second, first)


def test_reports_are_a_chain(tmp_path: Path) -> None:
    first = record(GOOD)
    second = record(GOOD, previous=first)
    assert second["previous_sha256"] == first["sha256"]
    assert is_whole(second)
    assert not is_whole({**second, "previous_sha256": ""})
    path = tmp_path / "verify.json"
    path.write_text(json.dumps(second), encoding="utf-8")
    assert history.read_report(str(path), "last_report") == second


def test_there_need_not_be_a_last_report(tmp_path: Path) -> None:
    assert history.read_report(str(tmp_path / "none.json"), "report_path") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "is no report of verify"),
        ("{}", "is no report of verify"),
        (json.dumps({**record(HOLE), "status": "pass"}), "is not as verify wrote it"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "verify.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=why):
        history.read_report(str(path), "last_report")


def test_a_directory_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        history.read_report(str(tmp_path), "last_report")
