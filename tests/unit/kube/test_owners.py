"""Who set a field, and who would set it again."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.owners import (
    FieldOwner,
    ManagerEntry,
    is_by_hand,
    is_written_by,
    owners_of,
    steady_owners,
)

OURS = "servicemesh.istio"
LABEL = ("metadata", "labels", "istio-injection")


def entry(manager: str, operation: str = "Update", *labels: str) -> dict[str, Any]:
    fields = {"f:metadata": {"f:labels": {f"f:{label}": {} for label in labels}}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def test_owners_of_a_field_come_once_and_in_order() -> None:
    managed = [
        entry("zed", "Apply", "istio-injection"),
        entry("kubectl-label", "Update", "istio-injection", "team"),
        entry("kubectl-label", "Update", "istio-injection"),
        entry("other", "Update", "team"),
        {"manager": "empty", "operation": "Update"},
        {"manager": "leaf", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
    ]
    assert owners_of({"metadata": {"managedFields": managed}}, LABEL) == (
        FieldOwner("kubectl-label", "Update"),
        FieldOwner("zed", "Apply"),
    )
    assert owners_of({"metadata": {"managedFields": managed}}, LABEL[:2]) == (
        FieldOwner("kubectl-label", "Update"),
        FieldOwner("other", "Update"),
        FieldOwner("zed", "Apply"),
    )
    assert owners_of({"metadata": {}}, LABEL) == ()


@pytest.mark.parametrize(
    ("manager", "operation", "steady"),
    [
        ("argocd-controller", "Update", True),
        ("Helm", "Update", True),
        ("kustomize-controller", "Apply", True),
        ("somebody", "Apply", True),
        ("somebody", "Update", False),
        ("kubectl", "Apply", False),
        ("kubectl-label", "Update", False),
        ("K9s", "Apply", False),
        (OURS, "Apply", False),
    ],
)
def test_who_would_put_a_field_back(manager: str, operation: str, steady: bool) -> None:
    assert FieldOwner(manager, operation).is_steady(OURS) is steady
    assert FieldOwner("argocd", "Apply").is_steady("argocd") is False


def test_steady_owners_are_named_once() -> None:
    owners = [
        FieldOwner("b", "Apply"),
        FieldOwner("argocd", "Update"),
        FieldOwner("argocd", "Apply"),
        FieldOwner("kubectl", "Apply"),
    ]
    assert steady_owners(owners, OURS) == ["argocd", "b"]


def test_who_has_written_an_object() -> None:
    obj = {"metadata": {"managedFields": [{"manager": "a"}, {"manager": "b"}]}}
    assert is_written_by(obj, {"b", "c"})
    assert not is_written_by(obj, {"c"})
    assert not is_written_by({"metadata": {"labels": {"a": "b"}}}, {"a"})


@pytest.mark.parametrize(
    ("manager", "by_hand"),
    [
        ("kubectl-edit", True),
        ("KUBECTL-edit", True),
        ("k9s", True),
        ("oc", True),
        ("helm", False),
        ("", False),
    ],
)
def test_a_persons_tool(manager: str, *, by_hand: bool) -> None:
    assert is_by_hand([ManagerEntry("other", "Update"), ManagerEntry(manager, "Update")]) is by_hand
    assert not is_by_hand([])
