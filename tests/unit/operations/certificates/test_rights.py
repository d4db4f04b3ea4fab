"""Which rights the work on one credential needs: none that it does without, and none too few."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.rights import (
    _of_item,
)

API = Credential("edge", "api", ("api.example.com",))


def action(name: str, *, writes: bool = False) -> SimpleNamespace:
    return SimpleNamespace(action=name, writes=writes)


def asks(resource_version: str) -> SimpleNamespace:
    return SimpleNamespace(resource_version=resource_version)


@pytest.mark.parametrize(
    ("item", "rights"),
    [
        ({}, []),
        ({"assessment": action("create", writes=True)}, ["patch api", "create api"]),
        ({"assessment": action("update", writes=True), "live": {}}, ["patch api"]),
        (
            {"assessment": action("renew", writes=True), "live": {}},
            ["patch api", "patch api-prev", "create api-prev", "delete api-prev"],
        ),
        (
            {"assessment": action("renew", writes=True), "live": {}, "revoked": True},
            ["patch api", "delete api-prev"],
        ),
        ({"previous": object()}, ["delete api-prev"]),
        ({"ask": asks("")}, ["create "]),
        ({"ask": asks("7")}, ["patch api-request"]),
        ({"spent": True}, ["delete api-request"]),
        ({"answer": object()}, []),  # it is of no request that waits
        ({"waiting": object()}, []),
        ({"answer": object(), "waiting": object()}, ["delete api-request"]),
        (
            {"assessment": action("trigger"), "manager": {"metadata": {"name": "theirs"}}},
            ["patch theirs of cert-manager.io/status"],
        ),
        ({"clients": SimpleNamespace(writes=False, live=None)}, []),
        ({"clients": SimpleNamespace(writes=True, live=None)}, ["patch api-cacert", "create api-cacert"]),
        ({"clients": SimpleNamespace(writes=True, live={})}, ["patch api-cacert"]),
    ],
)
def test_the_rights_for_one_credential(item: dict[str, Any], rights: list[str]) -> None:
    nothing = dict.fromkeys(("live", "previous", "ask", "answer", "waiting", "manager", "clients"))
    usual = {"credential": API, "assessment": action("keep"), "revoked": False, "spent": False}
    given: Any = SimpleNamespace(**{**nothing, **usual, **item})
    needs = list(_of_item(given))
    assert {need.namespace for need in needs} <= {"edge"}
    assert [
        f"{need.verb} {need.name}"
        + ("" if (need.group, need.resource) == ("", "secrets") else f" of {need.group}/{need.subresource}")
        for need in needs
    ] == rights
