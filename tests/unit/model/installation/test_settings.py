"""What is to be installed: read, checked, and asked for single settings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    Installation,
    deep_merge,
    provider_names,
    read_installation,
    setting,
    statements,
)


def read(**changes: Any) -> Installation:
    return read_installation({"version": "1.31.0", "hub": "docker.io/istio", "gateways": [], **changes})


def faults(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        read(**changes)
    return [(problem.where, problem.rule) for problem in caught.value.problems]


def test_what_is_not_given_has_a_default() -> None:
    assert read_installation({"hub": "docker.io/istio", "gateways": [], "version": None}) == Installation(
        method="istioctl",
        version="",
        hub="docker.io/istio",
        tag="",
        profile="default",
        revision="",
        default_revision="default",
        namespace="istio-system",
        mesh_config={},
        values={},
        operator_spec={},
        gateways=(),
    )


def test_everything_can_be_said() -> None:
    found = read(
        method="helm",
        hub="example.com/istio/",
        tag="1.31.0-debug",
        profile="demo",
        revision="r1",
        default_revision="old",
        namespace="mesh-system",
        mesh_config={"enableTracing": True},
        extension_providers=[{"name": "jaeger"}],
        values={"pilot": {}},
        gateways=[{"name": "a"}, {"name": "b", "namespace": "edge"}, {"name": "c", "namespace": "edge"}],
    )
    assert (found.method, found.version, found.hub) == ("helm", "1.31.0", "example.com/istio")
    assert (found.tag, found.profile, found.revision) == ("1.31.0-debug", "demo", "r1")
    assert (found.default_revision, found.namespace, found.istiod) == ("old", "mesh-system", "istiod-r1")
    assert found.mesh_config == {"enableTracing": True, "extensionProviders": [{"name": "jaeger"}]}
    assert found.values == {"pilot": {}}
    assert found.namespaces == ("mesh-system", "edge")
    assert [gateway.revision for gateway in found.gateways] == ["r1"] * 3
    assert read(operator_spec={"hub": "x"}).operator_spec == {"hub": "x"}


def test_the_default_revision() -> None:
    assert read(revision="default").revision == read().revision == ""
    assert read().istiod == "istiod"
    assert read(revision="r1").default_revision == "r1"
    assert read().tag == "1.31.0"


@pytest.mark.parametrize(
    ("changes", "where", "rule"),
    [
        ({"method": "operator"}, "istio_method", "choice"),
        ({"hub": ""}, "istio_hub", "istio-hub"),
        ({"hub": "/"}, "istio_hub", "istio-hub"),
        *(
            ({"hub": hub}, "istio_hub", "istio-hub")
            for hub in (
                "https://docker.io/istio",
                " docker.io/istio",
                "a b",
                "docker.io/istio:1",
                "docker.io/Istio",
                "a//b",
            )
        ),
        *(
            ({"tag": tag}, "istio_tag", "istio-tag")
            for tag in ("a b", "1.31.1 ", "sha256:ab", ":1", "-1", "a" * 129)
        ),
        ({"hub": None}, "istio_hub", "istio-hub"),
        ({"profile": "big"}, "istio_profile", "choice"),
        ({"profile": "openshift", "method": "helm"}, "istio_profile", "choice"),
        ({"revision": "1.31"}, "istio_revision", "dns-label"),
        ({"namespace": "A"}, "istio_namespace", "dns-label"),
        ({"version": 1.31}, "istio_version", "type"),
        ({"tag": 7}, "istio_tag", "type"),
        ({"values": "x"}, "istio_values", "type"),
        ({"values": {"meshConfig": "x"}}, "istio_values.meshConfig", "type"),
        (
            {"values": {"meshConfig": {"extensionProviders": "x"}}},
            "istio_values.meshConfig.extensionProviders",
            "type",
        ),
        ({"values": {"global": {"proxy": "x"}}}, "istio_values.global.proxy", "type"),
        ({"values": {"sidecarInjectorWebhook": 1}}, "istio_values.sidecarInjectorWebhook", "type"),
        ({"operator_spec": ["x"]}, "istio_operator_spec", "type"),
        ({"operator_spec": {"values": "x"}}, "istio_operator_spec.values", "type"),
        ({"operator_spec": {"values": {"global": 1}}}, "istio_operator_spec.values.global", "type"),
        ({"operator_spec": {"x": 1}, "method": "helm"}, "istio_operator_spec", "istio-operator-spec"),
        (
            {"gateways": [{"name": "a", "service_account": "b"}]},
            "istio_gateways[0].service_account",
            "service-account",
        ),
        ({"gateways": [{"name": "a", "replicas": 1}, {"name": "b"}]}, "istio_gateways", "replicas"),
        ({"gateways": [{"name": "a", "labels": "x"}]}, "istio_gateways[0].labels", "type"),
        ({"extension_providers": "x"}, "mesh_extension_providers", "type"),
        ({"mesh_config": {"trustDomian": "x"}}, "istio_mesh_config.trustDomian", "unknown-key"),
    ],
)
def test_a_bad_setting_is_named_by_its_variable_alone(changes: dict[str, Any], where: str, rule: str) -> None:
    assert faults(**changes) == [(where, rule)]


def test_what_one_tool_cannot_do_the_other_can() -> None:
    account = [{"name": "a", "service_account": "b"}, {"name": "c", "replicas": 1}]
    assert len(read(method="helm", gateways=account).gateways) == 2
    assert read(profile="openshift").profile == "openshift"
    # One autoscaling switch per direction: an egress gateway may differ.
    mixed = [{"name": "a", "replicas": 1}, {"name": "b", "egress": True}]
    assert len(read(gateways=mixed).gateways) == 2


def test_every_problem_is_reported_at_once() -> None:
    assert len(faults(method="x", hub="", revision="A", gateways=[{}])) == 4


STATED = {
    "mesh_config": {"trustDomain": "one"},
    "values": {"meshConfig": {"trust_domain": "two"}, "global": {"proxy": {"clusterDomain": "c"}}},
    "operator_spec": {
        "meshConfig": {"trustDomain": "three"},
        "values": {"meshConfig": {"trustDomain": "four"}},
    },
}


def test_a_setting_is_found_wherever_it_is_stated() -> None:
    installation = read(**STATED)
    assert statements(installation, "meshConfig", "trustDomain") == (
        ("istio_mesh_config.trustDomain", "one"),
        ("istio_values.meshConfig.trust_domain", "two"),
        ("istio_operator_spec.meshConfig.trustDomain", "three"),
        ("istio_operator_spec.values.meshConfig.trustDomain", "four"),
    )
    assert statements(installation, "global", "proxy", "clusterDomain") == (
        ("istio_values.global.proxy.clusterDomain", "c"),
    )
    assert statements(installation, "meshConfig", "rootNamespace") == ()


def test_the_strongest_statement_wins() -> None:
    assert setting(read(**STATED), "meshConfig", "trustDomain", default="x") == "four"
    assert setting(read(), "meshConfig", "trustDomain", default="x") == "x"
    nothing = read(mesh_config={"trustDomain": None})
    assert setting(nothing, "meshConfig", "trustDomain", default="x") == "x"


def test_provider_names_include_what_istiod_knows_by_itself() -> None:
    assert provider_names(read(extension_providers=[{"name": "zipkin"}])) == (
        "zipkin",
        "prometheus",
        "stackdriver",
        "envoy",
    )
    assert provider_names(read(profile="demo"))[0] == "jaeger"


def test_providers_in_values_replace_those_of_the_mesh_config() -> None:
    """As Helm merges: a list is not added to."""
    own = {"meshConfig": {"extensionProviders": [{"name": "own"}]}}
    assert provider_names(read(extension_providers=[{"name": "zipkin"}], values=own))[0] == "own"
    assert "zipkin" not in provider_names(read(extension_providers=[{"name": "zipkin"}], values=own))


def test_deep_merge_replaces_lists_and_changes_neither_side() -> None:
    base: dict[str, Any] = {"a": {"b": [1], "c": 1}, "d": 1}
    over: dict[str, Any] = {"a": {"b": [2]}, "d": {"e": [3]}}
    merged = deep_merge(base, over)
    assert merged == {"a": {"b": [2], "c": 1}, "d": {"e": [3]}}
    merged["d"]["e"].append(4)
    merged["a"]["b"].append(4)
    assert base == {"a": {"b": [1], "c": 1}, "d": 1} and over == {"a": {"b": [2]}, "d": {"e": [3]}}
