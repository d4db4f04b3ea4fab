"""Which calls are planned, by whom, and what is said of the rest."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.call_plan import (
    PROBES,
    plan_calls,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.planned_calls import (
    ALLOWED,
    DEFAULT_ACCOUNT,
    DENIED,
    NOWHERE,
    OTHER_ACCOUNT,
    OTHER_NAMESPACE,
    PLAINTEXT,
    CallPlan,
)

from .builders import GATEWAY, catalogue, service


def accounts(mesh: Catalogue) -> frozenset[Identity]:
    known = {Identity(item.namespace, item.service_account) for item in mesh.services}
    return frozenset(known | {Identity("shop", "default")})


def plan(mesh: Catalogue, *, unsafe: bool = False) -> CallPlan:
    return plan_calls(mesh, accounts(mesh), unsafe_methods=unsafe)


def probes(calls: CallPlan) -> set[Identity]:
    return {call.identity for call in calls.calls}


def described(calls: CallPlan, expect: str) -> dict[str, tuple[str, str, str]]:
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
    for expect in (ALLOWED, DENIED, PLAINTEXT):
        assert set(described(planned, expect)) == {"web", "cart", "pay"}
    assert planned.findings == ()


def test_an_allowed_call_is_a_callers_own_edge_where_that_is_harmless() -> None:
    allowed = described(plan(MESH), ALLOWED)
    assert allowed["cart"] == ("web", "GET", "/")
    assert allowed["pay"][1:] == ("GET", "/health")


def test_writes_are_sent_only_on_request() -> None:
    unsafe = {(call.service.name, call.method, call.path) for call in plan(MESH, unsafe=True).calls}
    assert ("pay", "POST", "/pay") in unsafe
    assert {call.method for call in plan(MESH).calls} == {"GET"}


def test_a_denied_call_is_sent_by_somebody_who_is_not_a_caller() -> None:
    denied = described(plan(MESH), DENIED)
    assert denied["cart"][0] not in ("web", "cart")
    assert denied["pay"][0] not in ("cart", "pay")
    assert denied["pay"][2] == "/pay"


def test_a_denied_call_avoids_open_paths() -> None:
    mesh = catalogue(
        service("web", open_paths=["/", "/health"]), service("api", callers=[{"service": "web"}])
    )
    assert described(plan(mesh), DENIED)["web"][2] == f"/{NOWHERE}"


def test_an_open_path_is_called_by_a_probe_that_is_there_anyway() -> None:
    mesh = catalogue(
        service("aaa"),
        service("cart", open_paths=["/health"]),
        service("web", callers=[{"service": "cart"}]),
    )
    called = described(plan(mesh), ALLOWED)
    assert {name: account for name, (account, _method, _path) in called.items()} == {
        "cart": "cart",
        "web": "cart",
    }
    alone = described(plan(catalogue(service("cart", open_paths=["/health"]))), ALLOWED)
    assert [path for _account, _method, path in alone.values()] == ["/health"]


def test_few_probes_serve_many_services() -> None:
    mesh = catalogue(
        service("hub"), *(service(f"s{index}", callers=[{"service": "hub"}]) for index in range(6))
    )
    planned = plan(mesh)
    meshed = {identity.service_account for identity in probes(planned) if identity.meshed}
    assert meshed == {"hub", "default", "s0", "s1"}  # one caller, and strangers of two classes


def test_each_class_of_strangers_is_refused_at_each_service() -> None:
    mesh = catalogue(
        service("web"),
        service("cart", callers=[{"service": "web"}]),
        service("far", namespace="other", callers=[{"service": "web", "namespace": "shop"}]),
    )
    refused = {
        (call.service.name, call.why.partition(": ")[2]) for call in plan(mesh).calls if call.expect == DENIED
    }
    here, there = {DEFAULT_ACCOUNT, OTHER_NAMESPACE}, {OTHER_NAMESPACE}
    assert refused >= {("cart", name) for name in here} | {("far", name) for name in there}
    assert ("web", OTHER_ACCOUNT) in refused


def test_no_class_of_strangers_costs_more_probes_than_there_may_be() -> None:
    mesh = catalogue(*(service(f"s{number}", namespace=f"ns{number}") for number in range(3 * PROBES)))
    names = {f"ns{number}" for number in range(3 * PROBES)}
    known = frozenset(
        {Identity(one.namespace, one.service_account) for one in mesh.services}
        | {Identity(name, "default") for name in names}
    )
    planned = plan_calls(mesh, known, unsafe_methods=False)
    assert sum(one.meshed for one in probes(planned)) <= PROBES
    assert {call.service.name for call in planned.calls if call.expect == DENIED} == {
        one.name for one in mesh.services
    }


def test_without_any_caller_it_is_said_that_nothing_can_be_shown() -> None:
    planned = plan(catalogue(service("lonely")))
    assert [(item.subject, item.verdict) for item in planned.findings] == [("shop/lonely", "not tested")]


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
    mesh = catalogue(service("web", exposed=exposed), mesh_gateways=[GATEWAY])
    assert plan(mesh).through_gateway == {"shop/web"}


def test_nothing_is_sent_outside_and_that_is_said() -> None:
    """A report passed without a word while the host outside was down."""
    pay = {"name": "pay", "hosts": ["pay.example.org"], "ports": [{"number": 443, "protocol": "TLS"}]}
    mesh = catalogue(
        service("web", open_paths=["/h"]),
        mesh_external_services=[
            pay | {"callers": ["web"]},
            pay | {"name": "b", "hosts": ["b.example.org"], "callers": ["web"]},
        ],
    )
    outside = [item for item in plan(mesh).findings if item.subject.startswith("external service")]
    assert [(item.check, item.subject, item.verdict) for item in outside] == [
        ("authorization", f"external service shop/{name}", "not tested") for name in ("pay", "b")
    ]
    assert {call.service.name for call in plan(mesh).calls} == {"web"}


def test_plaintext_is_tried_where_strict_is_wanted_only() -> None:
    mesh = catalogue(
        service("web", open_paths=["/h"]),
        service("old", open_paths=["/h"], mtls={"mode": "PERMISSIVE", "reason": "legacy clients"}),
    )
    assert set(described(plan(mesh), PLAINTEXT)) == {"web"}


def edges_called(planned: CallPlan) -> set[tuple[str, str]]:
    return {
        (call.identity.service_account, call.service.name) for call in planned.calls if call.expect == ALLOWED
    }


def test_every_rule_of_a_small_mesh_is_called() -> None:
    mesh = catalogue(
        service("web", open_paths=["/health"]),
        service("cart", callers=[{"service": "web"}, {"service": "pay"}]),
        service("pay", callers=[{"service": "cart"}, {"service": "web", "paths": ["/x"]}]),
    )
    planned = plan(mesh)
    assert edges_called(planned) >= {("web", "cart"), ("pay", "cart"), ("cart", "pay"), ("web", "pay")}
    assert planned.findings == ()


def test_a_port_that_is_not_http_is_not_called_for_an_answer() -> None:
    port = {"name": "tcp-db", "number": 5432, "protocol": "tcp"}
    planned = plan(catalogue(service("web"), service("db", ports=[port], callers=[{"service": "web"}])))
    assert {call.expect for call in planned.calls if call.service.name == "db"} == {PLAINTEXT}
    told = [item.message for item in planned.findings if item.subject == "shop/db"]
    assert any("a call proves nothing" in message for message in told)
    assert {item.verdict for item in planned.findings} == {"not tested"}


def test_every_pod_is_tried_where_there_are_several() -> None:
    pods = {"shop/web": ["web-1 10.0.0.1", "web-2 10.0.0.2"], "shop/cart": ["cart-1 10.0.0.3"]}
    planned = plan_calls(MESH, accounts(MESH), unsafe_methods=False, pods=pods)
    tried = [(call.service.name, call.pod) for call in planned.calls if call.expect == PLAINTEXT]
    assert sorted(tried) == [
        ("cart", ""),
        ("pay", ""),
        ("web", ""),
        ("web", "web-1 10.0.0.1"),
        ("web", "web-2 10.0.0.2"),
    ]


def many(number: int) -> Catalogue:
    return catalogue(
        *(
            service(f"s{i}", callers=[{"service": f"s{(i + k) % number}"} for k in range(1, 5)])
            for i in range(number)
        )
    )


def test_a_large_mesh_keeps_to_few_probes_and_says_what_it_left_out() -> None:
    planned = plan(many(60))
    called = {call.service.name for call in planned.calls if call.expect == ALLOWED}
    assert len(called) == 60
    assert PROBES < len(probes(planned)) < 30
    assert any("to keep to few probes" in item.message for item in planned.findings)


def test_the_plan_of_a_thousand_services_takes_no_time() -> None:
    """It took two and a half minutes: the namespaces were computed anew for every identity."""
    mesh = many(1000)
    known = accounts(mesh)
    started = time.process_time()
    planned = plan_calls(mesh, known, unsafe_methods=False)
    assert time.process_time() - started < 2.0
    assert len({call.service.name for call in planned.calls if call.expect == ALLOWED}) == 1000


def raw(**more: Any) -> dict[str, Any]:
    return {"gateway": "public", "host": "api.example.com", "path": "/", **more}


def test_a_service_with_writing_callers_and_a_gateway_is_called_through_the_gateway() -> None:
    mesh = catalogue(
        service("web", open_paths=["/h"]),
        service("pay", exposed=[raw()], callers=[{"service": "web", "methods": ["POST"]}]),
        mesh_gateways=[GATEWAY],
    )
    assert plan(mesh).through_gateway == {"shop/pay"}
