# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call followed through a mesh in memory, with one thing in its way at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend as diagnose

from ...support.arguments import refusals, validated
from ...support.clock import FakeClock
from ...support.cluster import reaching
from ..verify.simulated_mesh import RAW, Mesh

CART = "outbound|80|v1|cart.shop.svc.cluster.local"


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


def follow(mesh: Mesh, lines: list[str] | None = None, **params: Any) -> dict[str, Any]:
    given = {"catalogue": RAW, "kubeconfig": "x", "source": "web", "destination": "cart", **params}
    checked = validated(diagnose.ARGUMENT_SPEC, given)
    progress = (lines if lines is not None else []).append
    context = Context(progress=progress, connect=reaching(mesh), clock=FakeClock())
    return diagnose.run(checked, context)


def steps(result: dict[str, Any], name: str) -> list[tuple[str, str]]:
    return [(step["verdict"], step["message"]) for step in result["steps"] if step["step"] == name]


def test_every_step_of_a_good_call_is_told(mesh: Mesh) -> None:
    lines: list[str] = []
    result = follow(mesh, lines)
    assert (result["status"], result["cause"], result["changed"]) == ("pass", "", False)
    assert len(lines) == len(result["steps"])
    assert steps(result, "endpoints") == [("pass", f"{CART}: it sends to 1 of 1")]
    assert any(f"100 % {CART}" in message for _verdict, message in steps(result, "route"))
    assert [verdict for verdict, _message in steps(result, "mtls")] == ["pass"]
    assert steps(result, "authorization")[0][1].startswith("the catalogue allows GET / by")


def test_a_caller_that_does_not_exist_is_a_mistake_of_whoever_asks(mesh: Mesh) -> None:
    with pytest.raises(InputError, match=r"^diagnose_source: no Service, .*did you mean shop/web"):
        follow(mesh, source="webb")
    with pytest.raises(InputError, match=r"^diagnose_pod: no Service, workload or pod is called other/web"):
        follow(mesh, source="", destination="", pod="other/web")
    assert follow(mesh, source="shop/web")["status"] == "pass"
    put(mesh, "Deployment", "idle", {"replicas": 0})
    with pytest.raises(InputError, match=r"is called other/idle"):
        follow(mesh, source="", destination="", pod="other/idle")
    assert follow(mesh, source="", destination="", pod="shop/idle")["status"] != ""


def test_a_callee_that_does_not_exist_is_the_cause(mesh: Mesh) -> None:
    assert follow(mesh, destination="carts")["cause"].startswith(
        "Service shop/carts: does not exist, did you mean cart"
    )


def test_without_istio_nothing_can_be_told(mesh: Mesh) -> None:
    mesh.objects.clear()
    mesh.missing = {"PeerAuthentication", "VirtualService", "DestinationRule", "AuthorizationPolicy"}
    assert follow(mesh)["status"] == "cannot tell"


def test_a_caller_without_a_proxy_is_the_cause(mesh: Mesh) -> None:
    mesh.remove("Pod", "web-1", "shop")
    result = follow(mesh)
    assert result["cause"].startswith("Service shop/web: no pod stands behind the service")
    assert steps(result, "caller") == [("fail", "no proxy of it runs, so its calls are not the mesh's")]


def test_a_callee_without_pods_is_the_cause(mesh: Mesh) -> None:
    mesh.remove("Pod", "cart-1", "shop")
    assert follow(mesh)["cause"].startswith("Service shop/cart: selects no pod (")


def test_proxies_that_cannot_be_read_are_cannot_tell(mesh: Mesh) -> None:
    mesh.unread = ApiError("pods/portforward is forbidden", status=403)
    result = follow(mesh)
    assert result["status"] == "cannot tell"
    assert steps(result, "proxy") == [("cannot tell", "pods/portforward is forbidden")] * 2


def with_hosts(mesh: Mesh, hosts: list[dict[str, Any]]) -> None:
    mesh._endpoints = lambda: {
        "cluster_statuses": [{"name": CART, **({"host_statuses": hosts} if hosts else {})}]
    }


