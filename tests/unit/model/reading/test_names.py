"""A misspelt variable of a role is told, a person's own is not."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.names import misspelt

KNOWN = ["istio_version", "istio_values", "certificates_leaf_days", "verify_fail_on"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("istio_verison", "istio_version"),
        ("istio_value", "istio_values"),
        ("certificates_leaf_day", "certificates_leaf_days"),
        ("verify_failon", "verify_fail_on"),
    ],
)
def test_a_misspelt_variable_is_named_with_what_was_meant(name: str, meant: str) -> None:
    assert misspelt([name, "istio_version"], KNOWN) == [
        f"{name}: no role knows this variable, did you mean {meant}?"
    ]


@pytest.mark.parametrize("name", ["istio_version", "istio_team", "istio_version_of_staging", "verify_url"])
def test_known_names_and_own_variables_are_left_alone(name: str) -> None:
    assert misspelt([name], KNOWN) == []
