"""Check sync: connected, nothing refused, every policy held."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.authorization import (
    HeldAuthorization,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import (
    InboundChain,
    InboundPort,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import RbacPolicy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.syncz import SyncState
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
    WorkloadPolicies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import sync

from ....support.envoy_rbac import rbac_filters
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
        (item("AuthorizationPolicy", "a", {"action": "CUSTOM", "rules": [{}]}), "DENY", 0),
        (
            item("AuthorizationPolicy", "a", {"action": "CUSTOM"}, annotations={"istio.io/dry-run": "1"}),
            "DENY",
            0,
        ),
        (item("AuthorizationPolicy", "a", {"action": "THROTTLE", "rules": [{}]}), "", 0),
        (item("AuthorizationPolicy", "a", {"unless": ["x"], "rules": [{}]}), "", 0),
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


# -- decisions -----------------------------------------------------------------------------------------------

WEB, STRANGER = "cluster.local/ns/shop/sa/web", "cluster.local/ns/shop/sa/x"
POST_ONLY = item("AuthorizationPolicy", "api", {"rules": [{"to": [{"operation": {"methods": ["POST"]}}]}]})
DENY_ALL = item("AuthorizationPolicy", "none", {})
MAYBE = item(
    "AuthorizationPolicy", "maybe", {"rules": [{"when": [{"key": "connection.sni", "values": ["x"]}]}]}
)


def chain(*policies: Any, mtls: bool = True, http: bool = True) -> InboundChain:
    filters = [entry["typed_config"] for entry in rbac_filters(policies, ["cluster.local"], http=http)]
    return InboundChain(mtls, http, HeldAuthorization(filters))


def decisions(policies: list[Any], *chains: InboundChain, port: int = 3000, **request: Any) -> Any:
    """What is said of one request, by default a GET of ``web`` over mutual TLS."""
    given: dict[str, Any] = {"principal": WEB, "port": 3000, **request}
    seen: Any = SimpleNamespace(held=WorkloadPolicies(policies, ("cluster.local",)))
    ports = {port: InboundPort(port, True, True, frozenset(), chains)}
    return sync.check_decisions(PROXY, ports, seen, [Request(**given)])[0]


def test_a_proxy_that_decides_as_the_policies_is_no_finding() -> None:
    for policies in ([], [POST_ONLY], [DENY_ALL]):
        for method in ("GET", "POST"):
            assert decisions(policies, chain(*policies), method=method) is None


@pytest.mark.parametrize("port", [3000, 0])
def test_a_proxy_that_lets_in_or_refuses_otherwise_is_told_with_the_request(port: int) -> None:
    opens = decisions([DENY_ALL], chain(POST_ONLY), port=port, method="POST")
    assert (opens.verdict, opens.subject, opens.late) == ("fail", "Pod shop/web-1", True)
    assert opens.message == (
        "its proxy lets in shop/web POST / on port 3000 by AuthorizationPolicy shop/api, and the policies "
        "say otherwise"
    )
    closes = decisions([], chain(DENY_ALL), port=port)
    assert closes.message == "its proxy refuses shop/web GET / on port 3000, and the policies say otherwise"


def test_only_the_chain_that_the_request_comes_through_is_asked() -> None:
    wrong, right = chain(DENY_ALL), chain()
    assert decisions([], right, chain(DENY_ALL, mtls=False)) is None
    assert decisions([], chain(DENY_ALL, mtls=False), right, principal="") is not None
    assert decisions([], wrong, chain(mtls=False), principal="") is None
    assert decisions([], right, chain(DENY_ALL, http=False)) is None
    assert decisions([], right, chain(DENY_ALL, http=False), http=False, method="", path="") is not None
    assert decisions([], wrong, port=4000) is None  # nothing serves the port


def test_what_nobody_knows_is_no_difference() -> None:
    assert decisions([MAYBE], chain()) is None
    assert decisions([MAYBE], chain(DENY_ALL)) is None
    assert decisions([], chain(MAYBE)) is None


def test_the_first_difference_is_told_and_later_requests_are_tried_too() -> None:
    seen: Any = SimpleNamespace(held=WorkloadPolicies([POST_ONLY], ("cluster.local",)))
    ports = {3000: InboundPort(3000, True, True, frozenset(), (chain(),))}
    requests = [Request(WEB, 3000, "POST"), Request(WEB, 3000, "PUT"), Request(WEB, 3000, "GET")]
    found, asked = sync.check_decisions(PROXY, ports, seen, requests)
    assert found is not None
    assert asked == frozenset()
    assert "lets in shop/web PUT / on port 3000" in found.message


def test_only_what_a_filter_chain_decided_was_asked() -> None:
    seen: Any = SimpleNamespace(held=WorkloadPolicies([POST_ONLY, MAYBE], ("cluster.local",)))
    ports = {3000: InboundPort(3000, True, True, frozenset(), (chain(POST_ONLY, MAYBE),))}
    known, stream = Request(WEB, 3000, "POST"), Request(WEB, 3000, http=False)
    unknown, nowhere = Request(WEB, 3000, "GET"), Request(WEB, 4000, "POST")
    found, asked = sync.check_decisions(PROXY, ports, seen, [known, stream, unknown, nowhere])
    assert found is None
    assert asked == {id(known)}
