# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mesh_info says of a mesh in memory, and of one of which something cannot be read."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.observe.options import PARTS

from ...model.observe.telemetry import both, series
from ...support.access import Restricted, granted_by
from ...support.certificates import certificate, ec_key, key_pem, pem
from ...support.journals import journal_object
from ..trust.trusted_mesh import secret
from .observed_mesh import CATALOGUE, HOME, HOST, SHOP, ObservedMesh, forbidden, matrix, pod, service, vector


def untold(result: dict[str, Any], part: str) -> str:
    return "; ".join(item["reason"] for item in result["untold"] if item["part"] == part)


def calls(mesh: ObservedMesh, **params: Any) -> list[dict[str, Any]]:
    """The calls of the only gateway."""
    (entry,) = mesh.run(show=["addresses"], **params)["addresses"]
    found: list[dict[str, Any]] = entry["calls"]
    return found


LABELS = {"app": "istio-ingressgateway", "istio": "ingressgateway"}


def gateway_service(mesh: ObservedMesh, ports: list[dict[str, Any]] | None = None, **spec: Any) -> None:
    ports = ports or [{"name": "http2", "port": 80}, {"name": "https", "port": 443}]
    mesh.put(service("istio-ingressgateway", LABELS, ports, **spec))


def test_the_golden_signals_of_services_and_calls() -> None:
    found = ObservedMesh().run()["traffic"]
    (api,) = found["services"]
    assert (api["service"], api["requests"], api["rate"], api["error_share"]) == ("shop/api", 100, 1.111, 0.1)
    assert (api["p50_ms"], api["p99_ms"]) == (50, 99)
    (edge,) = found["edges"]
    assert (edge["source"], edge["destination"], edge["mtls"], edge["p95_ms"]) == (
        "shop/web", "shop/api", "yes", 95,
    )  # fmt: skip
    assert (found["idle"], found["dark"]) == (["shop/web", "shop/quiet"], [])


def test_a_service_that_nobody_scrapes_has_no_zero() -> None:
    mesh = ObservedMesh()
    mesh.up = ["web-1"]
    result = mesh.run()
    assert (result["traffic"]["idle"], result["traffic"]["dark"]) == (["shop/web"], ["shop/quiet"])
    assert "scrapes no proxy of shop/quiet" in untold(result, "traffic")


def test_a_service_of_plain_tcp_is_told_and_is_not_idle() -> None:
    mesh = ObservedMesh()
    mesh.put(pod(SHOP, "db-1", {"app": "db"}))
    mesh.up.append("db-1")
    port = {"name": "tcp", "number": 5432, "target_port": 5432, "protocol": "tcp"}
    catalogue = {
        **CATALOGUE,
        "mesh_services": [*CATALOGUE["mesh_services"], {"name": "db", "ports": [port]}],
    }
    result = mesh.run(catalogue=catalogue)
    assert result["traffic"]["idle"] == ["shop/web", "shop/quiet"]
    assert "shop/db: connections of plain TCP are no requests" in untold(result, "traffic")


def test_one_of_two_pods_that_is_not_scraped_leaves_it_open() -> None:
    mesh = ObservedMesh()
    mesh.put(pod(SHOP, "quiet-2", {"app": "quiet"}))
    assert mesh.run()["traffic"]["dark"] == ["shop/quiet"]
    mesh.up.append("quiet-2")
    assert mesh.run()["traffic"]["dark"] == []


@pytest.mark.parametrize(
    ("part", "answer", "reason"),
    [
        ("istio_requests_total", vector([]), "did not answer with matrix"),
        (
            "istio_requests_total{",
            forbidden("services/proxy"),
            "did not answer through the API server: Forbidden",
        ),
        ("istio_requests_total{", {"status": "error", "error": "too much"}, "too much"),
        ("istio_requests_total{", "<html>", "is not JSON"),
    ],
)
def test_without_an_answer_there_is_no_traffic_and_a_reason(part: str, answer: Any, reason: str) -> None:
    mesh = ObservedMesh()
    mesh.answers[part] = answer
    result = mesh.run()
    assert "traffic" not in result
    assert reason in untold(result, "traffic")
    assert result["status"] == "cannot tell"
    assert result["versions"]["proxies"], "the other parts are told all the same"


