# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PeerAuthentication that is gone is awaited by what the policies say that are left."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.engine import Held
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.mesh.lifted_modes import (
    lifted_modes,
)

from ...support.access import Access, Restricted
from ...support.cluster import FakeCluster

ROOT, SHOP = "istio-system", "shop"
WEB = {"app": "web"}
GONE = "is gone, and that the proxies follow was not awaited"


def policy(
    name: str, mode: str, labels: dict[str, str] | None = None, namespace: str = SHOP
) -> dict[str, Any]:
    selector = {"selector": {"matchLabels": labels}} if labels else {}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {**selector, "mtls": {"mode": mode}},
    }


def lifted(gone: dict[str, Any], *left: dict[str, Any], client: Any = None) -> tuple[list[Any], list[str]]:
    warnings: list[str] = []
    held = Held("contract", [], [gone, {"kind": "Sidecar", "metadata": {"name": "a", "namespace": SHOP}}])
    context = Context(warn=warnings.append)
    return lifted_modes(client or FakeCluster(*left), held, ROOT, context), warnings


def modes(expectation: Any, labels: dict[str, str]) -> tuple[str, str]:
    before, after = (expectation.data[when].mode(SHOP, labels, None)[0] for when in ("before", "after"))
    return before, after


def test_without_the_policy_of_a_namespace_the_mesh_decides() -> None:
    (found,), warnings = lifted(policy("default", "STRICT"))
    assert (found.check, found.subject) == ("lifted", "PeerAuthentication shop/default")
    assert (found.scope.namespace, found.scope.selector, found.scope.gateways) == (SHOP, {}, False)
    assert modes(found, WEB) == ("STRICT", "PERMISSIVE")
    (found,), _unused = lifted(policy("default", "STRICT"), policy("default", "STRICT", namespace=ROOT))
    assert modes(found, WEB) == ("STRICT", "STRICT")
    assert warnings == []


def test_without_an_exception_what_a_person_left_decides() -> None:
    (found,), _unused = lifted(policy("web", "PERMISSIVE", WEB), policy("theirs", "STRICT"))
    assert found.scope.selector == WEB
    assert modes(found, WEB) == ("PERMISSIVE", "STRICT")
    assert modes(found, {"app": "cart"}) == ("STRICT", "STRICT")


def test_a_policy_that_stays_is_not_gone() -> None:
    kept = policy("default", "STRICT")
    assert lifted_modes(FakeCluster(), Held("contract", [kept], [kept]), ROOT, Context()) == []


def test_of_one_for_the_whole_mesh_it_is_said_that_nothing_waits() -> None:
    found, warnings = lifted(policy("default", "STRICT", namespace=ROOT))
    assert found == []
    assert warnings == [f"PeerAuthentication istio-system/default {GONE}: it was for the whole mesh"]
    assert lifted(policy("web", "STRICT", WEB, ROOT)) == ([], []), "with a selector it counts nowhere"


def listing(*namespaces: str, left: tuple[dict[str, Any], ...] = ()) -> Restricted:
    granted = {Access("security.istio.io", "peerauthentications", "list", name) for name in namespaces}
    return Restricted(FakeCluster(*left), granted)


def test_where_policies_may_not_be_seen_it_is_said_that_nothing_waits() -> None:
    found, warnings = lifted(policy("default", "STRICT"), client=listing(ROOT))
    assert found == []
    assert warnings == [
        f"PeerAuthentication shop/default {GONE}: no right to list PeerAuthentication in shop"
    ]
    found, warnings = lifted(policy("default", "STRICT"), client=listing(SHOP))
    assert (found, len(warnings)) == ([], 1)


def test_what_the_namespace_decides_needs_no_look_into_the_root_namespace() -> None:
    client = listing(SHOP, left=(policy("default", "STRICT"),))
    (found,), warnings = lifted(policy("web", "PERMISSIVE", WEB), client=client)
    assert (modes(found, WEB), warnings) == (("PERMISSIVE", "STRICT"), [])


def test_no_answer_is_an_error() -> None:
    cluster = FakeCluster()
    cluster.fail("list", "PeerAuthentication", 503)
    with pytest.raises(ApiError):
        lifted(policy("default", "STRICT"), client=cluster)
