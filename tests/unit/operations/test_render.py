"""Files of a mesh: what is written, removed and left alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import render

ROOT = Path(__file__).resolve().parents[3]
CATALOGUE = yaml.safe_load((ROOT / "tests/unit/support/full_catalogue.yml").read_text(encoding="utf-8"))


def run(directory: Path, catalogue: dict[str, Any] | None = None, **context: Any) -> dict[str, Any]:
    params = {"catalogue": catalogue or CATALOGUE, "releases": {}, "directory": str(directory)}
    return render.run(params, Context(**context))


def test_the_files_hold_exactly_the_computed_objects(tmp_path: Path) -> None:
    result = run(tmp_path / "r")
    assert result["changed"] and set(result["files"].values()) == {"written"}
    listed = yaml.safe_load((tmp_path / "r/kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in (tmp_path / "r").iterdir())
    found = [obj for name in listed for obj in yaml.safe_load_all((tmp_path / "r" / name).read_text())]
    expected = mesh_resources(CATALOGUE)
    assert len(found) == len(expected) and all(obj in expected for obj in found)
    assert "&id" not in "".join(path.read_text() for path in (tmp_path / "r").iterdir())
    assert {obj["kind"] for obj in expected} <= {*render.FILES}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    result = run(tmp_path, diff_mode=True)
    assert (result["changed"], result["diff"], {*result["files"].values()}) == (False, [], {"unchanged"})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_check_mode_writes_nothing_and_shows_the_difference(tmp_path: Path) -> None:
    result = run(tmp_path / "r", check_mode=True, diff_mode=True)
    assert result["changed"] and len(result["diff"]) == len(result["files"])
    assert not (tmp_path / "r").exists()


def test_a_kind_that_the_mesh_has_no_more_loses_its_file(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "own.yaml").write_text("a: 1\n")
    small = {"mesh_name": "shop", "mesh_namespace": "shop"}
    result = run(tmp_path, small)
    assert result["files"]["virtual-services.yaml"] == "removed"
    assert not (tmp_path / "virtual-services.yaml").exists() and (tmp_path / "own.yaml").exists()
    assert "virtual-services" not in (tmp_path / "kustomization.yaml").read_text()


def test_a_relative_directory_counts_from_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/nowhere")
    assert run(Path("rendered/a"))["directory"] == str(tmp_path / "rendered/a")


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"mesh_render_directory: .*/file/r cannot be written: Not a directory"
    ):
        run(tmp_path / "file" / "r")


def test_problems_of_the_catalogue_come_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path / "r", {"mesh_name": "Shop!", "mesh_servces": []})
    assert len(caught.value.problems) == 2 and not (tmp_path / "r").exists()


def test_a_difference_shows_what_was_there_and_what_comes(tmp_path: Path) -> None:
    small = {"mesh_name": "shop", "mesh_namespace": "shop"}
    first = {entry["before_header"]: entry for entry in run(tmp_path, diff_mode=True)["diff"]}
    assert {entry["before"] for entry in first.values()} == {""}
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name: entry["after"] for name, entry in first.items()} == written
    second = {entry["after_header"]: entry for entry in run(tmp_path, small, diff_mode=True)["diff"]}
    gone = second["virtual-services.yaml"]
    assert (gone["before"], gone["after"]) == (written["virtual-services.yaml"], "")
    assert second["kustomization.yaml"]["before"] == written["kustomization.yaml"]
    assert second["kustomization.yaml"]["after"] == (tmp_path / "kustomization.yaml").read_text()


def test_a_difference_shows_no_token_by_which_a_route_matches(tmp_path: Path) -> None:
    catalogue = copy.deepcopy(CATALOGUE)
    service = next(item for item in catalogue["mesh_services"] if item.get("routes"))
    service["routes"][1]["when"] = {"path": "/slow", "header": {"x-api-token": "s3cret"}}
    run(tmp_path, catalogue)
    assert "s3cret" in (tmp_path / "virtual-services.yaml").read_text()
    (tmp_path / "gateways.yaml").write_text("{")
    changed = {entry["after_header"]: entry for entry in run(tmp_path, diff_mode=True)["diff"]}
    assert "s3cret" not in str(changed)
    assert "exact: <hidden>" in changed["virtual-services.yaml"]["before"]
    assert changed["gateways.yaml"]["before"].startswith("(not shown:")
