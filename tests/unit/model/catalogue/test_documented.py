"""What the guide, the example inventory and the design show is accepted as it stands."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import (
    decide,
    service_edges,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources

from ...support.catalogues import by_kind, service

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "inventories" / "example" / "group_vars" / "all" / "mesh.yml"
GATEWAYS = [
    {"name": "istio-ingressgateway"},
    {"name": "istio-internal"},
    {"name": "istio-egressgateway", "egress": True},
]


def blocks() -> list[str]:
    text = (ROOT / "docs" / "guides" / "mesh.md").read_text()
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def around(**more: Any) -> dict[str, Any]:
    """A catalogue in which the guide's names exist."""
    names = ("order-service", "frontend")
    services = [service(name) for name in names] + [service("ledger", namespace="back")]
    mesh = {
        "mesh_name": "shop",
        "mesh_namespace": "ecommerce",
        "istio_gateways": GATEWAYS,
        "mesh_services": services,
    }
    public = {"name": "public", "workload": "istio-ingressgateway", "servers": [{"host": "api.example.com"}]}
    return mesh | {"mesh_gateways": [public]} | more


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.strip().splitlines()[0][:40])
def test_every_block_of_the_guide_is_accepted(block: str) -> None:
    payment = service("payment-service", versions={"v1": {}, "v2": {}}, initial_version="v1")
    if not block.startswith(" "):
        raw = around() | yaml.safe_load(block)
        if "mesh_services" in yaml.safe_load(block):
            raw["mesh_services"] += around()["mesh_services"]
        else:
            raw["mesh_services"].append(payment)
        assert mesh_resources(raw)
        return
    fragment = yaml.safe_load(textwrap.dedent(block))
    raw = around()
    raw["mesh_services"].append(payment | {"circuit_breaker": {"consecutive_5xx": 5}} | fragment)
    assert mesh_resources(raw)


def test_the_guide_has_blocks_of_both_sorts() -> None:
    assert sum(block.startswith(" ") for block in blocks()) >= 5
    assert sum(not block.startswith(" ") for block in blocks()) >= 4


def test_the_example_is_a_mesh_of_eight_services() -> None:
    raw = yaml.safe_load(EXAMPLE.read_text()) | {"istio_gateways": GATEWAYS[:1]}
    catalogue = parse_catalogue(raw)
    assert len(catalogue.services) == 8
    objects = mesh_resources(raw)
    assert len(objects) == 47
    assert len(by_kind(objects, "VirtualService")) == 17
    assert catalogue.mtls_mode == "STRICT"
    stranger = "cluster.local/ns/ecommerce/sa/stranger"
    for entry in catalogue.services:
        assert decide(service_edges(catalogue, entry), stranger, "GET", "/", 3000) is None


def test_the_lab_uses_the_example_itself() -> None:
    lab = ROOT / "inventories" / "lab" / "group_vars" / "all" / "mesh.yml"
    assert lab.resolve() == EXAMPLE.resolve()
    override = yaml.safe_load((lab.parent / "mesh_lab.yml").read_text())
    raw = yaml.safe_load(EXAMPLE.read_text()) | {
        key: value for key, value in override.items() if "{{" not in str(value)
    }
    parse_catalogue(raw | {"istio_gateways": GATEWAYS[:1]})


def test_the_traffic_scenario_is_accepted() -> None:
    raw = yaml.safe_load((ROOT / "molecule" / "traffic" / "catalogue.yml").read_text())
    raw |= {"mesh_name": "shop", "mesh_namespace": "ecommerce"}
    assert "istio-system/egress.shop" in by_kind(mesh_resources(raw), "AuthorizationPolicy")


def test_the_shape_of_the_design_is_accepted() -> None:
    """The names of the architecture's sketch are binding."""
    payment = """
    name: payment-service
    namespace: ecommerce
    service_account: payment-service
    ports: [{name: http, number: 3000, target_port: 3000, protocol: http}]
    versions:
      v1: {labels: {version: v1}, workload: payment-service-v1}
      v2: {labels: {version: v2}, workload: payment-service-v2}
    initial_version: v1
    timeout: 10s
    retries: {attempts: 2, per_try_timeout: 3s, on: [connect-failure, refused-stream, unavailable]}
    circuit_breaker: {consecutive_5xx: 5, interval: 30s, base_ejection_time: 30s, max_ejection_percent: 50}
    connection_pool: {max_connections: 200, max_pending: 100}
    callers:
      - {service: order-service, methods: [POST], paths: [/api/payments, /api/payments/*]}
    exposed: [{gateway: public, host: api.example.com, path: /api/payments, rewrite: /payments}]
    mtls: {mode: STRICT, ports: {}}
    open_paths: [/health/liveness]
    scrape: {port: 9100, path: /metrics, callers: [{principal: cluster.local/ns/monitoring/sa/prometheus}]}
    rate_limit: {scope: local, at: service, requests: 100, per: 60s, by: {header: x-user-id}, max_keys: 10000}
    variants: [{name: b, to: v2, when: {cookie: {experiment: version-b}}}]
    mirror: {to: v2, percent: 10}
    fault: {delay: {percent: 0.1, fixed: 5s}, abort: {percent: 0.1, status: 500}, only_header: x-fault-test}
    """
    gateway = """
    name: public
    workload_namespace: istio-system
    service_account: istio-ingressgateway-service-account
    selector: {istio: ingressgateway}
    servers: [{host: api.example.com, certificate: api-example-com, https_redirect: true, min_tls: "1.2"}]
    """
    raw = around(
        mesh_mtls_mode="STRICT",
        mesh_outbound="REGISTRY_ONLY",
        mesh_gateways=[yaml.safe_load(gateway)],
        mesh_external_services=yaml.safe_load(
            "[{name: stripe, hosts: [api.stripe.com], ports: [{number: 443, protocol: TLS}],"
            " callers: [payment-service], via: egress_gateway}]"
        ),
        mesh_telemetry={"access_log": "errors", "trace_sampling_percent": 1, "tracing_provider": "jaeger"},
        mesh_resource_paths=[],
    )
    raw["mesh_services"].append(yaml.safe_load(payment))
    kinds = {obj["kind"] for obj in mesh_resources(raw)}
    assert kinds == {
        "ServiceEntry", "Gateway", "DestinationRule", "VirtualService", "Sidecar", "EnvoyFilter",
        "PeerAuthentication", "AuthorizationPolicy", "Telemetry",
    }  # fmt: skip
