"""What installation and catalogue both say, and say differently: found before it is applied."""

from __future__ import annotations

from typing import Any

import pytest

from .test_inputs import CATALOGUE, faults, read


def test_a_gateway_that_nobody_installs_is_unknown() -> None:
    catalogue = {**CATALOGUE, "istio_gateways": [{"name": "istio-ingressgateway", "namespace": "edge"}]}
    assert faults(catalogue=catalogue) == [("mesh_gateways[0]", "unknown-gateway")]
    # Somebody else's gateways cannot be looked up.
    assert read(istio={"gateways": []}, catalogue=catalogue).installation.gateways == ()


def test_a_selector_that_misses_the_gateway_is_refused() -> None:
    gateway = {**CATALOGUE["mesh_gateways"][0], "selector": {"istio": "other"}}
    found = faults(catalogue={**CATALOGUE, "mesh_gateways": [gateway]})
    assert found == [("mesh_gateways[0].selector", "unknown-gateway")]
    gateway["selector"] = {"app": "istio-ingressgateway"}
    read(catalogue={**CATALOGUE, "mesh_gateways": [gateway]})


def test_the_egress_gateway_has_to_be_installed_too() -> None:
    described = {
        "workload_namespace": "edge",
        "service_account": "out",
        "service": "out",
        "selector": {"istio": "out"},
    }
    catalogue = {**CATALOGUE, "mesh_egress_gateway": described}
    assert faults(catalogue=catalogue) == [("mesh_egress_gateway", "unknown-gateway")]
    gateways = [{"name": "istio-ingressgateway"}, {"name": "istio-egressgateway", "egress": True}]
    inputs = read(istio={"gateways": gateways}, catalogue=CATALOGUE)
    assert inputs.catalogue is not None and inputs.catalogue.egress_gateway is not None


def test_a_provider_that_istiod_does_not_know_is_refused() -> None:
    catalogue = {**CATALOGUE, "mesh_telemetry": {"tracing_provider": "zipkin"}}
    assert faults(catalogue=catalogue) == [("mesh_telemetry.tracing_provider", "extension-provider")]
    read(catalogue=catalogue, istio={"extension_providers": [{"name": "zipkin"}]})
    read(catalogue={**CATALOGUE, "mesh_telemetry": {"access_log": "all"}})


@pytest.mark.parametrize(
    ("istio", "catalogue", "where"),
    [
        ({"mesh_config": {"trustDomain": "a.example"}}, {}, "istio_mesh_config.trustDomain"),
        ({"mesh_config": {"trust_domain": "a.example"}}, {}, "istio_mesh_config.trust_domain"),
        (
            {"values": {"meshConfig": {"trustDomain": "a.example"}}},
            {"mesh_trust_domain": "b.example"},
            "istio_values.meshConfig.trustDomain",
        ),
        ({"mesh_config": {"rootNamespace": "other"}}, {}, "istio_mesh_config.rootNamespace"),
        (
            {"operator_spec": {"values": {"global": {"proxy": {"clusterDomain": "a.example"}}}}},
            {},
            "istio_operator_spec.values.global.proxy.clusterDomain",
        ),
    ],
)
def test_a_setting_that_both_sides_state_has_to_be_the_same(
    istio: dict[str, Any], catalogue: dict[str, Any], where: str
) -> None:
    """Applied, it is one 403 after the other, and nothing says why (istio 47027)."""
    for parts in (["istio", "mesh"], ["mesh"]):
        found = faults(istio=istio, catalogue={**CATALOGUE, **catalogue}, parts=parts)
        assert found == [(where, "same-setting")]


