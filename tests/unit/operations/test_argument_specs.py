# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specs say only what Ansible reads: a key that it does not know is ignored in silence."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import HANDOVER

from ..support.repository import yaml_text

PACKAGE = "ansible_collections.servicemesh.istio.plugins.module_utils"
ROOM = Path(__file__).resolve().parents[3] / "plugins" / "module_utils" / "operations"
KEYS = {
    "type",
    "elements",
    "default",
    "choices",
    "required",
    "no_log",
    "options",
    "aliases",
    "apply_defaults",
}
RULES = {"mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by"}


def specs() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every argument spec below operations, by its module."""
    for file in sorted(ROOM.rglob("*.py")):
        if "ARGUMENT_SPEC" not in file.read_text(encoding="utf-8"):
            continue
        name = ".".join(file.relative_to(ROOM.parent).with_suffix("").parts)
        spec = getattr(importlib.import_module(f"{PACKAGE}.{name}"), "ARGUMENT_SPEC", None)
        if spec is not None:
            yield name, spec


def options(spec: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in spec.items():
        yield f"{place}{name}", option
        yield from options(option.get("options", {}), f"{place}{name}.")


@pytest.mark.parametrize(("name", "spec"), list(specs()))
def test_every_option_has_a_type_and_no_word_that_ansible_ignores(name: str, spec: Mapping[str, Any]) -> None:
    for place, option in options(spec):
        assert set(option) <= KEYS | RULES, place
        assert option.get("type") in DEFAULT_TYPE_VALIDATORS, place
        assert option.get("elements") in {None, *DEFAULT_TYPE_VALIDATORS}, place
        assert (option["type"] == "list") == ("elements" in option), place


# What the documentation promises, option by option: ansible-test says so too, but only where it runs.
FRAGMENTS = "ansible_collections.servicemesh.istio.plugins.doc_fragments"
MODULES = sorted(path.stem for path in (ROOM.parents[1] / "modules").glob("*.py") if path.stem != "__init__")


def documented(module: Any) -> dict[str, Any]:
    """The options of a module's documentation, with those of its fragments."""
    text = yaml_text(module.DOCUMENTATION)
    found = dict(text.get("options") or {})
    for name in text.get("extends_documentation_fragment") or ():
        plugin, _dot, part = name.removeprefix("servicemesh.istio.").partition(".")
        fragment = importlib.import_module(f"{FRAGMENTS}.{plugin}").ModuleDocFragment
        content = yaml_text(getattr(fragment, (part or "documentation").upper()))
        found |= content.get("options") or {}
    return found


def promised(option: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """What documentation (``suboptions``) and argument spec (``options``) say in the same words."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "default": option.get("default"),
        "choices": sorted(map(str, option.get("choices") or ())),
        "required": bool(option.get("required")),
        "aliases": sorted(option.get("aliases") or ()),
        "options": {name: promised(below, inner) for name, below in (option.get(inner) or {}).items()},
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_promises_what_the_argument_spec_gives(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.servicemesh.istio.plugins.modules.{name}")
    (backend,) = [value for value in vars(module).values() if hasattr(value, "ARGUMENT_SPEC")]
    told = {option: promised(entry, "suboptions") for option, entry in documented(module).items()}
    given = {option: promised(entry, "options") for option, entry in backend.ARGUMENT_SPEC.items()}
    assert told == given


SECRETS = {"api_key", "password", "private_key", "bearer_token", "url", "headers", "environment", HANDOVER}
"""Options whose values nobody may read in a result: a webhook's URL and headers hold its token."""


@pytest.mark.parametrize(("name", "spec"), list(specs()))
def test_secrets_are_hidden_and_names_of_secrets_are_shown(name: str, spec: Mapping[str, Any]) -> None:
    """Ansible replaces what an option with ``no_log`` held wherever it stands in a result: a name of a Secret
    would be missing in the very sentence that is about it."""
    for place, option in options(spec):
        word = place.rpartition(".")[2]
        if option.get("no_log"):
            assert word in SECRETS, place
        elif any(part in word for part in ("password", "private", "token")):
            raise AssertionError(f"{place} is a secret and is shown")
        elif any(part in word for part in ("secret", "key", "pass")):
            assert option.get("no_log") is False, f"{place}: Ansible warns of such a name unless it is told"
