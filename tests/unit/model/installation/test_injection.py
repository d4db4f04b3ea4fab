"""The list of namespaces that belong to the mesh."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.injection import (
    NamespaceRequest,
    read_requests,
)


def test_short_forms() -> None:
    assert read_requests(
        [
            "a",
            {"name": "b", "revision": "r"},
            {"name": "c", "mode": "keep"},
            {"name": "d", "create": True, "revision": "", "mode": None},
            {"name": "e", "mode": "revision", "revision": "stable"},
        ]
    ) == (
        NamespaceRequest("a", "injection"),
        NamespaceRequest("b", "revision", "r"),
        NamespaceRequest("c", "keep"),
        NamespaceRequest("d", "injection", create=True),
        NamespaceRequest("e", "revision", "stable"),
    )


@pytest.mark.parametrize(
    ("request_", "wanted", "other"),
    [
        (NamespaceRequest("a", "injection"), {"istio-injection": "enabled"}, "istio.io/rev"),
        (NamespaceRequest("a", "revision", "r"), {"istio.io/rev": "r"}, "istio-injection"),
        (NamespaceRequest("a", "keep"), {}, "istio-injection"),
    ],
)
def test_a_mode_is_one_label(request_: NamespaceRequest, wanted: dict[str, str], other: str) -> None:
    assert request_.wanted == wanted
    assert request_.other == other


@pytest.mark.parametrize(
    ("items", "where", "rule"),
    [
        ([{"name": "a", "mode": "injection", "revision": "r"}], "[0].revision", "one-label"),
        ([{"name": "a", "mode": "keep", "revision": "r"}], "[0].revision", "one-label"),
        ([{"name": "a", "mode": "revision"}], "[0].revision", "required"),
        ([{"name": "a", "mode": "revision", "revision": ""}], "[0].revision", "required"),
        ([{"name": "a", "mode": "ambient"}], "[0].mode", "choice"),
        ([{"name": "a", "labels": {}}], "[0].labels", "unknown-key"),
        # Read as true, this would make a namespace that somebody else was to make.
        ([{"name": "a", "create": "no"}], "[0].create", "type"),
        (["kube-system"], "[0].name", "system-namespace"),
        (["Shop"], "[0].name", "dns-label"),
        ([{"mode": "keep"}], "[0].name", "required"),
        (["a", "b", {"name": "a", "mode": "keep"}], "[2].name", "duplicate"),
        ([7], "[0]", "type"),
        ([{"name": "a", "revision": "1.31"}], "[0].revision", "dns-label"),
        ([{"name": "a", "revision": 131}], "[0].revision", "type"),
        ([{"name": "a", "mode": "revision", "revision": "1.31"}], "[0].revision", "dns-label"),
    ],
)
def test_a_fault_names_its_place_and_rule(items: list[Any], where: str, rule: str) -> None:
    with pytest.raises(InputError) as error:
        read_requests(items)
    found = [(problem.where, problem.rule) for problem in error.value.problems]
    assert found == [(f"injection_namespaces{where}", rule)]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(InputError) as error:
        read_requests(["Shop", {"name": "b", "mode": "revision"}, {"name": "c", "x": 1}, "Shop"])
    assert [problem.where for problem in error.value.problems] == [
        "injection_namespaces[0].name",
        "injection_namespaces[1].revision",
        "injection_namespaces[2].x",
        "injection_namespaces[3].name",
    ]
    assert error.value.problems[1].resource == "b"
