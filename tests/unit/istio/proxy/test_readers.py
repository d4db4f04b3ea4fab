"""What is read out of recorded configuration dumps of real proxies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import admin as proxies_admin
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import listeners
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import routes as envoy_routes
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import running as proxies
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer

FIXTURES = Path(__file__).parents[1] / "fixtures"


def dump(name: str) -> list[dict[str, Any]]:
    return json.loads((FIXTURES / f"{name}.json").read_text())["configs"]


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE", "DISABLE"])
def test_listener_shows_the_mode(mode: str) -> None:
    ports = listeners.inbound_ports(dump(f"inbound_{mode.lower()}"))
    assert {port: held.mode for port, held in ports.items()} == {3000: mode, listeners.CATCH_ALL: mode}


def test_one_plaintext_chain_is_enough_to_be_permissive() -> None:
    entries = dump("inbound_strict")
    chains = entries[0]["active_state"]["listener"]["filter_chains"]
    chains.append(
        {"filter_chain_match": {"destination_port": 3000, "transport_protocol": "raw_buffer"}, "filters": []}
    )
    ports = listeners.inbound_ports(entries)
    assert (ports[3000].mode, ports[listeners.CATCH_ALL].mode) == ("PERMISSIVE", "STRICT")


def test_tls_without_client_certificate_is_not_mutual() -> None:
    entries = dump("inbound_strict")
    for chain in entries[0]["active_state"]["listener"]["filter_chains"]:
        chain.get("transport_socket", {}).get("typed_config", {})["require_client_certificate"] = False
    assert {held.mode for held in listeners.inbound_ports(entries).values()} == {"DISABLE"}


def test_port_without_chains_of_its_own_is_served_by_the_catch_all() -> None:
    ports = listeners.inbound_ports(dump("inbound_strict"))
    serving = listeners.serving_port(ports, 9999)
    assert serving is not None
    assert serving.port == listeners.CATCH_ALL
    assert listeners.serving_port({}, 9999) is None


def test_other_listeners_do_not_count() -> None:
    entries = dump("inbound_strict")
    entries[0]["active_state"]["listener"]["name"] = "0.0.0.0_3000"
    assert listeners.inbound_ports(entries) == {}


def test_policies_are_named_with_their_words() -> None:
    held = listeners.inbound_ports(dump("inbound_strict"))[3000].policies
    rules = {(rule.name, rule.rule): rule.words for rule in held}
    assert rules["payment-service", 0] >= {
        "cluster.local/ns/ecommerce/sa/order-service",
        "POST",
        "/api/payments",
        "/api/payments/*",
    }
    assert rules["payment-service", 1] >= {"*", "GET", "/health/liveness"}
    assert ("mesh-default-deny", 0) in rules
    assert {rule.action for rule in held} == {"ALLOW"}


def test_rejected_update_is_told() -> None:
    entries = [
        {"name": "virtualInbound", "error_state": {"details": "Proto constraint validation failed"}},
        {"name": "ok"},
    ]
    assert listeners.rejected_updates(entries) == ["virtualInbound: Proto constraint validation failed"]


def test_routes_name_their_virtual_service() -> None:
    hosts = envoy_routes.virtual_hosts(dump("routes_sidecar"))
    host = next(item for item in hosts if item.name.startswith("auth-service."))
    assert host.listener == "3000"
    assert "auth-service" in host.domains
    route = host.routes[0]
    assert (route.name, route.virtual_service) == ("auth-service-split", "ecommerce/auth-service")
    assert route.weights == {"outbound|3000|v1|auth-service.ecommerce.svc.cluster.local": 100.0}


def test_gateway_routes_name_the_root() -> None:
    names = {
        route.virtual_service
        for host in envoy_routes.virtual_hosts(dump("routes_gateway"))
        for route in host.routes
        if route.weights
    }
    assert names == {"ecommerce/public-api-example-com"}


def test_weighted_clusters_become_percentages() -> None:
    action = {
        "weighted_clusters": {
            "clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}, {"name": "a", "weight": 1}]
        }
    }
    configs = [
        {"route_config": {"name": "80", "virtual_hosts": [{"name": "h", "routes": [{"route": action}]}]}}
    ]
    route = envoy_routes.virtual_hosts(configs)[0].routes[0]
    assert route.weights == {"a": 50.0, "b": 50.0}


def test_route_to_a_missing_cluster_dangles() -> None:
    hosts = envoy_routes.virtual_hosts(dump("routes_sidecar"))
    clusters = envoy_routes.cluster_names(dump("clusters_sidecar"))
    assert list(envoy_routes.dangling_routes(hosts, clusters)) == []
    lost = "outbound|3000|v1|auth-service.ecommerce.svc.cluster.local"
    found = [
        (route.virtual_service, name)
        for _rest, route, name in envoy_routes.dangling_routes(hosts, clusters - {lost})
    ]
    assert found == [("ecommerce/auth-service", lost)]


def test_a_mirror_to_a_missing_cluster_dangles_too() -> None:
    route = envoy_routes.ProxyRoute("r", "ns/v", {"outbound|80||a": 100.0}, frozenset({"outbound|80|v9|a"}))
    host = envoy_routes.VirtualHost("80", "a", frozenset(), (route,))
    assert [name for *_rest, name in envoy_routes.dangling_routes([host], frozenset({"outbound|80||a"}))] == [
        "outbound|80|v9|a"
    ]


@pytest.mark.parametrize("name", ["BlackHoleCluster", "PassthroughCluster", "outbound|x|v1|host", "a|b"])
def test_other_cluster_names_are_left_alone(name: str) -> None:
    assert envoy_routes.parse_cluster_name(name) is None


def test_running_proxies() -> None:
    pods = json.loads((FIXTURES / "pods.json").read_text())
    found = {
        proxy.pod.rpartition("-")[0].rpartition("-")[0]: proxy for proxy in proxies.running_proxies(pods)
    }
    assert set(found) == {"payment-service-v1", "istio-ingressgateway"}
    sidecar, gateway = found["payment-service-v1"], found["istio-ingressgateway"]
    assert (sidecar.gateway, gateway.gateway) == (False, True)
    assert (sidecar.version, sidecar.service_account) == ("1.31.0", "payment-service")
    assert gateway.service_account == "istio-ingressgateway-service-account"
    assert sidecar.workload.startswith("ReplicaSet/payment-service-v1-")
    assert sidecar.selected_by({"app": "payment-service"})
    assert not sidecar.selected_by({"app": "other"})


@pytest.mark.parametrize("change", ["terminating", "not ready", "pending"])
def test_a_proxy_that_does_not_run_is_no_running_proxy(change: str) -> None:
    pod = json.loads((FIXTURES / "pods.json").read_text())[0]
    if change == "terminating":
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    elif change == "not ready":
        for status in pod["status"]["initContainerStatuses"]:
            status["ready"] = False
    else:
        pod["status"]["phase"] = "Pending"
    assert proxies.running_proxies([pod]) == []


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/istio/proxyv2:1.31.0", "1.31.0"),
        ("registry:5000/proxyv2:1.31.0-distroless", "1.31.0"),
        ("registry:5000/proxyv2", ""),
        ("hub/proxyv2:1.31.0-debug@sha256:abc", "1.31.0"),
    ],
)
def test_image_version(image: str, version: str) -> None:
    assert proxies.image_version(image) == version


def test_sample_sees_every_workload() -> None:
    one = proxies.RunningProxy("ns", "p", {}, "sa", False, "1", "", "ReplicaSet/a")
    many = [dataclasses.replace(one, pod=f"a{index}") for index in range(5)]
    many += [dataclasses.replace(one, pod="b0", workload="ReplicaSet/b")]
    chosen = proxies.sample(many, 3)
    assert len(chosen) == 3
    assert {proxy.workload for proxy in chosen} == {"ReplicaSet/a", "ReplicaSet/b"}
    assert proxies.sample(many, 6) == many


class Client:
    """Answers every request alike and remembers it."""

    def __init__(self, text, status=200):
        self.answer = PodAnswer(status, text)
        self.asked = ()

    def ask_pod(self, namespace, pod, port, path, *, method="GET", timeout=30.0):
        self.asked = (namespace, pod, port, method, path)
        return self.answer


PROXY = proxies.RunningProxy("shop", "web-1", {}, "web", False, "1.31.0", "", "ReplicaSet/web")


def test_config_dump_asks_for_one_resource() -> None:
    client = Client('{"configs": [{"name": "x"}]}')
    assert proxies_admin.config_dump(client, PROXY, proxies_admin.CLUSTERS, r"outbound\|.*") == [
        {"name": "x"}
    ]
    query = r"resource=dynamic_active_clusters&name_regex=outbound%5C%7C.%2A"
    assert client.asked == ("shop", "web-1", 15000, "GET", f"/config_dump?{query}")


def test_no_entry_is_no_error() -> None:
    assert proxies_admin.config_dump(Client("\n"), PROXY, proxies_admin.ROUTES) == []


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{", "<html>"])
def test_clusters_that_are_none_are_an_error(text: str) -> None:
    client = Client('{"cluster_statuses": []}')
    assert proxies_admin.cluster_statuses(client, PROXY) == {"cluster_statuses": []}
    assert client.asked[3:] == ("GET", "/clusters?format=json")
    with pytest.raises(ApiError, match="pod shop/web-1 answered with something else than its clusters"):
        proxies_admin.cluster_statuses(Client(text), PROXY)


@pytest.mark.parametrize("configs", ['[{"name": "x"}, "y"]', "[null]", '"x"', '{"name": "x"}', "null", "7"])
def test_a_dump_of_another_shape_is_none_and_not_an_empty_one(configs: str) -> None:
    client = Client(f'{{"configs": {configs}}}')
    with pytest.raises(ApiError, match="pod shop/web-1 answered with something else than a configuration"):
        proxies_admin.config_dump(client, PROXY, proxies_admin.ROUTES)
    assert client.asked[4] == "/config_dump?resource=dynamic_route_configs"
    assert proxies_admin.config_dump(Client("{}"), PROXY, proxies_admin.LISTENERS) == []


def test_a_change_is_posted() -> None:
    client = Client("ok")
    assert proxies_admin.admin_post(client, PROXY, "logging?level=debug") == "ok"
    assert client.asked[3:] == ("POST", "/logging?level=debug")


@pytest.mark.parametrize(
    ("text", "cause"),
    [("a\nb\n", "b"), ("", "no message"), (" \n", "no message"), ("z" * 300, "z" * 200)],
)
def test_the_last_line_of_another_status_says_why(text, cause):
    with pytest.raises(ApiError) as caught:
        proxies_admin.ask(Client(text, 503), "shop", "web-1", 15014, "/ready", "it is not ready")
    assert caught.value.message == f"it is not ready: HTTP 503, {cause}"
    assert caught.value.subject == "Pod shop/web-1"


@pytest.mark.parametrize(
    "client",
    [Client("upstream connect error", 503), Client("<html>"), Client("[" * 100_000)],
    ids=["refused", "a page", "nested too deep"],
)
def test_a_silent_proxy_is_an_error_that_names_the_pod(client) -> None:
    with pytest.raises(ApiError, match="shop/web-1"):
        proxies_admin.config_dump(client, PROXY, proxies_admin.ROUTES)