@pytest.mark.parametrize(
    ("istio", "catalogue"),
    [
        ({"mesh_config": {"trustDomain": "a.example"}}, {"mesh_trust_domain": "a.example"}),
        ({"mesh_config": {"rootNamespace": "root"}}, {"mesh_root_namespace": "root"}),
        ({"namespace": "mesh-system"}, {}),
        ({"namespace": "mesh-system"}, {"mesh_root_namespace": "mesh-system"}),
        (
            {"values": {"global": {"proxy": {"clusterDomain": "a.example"}}}},
            {"mesh_cluster_domain": "a.example"},
        ),
    ],
)
def test_what_is_the_same_passes(istio: dict[str, Any], catalogue: dict[str, Any]) -> None:
    read(istio=istio, catalogue={**CATALOGUE, **catalogue})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("mesh_trust_domain", "a.example"),
        ("mesh_root_namespace", "root"),
        ("mesh_cluster_domain", "a.example"),
    ],
)
def test_what_only_the_catalogue_states_is_not_what_gets_installed(variable: str, value: str) -> None:
    catalogue = {**CATALOGUE, variable: value}
    assert faults(catalogue=catalogue) == [(variable, "same-setting")]
    # Somebody else's Istio may well have it.
    read(catalogue=catalogue, parts=["mesh", "verify"])


def server(**more: Any) -> dict[str, Any]:
    gateway = {**CATALOGUE["mesh_gateways"][0], "servers": [{"host": "shop.example.com", **more}]}
    return {**CATALOGUE, "mesh_gateways": [gateway]}


@pytest.mark.parametrize(
    ("catalogue", "places"),
    [
        (server(), []),
        (server(port=8080), ["mesh_gateways[0].servers[0].port: 8080"]),
        (server(certificate="tls", http_port=8080), ["mesh_gateways[0].servers[0].http_port: 8080"]),
        (server(certificate="tls", https_redirect=False), []),
    ],
)
def test_a_port_that_the_gateways_service_lacks_is_a_warning(
    catalogue: dict[str, Any], places: list[str]
) -> None:
    ending = " is no port of the gateway istio-ingressgateway (15021, 80, 443), see istio_gateways[0].ports"
    gateways = [{"name": "istio-ingressgateway"}]
    warnings = read(catalogue=catalogue, istio={"gateways": gateways}).warnings
    assert list(warnings) == [place + ending for place in places]


def test_ports_that_are_not_known_are_not_judged() -> None:
    catalogue = server(port=8080)
    own = [{"name": "istio-ingressgateway", "values": {"service": {"ports": [{"port": 8080}]}}}]
    assert read(catalogue=catalogue, istio={"gateways": own}).warnings == ()


def test_the_port_of_the_egress_gateway_is_looked_at() -> None:
    gateways = [{"name": "istio-ingressgateway"}, {"name": "out", "egress": True}]
    catalogue = {**CATALOGUE, "mesh_egress_gateway": {"workload": "out", "port": 8443}}
    (warning,) = read(catalogue=catalogue, istio={"gateways": gateways}).warnings
    assert warning.startswith("mesh_egress_gateway.port: 8443 is no port of the gateway out (15021, 80, 443)")
    assert read(catalogue=CATALOGUE, istio={"gateways": gateways}).warnings == ()


def test_what_is_probably_not_meant_is_a_warning_and_no_refusal() -> None:
    warnings = read(istio={"mesh_config": {"trustDomainAliases": ["old"]}}, catalogue=CATALOGUE).warnings
    assert [text.partition(":")[0] for text in warnings] == ["istio_mesh_config.trustDomainAliases"]
    known = read(
        istio={"mesh_config": {"trustDomainAliases": ["old"]}},
        catalogue={**CATALOGUE, "mesh_trust_domain_aliases": ["old"]},
    )
    assert known.warnings == ()
    assert read(catalogue=CATALOGUE).warnings == ()  # of what nobody states there is nothing to doubt


@pytest.mark.parametrize("parts", [["istio", "mesh"], ["mesh"]])
def test_a_provider_that_istio_brings_is_known_with_its_kind(parts: list[str]) -> None:
    catalogue = {**CATALOGUE, "mesh_telemetry": {"tracing_provider": "prometheus"}}
    assert faults(catalogue=catalogue, parts=parts) == [
        ("mesh_telemetry.tracing_provider", "extension-provider")
    ]