@pytest.mark.parametrize(
    ("known", "reason"),
    [(7.0, "of istio-system, shop in this window"), (None, "no istio_requests_total at all")],
)
def test_no_series_of_this_mesh_is_no_quiet_mesh(known: float | None, reason: str) -> None:
    mesh = ObservedMesh()
    mesh.requests = {}
    if known is not None:
        mesh.answers["count(istio_requests_total)"] = vector([({}, known)])
    result = mesh.run()
    assert "traffic" not in result
    assert reason in untold(result, "traffic")


def test_the_first_requests_of_a_pod_that_was_scraped_before_count() -> None:
    """Its counter appears with the value 10 and stands still: ``rate()`` would see nothing."""
    mesh = ObservedMesh()
    found = matrix({series("destination", "web", "quiet"): 0.0}, 10.0)
    for item in found["data"]["result"]:
        item["values"] = item["values"][2:]
        item["metric"] |= {"pod": "quiet-1", "instance": "quiet-1:15020"}
    mesh.answers['istio_requests_total{reporter=~"destination|waypoint"'] = found
    mesh.requests = {}
    services = {item["service"]: item["requests"] for item in mesh.run()["traffic"]["services"]}
    assert services == {"shop/quiet": 10}
    mesh.up = ["web-1", "api-1"]
    assert mesh.run()["traffic"]["services"] == []


def test_a_scrape_that_failed_makes_no_old_counter_new() -> None:
    """A counter of 1000 whose target could not be scraped first has not grown by 1000."""
    mesh = ObservedMesh()
    mesh.answers["istio_requests_total{"] = matrix(mesh.requests)
    for item in mesh.answers["istio_requests_total{"]["data"]["result"]:
        item["values"] = item["values"][1:]
    up = matrix({frozenset({("namespace", SHOP), ("pod", name)}): 0.0 for name in mesh.up}, 1.0)
    for item in up["data"]["result"]:
        item["values"][0][1] = "0"
    mesh.answers["up{"] = up
    (api,) = mesh.run()["traffic"]["services"]
    assert api["requests"] < 1000


def test_who_is_scraped_is_asked_after_the_counters() -> None:
    """Of a window that begins earlier, every old counter would seem new."""
    mesh = ObservedMesh()
    mesh.run()
    asked = [query.partition("{")[0] for query in mesh.queries if query.endswith("s]")]
    assert asked == ["istio_requests_total", "istio_requests_total", "up"]


def test_latency_that_is_not_told_hides_no_requests() -> None:
    mesh = ObservedMesh()
    mesh.answers["histogram_quantile"] = {"status": "error", "error": "query timed out"}
    result = mesh.run()
    (api,) = result["traffic"]["services"]
    assert (api["requests"], api["p99_ms"]) == (100, "cannot tell")
    assert "latency: Prometheus refused the query: query timed out" in untold(result, "traffic")


def test_where_nobody_knows_who_is_scraped_requests_are_told_and_no_zero() -> None:
    mesh = ObservedMesh()
    mesh.answers["up{"] = {"status": "error", "error": "too many samples"}
    result = mesh.run()
    assert [item["requests"] for item in result["traffic"]["services"]] == [100]
    assert (result["traffic"]["idle"], result["traffic"]["dark"]) == ([], ["shop/web", "shop/quiet"])
    assert "who is scraped: Prometheus refused the query: too many samples" in untold(result, "traffic")


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1"])
def test_a_counter_that_is_no_number_counts_nothing(value: str) -> None:
    mesh = ObservedMesh()
    found = matrix(mesh.requests)
    found["data"]["result"][0]["values"][-1][1] = value
    mesh.answers["istio_requests_total{"] = found
    result = mesh.run()
    assert "traffic" not in result
    assert "is negative, or no number" in untold(result, "traffic")


@pytest.mark.parametrize(
    ("kind", "namespace", "spec", "lost", "left"),
    [
        ("Service", HOME, {"ports": "80", "selector": {"a": "b"}}, "addresses", "traffic"),
        ("Pod", SHOP, {"containers": "none"}, "versions", "addresses"),
    ],
)
def test_an_object_of_another_shape_costs_its_part_and_no_other(
    kind: str, namespace: str, spec: dict[str, Any], lost: str, left: str
) -> None:
    mesh = ObservedMesh()
    metadata = {"namespace": namespace, "name": "odd"}
    mesh.put({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})
    result = mesh.run()
    assert f"{kind} {namespace}/odd" in untold(result, lost)
    assert result[left]


