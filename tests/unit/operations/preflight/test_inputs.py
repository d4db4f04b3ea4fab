"""Preflight's checks that need no cluster, and the kubeconfig of the tools."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.backend import (
    check_inputs,
    check_namespaces,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import PARTS

from ...support.cluster import FakeCluster

TODAY = datetime.date(2026, 11, 23)
GATEWAYS = [{"name": "istio-ingressgateway"}]
CATALOGUE = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "istio_gateways": GATEWAYS,
    "mesh_gateways": [
        {"name": "public", "workload": "istio-ingressgateway", "servers": [{"host": "shop.example.com"}]}
    ],
    "mesh_services": [],
}


def params(**changes: Any) -> dict[str, Any]:
    istio = {"version": "1.31.0", "gateways": GATEWAYS, **changes.pop("istio", {})}
    return {"parts": list(PARTS), "istio": istio, "catalogue": {}, "injection_namespaces": [], **changes}


def rules(**changes: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_inputs(params(**changes), [], today=TODAY)
    return [problem.rule for problem in caught.value.problems]


def test_good_input_passes() -> None:
    installation, catalogue = check_inputs(params(catalogue=CATALOGUE), [], today=TODAY)
    assert installation.version == "1.31.0" and catalogue is not None and catalogue.name == "shop"


def test_problems_of_all_inputs_come_together() -> None:
    found = rules(
        istio={"version": "9.9.9"},
        injection_namespaces=[{"name": "shop", "mode": "injection", "revision": "x"}],
        catalogue={**CATALOGUE, "mesh_servces": []},
    )
    assert found == ["istio-version", "one-label", "unknown-key"]


def test_an_unmaintained_minor_warns_or_fails() -> None:
    warnings: list[str] = []
    check_inputs(params(istio={"version": "1.28.10"}), warnings, today=TODAY)
    assert len(warnings) == 1
    assert rules(istio={"version": "1.28.10"}, allow_end_of_life=False) == ["end-of-life"]


def test_a_gateway_that_nobody_installs_is_unknown() -> None:
    elsewhere = [{"name": "istio-ingressgateway", "namespace": "edge"}]
    assert rules(istio={"gateways": elsewhere}, catalogue=CATALOGUE) == ["unknown-gateway"]


def test_a_provider_that_istiod_does_not_know_is_refused() -> None:
    catalogue = {**CATALOGUE, "mesh_telemetry": {"tracing_provider": "zipkin"}}
    assert rules(catalogue=catalogue) == ["extension-provider"]
    known = {"extension_providers": [{"name": "zipkin", "zipkin": {"service": "z", "port": 9411}}]}
    check_inputs(params(catalogue=catalogue, istio=known), [], today=TODAY)


def test_connection_options_that_helm_cannot_use_are_refused_for_helm_only() -> None:
    assert rules(istio={"method": "helm"}, client_cert="/x") == ["helm"]
    check_inputs(params(client_cert="/x"), [], today=TODAY)


@pytest.mark.parametrize(
    ("istio", "where"),
    [
        ({"values": "x"}, "istio_values"),
        ({"operator_spec": ["x"]}, "istio_operator_spec"),
        ({"gateways": [{"name": "a", "labels": "x"}]}, "istio_gateways[0].labels"),
        ({"gateways": [{"name": "a", "values": [1]}]}, "istio_gateways[0].values"),
    ],
)
def test_what_must_be_a_mapping_and_is_not(istio: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(params(istio=istio), [], today=TODAY)
    assert [(problem.where, problem.rule) for problem in caught.value.problems] == [(where, "type")]


def test_a_missing_namespace_stops_a_real_run_and_warns_in_check_mode() -> None:
    both = {"istio-injection": "enabled", "istio.io/rev": "x"}
    cluster = FakeCluster({"kind": "Namespace", "metadata": {"name": "shop", "labels": both}})
    wanted = params(injection_namespaces=["shop", "gone", {"name": "new", "create": True}, "istio-system"])
    installation, _unused = check_inputs(wanted, [], today=TODAY)
    with pytest.raises(InputError, match="namespace gone does not exist"):
        check_namespaces(cluster, wanted, installation, check_mode=False)
    warnings = check_namespaces(cluster, wanted, installation, check_mode=True)
    assert len(warnings) == 2
    assert "both istio-injection and istio.io/rev" in warnings[0]
    assert "injection_namespaces[1]: namespace gone does not exist" in warnings[1]
