"""Routes that lead nowhere."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    routes as verify_routes,
)

from ..builders import item, live, pod

HOST = "web.shop.svc.cluster.local"
SERVICE = item("Service", "web", {"selector": {"app": "web"}})
RULE = item(
    "DestinationRule",
    "web",
    {
        "host": HOST,
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}],
    },
)
V1 = pod("web-1", {"app": "web", "version": "v1"})


def routes(*destinations: dict[str, Any], **rule: Any) -> dict[str, Any]:
    entries = [
        {
            "destination": {"host": HOST, **one},
            **({"weight": weight} if (weight := one.pop("weight", None)) is not None else {}),
        }
        for one in destinations
    ]
    return item("VirtualService", "web", {"hosts": [HOST], "http": [{"route": entries, **rule}]})


def problems(virtual_service: dict, *others: dict) -> list[str]:
    held = live(virtual_service, SERVICE, RULE, V1, *others)
    findings = verify_routes.check_virtual_services(held, ["shop"], "cluster.local")
    return [finding.message for finding in findings if finding.verdict == "fail"]


def test_a_subset_with_a_ready_pod_is_fine() -> None:
    assert problems(routes({"subset": "v1"})) == []


def test_a_short_host_is_the_objects_own_namespace() -> None:
    assert (
        problems(
            item(
                "VirtualService",
                "web",
                {"http": [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]},
            )
        )
        == []
    )


def test_a_missing_subset_is_named() -> None:
    (message,) = problems(routes({"subset": "v9"}))
    assert message == f"sends to subset v9 of {HOST}, which no DestinationRule defines: requests get 503 NC"


def test_a_subset_without_ready_pods_is_named_only_when_it_gets_traffic() -> None:
    (message,) = problems(routes({"subset": "v2"}))
    assert message == f"sends to subset v2 of {HOST}, which has no ready endpoint: requests get 503 UH"
    assert problems(routes({"subset": "v1", "weight": 100}, {"subset": "v2", "weight": 0})) == []
    assert len(problems(routes({"subset": "v1", "weight": 99}, {"subset": "v2", "weight": 1}))) == 1


def test_a_pod_that_is_not_ready_is_no_endpoint() -> None:
    unready = pod("web-2", {"app": "web", "version": "v2"}, ready=False)
    assert "no ready endpoint" in problems(routes({"subset": "v2"}), unready)[0]
    assert problems(routes({"subset": "v2"}), pod("web-2", {"app": "web", "version": "v2"})) == []


def test_mirrors_count() -> None:
    assert "subset v9" in problems(routes({"subset": "v1"}, mirror={"host": HOST, "subset": "v9"}))[0]
    assert (
        "subset v8"
        in problems(routes({"subset": "v1"}, mirrors=[{"destination": {"host": HOST, "subset": "v8"}}]))[0]
    )


def test_a_missing_service_is_named() -> None:
    broken = item("VirtualService", "x", {"http": [{"route": [{"destination": {"host": "nobody"}}]}]})
    assert problems(broken) == ["sends to nobody.shop.svc.cluster.local, a Service that does not exist"]


def test_external_and_unread_hosts_are_left_alone() -> None:
    for host in ("api.stripe.com", "web.elsewhere.svc.cluster.local"):
        assert (
            problems(item("VirtualService", "x", {"http": [{"route": [{"destination": {"host": host}}]}]}))
            == []
        )


def test_a_missing_delegate_is_named() -> None:
    root = item("VirtualService", "root", {"http": [{"delegate": {"name": "web-routes"}}]})
    assert problems(root) == ["delegates to VirtualService shop/web-routes, which does not exist"]
    assert problems(root, item("VirtualService", "web-routes", {})) == []


def test_tcp_routes_count() -> None:
    tcp = item("VirtualService", "x", {"tcp": [{"route": [{"destination": {"host": HOST, "subset": "v9"}}]}]})
    assert len(problems(tcp)) == 1


def test_virtual_services_of_other_namespaces_are_not_judged() -> None:
    other = item(
        "VirtualService", "x", {"http": [{"route": [{"destination": {"host": "nobody"}}]}]}, namespace="other"
    )
    assert verify_routes.check_virtual_services(live(other), ["shop"], "cluster.local") == []


def test_what_the_proxy_itself_lacks_is_told_once_per_target() -> None:
    proxy = RunningProxy("shop", "api-1", {}, "api", False, "1.31.0", "", "ReplicaSet/api")
    lost = f"outbound|80|v9|{HOST}"
    route = ProxyRoute("a", "shop/web", {lost: 100.0})
    host = VirtualHost("80", HOST, frozenset(), (route, route))
    (finding,) = verify_routes.check_proxy_routes(proxy, [host], frozenset())
    assert finding.subject == "VirtualService shop/web"
    assert (
        finding.message
        == f"the proxy of pod shop/api-1 has no cluster for {HOST}:80 subset v9: requests get 503 NC"
    )
    assert list(verify_routes.check_proxy_routes(proxy, [host], frozenset({lost}))) == []
