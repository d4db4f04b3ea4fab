"""A misspelt variable is told by the role that it was meant for, in every playbook."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend as canary
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend as certificates,
)
from ansible_collections.servicemesh.istio.plugins.plugin_utils import misspelt

from ..support.repository import yaml_file


def test_the_canarys_steps() -> None:
    """Ignored, they would be the default's: a rollout to 100 percent."""
    names = ["canary_stepz", "canary_service", "inventory_hostname", "canary_result", "canary_team"]
    assert misspelt.warnings_for(names, canary.VARIABLES.values()) == [
        "canary_stepz: no role knows this variable, did you mean canary_steps?"
    ]


def test_variables_of_other_roles_are_left_to_them() -> None:
    assert misspelt.warnings_for(["canary_stepz"], certificates.VARIABLES.values()) == []


def test_all_variables_are_known() -> None:
    known: set[str] = set()
    for path in Path(misspelt.__file__).resolve().parents[2].glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml_file(path)["argument_specs"].values():
            known |= {*entry.get("options", {})}
    assert misspelt.known_variables() == known and "canary_serial" in known


def test_nothing_is_read_where_all_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misspelt, "known_variables", lambda: pytest.fail("read the specifications"))
    assert misspelt.warnings_for(["canary_steps", "x"], canary.VARIABLES.values()) == []
