# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IstioOperator document for istioctl, and what ``istioctl install`` adds to the manifest it renders.

An IstioOperator is a file format only: nothing of that kind exists in a cluster (Istio >= 1.24).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import labels_of, text_at
from ...model.installation.gateways import InstalledGateway
from ...model.installation.settings import Installation, deep_merge

FIELD_MANAGER = "istio-operator"
COMPONENT_LABEL = "operator.istio.io/component"
MANAGED_LABEL = "operator.istio.io/managed"
VERSION_LABEL = "operator.istio.io/version"
OWNER_LABEL = "install.operator.istio.io/owning-resource"
OWNING_NAMESPACE_LABEL = "install.operator.istio.io/owning-resource-namespace"
NOT_PRUNED_LABEL = "install.operator.istio.io/owning-resource-not-pruned"
REVISION_LABEL = "istio.io/rev"
CHART_LABEL = "helm.sh/chart"
DEFAULT_TAG = "default"

# operator/pkg/component/component.go
COMPONENTS = ("Base", "Pilot", "IngressGateways", "EgressGateways", "Cni", "Ztunnel")
_COMPONENT_OF_CHART = {
    "base": "Base",
    "istiod": "Pilot",
    "istio-ingress": "IngressGateways",
    "istio-egress": "EgressGateways",
    "cni": "Cni",
    "ztunnel": "Ztunnel",
}
# operator/pkg/uninstall/prune.go NamespacedResources, ClusterResources. Pods and Secrets are left out: the
# charts render none, so nothing of those kinds can become stale.
PRUNED_KINDS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
)
# The ingress chart lets an unprivileged Envoy listen on high ports.
_TARGET_PORTS = {80: 8080, 443: 8443}
_DEFAULT_GATEWAY = {False: "istio-ingressgateway", True: "istio-egressgateway"}


def operator_document(installation: Installation) -> dict[str, Any]:
    """The whole input of istioctl as one document.

    :returns: an IstioOperator, ready to be written as JSON or YAML.
    """
    ingress = [gateway for gateway in installation.gateways if not gateway.egress]
    egress = [gateway for gateway in installation.gateways if gateway.egress]
    spec: dict[str, Any] = {
        "profile": installation.profile,
        "hub": installation.hub,
        "tag": installation.tag,
        "meshConfig": copy.deepcopy(dict(installation.mesh_config)),
        "components": {
            "ingressGateways": _components(ingress, egress=False),
            "egressGateways": _components(egress, egress=True),
        },
        "values": deep_merge(_values(installation, ingress, egress), installation.values),
    }
    if installation.revision:
        spec["revision"] = installation.revision
    return {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"namespace": installation.namespace},
        "spec": deep_merge(spec, installation.operator_spec),
    }


def _values(
    installation: Installation, ingress: Sequence[InstalledGateway], egress: Sequence[InstalledGateway]
) -> dict[str, Any]:
    gateways = {}
    for name, members in ((_DEFAULT_GATEWAY[False], ingress), (_DEFAULT_GATEWAY[True], egress)):
        if members and members[0].replicas:
            gateways[name] = {"autoscaleEnabled": False}
    values: dict[str, Any] = {"global": {"istioNamespace": installation.namespace}}
    if gateways:
        values["gateways"] = gateways
    return values


def _components(gateways: Sequence[InstalledGateway], *, egress: bool) -> list[dict[str, Any]]:
    components = [_component(gateway) for gateway in gateways]
    if _DEFAULT_GATEWAY[egress] not in {gateway.name for gateway in gateways}:
        # A profile may enable it; what is not in the list is not installed.
        components.append({"name": _DEFAULT_GATEWAY[egress], "enabled": False})
    return components


