"""Identities of workloads, taken apart and put together."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.principals import (
    Principal,
    parse_principal,
)


def test_an_identity_has_three_parts() -> None:
    found = parse_principal("td.example/ns/shop/sa/api")
    assert found == Principal("td.example", "shop", "api")
    assert str(found) == "td.example/ns/shop/sa/api"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "td/ns/a/sa",
        "td/ns/a/sa/b/c",
        "td/namespace/a/sa/b",
        "td/ns/a/account/b",
        "spiffe://td/ns/a/sa/b",
    ],
)
def test_any_other_text_is_none(text: str) -> None:
    assert parse_principal(text) is None
