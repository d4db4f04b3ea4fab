"""What the answers of planned calls prove."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import Answer, Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import planned_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    authorization as verify_calls,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.planned_calls import (
    PlannedCall,
)

from ..builders import catalogue, service

UPSTREAM = {"x-envoy-upstream-service-time": "2"}
RBAC = Answer(403, {}, "RBAC: access denied", 0)
HOP_503 = Answer(503, {}, "", 0)
SERVED = Answer(200, UPSTREAM, "hello", 0)
ASKED = "* TLSv1.3 (IN), TLS handshake, Request CERT (13):"
NAMELESS = "curl: (60) SSL: unable to obtain common name from peer certificate"
OTHER_NAME = "curl: (60) SSL: no alternative certificate subject name matches"
MESH_HELLO = Answer(0, {}, ASKED, 60, NAMELESS)


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
        ("plaintext", SERVED, "fail"),
        ("plaintext", RBAC, "fail"),
        ("plaintext", Answer(0, {}, "", 1, "HTTP/0.9"), "fail"),
        ("plaintext", Answer(0, {}, "", 7, "refused"), "cannot tell"),
        ("plaintext", Answer(0, {}, "", 28, "timed out"), "cannot tell"),
        ("plaintext", Answer(0, {}, "", 6, "no such host"), "cannot tell"),
        ("plaintext", Answer(0, {}, "", -1), "cannot tell"),
    ],
)
def test_verdict_on_an_http_answer(expect: str, answer: Answer, verdict: str) -> None:
    assert verify_calls.judge(call(expect), [answer, MESH_HELLO]).verdict == verdict


CUT = Answer(0, {}, "", 56)
REQUIRED = "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required"


@pytest.mark.parametrize(
    ("plain", "hello", "verdict"),
    [
        (CUT, MESH_HELLO, "pass"),
        (Answer(0, {}, "", 52), MESH_HELLO, "pass"),
        (CUT, Answer(0, {}, ASKED, 60, OTHER_NAME), "pass"),
        (CUT, Answer(0, {}, ASKED, 60, "curl: (60) SSL certificate problem: self-signed"), "cannot tell"),
        (CUT, Answer(0, {}, ASKED, 56, REQUIRED), "cannot tell"),  # TLS of its own, with whatever certificate
        (CUT, Answer(0, {}, "", 60, NAMELESS), "cannot tell"),  # nobody is asked who he is
        (CUT, Answer(0, {}, ASKED, 0), "cannot tell"),
        (CUT, Answer(200, {}, ASKED, 0), "cannot tell"),
        (Answer(0, {}, "", 52), Answer(0, {}, "", 35, "curl: (35) wrong version number"), "cannot tell"),
        (Answer(0, {}, "", 52), Answer(0, {}, "", 52), "cannot tell"),
        (CUT, Answer(200, {}, "hi", 0), "cannot tell"),
        (Answer(0, {}, "", 28), MESH_HELLO, "cannot tell"),
        (Answer(0, {}, "", 1), MESH_HELLO, "fail"),
        (Answer(0, {}, "", 0), MESH_HELLO, "fail"),
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_a_server_that_closes_is_no_proof(protocol: str, plain: Answer, hello: Answer, verdict: str) -> None:
    """A PostgreSQL without any mesh closes as well, and so does one that speaks TLS by itself, or gRPC."""
    assert verify_calls.judge(call("plaintext", protocol), [plain, hello]).verdict == verdict


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_plaintext_goes_with_a_handshake_by_the_roots_of_the_mesh(protocol: str) -> None:
    plain, hello = call("plaintext", protocol).http()
    assert plain.url == "http://pay.shop.svc.cluster.local:80/"
    assert (hello.url, hello.curl_options) == ("https://pay.shop.svc.cluster.local:80/", ("-v",))
    assert len(call("allowed", protocol).http()) == 1


@pytest.mark.parametrize(("address", "host"), [("10.0.0.7", "10.0.0.7"), ("fd00::7", "[fd00::7]")])
def test_a_single_pod_is_called_at_its_own_port(address: str, host: str) -> None:
    one = dataclasses.replace(call("plaintext"), pod=f"pay-2 {address}")
    assert one.http()[0].url == f"http://{host}:3000/"
    assert "at pod pay-2" in verify_calls.judge(one, [Answer(200, {}, "hi", 0), MESH_HELLO]).message


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
