"""Which calls are planned, and what their answers prove."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import Answer, Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    authorization as verify_calls,
)

from ..builders import GATEWAY, catalogue, service

UPSTREAM = {"x-envoy-upstream-service-time": "2"}
RBAC = Answer(403, {}, "RBAC: access denied", 0)
HOP_503 = Answer(503, {}, "", 0)
SERVED = Answer(200, UPSTREAM, "hello", 0)


def accounts(mesh: Catalogue) -> frozenset[Identity]:
    known = {Identity(item.namespace, item.service_account) for item in mesh.services}
    return frozenset(known | {Identity("shop", "default")})


def plan(mesh: Catalogue, *, unsafe: bool = False) -> verify_calls.CallPlan:
    return verify_calls.plan_calls(mesh, accounts(mesh), unsafe_methods=unsafe)


def described(calls: verify_calls.CallPlan, expect: str) -> dict[str, tuple[str, str, str]]:
    return {
        call.service.name: (call.identity.service_account, call.method, call.path)
        for call in calls.calls
        if call.expect == expect
    }


MESH = catalogue(
    service("web", open_paths=["/health"]),
    service("cart", callers=[{"service": "web"}]),
    service(
        "pay",
        callers=[{"service": "cart", "methods": ["POST"], "paths": ["/pay", "/pay/*"]}],
        open_paths=["/health"],
    ),
)


def test_every_service_gets_an_allowed_a_denied_and_a_plaintext_call() -> None:
    planned = plan(MESH)
    for expect in (verify_calls.ALLOWED, verify_calls.DENIED, verify_calls.PLAINTEXT):
        assert set(described(planned, expect)) == {"web", "cart", "pay"}
    assert planned.findings == ()


def test_an_allowed_call_is_a_callers_own_edge_where_that_is_harmless() -> None:
    allowed = described(plan(MESH), verify_calls.ALLOWED)
    assert allowed["cart"] == ("web", "GET", "/")
    assert allowed["pay"][1:] == ("GET", "/health")


def test_writes_are_sent_only_on_request() -> None:
    assert described(plan(MESH, unsafe=True), verify_calls.ALLOWED)["pay"] == ("cart", "POST", "/pay")
    assert {call.method for call in plan(MESH).calls} == {"GET"}


def test_a_denied_call_is_sent_by_somebody_who_is_not_a_caller() -> None:
    denied = described(plan(MESH), verify_calls.DENIED)
    assert denied["cart"][0] not in ("web", "cart")
    assert denied["pay"][0] not in ("cart", "pay")
    assert denied["pay"][2] == "/pay"


def test_a_denied_call_avoids_open_paths() -> None:
    mesh = catalogue(
        service("web", open_paths=["/", "/health"]), service("api", callers=[{"service": "web"}])
    )
    assert described(plan(mesh), verify_calls.DENIED)["web"][2] == f"/{verify_calls.NOWHERE}"


def test_few_probes_serve_many_services() -> None:
    mesh = catalogue(
        service("hub"), *(service(f"s{index}", callers=[{"service": "hub"}]) for index in range(6))
    )
    planned = plan(mesh)
    meshed = {identity.service_account for identity in planned.identities if identity.meshed}
    assert len(meshed) == 2
    assert "hub" in meshed


def test_without_any_caller_it_is_said_that_nothing_can_be_shown() -> None:
    planned = plan(catalogue(service("lonely")))
    assert [(item.subject, item.verdict) for item in planned.findings] == [("shop/lonely", "cannot tell")]


def test_callers_that_only_write_are_named_as_such() -> None:
    mesh = catalogue(
        service("web", open_paths=["/health"]),
        service("log", callers=[{"service": "web", "methods": ["POST"]}]),
    )
    findings = plan(mesh).findings
    assert len(findings) == 1
    assert "verify_unsafe_methods" in findings[0].message
    assert plan(mesh, unsafe=True).findings == ()


def test_a_service_behind_a_gateway_only_is_called_through_it() -> None:
    exposed = [{"gateway": "public", "host": "api.example.com", "path": "/"}]
    mesh = catalogue(
        service("web", exposed=exposed, callers=[{"gateway": "public"}]), mesh_gateways=[GATEWAY]
    )
    assert plan(mesh).through_gateway == {"shop/web"}


def test_plaintext_is_tried_where_strict_is_wanted_only() -> None:
    mesh = catalogue(
        service("web", open_paths=["/h"]),
        service("old", open_paths=["/h"], mtls={"mode": "PERMISSIVE", "reason": "legacy clients"}),
    )
    assert set(described(plan(mesh), verify_calls.PLAINTEXT)) == {"web"}


def call(expect: str, protocol: str = "http") -> verify_calls.PlannedCall:
    port = {"name": protocol, "number": 80, "target_port": 3000, "protocol": protocol}
    mesh = catalogue(service("pay", ports=[port]))
    target = mesh.services[0]
    return verify_calls.PlannedCall(
        target, target.ports[0], Identity("shop", "web"), "GET", "/", expect, "web"
    )


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
        ("plaintext", Answer(0, {}, "", 56, "reset by peer"), "pass"),
        ("plaintext", Answer(0, {}, "", 52, "empty reply"), "pass"),
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
    assert verify_calls.judge(call(expect), answer).verdict == verdict


@pytest.mark.parametrize(
    ("expect", "exit_code", "verdict"),
    [
        ("allowed", 28, "pass"),
        ("allowed", 0, "pass"),
        ("allowed", 1, "pass"),
        ("allowed", 56, "cannot tell"),
        ("allowed", 7, "cannot tell"),
        ("denied", 52, "pass"),
        ("denied", 56, "pass"),
        ("denied", 28, "fail"),
        ("denied", 0, "fail"),
        ("denied", 6, "cannot tell"),
    ],
)
def test_verdict_on_a_tcp_connection(expect: str, exit_code: int, verdict: str) -> None:
    assert verify_calls.judge(call(expect, "tcp"), Answer(0, {}, "", exit_code)).verdict == verdict


@pytest.mark.parametrize(
    ("paths", "path"),
    [
        ((), "/"),
        (("/a", "/a/*"), "/a"),
        (("/a/*",), f"/a/{verify_calls.NOWHERE}"),
        (("/*",), f"/{verify_calls.NOWHERE}"),
    ],
)
def test_a_concrete_path_meets_the_rule(paths: tuple[str, ...], path: str) -> None:
    assert verify_calls.concrete_path(paths) == path
