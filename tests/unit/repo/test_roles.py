"""A role's defaults and its argument specification are two views of the same variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/tasks/main.yml"))
# Names that several roles read: the catalogue, and the installation that the catalogue refers to.
SHARED = ("mesh_", "istio_")
# The inventory's one connection setting: a default would promise that it may be unset.
INVENTORY = {"mesh_connection"}


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def entry_points(role: Path) -> dict[str, dict[str, Any]]:
    return dict(load(role / "meta" / "argument_specs.yml")["argument_specs"])


def options(role: Path) -> dict[str, dict[str, Any]]:
    """Options of all entry points together."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entry_points(role).values():
        found.update(entry.get("options", {}))
    return found


def defaults(role: Path) -> dict[str, Any]:
    path = role / "defaults" / "main.yml"
    return load(path) if path.exists() else {}


def test_there_are_roles() -> None:
    assert len(ROLES) >= 7


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_an_option(role: Path) -> None:
    assert set(defaults(role)) <= set(options(role))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_has_a_default_or_is_required(role: Path) -> None:
    """Without a default, a reader of defaults/main.yml does not learn that the variable exists."""
    for name, option in options(role).items():
        shared = name in INVENTORY or (name.startswith(SHARED) and not name.startswith(f"{role.name}_"))
        assert name in defaults(role) or option.get("required") or shared, name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_default_values_agree(role: Path) -> None:
    """A computed default (a template) is described in words; every other one is the same value."""
    given = defaults(role)
    for name, option in options(role).items():
        if "default" not in option or name not in given:
            continue
        value = given[name]
        if isinstance(value, str) and "{{" in value:
            continue
        assert option["default"] == value, name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_typed_and_described(role: Path) -> None:
    for name, option in options(role).items():
        assert option.get("type"), name
        assert option.get("description"), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_names_carry_the_role_or_a_shared_prefix(role: Path) -> None:
    for name in {*defaults(role), *options(role)}:
        assert name.startswith((f"{role.name}_", *SHARED)), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_point_is_a_task_file(role: Path) -> None:
    for entry, spec in entry_points(role).items():
        assert (role / "tasks" / f"{entry}.yml").is_file(), entry
        assert spec.get("short_description"), entry