def test_nan_is_no_latency() -> None:
    mesh = ObservedMesh()
    labels = {"destination_service_name": "api", "destination_service_namespace": SHOP}
    mesh.answers["histogram_quantile"] = vector([(labels, float("nan"))])
    (api,) = mesh.run()["traffic"]["services"]
    assert api["p50_ms"] == "cannot tell"


def test_latency_is_of_the_window_of_the_counters() -> None:
    """Asked later, about the moment of the newest counter: a short window would have moved away by then."""
    mesh = ObservedMesh()
    mesh.run(window=10)
    asked = {query: at for query, at in mesh.times.items() if query.startswith("histogram_quantile")}
    answer = matrix(mesh.requests)["data"]["result"]
    newest = max(float(at) for item in answer for at, _value in item["values"])
    assert len(asked) == 6
    assert {float(at or 0) for at in asked.values()} == {newest}


def test_without_prometheus_the_way_out_is_named() -> None:
    result = ObservedMesh().run(prometheus=None)
    assert "set observe_prometheus" in untold(result, "traffic")


def test_matchers_are_in_every_query_and_quoted() -> None:
    mesh = ObservedMesh()
    options = {"namespace": HOME, "service": "prometheus", "matchers": {"cluster": 'a"b'}}
    mesh.run(prometheus=options)
    asked = [query for query in mesh.queries if "istio_request" in query or "container_" in query]
    assert asked
    assert all('cluster="a\\\\"b"' in query.replace("\\", "\\\\") for query in asked)


def test_callers_are_told_apart_by_workload_where_their_canonical_name_is_removed() -> None:
    mesh = ObservedMesh()
    mesh.requests = both("web", "api", 10, source_canonical_service="unknown")
    mesh.run()
    (asked,) = {query for query in mesh.queries if "0.99" in query and "source_workload," in query}
    assert "source_canonical_service" not in asked


# -- addresses -----------------------------------------------------------------------------------------------


def test_a_load_balancer_s_address_is_called_by_the_host_s_name() -> None:
    https, plain = calls(ObservedMesh())
    assert https["curl"] == f"curl --connect-to {HOST}:443:203.0.113.7:443 https://{HOST}/"
    assert plain["curl"].endswith("http://a.shop.example.com/a"), "a host and a path that lead somewhere"
    assert {https["forward"], plain["forward"], https["ca"]} == {""}


def test_host_names_ipv6_and_odd_ports() -> None:
    mesh = ObservedMesh()
    gateway_service(mesh, type="LoadBalancer", balancer=[{"hostname": "lb.example.net"}])
    assert calls(mesh)[0]["address"] == "lb.example.net:443"
    gateway_service(mesh, type="LoadBalancer", balancer=[{"ip": "2001:db8::7"}])
    assert calls(mesh)[0]["curl"].startswith(f"curl --connect-to '{HOST}:443:[2001:db8::7]:443' ")


def test_node_ports_are_reached_at_a_node_with_a_pod() -> None:
    mesh = ObservedMesh()
    gateway_service(mesh, [{"name": "https", "port": 443, "nodePort": 31443}], type="NodePort")
    result = mesh.run(show=["addresses"])
    (entry,) = result["addresses"]
    assert (entry["type"], entry["nodes"]) == ("NodePort", ["192.0.2.5"])
    assert entry["ports"] == [{"name": "https", "port": 443, "protocol": "TCP", "node_port": 31443}]
    assert entry["calls"][0]["address"] == "192.0.2.5:31443"
    assert "no port 80, so *.shop.example.com is not reached" in untold(result, "addresses")


def test_a_cluster_address_needs_a_forward() -> None:
    mesh = ObservedMesh()
    gateway_service(mesh)
    (entry,) = mesh.run(show=["addresses"])["addresses"]
    assert (entry["cluster_ips"], entry["ips"], entry["nodes"]) == (["10.0.0.9"], [], [])
    https, plain = entry["calls"]
    assert https["forward"] == ("kubectl -n istio-system port-forward service/istio-ingressgateway 8443:443")
    assert https["address"] == "127.0.0.1:8443"
    assert plain["address"] == "127.0.0.1:8080"