def host(address: str, **health: Any) -> dict[str, Any]:
    socket = {"address": address, "port_value": 3000}
    return {"address": {"socket_address": socket}, "health_status": health}


GOOD = host("10.0.0.1", eds_health_status="HEALTHY")
SICK = host("10.0.0.2", eds_health_status="UNHEALTHY")
EJECTED = host("10.0.0.3", eds_health_status="HEALTHY", failed_outlier_check=True)


@pytest.mark.parametrize(
    ("hosts", "verdict", "message"),
    [
        ([], "fail", f"{CART} has no endpoint: requests get 503 UH"),
        ([GOOD], "pass", f"{CART}: it sends to 1 of 1"),
        ([GOOD, SICK], "pass", f"{CART}: it sends to 1 of 2, not to 10.0.0.2:3000 (unhealthy)"),
        (
            [SICK, EJECTED],
            "fail",
            f"{CART}: it sends to none of 10.0.0.2:3000 (unhealthy), 10.0.0.3:3000 (failed outlier check)",
        ),
    ],
)
def test_endpoints_as_the_caller_sees_them(
    mesh: Mesh, hosts: list[dict[str, Any]], verdict: str, message: str
) -> None:
    with_hosts(mesh, hosts)
    assert steps(follow(mesh), "endpoints") == [(verdict, message)]


def test_endpoints_that_cannot_be_read_are_cannot_tell(mesh: Mesh) -> None:
    answer: Callable[..., Any] = mesh._ask

    def broken(pod: str, port: int, path: str) -> Any:
        if path.startswith("/clusters"):
            raise ApiError("the proxy did not answer", reason="PodAnswer")
        return answer(pod, port, path)

    mesh._ask = broken
    result = follow(mesh)
    assert set(steps(result, "proxy")) == {("cannot tell", "the proxy did not answer")}
    assert result["status"] == "cannot tell"


def test_a_cluster_that_is_missing_is_not_asked_for_endpoints(mesh: Mesh) -> None:
    for rule in mesh.named("VirtualService", "cart-routes")["spec"]["http"]:
        rule["route"][0]["destination"]["subset"] = "v9"
    result = follow(mesh)
    missing = "outbound|80|v9|cart.shop.svc.cluster.local"
    assert ("fail", f"has no cluster {missing}: requests get 503 NC") in steps(result, "cluster")
    assert all(missing not in message for _verdict, message in steps(result, "endpoints"))


