"""Reports that outlive their runner: kept in the cluster, bounded, and fetched as they were."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MalformedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import reports

from ..support.access import Restricted, granted_by
from ..support.cluster import FakeCluster, reaching

SPACE = "servicemesh-system"
PLACE = ("ConfigMap", "servicemesh-reports-verify", SPACE)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})


def run(
    cluster: Any, directory: Path, *, check: bool = False, **params: Any
) -> tuple[dict[str, Any], list[str]]:
    """With the rights of docs/rbac/reports.yaml and no others. :returns: the result, and the warnings."""
    warnings: list[str] = []
    client = Restricted(cluster, granted_by("reports.yaml"))
    context = Context(check_mode=check, warn=warnings.append, connect=reaching(client))
    given = {
        "state": "kept",
        "name": "verify",
        "namespace": SPACE,
        "directory": str(directory),
        "limit": 1_000_000,
    }
    return reports.run({**given, **params}, context), warnings


def written(directory: Path, **files: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_text(text)
    return directory


def test_what_is_kept_comes_back(cluster: FakeCluster, tmp_path: Path) -> None:
    kept, warnings = run(cluster, written(tmp_path / "a", report_json='{"ö": 1}', report_html="<p>"))
    assert (kept["changed"], kept["files"], kept["left_out"]) == (False, ["report.json", "report.html"], [])
    assert kept["object"] == f"ConfigMap {SPACE}/servicemesh-reports-verify"
    fetched, more = run(cluster, tmp_path / "b", state="fetched")
    assert (fetched["files"], warnings + more) == (["report.html", "report.json"], [])
    assert (tmp_path / "b" / "report.json").read_text() == '{"ö": 1}'


def test_a_file_that_is_there_stays(cluster: FakeCluster, tmp_path: Path) -> None:
    run(cluster, written(tmp_path / "a", report_json="old"))
    fetched, _warnings = run(cluster, written(tmp_path / "b", report_json="newer"), state="fetched")
    assert (fetched["files"], (tmp_path / "b" / "report.json").read_text()) == ([], "newer")


def test_the_next_report_takes_the_place_of_the_last(cluster: FakeCluster, tmp_path: Path) -> None:
    run(cluster, written(tmp_path / "a", report_json="one", page_html="x"))
    (tmp_path / "a" / "page.html").unlink()
    run(cluster, written(tmp_path / "a", report_json="two"))
    found = cluster.find(*PLACE)
    assert found and list(found["binaryData"]) == ["report.json.gz"]
    run(cluster, tmp_path / "b", state="fetched")
    assert (tmp_path / "b" / "report.json").read_text() == "two"


def test_what_does_not_fit_is_said_and_what_a_program_reads_comes_first(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    directory = written(tmp_path / "a", a_html=os.urandom(3000).hex(), report_json='{"a": 1}')
    kept, warnings = run(cluster, directory, limit=1000)
    assert (kept["files"], kept["left_out"]) == (["report.json"], ["a.html"])
    assert (
        len(warnings) == 1
        and "a.html is not kept in the cluster" in warnings[0]
        and "1000 bytes" in warnings[0]
    )
    found = cluster.find(*PLACE)
    assert found and sum(map(len, found["binaryData"].values())) <= 1000


def test_check_mode_writes_nothing(cluster: FakeCluster, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", report_json="x")
    kept, _warnings = run(cluster, directory, check=True)
    assert (kept["files"], cluster.writes) == (["report.json"], [])
    run(cluster, directory)
    fetched, _warnings = run(cluster, tmp_path / "b", check=True, state="fetched")
    assert fetched["files"] == ["report.json"] and not (tmp_path / "b").exists()


def test_nothing_there_is_nothing_fetched_and_is_told_when_it_should_be_kept(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    assert run(cluster, tmp_path / "b", state="fetched")[0]["files"] == []
    kept, warnings = run(cluster, tmp_path / "none")
    assert (kept["files"], cluster.writes) == ([], [])
    assert warnings == [f"{tmp_path / 'none'} holds no report: nothing is kept in the cluster"]


def test_only_plain_files_are_kept(cluster: FakeCluster, tmp_path: Path) -> None:
    directory = written(tmp_path / "a", report_json="x", secret="s")
    (directory / "inner").mkdir()
    (directory / ".hidden").write_text("x")
    (directory / "with space.json").write_text("x")
    (directory / "link.json").symlink_to(directory / "secret")
    assert run(cluster, directory)[0]["files"] == ["report.json", "secret"]


def planted(cluster: FakeCluster, data: str = "{}", **files: str) -> None:
    cluster.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": PLACE[1], "namespace": SPACE},
            "data": {"sha256": data},
            "binaryData": files,
        }
    )


def packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode())).decode()


@pytest.mark.parametrize("damage", ["", "%%%", "aGVsbG8=", packed("other"), packed("x")[:-8]])
def test_a_damaged_file_is_not_used(cluster: FakeCluster, tmp_path: Path, damage: str) -> None:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    planted(cluster, json.dumps({"r.json": digest}), **{"r.json.gz": damage})
    fetched, warnings = run(cluster, tmp_path / "b", state="fetched")
    assert (fetched["files"], fetched["left_out"], len(warnings)) == ([], ["r.json"], 1)
    planted(cluster, json.dumps({"r.json": digest}), **{"r.json.gz": packed("x")})
    assert run(cluster, tmp_path / "b", state="fetched")[0]["files"] == ["r.json"]


@pytest.mark.parametrize("name", ["../../x.gz", "/etc/x.gz", ".gz", "..gz", "plain", ".hidden.gz", "a/b.gz"])
def test_a_name_from_the_cluster_is_no_path(cluster: FakeCluster, tmp_path: Path, name: str) -> None:
    planted(cluster, **{name: packed("x")})
    fetched, _warnings = run(cluster, tmp_path / "b", state="fetched")
    assert (fetched["files"], sorted(tmp_path.rglob("*"))) == ([], [])


def test_a_page_that_would_fill_the_memory_is_not_unpacked(cluster: FakeCluster, tmp_path: Path) -> None:
    bomb = base64.b64encode(gzip.compress(b"\0" * ((64 << 20) + 1))).decode()
    planted(cluster, **{"r.json.gz": bomb})
    assert run(cluster, tmp_path / "b", state="fetched")[0]["left_out"] == ["r.json"]


@pytest.mark.parametrize("data", ["{", "[]"])
def test_digests_that_are_none_are_told(cluster: FakeCluster, tmp_path: Path, data: str) -> None:
    planted(cluster, data, **{"r.json.gz": packed("x")})
    if data == "{":
        with pytest.raises(MalformedError, match=r"servicemesh-reports-verify data\.sha256: is not JSON"):
            run(cluster, tmp_path / "b", state="fetched")
    else:
        assert run(cluster, tmp_path / "b", state="fetched")[0]["left_out"] == ["r.json"]


@pytest.mark.parametrize(
    ("params", "said"),
    [({"name": "Verify"}, "name: is no lower-case word"), ({"name": "../x"}, "name: is no"),
     ({"limit": 0}, "limit: is 0, not from 1"), ({"limit": 1_000_001}, "limit: is 1000001")],
)  # fmt: skip
def test_bad_options_are_refused(
    cluster: FakeCluster, tmp_path: Path, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run(cluster, tmp_path, **params)


def test_a_missing_right_is_said(cluster: FakeCluster, tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        run(cluster, written(tmp_path / "a", report_json="x"), namespace="elsewhere")


def test_a_place_that_cannot_be_written_is_named(cluster: FakeCluster, tmp_path: Path) -> None:
    run(cluster, written(tmp_path / "a", report_json="x"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        InputError, match=r"mesh_reports_directory: .*/file/b cannot be used: Not a directory"
    ):
        run(cluster, tmp_path / "file" / "b", state="fetched")
