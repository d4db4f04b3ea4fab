"""The IstioOperator document of an installation, and what istioctl adds to what it renders."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.istioctl_operator import (
    FIELD_MANAGER,
    PRUNED_KINDS,
    component_of,
    default_tag_ids,
    is_stale,
    operator_document,
    prune_selector,
    with_owner_labels,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    Installation,
    read_installation,
)

GATEWAY = {"name": "istio-ingressgateway", "service_type": "ClusterIP", "replicas": 2}


def installation(**changes: Any) -> Installation:
    return read_installation(
        {"version": "1.31.0", "hub": "docker.io/istio", "gateways": [GATEWAY], **changes}
    )


def spec(**changes: Any) -> dict[str, Any]:
    document = operator_document(installation(**changes))
    assert (document["apiVersion"], document["kind"]) == ("install.istio.io/v1alpha1", "IstioOperator")
    return dict(document["spec"])


def test_the_document_says_what_is_installed_where() -> None:
    document = operator_document(
        installation(
            namespace="mesh-system",
            revision="r1",
            profile="minimal",
            tag="1.31.0-distroless",
            mesh_config={"accessLogFile": "/dev/stdout"},
            gateways=[],
        )
    )
    assert document["metadata"] == {"namespace": "mesh-system"}
    found = document["spec"]
    assert (found["profile"], found["hub"], found["tag"], found["revision"]) == (
        "minimal",
        "docker.io/istio",
        "1.31.0-distroless",
        "r1",
    )
    assert found["meshConfig"] == {"accessLogFile": "/dev/stdout"}
    assert found["values"] == {"global": {"istioNamespace": "mesh-system"}}
    assert "revision" not in spec()


def test_the_users_values_win_over_ours_and_the_operator_spec_over_all() -> None:
    found = spec(values={"global": {"istioNamespace": "x", "logAsJson": True}}, operator_spec={"hub": "mine"})
    assert found["values"]["global"] == {"istioNamespace": "x", "logAsJson": True}
    assert found["hub"] == "mine"


def test_a_default_gateway_that_is_not_on_the_list_is_switched_off() -> None:
    components = spec(gateways=[])["components"]
    assert components["ingressGateways"] == [{"name": "istio-ingressgateway", "enabled": False}]
    assert components["egressGateways"] == [{"name": "istio-egressgateway", "enabled": False}]
    listed = spec(gateways=[{"name": "istio-egressgateway", "egress": True}])["components"]
    assert [item["enabled"] for item in listed["egressGateways"]] == [True]


def test_a_gateway_becomes_a_component_of_its_direction() -> None:
    components = spec(
        namespace="mesh-system",
        gateways=[
            {
                "name": "istio-edge",
                "ports": [
                    {"name": "http2", "port": 80},
                    {"name": "https", "port": 443, "target_port": 9443, "node_port": 30443},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
                "min_replicas": 2,
                "resources": {"limits": {"cpu": "1"}},
                "service_annotations": {"example.com/a": "b"},
                "values": {"service": {"type": "NodePort"}, "priorityClassName": "high"},
            },
            {"name": "out", "namespace": "edge", "egress": True},
        ],
    )["components"]
    ingress, off = components["ingressGateways"]
    assert ingress == {
        "name": "istio-edge",
        "namespace": "mesh-system",
        "enabled": True,
        "label": {"app": "istio-edge", "istio": "edge"},
        "k8s": {
            "service": {
                "type": "NodePort",
                "ports": [
                    {"name": "http2", "port": 80, "targetPort": 8080, "protocol": "TCP"},
                    {
                        "name": "https",
                        "port": 443,
                        "targetPort": 9443,
                        "protocol": "TCP",
                        "nodePort": 30443,
                    },
                    {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
                ],
            },
            "hpaSpec": {"minReplicas": 2, "maxReplicas": 5},
            "resources": {"limits": {"cpu": "1"}},
            "serviceAnnotations": {"example.com/a": "b"},
            "priorityClassName": "high",
        },
    }
    assert off == {"name": "istio-ingressgateway", "enabled": False}
    egress = components["egressGateways"][0]
    assert (egress["name"], egress["namespace"], egress["enabled"]) == ("out", "edge", True)
    assert "resources" not in egress["k8s"] and "serviceAnnotations" not in egress["k8s"]


def test_fixed_replicas_switch_the_autoscaler_off_for_that_direction_only() -> None:
    found = spec(gateways=[GATEWAY, {"name": "out", "egress": True}])
    assert found["values"]["gateways"] == {"istio-ingressgateway": {"autoscaleEnabled": False}}
    assert found["components"]["ingressGateways"][0]["k8s"]["replicaCount"] == 2
    assert "hpaSpec" not in found["components"]["ingressGateways"][0]["k8s"]
    out = spec(gateways=[{"name": "out", "egress": True, "replicas": 1}])
    assert out["values"]["gateways"] == {"istio-egressgateway": {"autoscaleEnabled": False}}


def test_components_come_from_the_label_or_else_from_the_chart() -> None:
    label, chart = "operator.istio.io/component", "helm.sh/chart"
    assert component_of({"metadata": {"labels": {chart: "istio-ingress-1.0.0"}}}) == "IngressGateways"
    assert component_of({"metadata": {"labels": {label: "Cni", chart: "istiod-1.0.0"}}}) == "Cni"
    assert component_of({"metadata": {}}) == ""


@pytest.mark.parametrize(
    ("chart", "component"),
    [
        ("base", "Base"),
        ("istiod", "Pilot"),
        ("istio-ingress", "IngressGateways"),
        ("istio-egress", "EgressGateways"),
        ("cni", "Cni"),
        ("ztunnel", "Ztunnel"),
        ("other", ""),
    ],
)
def test_every_chart_has_its_component(chart: str, component: str) -> None:
    assert component_of({"metadata": {"labels": {"helm.sh/chart": f"{chart}-1.31.0"}}}) == component
    live = {"metadata": {"labels": {"operator.istio.io/component": component}}}
    assert is_stale(live, set(), "x") is bool(component)


def test_labels_of_the_wrong_shape_are_no_empty_ones() -> None:
    with pytest.raises(MalformedError, match="labels is list, not a mapping"):
        component_of({"kind": "ConfigMap", "metadata": {"name": "x", "labels": ["a"]}})
    with pytest.raises(MalformedError, match=r"helm\.sh/chart is int, not a string"):
        component_of({"kind": "ConfigMap", "metadata": {"name": "x", "labels": {"helm.sh/chart": 1}}})


@pytest.mark.parametrize("chart", ["istiod", "istio-ingress", "other", "", "istiod-remote-1.0.0"])
def test_a_chart_that_is_no_component_is_none(chart: str) -> None:
    assert component_of({"metadata": {"labels": {"helm.sh/chart": chart}}}) == ""


def test_owner_labels_are_those_that_pruning_selects() -> None:
    wanted = installation(revision="r1", namespace="mesh-system")
    rendered = {"kind": "ConfigMap", "metadata": {"name": "x", "labels": {"helm.sh/chart": "istiod-1.0.0"}}}
    obj, bare = with_owner_labels([rendered, {"kind": "ConfigMap"}], wanted, "1.31.2")
    labels = obj["metadata"]["labels"]
    assert labels == {
        "helm.sh/chart": "istiod-1.0.0",
        "operator.istio.io/managed": "Reconcile",
        "operator.istio.io/version": "1.31.2",
        "install.operator.istio.io/owning-resource-namespace": "mesh-system",
        "istio.io/rev": "r1",
        "operator.istio.io/component": "Pilot",
    }
    for requirement in prune_selector(wanted, "1.31.2").split(","):
        key, equals, value = requirement.partition("=")
        assert key in labels and (not equals or labels[key] == value)
    assert "operator.istio.io/component" not in bare["metadata"]["labels"]
    assert "operator.istio.io/managed" not in rendered["metadata"]["labels"]
    assert "istio.io/rev=default" in prune_selector(installation(), "1.31.0")


@pytest.mark.parametrize(
    ("labels", "kept", "stale"),
    [
        ({"operator.istio.io/component": "Pilot"}, set(), True),
        ({"operator.istio.io/component": "Pilot"}, {"ConfigMap a/b"}, False),
        ({"operator.istio.io/component": "Other"}, set(), False),
        ({}, set(), False),
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
    assert default_tag_ids(installation(revision="canary")) == ()
    webhooks = "admissionregistration.k8s.io/v1"
    assert default_tag_ids(installation()) == (
        (webhooks, "MutatingWebhookConfiguration", "", "istio-revision-tag-default"),
        (webhooks, "ValidatingWebhookConfiguration", "", "istiod-default-validator"),
        ("v1", "Service", "istio-system", "istiod-revision-tag-default"),
    )
    elsewhere = default_tag_ids(installation(namespace="mesh"))
    assert [name for _api, _kind, _namespace, name in elsewhere] == [
        "istio-revision-tag-default-mesh",
        "istiod-default-validator",
        "istiod-revision-tag-default",
    ]
    assert elsewhere[2][2] == "mesh"


def test_the_kinds_that_istioctl_takes_away() -> None:
    """operator/pkg/uninstall/prune.go, without Pods and Secrets."""
    kinds = "Role RoleBinding ClusterRole ClusterRoleBinding"
    webhooks = "MutatingWebhookConfiguration ValidatingWebhookConfiguration"
    assert set(PRUNED_KINDS) == {
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        *(("v1", kind) for kind in ("Service", "ConfigMap", "ServiceAccount")),
        *(("rbac.authorization.k8s.io/v1", kind) for kind in kinds.split()),
        ("policy/v1", "PodDisruptionBudget"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        *(("admissionregistration.k8s.io/v1", kind) for kind in webhooks.split()),
    }
    assert len(PRUNED_KINDS) == 14
    assert FIELD_MANAGER == "istio-operator", "as istioctl writes"
