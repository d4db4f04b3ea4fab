"""Every playbook either stops at the first cluster that fails, or goes on past it and tells about all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
# What each playbook is for a fleet. One of each kind must be named here before it exists.
CHANGES = {"addons", "canary", "canary_promote", "injection", "istio", "mesh", "rotate_mesh_ca"}
GOES_ON = {
    "canary_pause",
    "canary_resume",
    "canary_rollback",
    "certificates",
    "rotate_certificates",
    "trust",
    "verify",
}
LOOKS = {"bill", "canary_status", "diagnose", "observe", "preflight", "render"}
COMPOSED = {"site"}
HOSTS = "{{ lookup('servicemesh.istio.clusters', mesh_hosts | default('')) }}"


def play(name: str) -> dict[str, Any]:
    (found,) = yaml.safe_load((ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8"))
    return dict(found)


def test_every_playbook_is_of_one_kind() -> None:
    assert sorted([*CHANGES, *GOES_ON, *LOOKS, *COMPOSED]) == sorted(
        path.stem for path in (ROOT / "playbooks").glob("*.yml")
    )


@pytest.mark.parametrize("name", sorted(CHANGES | GOES_ON | LOOKS))
def test_a_play_works_on_the_clusters_that_are_wished(name: str) -> None:
    assert (play(name)["hosts"], play(name)["gather_facts"]) == (HOSTS, False)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_stops_at_the_first_cluster(name: str) -> None:
    found = play(name)
    assert found["any_errors_fatal"] is True
    assert found["serial"].endswith("_serial | default(1) }}")
    assert "ignore_unreachable" not in found


@pytest.mark.parametrize("name", sorted(GOES_ON))
def test_what_protects_goes_on_and_ends_with_a_table(name: str) -> None:
    found = play(name)
    assert (found["any_errors_fatal"], found["ignore_unreachable"]) == (False, True)
    assert "serial" not in found, "a batch of which all fail would end the play"
    work, table = found["tasks"]
    assert [task["ansible.builtin.import_role"]["tasks_from"] for task in [*work["rescue"], table]] == [
        "failed.yml",
        "outcomes.yml",
    ]
    assert work["tags"] == table["tags"], "a tag alone has to end with the table, too"
    (role,) = (task["ansible.builtin.import_role"]["name"] for task in work["block"])
    registered = (ROOT / "roles" / role.rpartition(".")[2] / "tasks" / "main.yml").read_text(encoding="utf-8")
    assert f"register: {table['vars']['__mesh_outcome_of']}\n" in registered


def test_within_a_site_a_failed_rotation_stops_before_the_mesh_changes() -> None:
    text = (ROOT / "playbooks" / "site.yml").read_text(encoding="utf-8")
    plays = yaml.safe_load(text)
    stops = {
        one["ansible.builtin.import_playbook"] for one in plays if (one.get("vars") or {}).get("__mesh_stop")
    }
    assert stops == {f"{name}.yml" for name in GOES_ON if f"{name}.yml" in text}, "whatever a schedule allows"
    (_work, table) = play("certificates")["tasks"]
    # On the block it would send clusters that are well into its rescue.
    assert table["any_errors_fatal"] == "{{ __mesh_stop | default(false) }}"