def put(mesh: Mesh, kind: str, name: str, spec: dict[str, Any], namespace: str = "shop") -> None:
    mesh.put({"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})


@pytest.mark.parametrize("namespace", ["shop", "istio-system"])
@pytest.mark.parametrize("rule", [{}, {"to": [{"operation": {"methods": ["GET"]}}]}])
def test_a_hand_made_deny_is_the_cause(mesh: Mesh, namespace: str, rule: dict[str, Any]) -> None:
    put(mesh, "AuthorizationPolicy", "stop", {"action": "DENY", "rules": [rule]}, namespace)
    cause = follow(mesh)["cause"]
    assert cause.startswith(
        f"AuthorizationPolicy {namespace}/stop: refuses GET / by cluster.local/ns/shop/sa/web"
    )


def test_a_deny_of_another_method_is_not_in_the_way(mesh: Mesh) -> None:
    rule = {"to": [{"operation": {"methods": ["POST"]}}]}
    put(mesh, "AuthorizationPolicy", "stop", {"action": "DENY", "rules": [rule]})
    assert follow(mesh)["status"] == "pass"
    assert follow(mesh, method="POST")["cause"].startswith("AuthorizationPolicy shop/stop")


def test_a_custom_policy_is_up_to_its_server(mesh: Mesh) -> None:
    put(mesh, "AuthorizationPolicy", "opa", {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{}]})
    result = follow(mesh)
    assert result["status"] == "cannot tell"
    assert any("CUSTOM policy asks" in message for _verdict, message in steps(result, "policies"))


def test_a_deleted_or_narrowed_policy_of_ours_is_the_cause(mesh: Mesh) -> None:
    mesh.named("AuthorizationPolicy", "cart")["spec"]["rules"][0]["to"] = [{"operation": {"paths": ["/x"]}}]
    first = follow(mesh)["causes"][0]
    assert (first["object"], first["family"]) == ("AuthorizationPolicy shop/cart", "security")
    assert any(one.startswith("is not as the catalogue computes it") for one in first["evidence"])
    mesh.remove("AuthorizationPolicy", "cart", "shop")
    assert follow(mesh)["cause"].startswith("AuthorizationPolicy shop/cart: is missing: refuses")


def test_a_destination_rule_that_disables_mutual_tls_is_the_cause(mesh: Mesh) -> None:
    mesh.named("DestinationRule", "cart")["spec"]["trafficPolicy"] = {"tls": {"mode": "DISABLE"}}
    cause = follow(mesh)["cause"]
    assert cause.startswith("DestinationRule shop/cart: makes calls to Service shop/cart fail: the caller's")
    assert "DestinationRule says DISABLE" in cause


def test_a_proxy_that_holds_other_rules_than_the_objects_is_told(mesh: Mesh) -> None:
    put(mesh, "AuthorizationPolicy", "stop", {"action": "DENY", "rules": [{}]})
    empty = {"name": "hcm", "typed_config": {"http_filters": []}}
    mesh.filters = lambda _policies, *, http: [empty] if http else []
    told = [message for _verdict, message in steps(follow(mesh), "policies")]
    assert "its proxy lets it in: it does not hold the policies yet" in told


def test_a_fault_that_the_catalogue_does_not_know_is_the_cause(mesh: Mesh) -> None:
    mesh.named("VirtualService", "cart-routes")["spec"]["http"][0]["fault"] = {"abort": {"httpStatus": 500}}
    assert follow(mesh)["cause"] == (
        "VirtualService shop/cart-routes: answers 100 % of the requests itself, with status 500 "
        "(fault.abort, flag FI)"
    )


def test_another_port_can_be_named(mesh: Mesh) -> None:
    assert follow(mesh, port="http")["status"] == "pass"
    assert follow(mesh, port="80")["status"] == "pass"
    with pytest.raises(InputError, match=r"shop/cart has no port 'grpc', but http \(80\)"):
        follow(mesh, port="grpc")


def test_what_the_catalogue_allows_stands_beside_a_refusal(mesh: Mesh) -> None:
    result = follow(mesh, source="cart", destination="web", method="POST", path="/x")
    ((verdict, message),) = steps(result, "authorization")
    assert verdict == "fail"
    assert "refuses POST /x by cluster.local/ns/shop/sa/cart" in message
    assert message.endswith("it allows GET /health") or "any method /health" in message


def test_the_catalogue_alone_has_to_be_given() -> None:
    assert refusals(diagnose.ARGUMENT_SPEC, {"kubeconfig": "x"}) == ["missing required arguments: catalogue"]


@pytest.mark.parametrize("hidden", [True, False])
def test_a_host_without_a_route_is_hidden_or_no_service(mesh: Mesh, hidden: bool) -> None:
    mesh._routes = lambda _pod: [{"route_config": {"name": "80", "virtual_hosts": []}}]
    if not hidden:
        for sidecar in mesh.of_kind("Sidecar"):
            mesh.remove("Sidecar", sidecar["metadata"]["name"], "shop")
    words = "Sidecar shop/web does not import it" if hidden else "no Sidecar hides it: is there a Service?"
    assert words in follow(mesh)["cause"]


def test_results_are_plain_data(mesh: Mesh) -> None:
    result = follow(mesh)
    assert json.loads(json.dumps(result)) == result
    assert {"step", "check", "subject", "verdict", "message"} == set(result["steps"][0])
