"""Who is let in, and who is refused: what the answers of planned calls prove."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Answer, Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import planned_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.planned_calls import (
    PlannedCall,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.send_calls import judge

from ..builders import catalogue, service

UPSTREAM = {"x-envoy-upstream-service-time": "2"}
RBAC = Answer(403, {}, "RBAC: access denied", 0)
HOP_503 = Answer(503, {}, "", 0)
SERVED = Answer(200, UPSTREAM, "hello", 0)


def call(expect: str, protocol: str = "http") -> PlannedCall:
    port = {"name": protocol, "number": 80, "target_port": 3000, "protocol": protocol}
    mesh = catalogue(service("pay", ports=[port]))
    target = mesh.services[0]
    return PlannedCall(target, target.ports[0], Identity("shop", "web"), "GET", "/", expect, "web")


@pytest.mark.parametrize(
    ("expect", "answer", "verdict"),
    [
        ("allowed", SERVED, "pass"),
        ("allowed", Answer(404, UPSTREAM, "no such thing", 0), "pass"),
        ("allowed", Answer(500, UPSTREAM, "oops", 0), "pass"),
        ("allowed", Answer(403, UPSTREAM, "the service itself says no", 0), "pass"),
        ("allowed", RBAC, "fail"),
        ("allowed", Answer(403, UPSTREAM, "RBAC: access denied", 0), "fail"),
        ("allowed", HOP_503, "cannot tell"),
        (
            "allowed",
            Answer(503, UPSTREAM, "upstream connect error or disconnect/reset before headers", 0),
            "cannot tell",
        ),
        ("allowed", Answer(503, UPSTREAM, "no healthy upstream", 0), "cannot tell"),
        ("allowed", Answer(404, {}, "", 0), "cannot tell"),
        ("allowed", Answer(429, UPSTREAM, "local_rate_limited", 0), "cannot tell"),
        ("allowed", Answer(0, {}, "", 28, "curl: (28) timed out"), "cannot tell"),
        ("denied", RBAC, "pass"),
        ("denied", SERVED, "fail"),
        ("denied", Answer(403, UPSTREAM, "the service itself says no", 0), "fail"),
        ("denied", Answer(401, UPSTREAM, "", 0), "fail"),
        ("denied", Answer(403, {}, "", 0), "cannot tell"),
        ("denied", HOP_503, "cannot tell"),
        ("denied", Answer(0, {}, "", 56, "reset"), "cannot tell"),
        ("denied", Answer(0, {}, "", -1), "cannot tell"),
    ],
)
def test_verdict_on_an_http_answer(expect: str, answer: Answer, verdict: str) -> None:
    assert judge(call(expect), [answer]).verdict == verdict


@pytest.mark.parametrize(
    ("paths", "path"),
    [
        ((), "/"),
        (("/a", "/a/*"), "/a"),
        (("/a/*",), f"/a/{planned_calls.NOWHERE}"),
        (("/*",), f"/{planned_calls.NOWHERE}"),
    ],
)
def test_a_concrete_path_meets_the_rule(paths: tuple[str, ...], path: str) -> None:
    assert planned_calls.concrete_path(paths) == path
