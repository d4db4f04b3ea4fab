"""Check sync: connected, nothing refused, every policy held."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import InboundPort
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import RbacPolicy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.syncz import SyncState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import sync

from ..builders import item

PROXY = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")


@pytest.mark.parametrize(
    ("table", "refused", "verdict", "words"),
    [
        ({}, {}, "fail", "not connected"),
        ({"web-1.shop": SyncState("web-1.shop", "1.31.0", (), {})}, {}, "pass", "nothing outstanding"),
        ({"web-1.shop": SyncState("web-1.shop", "1.31.0", ("Listener",), {})}, {}, "cannot tell", "Listener"),
        (
            {"web-1.shop": SyncState("web-1.shop", "1.31.0", (), {"Listener": "bad"})},
            {},
            "fail",
            "Listener: bad",
        ),
        (
            {"web-1.shop": SyncState("web-1.shop", "1.31.0", (), {})},
            {"shop/web-1": ("x: y",)},
            "fail",
            "x: y",
        ),
    ],
)
def test_sync(table: dict, refused: dict, verdict: str, words: str) -> None:
    (finding,) = sync.check_sync([PROXY], table, refused)
    assert finding.verdict == verdict
    assert words in finding.message
    assert finding.late is (verdict != "pass")


def held(*names: str) -> dict[int, InboundPort]:
    rules = frozenset(RbacPolicy("shop", name, 0, "ALLOW") for name in names)
    return {3000: InboundPort(3000, True, False, rules)}


def test_policies_that_select_the_pod_must_be_held_and_no_others() -> None:
    live = [
        item("AuthorizationPolicy", "web", {"selector": {"matchLabels": {"app": "web"}}, "rules": [{}]}),
        item("AuthorizationPolicy", "all", {}),
        item("AuthorizationPolicy", "api", {"selector": {"matchLabels": {"app": "api"}}}),
    ]
    assert sync.check_policies_held(PROXY, held("web", "all"), live, "istio-system") == []
    late = sync.check_policies_held(PROXY, held("web", "gone"), live, "istio-system")
    assert [finding.message for finding in late] == [
        "its proxy does not hold AuthorizationPolicy shop/all",
        "its proxy still holds AuthorizationPolicy shop/gone, which is gone",
    ]
    assert all(finding.late for finding in late)


@pytest.mark.parametrize(
    ("policy", "applies"),
    [
        (item("AuthorizationPolicy", "a", {}), True),
        (item("AuthorizationPolicy", "a", {}, namespace="istio-system"), True),
        (item("AuthorizationPolicy", "a", {}, namespace="other"), False),
        (item("AuthorizationPolicy", "a", {"action": "DENY"}), False),
        (item("AuthorizationPolicy", "a", {"action": "DENY", "rules": [{}]}), True),
        (item("AuthorizationPolicy", "a", {"action": "AUDIT", "rules": [{}]}), False),
        (item("AuthorizationPolicy", "a", {"targetRefs": [{"kind": "Service", "name": "web"}]}), False),
        (item("AuthorizationPolicy", "a", {}, annotations={"istio.io/dry-run": "true"}), False),
    ],
)
def test_which_policies_apply_to_a_sidecar(policy: dict, applies: bool) -> None:
    assert sync.selects(policy, "shop", {"app": "web"}, "istio-system") is applies