def test_the_ca_of_our_own_certificates_is_printed() -> None:
    mesh, root, leaf = ObservedMesh(), ec_key(), ec_key()
    issued = certificate("leaf", leaf, issuer=("root", root), hosts=(HOST,))
    authority = certificate("root", root, ca=True)
    mesh.put(secret(HOME, "api-example-com", "kubernetes.io/tls", tls_crt=pem(issued), tls_key=key_pem(leaf)))
    ours = {"tls_crt": pem(authority), "tls_key": key_pem(root)}
    mesh.put(secret("servicemesh-system", "servicemesh-ca", "kubernetes.io/tls", **ours))
    https = calls(mesh)[0]
    assert https["ca"] == (
        "kubectl -n servicemesh-system get secret servicemesh-ca -o 'jsonpath={.data.tls\\.crt}'"
        " | base64 -d > api-example-com-ca.crt"
    )
    assert " --cacert api-example-com-ca.crt " in https["curl"]
    stranger = certificate("leaf", leaf, issuer=("other", ec_key()), hosts=(HOST,))
    mesh.put(
        secret(HOME, "api-example-com", "kubernetes.io/tls", tls_crt=pem(stranger), tls_key=key_pem(leaf))
    )
    assert (calls(mesh)[0]["ca"], "--cacert" in calls(mesh)[0]["curl"]) == ("", False)
    beside = {"tls_crt": pem(stranger), "tls_key": key_pem(leaf), "ca_crt": pem(authority)}
    mesh.put(secret(HOME, "api-example-com", "kubernetes.io/tls", **beside))
    assert "get secret api-example-com -o 'jsonpath={.data.ca\\.crt}'" in calls(mesh)[0]["ca"]


def test_a_secret_of_several_servers_is_read_once() -> None:
    mesh, root, leaf = ObservedMesh(), ec_key(), ec_key()
    issued = certificate("leaf", leaf, issuer=("root", root), hosts=(HOST, "b.example.com"))
    ours = {"tls_crt": pem(certificate("root", root, ca=True)), "tls_key": key_pem(root)}
    mesh.put(secret("servicemesh-system", "servicemesh-ca", "kubernetes.io/tls", **ours))
    mesh.put(secret(HOME, "api-example-com", "kubernetes.io/tls", tls_crt=pem(issued), tls_key=key_pem(leaf)))
    (gateway,) = CATALOGUE["mesh_gateways"]
    servers = [*gateway["servers"], {"host": "b.example.com", "certificate": "api-example-com"}]
    catalogue = {**CATALOGUE, "mesh_gateways": [{**gateway, "servers": servers}]}
    found = [call for call in calls(mesh, catalogue=catalogue) if call["ca"]]
    assert [call["host"] for call in found] == [HOST, "b.example.com"]
    read = [call for call in mesh.calls if call.verb == "get" and call.kind == "Secret"]
    assert len(read) == 2


def test_no_secret_is_in_the_answer() -> None:
    mesh, key = ObservedMesh(), ec_key()
    held = {"tls_crt": pem(certificate("leaf", key, hosts=(HOST,))), "tls_key": key_pem(key)}
    mesh.put(secret(HOME, "api-example-com", "kubernetes.io/tls", **held))
    assert "PRIVATE" not in json.dumps(mesh.run())
    assert key_pem(key).decode().splitlines()[1] not in json.dumps(mesh.run())


def test_a_gateway_without_pods_or_without_service_is_told() -> None:
    mesh = ObservedMesh()
    mesh.remove("Pod", "gw-1", HOME)
    result = mesh.run(show=["addresses"])
    assert "has no pod, so nobody answers" in untold(result, "addresses")
    assert result["addresses"][0]["ips"] == ["203.0.113.7"]
    mesh.remove("Service", "istio-ingressgateway", HOME)
    result = mesh.run(show=["addresses"])
    assert result["addresses"] == []
    assert "no Service leads to the pods" in untold(result, "addresses")


def test_a_refused_right_is_told_and_hides_nothing_else() -> None:
    mesh = ObservedMesh()
    mesh.forbidden = {"Service"}
    result = mesh.run()
    assert "Service is forbidden" in untold(result, "addresses")
    assert "Service is forbidden" in untold(result, "dashboards")
    assert result["traffic"]["services"]


# -- dashboards, versions, overhead --------------------------------------------------------------------------


