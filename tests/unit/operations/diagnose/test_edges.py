# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a call, beside what only looks like it; and what may not be read."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import service_edges
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import Request
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import (
    analyze,
    backend,
    callee,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.causes import (
    gateway_hosts,
    outside_hosts,
    transport,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.steps import (
    call_of,
    with_steps,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose.symptom import Symptom
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import (
    failed,
    passed,
)

from ...support.catalogues import minimal
from ...support.clock import FakeClock
from ...support.cluster import reaching
from ..verify.builders import item, pod
from ..verify.simulated_mesh import RAW, Mesh
from .test_calls import follow, put, steps

WEB = "cluster.local/ns/shop/sa/web"


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


def with_raw(mesh: Mesh, raw: dict[str, Any], **params: Any) -> dict[str, Any]:
    given = {"source": "web", "destination": "cart", "method": "GET", "path": "/", "port": "", **params}
    context = Context(connect=reaching(mesh), clock=FakeClock())
    return backend.run({"catalogue": raw, "kubeconfig": {}, **given}, context)


@pytest.mark.parametrize(
    ("check", "family", "remedy"),
    [
        ("injection", "injection", "see docs/guides/diagnose.md"),
        ("pods", "injection", "see docs/guides/diagnose.md"),
        ("caller", "injection", "see docs/guides/diagnose.md"),
        ("port", "routing", "see docs/guides/diagnose.md"),
        ("mtls", "security", "mtls: of the service in mesh_services"),
        ("policies", "security", "ansible-playbook servicemesh.istio.mesh"),
        ("authorization", "security", "callers: of the service in mesh_services"),
    ],
)
def test_a_step_that_fails_is_a_cause_of_a_family_with_a_remedy(check: str, family: str, remedy: str) -> None:
    (cause,) = with_steps([], [failed(check, "shop/cart", "is wrong"), passed(check, "shop/web", "is right")])
    assert (cause.family, cause.object, cause.said) == (family, "Service shop/cart", "is wrong")
    assert cause.remedy.startswith(remedy)


def test_without_a_rule_of_the_caller_the_authentication_is_at_fault() -> None:
    """Of several objects that decided, a DestinationRule is what can be changed first."""
    authentication, rule = "PeerAuthentication shop/default", "DestinationRule shop/cart"
    case: Any = SimpleNamespace(flagged=lambda _flag: [], callers=())
    call: Any = SimpleNamespace(
        caller=None, callee=SimpleNamespace(meshed=True), service=item("Service", "cart"), target=3000
    )
    for decided, blamed in (((authentication,), authentication), ((authentication, rule), rule)):
        cause = transport._cause(case, call, "because", decided, captured=True)
        assert (cause.family, cause.object) == ("security", blamed)
        assert ("(PeerAuthentication shop/default)" in cause.said) is (blamed == rule)


def test_of_a_gateway_the_host_or_a_route_says_whom_it_concerns() -> None:
    def gateway(name: str, host: str) -> dict[str, Any]:
        return item("Gateway", name, {"servers": [{"hosts": [host], "port": {"number": 443}}]})

    hosts = {"own": "a.example.com", "other": "b.example.com", "bound": "c.example.com"}
    found = [gateway(name, host) for name, host in hosts.items()]
    raw = item("VirtualService", "r", {"gateways": ["bound"], "hosts": ["a.example.com"]})
    route = SimpleNamespace(raw=raw, read=SimpleNamespace(hosts=("a.example.com",)))
    case: Any = SimpleNamespace(
        symptom=SimpleNamespace(anything=False),
        of=lambda _kind: found,
        concerned_routes=lambda: [route],
        host="a.example.com",
    )
    names = [one["metadata"]["name"] for one in gateway_hosts.concerned_gateways(case)]
    assert names == ["own", "bound"]


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ("outbound|443||pay.example.org", 1),
        ("inbound|443||pay.example.org", 0),
        ("outbound|443||x.example.org", 0),
    ],
)
def test_only_calls_of_the_host_itself_say_that_it_is_out_of_reach(cluster: str, told: int) -> None:
    one = SimpleNamespace(stats={"cx_connect_fail": 9, "cx_total": 9}, address="192.0.2.1")
    view = SimpleNamespace(proxy="shop/web-1", endpoints={cluster: [one]})
    case: Any = SimpleNamespace(
        callers=["web"], subjects=[], proxies=lambda _pods: [view], flagged=lambda *_what: ["a line"]
    )
    entry = item("ServiceEntry", "pay", {"hosts": ["pay.example.org"]})
    assert len(list(outside_hosts._unreachable(case, entry))) == told


@pytest.mark.parametrize(("anything", "told"), [(True, ["else", "shop"]), (False, ["shop"])])
def test_what_istioctl_says_of_other_places_counts_where_nobody_asked_for_one(
    *, anything: bool, told: list[str]
) -> None:
    case: Any = SimpleNamespace(
        symptom=SimpleNamespace(anything=anything), subjects=[item("Pod", "web")], services=[]
    )
    message = analyze.Message("IST0101", "Error", "x", "is wrong")
    by_object = {f"VirtualService {place}/x": [message] for place in ("else", "shop")}
    found = [cause.object.partition(" ")[2].partition("/")[0] for cause in analyze._others(case, by_object)]
    assert found == told


# -- transport -----------------------------------------------------------------------------------------------


def rule(mesh: Mesh, **spec: Any) -> None:
    mesh.named("DestinationRule", "cart")["spec"].update(spec)


def test_a_subset_that_speaks_another_way_is_the_worst_of_the_call(mesh: Mesh) -> None:
    """The catalogue's versions are tried one by one: one of them would fail."""
    assert [verdict for verdict, _message in steps(follow(mesh), "mtls")] == ["pass"]
    tls = {"trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    rule(mesh, subsets=[{"name": "v1", "labels": {"version": "v1"}, **tls}])
    ((verdict, message),) = steps(follow(mesh), "mtls")
    assert verdict == "fail"
    assert message.startswith("WILL_FAIL: the caller's DestinationRule says DISABLE")
    assert "(DestinationRule shop/cart, PeerAuthentication shop/" in message


def test_a_good_call_names_the_objects_that_decided(mesh: Mesh) -> None:
    (step,) = [step for step in follow(mesh)["steps"] if step["step"] == "mtls"]
    assert step["subject"] == "Pod shop/cart-1"
    assert step["message"].startswith("MTLS: ")
    assert "PeerAuthentication shop/" in step["message"]


@pytest.mark.parametrize("mode", ["MUTUAL", "SIMPLE", "DISABLE"])
def test_what_becomes_of_other_modes(mesh: Mesh, mode: str) -> None:
    rule(mesh, trafficPolicy={"tls": {"mode": mode}})
    (step,) = [step for step in follow(mesh)["steps"] if step["step"] == "mtls"]
    assert step["subject"] == "DestinationRule shop/cart"
    assert step["verdict"] == ("cannot tell" if mode == "MUTUAL" else "fail")
    assert step["message"].startswith("UNKNOWN: " if mode == "MUTUAL" else "WILL_FAIL: ")


def test_plaintext_is_a_fault_where_the_catalogue_says_strict_and_none_where_it_does_not(mesh: Mesh) -> None:
    raw = copy.deepcopy(RAW)
    raw["mesh_services"][1]["mtls"] = {"mode": "PERMISSIVE", "reason": "a load balancer"}
    for policy in mesh.of_kind("PeerAuthentication"):
        policy["spec"] = {"mtls": {"mode": "PERMISSIVE"}}
    rule(mesh, trafficPolicy={"tls": {"mode": "DISABLE"}})
    assert [(verdict, text.split(":")[0]) for verdict, text in steps(follow(mesh), "mtls")] == [
        ("fail", "PLAINTEXT")
    ]
    told = steps(with_raw(mesh, raw), "mtls")
    assert [(verdict, text.split(":")[0]) for verdict, text in told] == [("pass", "PLAINTEXT")]


def test_every_pod_of_the_callee_is_a_step(mesh: Mesh) -> None:
    second = pod("cart-2", {"app": "cart", "version": "v1"}, spec={"serviceAccountName": "cart"})
    mesh.put({**second, "status": {**second["status"], "podIP": "10.0.0.2"}})
    assert [step["subject"] for step in follow(mesh)["steps"] if step["step"] == "mtls"] == [
        "Pod shop/cart-1",
        "Pod shop/cart-2",
    ]


# -- policies ------------------------------------------------------------------------------------------------


def test_a_good_call_names_the_policy_that_lets_it_in(mesh: Mesh) -> None:
    (step,) = [step for step in follow(mesh)["steps"] if step["step"] == "policies"]
    assert (step["verdict"], step["subject"]) == ("pass", "Pod shop/cart-1")
    assert step["message"].startswith("lets in shop/web GET / on port 3000: AuthorizationPolicy shop/cart")


def test_without_any_policy_nothing_refuses_and_that_is_said(mesh: Mesh) -> None:
    for policy in mesh.of_kind("AuthorizationPolicy"):
        mesh.remove("AuthorizationPolicy", policy["metadata"]["name"], policy["metadata"]["namespace"])
    messages = [message for _verdict, message in steps(follow(mesh), "policies")]
    assert messages[0].endswith(": no AuthorizationPolicy of action ALLOW selects the workload")


def test_of_a_call_that_the_catalogue_refuses_the_policies_that_refuse_it_are_no_fault(mesh: Mesh) -> None:
    result = follow(mesh, source="pay")
    assert steps(result, "policies") == []
    assert steps(result, "authorization")[0][0] == "fail"
    assert result["cause"].startswith(
        "Service shop/cart: the catalogue refuses GET / by cluster.local/ns/shop/sa/pay"
    )
    put(mesh, "AuthorizationPolicy", "open", {"rules": [{}]})
    opened = steps(follow(mesh, source="pay"), "policies")
    assert [verdict for verdict, _message in opened] == ["pass"]  # whoever lets it in is told


def test_a_proxy_that_refuses_what_the_objects_let_in_is_told(mesh: Mesh) -> None:
    deny: Any = {"action": "DENY", "rules": [{}]}
    stale = [{"kind": "AuthorizationPolicy", "metadata": {"name": "s", "namespace": "shop"}, "spec": deny}]
    filters = mesh.filters
    mesh.filters = lambda _policies, *, http: filters(stale, http=http)
    found = [step for step in follow(mesh)["steps"] if step["step"] == "policies"]
    assert [(step["verdict"], step["subject"]) for step in found] == [
        ("pass", "Pod shop/cart-1"),
        ("fail", "Pod shop/cart-1"),
    ]
    assert found[1]["message"] == "its proxy refuses it: it does not hold the policies yet"


def test_a_proxy_that_holds_what_the_objects_say_adds_no_step(mesh: Mesh) -> None:
    put(mesh, "AuthorizationPolicy", "stop", {"action": "DENY", "rules": [{}]})
    assert len(steps(follow(mesh), "policies")) == 1


# -- the catalogue -------------------------------------------------------------------------------------------


def said(raw: dict[str, Any], principal: str, method: str = "GET", path: str = "/") -> tuple[str, str]:
    catalogue = parse_catalogue(raw)
    service = catalogue.service("api")
    assert service is not None
    edges = service_edges(catalogue, service)
    found = callee.stated(edges, Request(principal, 3000, method, path), service)
    return found.verdict, found.message


def test_what_the_catalogue_allows_is_listed_for_this_caller_alone() -> None:
    raw = minimal()
    raw["mesh_services"].append({**raw["mesh_services"][0], "name": "other", "exposed": []})
    raw["mesh_services"][1]["callers"] = [
        {"service": "web", "methods": ["GET", "POST"], "paths": ["/a", "/b/*"]},
        {"service": "web", "methods": ["PUT"]},
        {"service": "other", "paths": ["/c"]},
    ]
    assert said(raw, WEB, "POST", "/a")[0] == "pass"
    assert said(raw, WEB, "PUT", "/x") == ("pass", f"the catalogue allows PUT /x by {WEB} (rule 2)")
    assert said(raw, WEB, "DELETE", "/x") == (
        "fail",
        f"the catalogue refuses DELETE /x by {WEB} with 403; it allows GET/POST /a, /b/*; PUT any path",
    )
    stranger = "cluster.local/ns/other/sa/x"
    assert said(raw, stranger) == (
        "fail",
        f"the catalogue refuses GET / by {stranger} with 403; it allows nothing",
    )
    raw["mesh_services"][1]["open_paths"] = ["/health"]
    assert said(raw, stranger)[1].endswith("it allows GET /health")


# -- options -------------------------------------------------------------------------------------------------


def two_ports() -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    raw["mesh_services"][1]["ports"].append({"name": "db", "number": 5432, "protocol": "tcp"})
    return raw


def test_ports_go_by_name_or_number_and_the_routed_one_is_taken_without() -> None:
    def port(name: str) -> str:
        symptom = Symptom(source="web", destination="cart", port=name)
        call = call_of(parse_catalogue(two_ports()), symptom)
        return call.port.name if call and call.port else ""

    assert [port(name) for name in ("", "http", "80", "db", "5432")] == ["http", "http", "http", "db", "db"]
    for unknown in ("3000", "d", "81"):
        with pytest.raises(InputError) as caught:
            port(unknown)
        assert [(item.where, item.rule) for item in caught.value.problems] == [("port", "unknown-port")]
        assert f"shop/cart has no port '{unknown}', but http (80), db (5432)" in str(caught.value)


def test_a_service_without_a_port_cannot_be_called(mesh: Mesh) -> None:
    raw = copy.deepcopy(RAW)
    del raw["mesh_services"][1]["ports"]
    try:
        result = with_raw(mesh, raw)
    except InputError:
        return  # the catalogue asks for one itself
    assert steps(result, "port") == [("fail", "the catalogue gives it no port")]


# -- what may not be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "PeerAuthentication", "DestinationRule"])
def test_policies_that_may_not_be_read_leave_the_call_open(mesh: Mesh, kind: str) -> None:
    mesh.forbidden = {kind}
    result = follow(mesh)
    assert result["status"] != "pass"
    told = [step for step in result["steps"] if step["step"] == "policies" and step["subject"] == kind]
    assert [step["verdict"] for step in told] == ["cannot tell"]
    assert f"{kind} is forbidden" in told[0]["message"]


def test_sidecars_that_may_not_be_read_do_not_hide_that_there_is_no_route(mesh: Mesh) -> None:
    mesh._routes = lambda _pod: [{"route_config": {"name": "80", "virtual_hosts": []}}]
    mesh.forbidden = {"Sidecar"}
    result = follow(mesh)
    assert result["status"] == "fail"
    assert result["cause"].startswith(
        "Pod shop/web-1: its proxy has no route for cart.shop.svc.cluster.local"
    )
    assert "; Sidecars of namespace shop may not be read: " in result["cause"]
    assert "Sidecar is forbidden" in result["cause"]


def test_one_beside_the_caller_decides_whatever_may_not_be_read_elsewhere(mesh: Mesh) -> None:
    mesh._routes = lambda _pod: [{"route_config": {"name": "80", "virtual_hosts": []}}]
    mesh.fail("list", "Sidecar", 403, when=lambda call: call.namespace == "istio-system")
    assert follow(mesh)["cause"].endswith(": Sidecar shop/web does not import it")
    mesh.fail("list", "Sidecar", 500)
    with pytest.raises(ApiError):
        follow(mesh)


def test_a_sidecar_of_the_root_namespace_hides_a_host_too(mesh: Mesh) -> None:
    mesh._routes = lambda _pod: [{"route_config": {"name": "80", "virtual_hosts": []}}]
    for sidecar in mesh.of_kind("Sidecar"):
        mesh.remove("Sidecar", sidecar["metadata"]["name"], sidecar["metadata"]["namespace"])
    put(mesh, "Sidecar", "all", {"egress": [{"hosts": ["./*"]}]}, "istio-system")
    put(mesh, "Sidecar", "far", {"egress": [{"hosts": ["./*"]}]}, "elsewhere")
    assert follow(mesh)["cause"].endswith("Sidecar istio-system/all does not import it")
