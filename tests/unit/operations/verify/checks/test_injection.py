"""Sidecars, versions, and what proxies hold and refuse."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.istiod import Istiod
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import injection

from ..builders import pod

ISTIODS = [Istiod("istio-system", "istiod-1", "default", "1.31.0")]
PROXY = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")


def verdicts(*pods: dict, version: str = "", unmeshed: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found = injection.check_pods(pods, expected_version=version, istiods=ISTIODS, unmeshed=unmeshed)
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
