"""The policies of a cluster before a run and after it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import Item
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.live_policies import (
    before_and_after,
)

OLD = "2026-01-01T00:00:00Z"


def policy(mode: str, *, since: str | None = OLD) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "default", "namespace": "shop"}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {**metadata, "creationTimestamp": since} if since else metadata,
        "spec": {"mtls": {"mode": mode}},
    }


@pytest.mark.parametrize("action", ["unchanged", "held by run-1"])
def test_what_a_run_leaves_alone_stays_as_it_is(action: str) -> None:
    """Also where it is not what was wished for."""
    held = policy("PERMISSIVE")
    item = Item(policy("STRICT", since=None), before=held, action=action)
    before, after = before_and_after([held], [item])
    assert list(before.values()) == list(after.values()) == [held]


def test_what_a_run_writes_keeps_its_age_and_what_is_new_is_the_youngest() -> None:
    wanted = policy("STRICT", since=None)
    _before, after = before_and_after([], [Item(wanted, before=policy("PERMISSIVE"), action="updated")])
    assert list(after.values()) == [policy("STRICT")]
    before, after = before_and_after([policy("DISABLE")], [Item(wanted, action="created")])
    assert (before, list(after.values())) == ({}, [policy("STRICT", since="9999")])


def test_what_a_run_deletes_is_gone_afterwards() -> None:
    held = policy("STRICT")
    before, after = before_and_after([held], [Item(held, before=held, action="deleted")])
    assert (list(before.values()), after) == ([held], {})
