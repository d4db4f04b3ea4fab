"""The lines that a new user follows, as `make test` reads them out of the README."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tools import readme

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "inventories" / "example"


def test_the_lines_are_the_whole_way() -> None:
    lines = readme.commands()
    assert lines[0].startswith("python3 -m venv") and "pip install -r requirements.txt" in lines
    assert sum(bool(readme.FROM_GALAXY.fullmatch(line)) for line in lines) == 1
    assert "cp -r inventories/example inventories/mine" in lines
    plays = [line.split()[1].rpartition(".")[2] for line in lines if line.startswith("ansible-playbook ")]
    assert plays == ["preflight", "site", "site", "verify", "site"]
    assert "--check" in lines[-4] and "--check" not in lines[-1]
    assert not any("#" in line for line in lines)


def test_what_is_changed_is_named_and_stands_in_the_example(monkeypatch, tmp_path) -> None:
    config = tmp_path / "operator"
    config.write_text("current-context: lab\n")
    monkeypatch.setattr(readme.lab, "kubeconfig", lambda _cluster, _user: config)
    for name, changes in readme.edits("t").items():
        assert f"`{name}`" in readme.section()
        text = (EXAMPLE / name).read_text(encoding="utf-8")
        for pattern in changes:
            assert len(re.findall(pattern, text, re.MULTILINE)) == 1, pattern


def test_the_labs_own_settings_are_few() -> None:
    """What is replaced for the lab is not tested, so the list stays short."""
    assert set({**readme.lab_only(), **readme.of_the_shop()}) == {
        "addons_enabled", "addons_sources", "istio_hub", "istio_istioctl_path", "istio_mesh_config",
        "istio_values", "istio_version", "mesh_external_services", "verify_accepted_objects",
        "verify_probe_image",
    }  # fmt: skip


def test_every_variable_of_the_example_is_one_of_a_role() -> None:
    known: set[str] = set()
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            known |= {*entry.get("options", {})}
    for path in EXAMPLE.rglob("group_vars/all/*.yml"):
        assert {*yaml.safe_load(path.read_text(encoding="utf-8"))} <= known, path.name


def test_the_namespaces_of_the_catalogue_are_injected() -> None:
    files = {path.stem: yaml.safe_load(path.read_text()) for path in EXAMPLE.rglob("group_vars/all/*.yml")}
    namespaces = {
        service.get("namespace", files["mesh"]["mesh_namespace"])
        for service in files["mesh"]["mesh_services"]
    }
    assert namespaces <= {*files["injection"]["injection_namespaces"]}
