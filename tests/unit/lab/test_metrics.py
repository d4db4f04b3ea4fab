"""The relabelling that turns the lab's Envoy counters into Istio's standard metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ADDONS = Path(__file__).resolve().parents[3] / "lab" / "addons"
HOST = "product-service.ecommerce.svc.cluster.local"
SERVICES = f'[{{"host":"{HOST}","name":"product-service","namespace":"ecommerce"}}]'
POD = {"app": "product-service", "version": "v2", "namespace": "ecommerce", "pod": "product-service-v2-x"}
INBOUND = {
    **POD,
    "__name__": "envoy_istiocustom_istio_requests_total",
    "reporter": "destination",
    "source_principal": "spiffe://cluster.local/ns/shop/sa/api-gateway",
    "destination_principal": "spiffe://cluster.local/ns/ecommerce/sa/product-service",
    "destination_workload": "product-service-v2",
    "destination_workload_namespace": "ecommerce",
    "tls_version": "TLSv1.3",
    "response_code": "200",
    "response_flags": "-",
    "grpc_response_status": "-",
    "request_protocol": "HTTP/1.1",
    "services": SERVICES,
}
OUTBOUND = {
    "app": "api-gateway",
    "version": "v1",
    "__name__": "envoy_istiocustom_istio_requests_total",
    "reporter": "source",
    "source_workload": "api-gateway-v1",
    "source_workload_namespace": "ecommerce",
    "destination_principal": "spiffe://cluster.local/ns/ecommerce/sa/product-service",
    "upstream": "product-service-v2;ecommerce;product-service;v2;Kubernetes",
    "cluster": "outbound|3000|v2|product-service.ecommerce.svc.cluster.local",
    "services": SERVICES,
    "response_code": "503",
    "response_flags": "UF",
    "request_protocol": "HTTP/2",
}


def documents(name):
    (path,) = (ADDONS / name).glob("*.yaml")
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def scrape():
    text = next(item for item in documents("prometheus") if item["kind"] == "ConfigMap")["data"][
        "prometheus.yml"
    ]
    return yaml.safe_load(text)["scrape_configs"][0]


@pytest.fixture(scope="module")
def rules(scrape):
    return scrape["metric_relabel_configs"]


def test_envoy_is_asked_for_what_is_kept(scrape):
    """Its filter looks at its own names: with dots, and without the prefix that Prometheus sees."""
    (pattern,) = scrape["params"]["filter"]
    counters = documents("request-metrics")[0]["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    prefix = counters["access_log"][0]["typed_config"]["stat_prefix"]
    for name in (f"{prefix}.istio_requests_total.reporter.source", "server.live", "server.uptime"):
        assert re.search(pattern, name), name
    for name in ("cluster.xds-grpc.upstream_rq_total", "server.live_bytes", "http.istiocustom.downstream"):
        assert not re.search(pattern, name), name


def relabel(rules, labels):
    """Prometheus' relabelling (prometheus/model/relabel), for the actions that are used here."""
    labels = dict(labels)
    for rule in rules:
        pattern = re.compile(f"^(?:{rule['regex']})$")
        action = rule.get("action", "replace")
        if action == "labeldrop":
            labels = {name: value for name, value in labels.items() if not pattern.match(name)}
            continue
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        found = pattern.match(value)
        if action == "keep":
            if not found:
                return None
        elif action == "replace" and found:
            labels[rule["target_label"]] = found.expand(
                re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
            )
        else:
            assert action in {"keep", "replace"}
    return labels


def pick(labels, *names):
    return {name: labels.get(name) for name in names}


def test_the_servers_side(rules):
    labels = relabel(rules, INBOUND)
    assert labels["__name__"] == "istio_requests_total"
    assert labels["connection_security_policy"] == "mutual_tls"
    assert labels["destination_workload"] == "product-service-v2"
    assert labels["destination_version"] == labels["destination_canonical_revision"] == "v2"
    assert labels["destination_canonical_service"] == labels["destination_app"] == "product-service"
    assert labels["destination_service"] == "product-service.ecommerce.svc.cluster.local"
    assert pick(labels, "destination_service_name", "destination_service_namespace") == {
        "destination_service_name": "product-service",
        "destination_service_namespace": "ecommerce",
    }
    assert labels["source_workload"] == "unknown"
    assert labels["source_workload_namespace"] == "shop"
    assert labels["request_protocol"] == "http"


