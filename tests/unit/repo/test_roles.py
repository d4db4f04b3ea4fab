"""A role's defaults and its argument specification are two views of the same variables."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import (
    CATALOGUE_KEYS,
    ROLE_SETTINGS,
)

from ..support.repository import options_of as options
from ..support.repository import yaml_file

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "ansible_collections.servicemesh.istio.plugins.module_utils.operations"
OPERATIONS = ROOT / "plugins" / "module_utils" / "operations"
SHARED = ROOT / "roles" / "shared"
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/tasks/main.yml"))
# Names that several roles read: the catalogue, and the installation that the catalogue refers to.
PREFIXES = ("mesh_", "istio_")


def load(path: Path) -> Any:
    return yaml_file(path) or {}


def entry_points(role: Path) -> dict[str, dict[str, Any]]:
    return dict(load(role / "meta" / "argument_specs.yml")["argument_specs"])


def own_defaults(role: Path) -> dict[str, Any]:
    path = role / "defaults" / "main.yml"
    return load(path) if path.exists() else {}


def defaults(role: Path) -> dict[str, Any]:
    """What the role sees: its own, and those of role shared, on which it depends."""
    return {**own_defaults(SHARED), **own_defaults(role)}


def test_there_are_roles() -> None:
    assert len(ROLES) >= 9


@pytest.mark.parametrize("role", [*ROLES, SHARED], ids=lambda role: role.name)
def test_every_default_is_an_option(role: Path) -> None:
    assert set(own_defaults(role)) <= set(options(role))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_has_a_default_or_is_required(role: Path) -> None:
    """Without a default, a reader of defaults/main.yml does not learn that the variable exists."""
    given = defaults(role)
    for name, option in options(role).items():
        assert name in given or option.get("required"), name


@pytest.mark.parametrize("role", [*ROLES, SHARED], ids=lambda role: role.name)
def test_default_values_agree(role: Path) -> None:
    """A computed default (a template) is described in words; every other one is the same value."""
    given = defaults(role)
    for name, option in options(role).items():
        if name not in given or name == "mesh_name":
            continue
        value = given[name]
        if "{{" in str(value):
            assert "default" not in option, name
        elif value is not None:
            assert option.get("default") == value, name


@pytest.mark.parametrize("role", [*ROLES, SHARED], ids=lambda role: role.name)
def test_every_option_is_typed_and_described(role: Path) -> None:
    for name, option in options(role).items():
        assert option.get("type"), name
        assert option.get("description"), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_names_carry_the_role_or_a_shared_prefix(role: Path) -> None:
    for name in {*own_defaults(role), *options(role)}:
        assert name.startswith((f"{role.name}_", *PREFIXES)), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_point_is_a_task_file(role: Path) -> None:
    for entry, spec in entry_points(role).items():
        assert (role / "tasks" / f"{entry}.yml").is_file(), entry
        assert spec.get("short_description"), entry


# -- variables of several roles ------------------------------------------------------------------------------


@functools.cache
def known() -> frozenset[str]:
    """The variables of all roles."""
    return frozenset(name for other in (*ROLES, SHARED) for name in {*options(other), *own_defaults(other)})


def variables_of(role: Path) -> set[str]:
    """Known variables that a role's tasks, defaults and vars read or set."""
    texts = [path.read_text(encoding="utf-8") for path in role.glob("*/*.yml") if path.parent.name != "meta"]
    code = "\n".join(
        line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")
    )
    return known() & set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", code))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_depends_on_the_shared_defaults(role: Path) -> None:
    assert load(role / "meta" / "main.yml")["dependencies"] == [{"role": "servicemesh.istio.shared"}]


def test_preflight_knows_the_variables_of_every_role() -> None:
    told = load(ROOT / "roles" / "preflight" / "vars" / "main.yml")
    assert told["__preflight_roles"] == sorted(path.name for path in (ROOT / "roles").iterdir())


def test_a_default_of_several_roles_stands_in_one_place() -> None:
    """No role sees another value than its neighbour: each default exists once in all roles."""
    found: dict[str, list[str]] = {}
    for role in (*ROLES, SHARED):
        for name in own_defaults(role):
            found.setdefault(name, []).append(role.name)
    assert {name: roles for name, roles in found.items() if len(roles) > 1} == {}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_variable_that_another_role_owns_is_a_shared_one(role: Path) -> None:
    """Whoever imports a task file of another role has that role's defaults, too."""
    seen = {*defaults(role), "mesh_name"}
    text = (role / "tasks" / "main.yml").read_text(encoding="utf-8")
    for other in re.findall(r"name: servicemesh\.istio\.(\w+)\n    tasks_from", text):
        seen |= {*own_defaults(ROOT / "roles" / other)}
    assert variables_of(role) - seen == set()


