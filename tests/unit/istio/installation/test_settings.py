"""Settings of a control plane, and what they become for istioctl and Helm."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_releases import (
    chart_reference,
    desired_releases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.istioctl_operator import (
    component_of,
    default_tag_ids,
    is_stale,
    operator_document,
    prune_selector,
    with_owner_labels,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.settings import (
    deep_merge,
    provider_names,
    read_installation,
)

GATEWAY = {"name": "istio-ingressgateway", "service_type": "ClusterIP", "replicas": 2}


def settings(**changes: Any) -> dict[str, Any]:
    return {"version": "1.31.0", "hub": "docker.io/istio", "gateways": [GATEWAY], **changes}


def rules(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputError) as caught:
        read_installation(settings(**changes))
    return [(problem.where, problem.rule) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"method": "operator"}, ("istio_method", "istio-method")),
        ({"hub": ""}, ("istio_hub", "istio-hub")),
        ({"profile": "big"}, ("istio_profile", "istio-profile")),
        ({"profile": "openshift", "method": "helm"}, ("istio_profile", "istio-profile")),
        ({"revision": "1.31"}, ("istio_revision", "dns-label")),
        ({"operator_spec": {"x": 1}, "method": "helm"}, ("istio_operator_spec", "istio-operator-spec")),
        ({"extension_providers": [{"zipkin": {}}]}, ("mesh_extension_providers[0]", "extension-provider")),
        ({"gateways": [{"name": "a", "servicetype": "x"}]}, ("istio_gateways[0].servicetype", "unknown-key")),
        (
            {"gateways": [{"name": "a", "service_type": "None"}]},
            ("istio_gateways[0].service_type", "service-type"),
        ),
        ({"gateways": [{"name": "a"}, {"name": "a"}]}, ("istio_gateways[1].name", "gateway")),
        (
            {"gateways": [{"name": "a", "service_account": "b"}]},
            ("istio_gateways[0].service_account", "service-account"),
        ),
        (
            {"gateways": [{"name": "a", "ports": [{"name": "x", "port": 0}]}]},
            ("istio_gateways[0].ports[0].port", "port"),
        ),
        ({"gateways": [{"name": "a", "replicas": 1}, {"name": "b"}]}, ("istio_gateways", "gateway")),
        ({"gateways": [{"name": "a", "namespace": "A"}]}, ("istio_gateways[0].namespace", "dns-label")),
        ({"gateways": [{"name": "a", "egress": "no"}]}, ("istio_gateways[0].egress", "type")),
        ({"gateways": [{"name": "a", "replicas": -1}]}, ("istio_gateways[0].replicas", "type")),
        ({"gateways": [{"name": "a", "min_replicas": 6}]}, ("istio_gateways[0].min_replicas", "replicas")),
        ({"gateways": [{"name": "a", "ports": 80}]}, ("istio_gateways[0].ports", "type")),
        (
            {"gateways": [{"name": "a", "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 80}]}]},
            ("istio_gateways[0].ports[1].port", "port"),
        ),
        (
            {"gateways": [{"name": "a", "ports": [{"name": "x", "port": 80}, {"name": "x", "port": 81}]}]},
            ("istio_gateways[0].ports[1].name", "port"),
        ),
        (
            {"gateways": [{"name": "a", "ports": [{"name": "x", "port": 80, "protocol": "HTTP"}]}]},
            ("istio_gateways[0].ports[0].protocol", "port"),
        ),
        (
            {"gateways": [{"name": "a", "ports": [{"name": "x", "port": 80, "node_port": 70000}]}]},
            ("istio_gateways[0].ports[0].node_port", "port"),
        ),
        ({"gateways": [{"name": "a", "resources": 5}]}, ("istio_gateways[0].resources", "type")),
        (
            {"gateways": [{"name": "a", "resources": {"request": {}}}]},
            ("istio_gateways[0].resources.request", "unknown-key"),
        ),
        (
            {"gateways": [{"name": "a", "resources": {"limits": {"memory": "128MB"}}}]},
            ("istio_gateways[0].resources.limits.memory", "quantity"),
        ),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], wanted: tuple[str, str]) -> None:
    assert wanted in rules(**changes)


@pytest.mark.parametrize("amount", [1, 0.5, "100m", "128Mi", "1.5Gi", "1e3", ".5"])
def test_every_kubernetes_quantity_is_a_quantity(amount: Any) -> None:
    gateway = {**GATEWAY, "resources": {"requests": {"cpu": amount}, "limits": {}}}
    assert read_installation(settings(gateways=[gateway])).gateways[0].resources["requests"]["cpu"] == amount


def test_a_provider_may_be_given_only_once_in_both_places() -> None:
    config = {"extensionProviders": [{"name": "jaeger"}]}
    found = rules(mesh_config=config, extension_providers=[{"name": "jaeger"}])
    assert found == [("mesh_extension_providers[0].name", "extension-provider")]


def test_every_problem_is_reported_at_once() -> None:
    assert len(rules(method="x", hub="", revision="A")) == 3


def test_both_methods_give_a_gateway_the_same_principal_and_labels() -> None:
    istioctl = read_installation(settings())
    helm = read_installation(settings(method="helm"))
    assert istioctl.gateways == helm.gateways
    values = desired_releases(helm)[2].values
    assert values["serviceAccount"]["name"] == "istio-ingressgateway-service-account"
    assert values["labels"]["istio"] == "ingressgateway"
    component = operator_document(istioctl)["spec"]["components"]["ingressGateways"][0]
    assert component["label"] == {"app": "istio-ingressgateway", "istio": "ingressgateway"}


def test_the_users_values_win_over_ours_and_the_operator_spec_over_all() -> None:
    installation = read_installation(
        settings(values={"global": {"istioNamespace": "x", "logAsJson": True}}, operator_spec={"hub": "mine"})
    )
    spec = operator_document(installation)["spec"]
    assert spec["values"]["global"] == {"istioNamespace": "x", "logAsJson": True}
    assert spec["hub"] == "mine"


def test_a_default_gateway_that_is_not_on_the_list_is_switched_off() -> None:
    components = operator_document(read_installation(settings(gateways=[])))["spec"]["components"]
    assert components["ingressGateways"] == [{"name": "istio-ingressgateway", "enabled": False}]
    assert components["egressGateways"] == [{"name": "istio-egressgateway", "enabled": False}]


def test_fixed_replicas_switch_the_autoscaler_off_in_both() -> None:
    spec = operator_document(read_installation(settings()))["spec"]
    assert spec["values"]["gateways"]["istio-ingressgateway"] == {"autoscaleEnabled": False}
    assert spec["components"]["ingressGateways"][0]["k8s"]["replicaCount"] == 2
    values = desired_releases(read_installation(settings(method="helm")))[2].values
    assert values["autoscaling"] == {"enabled": False} and values["replicaCount"] == 2


def test_helm_releases_come_in_the_order_of_their_dependencies() -> None:
    releases = desired_releases(read_installation(settings(method="helm", revision="canary")))
    assert [(item.name, item.chart) for item in releases] == [
        ("istio-base", "base"),
        ("istiod-canary", "istiod"),
        ("istio-ingressgateway", "gateway"),
    ]
    assert releases[0].values["defaultRevision"] == "canary"
    assert releases[1].values["revision"] == releases[2].values["revision"] == "canary"


def test_charts_are_found_by_their_kind_of_source(tmp_path: Any) -> None:
    (tmp_path / "base-1.31.0.tgz").write_bytes(b"")
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "Chart.yaml").write_text("name: gateway")
    source = str(tmp_path)
    assert chart_reference(source, "base", "1.31.0").arguments == (f"{source}/base-1.31.0.tgz",)
    assert chart_reference(source, "gateway", "1.31.0").arguments == (f"{source}/gateway",)
    with pytest.raises(InputError, match="holds no chart istiod of version"):
        chart_reference(source, "istiod", "1.31.0")
    repository = chart_reference("https://example.com/charts", "base", "1.31.0")
    assert repository.arguments == ("base", "--repo", "https://example.com/charts", "--version", "1.31.0")
    oci = chart_reference("oci://ghcr.io/istio/release/charts/", "istiod", "1.31.0")
    assert oci.arguments == ("oci://ghcr.io/istio/release/charts/istiod", "--version", "1.31.0")


def test_provider_names_include_what_istiod_knows_by_itself() -> None:
    installation = read_installation(settings(extension_providers=[{"name": "jaeger"}]))
    assert provider_names(installation) == ("jaeger", "prometheus", "stackdriver", "envoy")


def test_components_come_from_the_label_or_else_from_the_chart() -> None:
    assert (
        component_of({"metadata": {"labels": {"helm.sh/chart": "istio-ingress-1.0.0"}}}) == "IngressGateways"
    )
    assert component_of({"metadata": {"labels": {"operator.istio.io/component": "Pilot"}}}) == "Pilot"
    assert component_of({"metadata": {}}) == ""


def test_owner_labels_are_those_that_pruning_selects() -> None:
    installation = read_installation(settings())
    rendered = {"kind": "ConfigMap", "metadata": {"name": "x", "labels": {"helm.sh/chart": "istiod-1.0.0"}}}
    (obj,) = with_owner_labels([rendered], installation, "1.31.0")
    labels = obj["metadata"]["labels"]
    for requirement in prune_selector(installation, "1.31.0").split(","):
        key, equals, value = requirement.partition("=")
        assert key in labels and (not equals or labels[key] == value)
    assert "operator.istio.io/managed" not in rendered["metadata"]["labels"]


@pytest.mark.parametrize(
    ("labels", "kept", "stale"),
    [
        ({"operator.istio.io/component": "Pilot"}, set(), True),
        ({"operator.istio.io/component": "Pilot"}, {"ConfigMap a/b"}, False),
        ({"operator.istio.io/component": "Other"}, set(), False),
        (
            {
                "operator.istio.io/component": "Pilot",
                "install.operator.istio.io/owning-resource-not-pruned": "true",
            },
            set(),
            False,
        ),
    ],
)
def test_only_what_istioctl_would_prune_is_stale(labels: dict[str, str], kept: set[str], stale: bool) -> None:
    assert is_stale({"metadata": {"labels": labels}}, kept, "ConfigMap a/b") is stale


def test_a_revision_has_no_default_tag_of_its_own() -> None:
    assert len(default_tag_ids(read_installation(settings()))) == 3
    assert default_tag_ids(read_installation(settings(revision="canary"))) == ()


def test_deep_merge_replaces_lists_and_changes_neither_side() -> None:
    base, over = {"a": {"b": [1], "c": 1}}, {"a": {"b": [2]}}
    assert deep_merge(base, over) == {"a": {"b": [2], "c": 1}}
    assert base == {"a": {"b": [1], "c": 1}} and over == {"a": {"b": [2]}}