@pytest.mark.parametrize("version", ["-", ""])
def test_plaintext_is_shown_on_the_servers_side(rules, version):
    labels = relabel(rules, {**INBOUND, "tls_version": version, "source_principal": "-"})
    assert labels["connection_security_policy"] == "none"
    assert labels["source_principal"] == "unknown"
    assert labels["source_workload_namespace"] == "unknown"


def test_only_a_grpc_call_has_a_status(rules):
    assert relabel(rules, INBOUND).get("grpc_response_status", "") == ""
    labels = relabel(rules, {**INBOUND, "request_protocol": "HTTP/2", "grpc_response_status": "13"})
    assert (labels["request_protocol"], labels["grpc_response_status"]) == ("grpc", "13")


def test_the_clients_side(rules):
    labels = relabel(rules, OUTBOUND)
    assert labels["source_workload"] == "api-gateway-v1"
    assert labels["source_canonical_service"] == "api-gateway"
    assert labels["destination_workload"] == "product-service-v2"
    assert labels["destination_workload_namespace"] == "ecommerce"
    assert labels["destination_version"] == "v2"
    assert labels["destination_service_name"] == "product-service"
    assert labels["connection_security_policy"] == "unknown"
    assert labels["response_flags"] == "UF"


@pytest.mark.parametrize("upstream", ["-", ""])
def test_a_request_without_an_endpoint_has_an_unknown_workload_but_a_service(rules, upstream):
    labels = relabel(rules, {**OUTBOUND, "upstream": upstream, "services": "-", "destination_principal": "-"})
    assert labels["destination_workload"] == labels["destination_workload_namespace"] == "unknown"
    assert labels["destination_service"] == "product-service.ecommerce.svc.cluster.local"
    assert labels["destination_service_namespace"] == "ecommerce"
    assert labels["destination_principal"] == "unknown"


def test_a_blackholed_request_is_named_so(rules):
    labels = relabel(rules, {**OUTBOUND, "upstream": "-", "services": "-", "cluster": "BlackHoleCluster"})
    assert labels["destination_service_name"] == "BlackHoleCluster"


def test_helper_labels_and_other_series_are_dropped(rules):
    labels = relabel(rules, {**OUTBOUND, "tls_version": "-"})
    assert not {"upstream", "services", "cluster", "tls_version"} & set(labels)
    assert relabel(rules, {"__name__": "envoy_cluster_upstream_rq_total"}) is None
    assert relabel(rules, {"__name__": "pilot_total_xds_rejects", "app": "istiod"}) == {
        "__name__": "pilot_total_xds_rejects",
        "app": "istiod",
    }


def test_the_filter_counts_and_times_on_every_side():
    (envoy_filter,) = documents("request-metrics")
    sides = {}
    for patch in envoy_filter["spec"]["configPatches"]:
        assert patch["patch"]["operation"] == "MERGE"
        (log,) = patch["patch"]["value"]["typed_config"]["access_log"]
        config = log["typed_config"]
        counter, histogram = config["counters"][0]["stat"], config["histograms"][0]["stat"]
        assert (counter["name"], histogram["name"]) == (
            "istio_requests_total",
            "istio_request_duration_milliseconds",
        )
        assert counter["tags"] == histogram["tags"]
        sides[patch["match"]["context"]] = {tag["name"]: tag["value_format"] for tag in counter["tags"]}
    assert set(sides) == {"SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"}
    assert sides["SIDECAR_INBOUND"]["reporter"] == "destination"
    assert sides["GATEWAY"] == sides["SIDECAR_OUTBOUND"]
    known = set(INBOUND) | set(OUTBOUND)
    assert set(sides["SIDECAR_INBOUND"]) | set(sides["SIDECAR_OUTBOUND"]) <= known