def test_a_dashboard_of_the_list_that_is_missing_is_told() -> None:
    result = ObservedMesh().run(show=["dashboards"], addons=["prometheus", "kiali"])
    assert [(entry["name"], entry["url"]) for entry in result["dashboards"]] == [
        ("prometheus", "http://localhost:9090/"),
        ("kiali", ""),
    ]
    assert "kiali is in addons_enabled and not there" in untold(result, "dashboards")


def test_a_dashboard_is_forwarded_at_the_port_of_its_page() -> None:
    """Another port may come first; where none has the name, the first one is all there is."""
    mesh = ObservedMesh()
    ports = [{"name": "grpc", "port": 10901}, {"name": "http", "port": 9999}]
    mesh.put(service("prometheus", {"app": "prometheus"}, ports, type="ClusterIP"))
    (entry,) = mesh.run(show=["dashboards"])["dashboards"]
    assert entry["command"].endswith(" 9090:9999")
    mesh.put(service("prometheus", {"app": "prometheus"}, ports[:1], type="ClusterIP"))
    (entry,) = mesh.run(show=["dashboards"])["dashboards"]
    assert entry["command"].endswith(" 9090:10901")


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_told_that_was_not_asked_for(part: str) -> None:
    mesh = ObservedMesh()
    mesh.on_ask = lambda *_where: "{}"
    assert {*mesh.run(show=[part])} & {*PARTS} <= {part}


def test_proxies_that_are_behind_their_istiod() -> None:
    mesh = ObservedMesh()
    mesh.put(pod(SHOP, "old-1", {"app": "web"}, image="istio/proxyv2:1.30.0-distroless"))
    proxies = mesh.run(show=["versions"])["versions"]["proxies"]
    assert [(entry["version"], entry["count"], entry["behind"]) for entry in proxies] == [
        ("1.30.0", 1, True),
        ("1.31.1", 4, False),
    ]


def test_of_an_image_without_tag_istiod_knows_the_version() -> None:
    mesh = ObservedMesh()
    mesh.put(pod(SHOP, "pinned-1", {"app": "web"}, image="istio/proxyv2@sha256:aa"))
    told = [{"proxy": "pinned-1.shop", "istio_version": "1.31.1"}]
    mesh.on_ask = lambda *_where: json.dumps(told)
    assert [entry["count"] for entry in mesh.run(show=["versions"])["versions"]["proxies"]] == [5]
    mesh.on_ask = lambda *_where: "[]"
    result = mesh.run(show=["versions"])
    assert "the version of 1 proxies is not known" in untold(result, "versions")
    assert result["versions"]["proxies"][0]["behind"] is None


def test_without_istiod_nobody_is_behind_and_it_is_told() -> None:
    mesh = ObservedMesh()
    mesh.remove("Pod", "istiod-1", HOME)
    result = mesh.run(show=["versions"])
    assert {entry["behind"] for entry in result["versions"]["proxies"]} == {None}
    assert "no istiod is ready in istio-system" in untold(result, "versions")


def usage_of(name: str, app: tuple[str, str], proxy: tuple[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"namespace": SHOP, "name": name},
        "containers": [
            {"name": "app", "usage": {"cpu": app[0], "memory": app[1]}},
            {"name": "istio-proxy", "usage": {"cpu": proxy[0], "memory": proxy[1]}},
        ],
    }


def test_what_sidecars_cost_and_how_full_services_are() -> None:
    mesh = ObservedMesh()
    mesh.missing = set()
    mesh.put(usage_of("api-1", ("250m", "32Mi"), ("50m", "64Mi")))
    mesh.put(usage_of("web-1", ("100000000n", "32Mi"), ("100m", "32768Ki")))
    result = mesh.run()
    assert result["overhead"] == {
        "proxies": 2, "cpu": 0.15, "memory": 96 * 2**20, "cpu_share": 0.3, "memory_share": 0.6,
        "largest": {"pod": "shop/api-1", "memory": 64 * 2**20},
    }  # fmt: skip
    (api,) = result["traffic"]["services"]
    assert api["saturation"] == {"cpu": 0.5, "memory": 0.25}


