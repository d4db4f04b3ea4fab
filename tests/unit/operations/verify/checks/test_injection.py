"""Sidecars, versions, and what proxies hold and refuse."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.istiod import Istiod
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import InboundPort
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import RbacPolicy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.syncz import SyncState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    injection as verify_pods,
)

from ..builders import item, pod

ISTIODS = [Istiod("istio-system", "istiod-1", "default", "1.31.0")]
PROXY = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")


def verdicts(*pods: dict, version: str = "", unmeshed: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found = verify_pods.check_pods(pods, expected_version=version, istiods=ISTIODS, unmeshed=unmeshed)
    return [(finding.verdict, finding.message) for finding in found]


def test_an_injected_ready_pod_of_the_right_version_passes() -> None:
    assert verdicts(pod("web-1"))[0][0] == "pass"
    assert verdicts(pod("web-1", proxy="hub/proxyv2:1.31.0-distroless"))[0][0] == "pass"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (pod("web-1", proxy=None), "has no sidecar: it was made before injection was on"),
        (
            pod("web-1", {"sidecar.istio.io/inject": "false"}, proxy=None),
            "opts out by sidecar.istio.io/inject=false",
        ),
        (pod("web-1", proxy=None, spec={"hostNetwork": True}), "uses the host's network"),
        (pod("web-1", proxy="hub/proxyv2:1.30.4"), "its proxy is 1.30.4, not 1.31.0"),
        (pod("web-1", proxy_ready=False), "its sidecar is not ready"),
        (pod("web-1", ready=False), "is not ready"),
        (pod("web-1", proxy="hub/proxyv2@sha256:aa"), "not 1.31.0"),
    ],
)
def test_a_pod_that_is_not_in_the_mesh_fails_with_the_reason(broken: dict, words: str) -> None:
    ((verdict, message),) = verdicts(broken)
    assert verdict == "fail"
    assert words in message


def test_without_an_istiod_of_its_revision_the_version_cannot_be_judged() -> None:
    other = pod("web-1", metadata={"annotations": {"sidecar.istio.io/status": '{"revision": "canary"}'}})
    assert verdicts(other)[0][0] == "cannot tell"
    assert verdicts(other, version="1.31.0")[0][0] == "pass"


def test_finished_terminating_and_excepted_pods_are_left_out() -> None:
    finished = pod("job-1", proxy=None, phase="Succeeded")
    leaving = pod("web-0", proxy=None, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert verdicts(finished, leaving, pod("db-0", proxy=None), unmeshed=("shop/db-*",)) == []
    assert verdicts(pod("db-0", proxy=None), unmeshed=("other/*",))[0][0] == "fail"


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
    (finding,) = verify_pods.check_sync([PROXY], table, refused)
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
    assert verify_pods.check_policies_held(PROXY, held("web", "all"), live, "istio-system") == []
    late = verify_pods.check_policies_held(PROXY, held("web", "gone"), live, "istio-system")
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
    assert verify_pods.selects(policy, "shop", {"app": "web"}, "istio-system") is applies