@pytest.mark.parametrize("role", [*ROLES, SHARED], ids=lambda role: role.name)
def test_no_role_has_a_second_default_inline(role: Path) -> None:
    """`istio_namespace | default('istio-system')` would be a second place. `omit` is none."""
    own = {*defaults(role), "mesh_name"}
    for path in role.glob("*/*.yml"):
        for name, value in re.findall(r"\b(\w+) \| default\(([^)]*)\)", path.read_text(encoding="utf-8")):
            assert name not in own or value.startswith("omit"), f"{path.name}: {name}"


# -- what later nodes of a workflow read -------------------------------------------------------------------

VERDICTS = (
    *("bill", "canary", "certificates", "diagnose", "mesh", "mesh_ca", "observe", "preflight", "trust"),
    "verify",
)


def tasks_in(value: Any) -> list[dict[str, Any]]:
    """All tasks of a file, those in blocks too."""
    found: list[dict[str, Any]] = []
    for task in value:
        found.append(task)
        for part in ("block", "rescue", "always"):
            found.extend(tasks_in(task.get(part) or []))
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_verdicts_are_custom_stats_as_awx_exports_them(role: Path) -> None:
    """AWX hands over what is set for the run, never what is set per host; so the host is a key inside."""
    tasks = [task for path in role.glob("tasks/*.yml") for task in tasks_in(load(path))]
    stats = [task["ansible.builtin.set_stats"] for task in tasks if "ansible.builtin.set_stats" in task]
    assert bool(stats) == (role.name in VERDICTS)
    for one in stats:
        assert set(one) == {"data", "aggregate"} and one["aggregate"] is True
        wanted = f"{{{{ {{'servicemesh_{role.name}': {{inventory_hostname: __{role.name}_stats}}}} }}}}"
        assert one["data"] == wanted


# -- the catalogue in the documentation of the roles -------------------------------------------------------

FULL = load(ROOT / "tests" / "unit" / "support" / "full_catalogue.yml")
SECTIONS = [
    name for name, value in FULL.items() if name.startswith("mesh_") and isinstance(value, list | dict)
]


@pytest.mark.parametrize("role", [ROOT / "roles" / "mesh", SHARED], ids=lambda role: role.name)
@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "mesh_open"])
def test_the_keys_of_the_catalogue_are_named(role: Path, name: str) -> None:
    """`ansible-doc -t role` names the keys; the full catalogue of the tests has all of them."""
    section = FULL[name] if isinstance(FULL[name], list) else [FULL[name]]
    used = {key for entry in section if isinstance(entry, dict) for key in entry}
    text = str(options(role)[name]["description"])
    assert used <= {*re.findall(r"C\((\w+)\)", text)}


def test_every_variable_of_the_mesh_is_the_catalogues_or_a_setting() -> None:
    """The catalogue refuses `mesh_*` names that it does not know, so that a misspelt one is found."""
    found = {name for role in (*ROLES, SHARED) for name in own_defaults(role) if name.startswith("mesh_")}
    assert found <= {*CATALOGUE_KEYS, *ROLE_SETTINGS}


# -- what is inside a dictionary -----------------------------------------------------------------------------


def module_options() -> Iterator[tuple[str, dict[str, Any]]]:
    """The variable of each option that has options of its own, and those."""
    for path in sorted(OPERATIONS.rglob("*.py")):
        if "\nVARIABLES" not in path.read_text(encoding="utf-8"):
            continue
        name = ".".join(path.relative_to(OPERATIONS).with_suffix("").parts)
        module = importlib.import_module(f"{PACKAGE}.{name}")
        for option, spec in getattr(module, "ARGUMENT_SPEC", {}).items():
            if "options" in spec and option in module.VARIABLES:
                yield module.VARIABLES[option], spec["options"]


def test_what_a_module_reads_inside_a_dictionary_is_an_option_of_the_role() -> None:
    """Without it, ansible-doc says nothing of the keys, and a misspelt one is found by the module only."""
    compared = 0
    for variable, inside in module_options():
        for role in (*ROLES, SHARED):
            option = options(role).get(variable, {})
            if option.get("type") == "dict" or option.get("elements") == "dict":
                compared += 1
                assert set(option.get("options", {})) == set(inside), (role.name, variable)
    assert compared >= 8