def test_without_the_metrics_api_the_kubelet_s_series_are_asked() -> None:
    mesh = ObservedMesh()
    key = {"namespace": SHOP, "pod": "api-1", "container": "istio-proxy"}
    mesh.answers["container_cpu_usage"] = vector([(key, 0.2)])
    mesh.answers["container_memory"] = vector([(key, 1000.0)])
    result = mesh.run()
    assert (result["overhead"]["cpu"], result["overhead"]["memory"]) == (0.2, 1000)
    assert untold(result, "overhead") == ""


def test_what_nobody_measures_costs_not_nothing() -> None:
    result = ObservedMesh().run()
    assert "overhead" not in result
    assert "the metrics API is not served" in untold(result, "overhead")


# -- input, files, rights ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": 1}, "observe_window: is 1 s, not from 10 s to 15 days"),
        ({"window": 86_400 * 16}, "observe_window"),
        ({"top": 0}, "observe_top: is 0, not above 0"),
        ({"max_proxies": 0}, "observe_max_proxies"),
        ({"report_path": ["mesh.txt"]}, "ends in none of .json, .html"),
        ({"report_path": ["/nowhere/mesh.html"]}, "the directory of '/nowhere/mesh.html' does not exist"),
        ({"dashboard_path": "mesh.txt"}, "observe_dashboard_path: 'mesh.txt' ends in none of .json"),
        ({"dashboard_path": "/nowhere/a.json"}, "observe_dashboard_path: the directory of '/nowhere/a.json'"),
        (
            {"dashboard_path": "mesh.json", "report_path": ["mesh.json"]},
            "observe_dashboard_path: 'mesh.json' is in observe_report_path, too",
        ),
        ({"prometheus": {"url": "x", "service": "y"}}, "give either url or namespace and service"),
        ({"catalogue": {"mesh_nam": "x"}}, "mesh_nam"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(params: dict[str, Any], message: str) -> None:
    mesh = ObservedMesh()
    with pytest.raises(InputError, match=message.replace("(", r"\\(")):
        mesh.run(**params)
    assert mesh.calls == []


def test_reports_hold_everything(tmp_path: Path) -> None:
    paths = [str(tmp_path / "mesh.json"), str(tmp_path / "mesh.html")]
    result = ObservedMesh().run(report_path=paths, top=1)
    record = json.loads((tmp_path / "mesh.json").read_text())
    assert (record["mesh"], record["status"]) == ("shop", result["status"])
    assert record["traffic"]["idle"] == ["shop/web", "shop/quiet"]
    assert result["traffic"]["idle"] == ["shop/web"]
    assert 'id="graph"' in (tmp_path / "mesh.html").read_text()


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mesh.html").mkdir()
    with pytest.raises(MeshError, match="could not be written"):
        ObservedMesh().run(report_path=[str(tmp_path / "mesh.html")])


# -- the dashboard for Grafana -------------------------------------------------------------------------------


def written(tmp_path: Path, mesh: ObservedMesh, **params: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dashboard, and the module's result."""
    path = tmp_path / "board.json"
    result = mesh.run(dashboard_path=str(path), **params)
    board: dict[str, Any] = json.loads(path.read_text())
    return board, result


def rollouts_of(board: dict[str, Any]) -> str:
    """The query of its rollouts; ``""`` where it has none."""
    found = [one["target"]["expr"] for one in board["annotations"]["list"] if one["name"] == "Rollouts"]
    return found[0] if found else ""


def released(mesh: ObservedMesh, text: str = "", **more: Any) -> None:
    """Service ``api`` has a release record."""
    record = {
        "schema": 1,
        "stable": "v2",
        "previous": "v1",
        "run": "r1",
        "finishedAt": "2026-11-29T07:00:00Z",
    }
    release = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": SHOP, "name": "servicemesh-release-api"},
        "data": {"record": text or json.dumps(record | more)},
    }
    mesh.put(release)


def test_the_dashboard_is_written_with_the_matchers_of_prometheus(tmp_path: Path) -> None:
    where = {"namespace": HOME, "service": "prometheus", "replica_labels": ["replica"]}
    board, result = written(tmp_path, ObservedMesh(), prometheus={**where, "matchers": {"cluster": "one"}})
    assert board["title"] == "Mesh shop (cluster=one)"
    assert 'cluster="one"' in json.dumps(board).replace("\\", "")
    assert "max without (replica)" in json.dumps(board)
    assert '=~"istio-system|shop"' in json.dumps(board).replace("\\", "")
    assert not result["changed"]
    assert rollouts_of(board) == ""


def test_two_dashboards_of_one_mesh_are_the_same_text(tmp_path: Path) -> None:
    mesh = ObservedMesh()
    released(mesh)
    texts = set()
    for _turn in range(2):
        written(tmp_path, mesh)
        texts.add((tmp_path / "board.json").read_text())
    assert len(texts) == 1


def test_without_prometheus_and_without_looking_there_is_a_dashboard_all_the_same(tmp_path: Path) -> None:
    mesh = ObservedMesh()
    board, result = written(tmp_path, mesh, prometheus=None, show=["addresses"])
    assert board["title"] == "Mesh shop"
    assert "rollouts" not in result, "they were not asked for"
    assert mesh.queries == []


def test_a_release_record_is_a_mark_on_the_line_of_time(tmp_path: Path) -> None:
    mesh = ObservedMesh()
    released(mesh)
    found = rollouts_of(written(tmp_path, mesh)[0])
    at = datetime.datetime(2026, 11, 29, 7, tzinfo=datetime.UTC).timestamp()
    assert f">= {at:.0f} < {at:.0f} + " in found
    assert '"shop/api"' in found and '"v2 stable"' in found


def test_a_rollout_lasts_from_its_begin_to_its_last_word(tmp_path: Path) -> None:
    """Its own record is no second mark; that of an earlier run is."""
    mesh = ObservedMesh()
    begun = {"at": "2026-11-29T07:10:00Z", "event": "begin"}
    ended = {"state": "finished", "outcome": "rolled_back", "at": "2026-11-29T07:20:00Z"}
    mesh.put(journal_object(timeline=[begun], **ended))
    released(mesh, run="run-7")
    found = rollouts_of(written(tmp_path, mesh)[0])
    begin = datetime.datetime(2026, 11, 29, 7, 10, tzinfo=datetime.UTC).timestamp()
    assert f">= {begin:.0f} < {begin + 600:.0f} + " in found
    assert '"v2 rolled_back"' in found and " or " not in found
    released(mesh)
    assert '"v2 stable"' in rollouts_of(written(tmp_path, mesh)[0])
    mesh.put(journal_object(**ended))
    assert f">= {begin + 600:.0f} < {begin + 600:.0f} + " in rollouts_of(written(tmp_path, mesh)[0])


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_record_without_a_moment_is_no_mark(tmp_path: Path, moment: str) -> None:
    mesh = ObservedMesh()
    released(mesh, finishedAt=moment)
    assert rollouts_of(written(tmp_path, mesh)[0]) == ""


def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    mesh = ObservedMesh()
    released(mesh, text="{")
    board, result = written(tmp_path, mesh, show=["addresses"])
    assert rollouts_of(board) == ""
    assert "holds no valid release record" in untold(result, "rollouts")
    assert result["status"] == "cannot tell"


def test_a_dashboard_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "board.json").mkdir()
    with pytest.raises(MeshError, match="could not be written"):
        ObservedMesh().run(dashboard_path=str(tmp_path / "board.json"))


def test_it_writes_nothing() -> None:
    mesh = ObservedMesh()
    mesh.run()
    assert (mesh.writes, mesh.dry_runs) == ([], [])


def test_the_rights_of_the_table_are_enough() -> None:
    mesh = ObservedMesh()
    mesh.put(secret(HOME, "api-example-com", "kubernetes.io/tls"))
    mesh.put(pod(SHOP, "pinned-1", {"app": "web"}, image="istio/proxyv2@sha256:aa"))
    mesh.on_ask = lambda *_where: "[]"
    client = Restricted(mesh, granted_by("observe.yaml", {"ecommerce": SHOP}))
    result = mesh.run(client=client)
    assert client.refused == set()
    assert result["traffic"]["services"]


def test_certificates_are_those_of_trust() -> None:
    """Little is there to be read; what is said of it are trust_info's own words."""
    mesh = ObservedMesh()
    mesh.on_ask = lambda *_where: "{}"
    result = mesh.run(show=["certificates"])
    found = result["certificates"]
    assert found["status"] == "fail"
    assert "Secret istio-system/api-example-com" in found["headline"]
    assert set(found) == {"status", "headline", "counts", "soonest"}
    assert f"certificates {found['status']}" in result["headline"]
