"""Sidecars, versions, and what proxies hold and refuse."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.istiod import Istiod
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import injection

from ..builders import pod as plain_pod

NOW = 1_000_000.0
ISTIODS = [Istiod("istio-system", "istiod-1", "default", "1.31.0")]
PROXY = RunningProxy("shop", "web-1", {"app": "web"}, "web", False, "1.31.0", "", "ReplicaSet/web")


def pod(*args: Any, **more: Any) -> dict:
    """An old pod: one that has only begun is not judged."""
    metadata = {"creationTimestamp": "1970-01-01T00:00:00Z", **more.pop("metadata", {})}
    return plain_pod(*args, metadata=metadata, **more)


def verdicts(*pods: dict, version: str = "", unmeshed: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    found = injection.check_pods(pods, expected_version=version, istiods=ISTIODS, unmeshed=unmeshed, now=NOW)
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
        (
            pod(
                "web-1",
                {"sidecar.istio.io/inject": ""},
                proxy=None,
                metadata={"annotations": {"sidecar.istio.io/inject": "false"}},
            ),
            "has no sidecar: it was made before injection was on",
        ),
        (pod("web-1", proxy=None, spec={"hostNetwork": True}), "uses the host's network"),
        (pod("web-1", proxy="hub/proxyv2:1.30.4"), "its proxy is 1.30.4, not 1.31.0"),
        (pod("web-1", proxy_ready=False), "its sidecar is not ready"),
        (pod("web-1", ready=False), "is not ready"),
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


def test_an_image_by_digest_tells_no_version() -> None:
    pinned = pod("web-1", proxy="hub/proxyv2@sha256:aa")
    ((verdict, message),) = verdicts(pinned)
    assert verdict == "pass"
    assert "its version was not compared" in message
    assert verdicts(pinned, version="1.31.0")[0][0] == "cannot tell"


def test_a_pod_that_has_only_begun_is_not_judged_until_something_is_wrong() -> None:
    young = {"creationTimestamp": "1970-01-12T13:45:00Z"}  # 100 s before NOW
    assert verdicts(pod("web-1", ready=False, metadata=young)) == []
    assert verdicts(pod("web-1", proxy_ready=False, ready=False, metadata=young)) == []
    assert verdicts(pod("web-1", proxy=None, metadata=young))[0][0] == "fail"
    crashing = pod("web-1", ready=False, metadata=young)
    crashing["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert verdicts(crashing)[0][0] == "fail"


def test_a_job_takes_no_traffic_and_need_not_become_ready() -> None:
    owner = {"ownerReferences": [{"kind": "Job", "name": "report", "controller": True}]}
    assert verdicts(pod("report-x", proxy_ready=False, ready=False, metadata=owner))[0][0] == "pass"
