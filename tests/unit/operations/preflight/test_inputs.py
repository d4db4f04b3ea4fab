"""Preflight's checks that need no cluster: every input is read, and all problems come together."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    ToolOptions,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.backend import (
    ARGUMENT_SPEC,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.preflight.inputs import (
    Inputs,
    read_inputs,
)

from ...support.arguments import validated

TODAY = datetime.date(2026, 11, 23)
CATALOGUE = {
    "mesh_name": "shop",
    "mesh_namespace": "shop",
    "mesh_gateways": [
        {"name": "public", "workload": "istio-ingressgateway", "servers": [{"host": "shop.example.com"}]}
    ],
    "mesh_services": [],
}


def params(**changes: Any) -> dict[str, Any]:
    """Parameters as the module gets them: checked against its specification, with its defaults."""
    istio = {"version": "1.31.0", **changes.pop("istio", {})}
    return validated(ARGUMENT_SPEC, {"istio": istio, **changes})


def read(**changes: Any) -> Inputs:
    return read_inputs(params(**changes), today=TODAY)


def faults(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        read(**changes)
    return [(problem.where, problem.rule) for problem in caught.value.problems]


def test_what_is_not_given_has_the_defaults_of_the_installation() -> None:
    inputs = read(istio={"gateways": None})
    assert inputs.installation.method == "istioctl"
    assert [gateway.name for gateway in inputs.installation.gateways] == ["istio-ingressgateway"]
    assert inputs.tools == ToolOptions(
        "istioctl",
        "helm",
        "https://blob.istio.io/istio-release/charts",
        "",
    )
    assert inputs.catalogue is None and inputs.requests == () and inputs.warnings == ()
    assert (inputs.addons_namespace, inputs.authority_namespace) == ("istio-system", "servicemesh-system")
    assert inputs.timeout == 60.0 and inputs.allow_untested_kubernetes is False


def test_what_is_given_is_read() -> None:
    inputs = read(
        istio={"namespace": "mesh-system", "helm_binary": "/helm"},
        catalogue=CATALOGUE,
        injection_namespaces=["shop"],
        addons_namespace="observe",
        certificates_namespace="ca",
        istio_ca_source="istiod",
        allow_untested_kubernetes=True,
        timeout=5,
        parts=["mesh"],
        istio_versions={"1.40": {"kubernetes": ["1.40", "1.44"]}},
    )
    assert inputs.parts == ("mesh",) and inputs.tools.helm_binary == "/helm"
    assert [request.name for request in inputs.requests] == ["shop"]
    assert inputs.catalogue is not None
    # Where istiod is has been said once, and the gateways of the catalogue are there, too.
    assert inputs.catalogue.gateways[0].workload_namespace == "mesh-system"
    assert inputs.catalogue.root_namespace == inputs.catalogue.istio_namespace == "mesh-system"
    assert (inputs.addons_namespace, inputs.authority_namespace) == ("observe", "ca")
    assert inputs.timeout == 5.0 and inputs.allow_untested_kubernetes is True
    assert inputs.versions[1, 40].kubernetes == ((1, 40), (1, 44))


@pytest.mark.parametrize("raw", [{}, {"mesh_check": "off", "istio_gateways": [], "istio_namespace": "x"}])
def test_settings_of_roles_alone_are_no_catalogue(raw: dict[str, Any]) -> None:
    assert read(catalogue=raw).catalogue is None


def test_problems_of_all_inputs_come_together() -> None:
    assert faults(
        istio={"version": "9.9.9", "hub": ""},
        istio_versions={"x": {}},
        injection_namespaces=[{"name": "shop", "mode": "injection", "revision": "x"}],
        addons={"enabled": ["kialli"]},
        catalogue={**CATALOGUE, "mesh_servces": []},
    ) == [
        ("preflight_istio_versions['x']", "version-table"),
        ("istio_hub", "istio-hub"),
        ("injection_namespaces[0].revision", "one-label"),
        ("addons_enabled[0]", "unknown-addon"),
        ("mesh_servces", "unknown-key"),
    ]
    reached = {"enabled": ["grafana"], "urls": {"jaeger": {}}, "network_policies": {"grafana": [{}]}}
    assert sorted(faults(addons=reached)) == [
        ("addons_network_policies.grafana[0]", "peers"),
        ("addons_urls.jaeger", "open-addon"),
        ("addons_urls.jaeger", "unknown-addon"),
        ("addons_urls.jaeger.certificate", "required"),
        ("addons_urls.jaeger.host", "required"),
    ]
    assert faults(istio={"version": "9.9.9"}) == [("istio_version", "istio-version")]


def test_a_fault_in_a_gateway_is_told_once_though_two_read_it() -> None:
    gateways = [{"name": "istio-ingressgateway", "egres": True}]
    found = faults(istio={"gateways": gateways}, catalogue={**CATALOGUE, "istio_gateways": gateways})
    assert found == [("istio_gateways[0].egres", "unknown-key")]


def test_an_unknown_setting_is_named() -> None:
    assert faults(istio={"gateway": []}) == [("istio.gateway", "unknown-key")]


def test_an_unmaintained_minor_warns_or_fails() -> None:
    assert read(istio={"version": "1.28.10"}).warnings == (
        "Istio 1.28 has been out of support since 2026-07-01",
    )
    found = faults(istio={"version": "1.28.10"}, allow_end_of_life=False)
    assert found == [("istio_version", "end-of-life")]


def test_misspelt_variables_are_a_warning() -> None:
    inputs = read(variables={"istio_versoin": "1"}, variable_specs={"istio_version": {"type": "str"}})
    assert inputs.warnings == ("istio_versoin: no role knows this variable, did you mean istio_version?",)


def test_a_bad_value_of_a_later_role_is_found_before_the_first_write() -> None:
    specs = {
        "verify_checks": {"type": "list", "elements": "str", "choices": ["sync"]},
        "mesh_wait_timeout": {"type": "raw", "default": 120},
        "certificates_provided": {"type": "list", "elements": "dict", "no_log": True},
    }
    given = {"verify_checks": "sink", "mesh_wait_timeout": "soon", "certificates_provided": "s3cret"}
    with pytest.raises(InputError) as caught:
        read(variables=given, variable_specs=specs)
    assert [problem.where for problem in caught.value.problems] == [
        "verify_checks[0]",
        "mesh_wait_timeout",
        "certificates_provided",
    ]
    assert "s3cret" not in str(caught.value) and "1h30m" in str(caught.value)
    assert read(variables={"verify_checks": "sync", "mesh_wait_timeout": "2m"}, variable_specs=specs)


def test_unreadable_text_everywhere_is_one_message() -> None:
    """Each of them ended the run alone, so a person ran it again and again."""
    given = {
        "istio": {"gateways": "edge", "mesh_config": "x"},
        "catalogue": {**CATALOGUE, "istio_gateways": "edge", "mesh_services": "frontend"},
        "variables": {"mesh_wait_timeout": "soon", "istio_gateways": "edge"},
        "variable_specs": {
            "mesh_wait_timeout": {"type": "raw"},
            "istio_gateways": {"type": "list", "elements": "dict"},
        },
    }
    assert sorted(where for where, _rule in faults(**given)) == [
        "istio_gateways",
        "istio_mesh_config",
        "mesh_services",
        "mesh_wait_timeout",
    ]


def test_the_installation_takes_text() -> None:
    """Surveys and the command line know nothing else."""
    inputs = read(istio={"gateways": '[{"name": "istio-edge"}]', "mesh_config": "accessLogFile=/dev/stdout"})
    assert [gateway.name for gateway in inputs.installation.gateways] == ["istio-edge"]
    assert inputs.installation.mesh_config == {"accessLogFile": "/dev/stdout"}
    assert faults(istio={"gateways": "istio-edge"}) == [("istio_gateways", "type")]
    assert faults(addons={"enabled": "[prometheus", "sources": "x"}) == [
        ("addons_enabled", "type"),
        ("addons_sources", "type"),
    ]


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
    assert faults(istio=istio) == [(where, "type")]