def _component(gateway: InstalledGateway) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "service": {
            "type": gateway.service_type,
            "ports": [
                {
                    "name": port.name,
                    "port": port.port,
                    "targetPort": port.target_port or _TARGET_PORTS.get(port.port, port.port),
                    "protocol": port.protocol,
                    **({"nodePort": port.node_port} if port.node_port else {}),
                }
                for port in gateway.ports
            ],
        }
    }
    if gateway.replicas:
        settings["replicaCount"] = gateway.replicas
    else:
        settings["hpaSpec"] = {"minReplicas": gateway.min_replicas, "maxReplicas": gateway.max_replicas}
    if gateway.resources:
        settings["resources"] = copy.deepcopy(dict(gateway.resources))
    if gateway.service_annotations:
        settings["serviceAnnotations"] = dict(gateway.service_annotations)
    return {
        "name": gateway.name,
        "namespace": gateway.namespace,
        "enabled": True,
        "label": dict(gateway.labels),
        "k8s": deep_merge(settings, gateway.values),
    }


def owner_labels(installation: Installation, version: str, component: str = "") -> dict[str, str]:
    """The labels that ``istioctl install`` puts on every object.

    Source: operator/pkg/install/install.go getOwnerLabels.

    :param version: istioctl's own version, which need not be the tag of the images.
    :returns: label key -> value.
    """
    labels = {
        MANAGED_LABEL: "Reconcile",
        VERSION_LABEL: version,
        OWNING_NAMESPACE_LABEL: installation.namespace,
        REVISION_LABEL: installation.revision or "default",
    }
    if component:
        labels[COMPONENT_LABEL] = component
    return labels


def component_of(rendered: Mapping[str, Any]) -> str:
    """The istioctl component that a rendered object belongs to, read from its chart."""
    labels = labels_of(rendered)
    chart = text_at(labels, CHART_LABEL).rpartition("-")[0]
    return text_at(labels, COMPONENT_LABEL) or _COMPONENT_OF_CHART.get(chart, "")


def with_owner_labels(
    rendered: Sequence[Mapping[str, Any]], installation: Installation, version: str
) -> list[dict[str, Any]]:
    """The rendered objects as ``istioctl install`` will send them.

    :returns: copies of the objects, in their order.
    """
    completed = []
    for item in rendered:
        obj = copy.deepcopy(dict(item))
        labels = {**labels_of(item), **owner_labels(installation, version, component_of(item))}
        obj.setdefault("metadata", {})["labels"] = labels
        completed.append(obj)
    return completed


def is_stale(live: Mapping[str, Any], kept: set[str], object_id: str) -> bool:
    """Whether ``istioctl install`` would prune this object, found by ``prune_selector``.

    :param kept: ids of the rendered objects.
    """
    labels = labels_of(live)
    return (
        object_id not in kept
        and labels.get(NOT_PRUNED_LABEL) != "true"
        and labels.get(COMPONENT_LABEL) in COMPONENTS
    )


def prune_selector(installation: Installation, version: str) -> str:
    """Label selector of everything that this installation owns."""
    labels = owner_labels(installation, version)
    return ",".join((*(f"{key}={value}" for key, value in labels.items()), COMPONENT_LABEL))


def default_tag_ids(installation: Installation) -> tuple[tuple[str, str, str, str], ...]:
    """The ``default`` tag of an install without revision, as (apiVersion, kind, namespace, name).

    Rendered manifests lack these three objects (istioctl/pkg/tag/generate.go).

    :returns: (apiVersion, kind, namespace, name) per object; empty for an install with a revision.
    """
    if installation.revision:
        return ()
    webhooks = "admissionregistration.k8s.io/v1"
    suffix = "" if installation.namespace == "istio-system" else f"-{installation.namespace}"
    return (
        (webhooks, "MutatingWebhookConfiguration", "", f"istio-revision-tag-{DEFAULT_TAG}{suffix}"),
        (webhooks, "ValidatingWebhookConfiguration", "", "istiod-default-validator"),
        ("v1", "Service", installation.namespace, f"istiod-revision-tag-{DEFAULT_TAG}"),
    )
