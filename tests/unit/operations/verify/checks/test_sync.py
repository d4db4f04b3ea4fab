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


GOOD = {"web-1.shop": SyncState("web-1.shop", "1.31.0", (), {})}


@pytest.mark.parametrize(
    ("table", "refused", "verdict", "words"),
    [
        ({}, {}, "fail", "not connected"),
        (GOOD, {"shop/web-1": ()}, "pass", "nothing outstanding"),
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


def test_a_proxy_that_was_not_read_does_not_pass_by_what_istiod_says() -> None:
    assert sync.check_sync([PROXY], GOOD, {}) == []


def held(*names: str) -> dict[int, InboundPort]:
    rules = frozenset(RbacPolicy("shop", name, 0, "ALLOW") for name in names)
    return {3000: InboundPort(3000, True, False, rules)}


def test_policies_that_select_the_pod_must_be_held_and_no_others() -> None:
    live = [item("AuthorizationPolicy", "web", {"rules": [{}]}), item("AuthorizationPolicy", "all", {})]
    assert sync.check_policies_held(PROXY, held("web", "all"), live) == []
    late = sync.check_policies_held(PROXY, held("web", "gone"), live)
    assert [finding.message for finding in late] == [
        "its proxy does not hold AuthorizationPolicy shop/all",
        "its proxy still holds AuthorizationPolicy shop/gone, which is gone",
    ]
    assert all(finding.late for finding in late)


UNKNOWN_KEY = {"when": [{"key": "no.such", "values": ["x"]}]}


@pytest.mark.parametrize(
    ("policy", "held_by", "problems"),
    [
        (item("AuthorizationPolicy", "a", {}), "ALLOW", 0),
        (item("AuthorizationPolicy", "a", {}), "", 1),
        (item("AuthorizationPolicy", "a", {"action": "DENY"}), "", 0),
        (item("AuthorizationPolicy", "a", {"action": "DENY"}), "DENY", 0),
        (item("AuthorizationPolicy", "a", {"action": "DENY", "rules": [{}]}), "", 1),
        (item("AuthorizationPolicy", "a", {"action": "AUDIT", "rules": [{}]}), "LOG", 0),
        (item("AuthorizationPolicy", "a", {"action": "AUDIT", "rules": [{}]}), "", 0),
        (item("AuthorizationPolicy", "a", {"action": "CUSTOM", "rules": [{}]}), "", 0),
        (item("AuthorizationPolicy", "a", {}, annotations={"istio.io/dry-run": "True"}), "", 0),
        (
            item("AuthorizationPolicy", "a", {"rules": [{"when": [{"key": "no.such", "values": ["x"]}]}]}),
            "",
            0,
        ),
    ],
)
def test_which_policies_leave_something_behind(policy: dict, held_by: str, problems: int) -> None:
    rules = frozenset({RbacPolicy("shop", "a", 0, held_by)} if held_by else ())
    ports = {3000: InboundPort(3000, True, False, rules)}
    assert len(sync.check_policies_held(PROXY, ports, [policy])) == problems
