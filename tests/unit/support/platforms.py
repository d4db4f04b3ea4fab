# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What platforms and policies do to an installed Istio, each by the name that its program gives itself."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from .cluster import FakeCluster

MANAGER = "istio-operator"
SHA = "sha256:" + "a" * 64
Obj = dict[str, Any]


def webhooks(kind: str = "MutatingWebhookConfiguration", **clients: str) -> Obj:
    entry = {
        "name": "rev.namespace.sidecar-injector.istio.io",
        "clientConfig": {"service": {"name": "istiod", "namespace": "mesh"}, **clients},
        "namespaceSelector": {"matchExpressions": [{"key": "istio.io/rev", "operator": "DoesNotExist"}]},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "injector"},
        "webhooks": [entry, {**copy.deepcopy(entry), "name": "other.istio.io"}],
    }


def deployment(**spec: Any) -> Obj:
    containers = [{"name": "discovery", "image": "docker.io/istio/pilot:1.31.1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "mesh"},
        "spec": {"template": {"spec": {"containers": containers}}, **spec},
    }


def account(*secrets: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "istiod", "namespace": "mesh"},
        "imagePullSecrets": [{"name": name} for name in secrets],
    }


def definition() -> Obj:
    client = {"service": {"name": "x", "namespace": "mesh"}, "caBundle": "Cg=="}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gateways.networking.istio.io"},
        "spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": client}}},
    }


@dataclasses.dataclass(frozen=True)
class Mutation:
    rendered: Obj
    manager: str
    change: Callable[[Obj], None]
    subresource: str = ""


def excluding(*expressions: Obj) -> Callable[[Obj], None]:
    def change(obj: Obj) -> None:
        for webhook in obj["webhooks"]:
            webhook["namespaceSelector"]["matchExpressions"].extend(copy.deepcopy(expressions))

    return change


def image(reference: str) -> Callable[[Obj], None]:
    def change(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = reference

    return change


def replicas(count: int) -> Callable[[Obj], None]:
    return lambda obj: obj["spec"].update(replicas=count)


def bundle(obj: Obj) -> None:
    obj["webhooks"][0]["clientConfig"]["caBundle"] = "bmV3"


AKS = [
    {"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]},
    {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
]
# As seen in a cluster with Autopilot.
AUTOPILOT = ["kube-system", "gke-gmp-system", "gke-managed-cim"]
PULL_SECRETS = "openshift.io/image-registry-pull-secrets_service-account-controller"
GKE = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "gke-x"]}]
OPENSHIFT = [{"key": "openshift.io/run-level", "operator": "NotIn", "values": ["0", "1"]}]
MUTATIONS = {
    "AKS": Mutation(webhooks(), "admissionsenforcer", excluding(*AKS)),
    "AKS, as it was": Mutation(
        webhooks(), "admissionsenforcer", excluding({"key": "control-plane", "operator": "DoesNotExist"})
    ),
    "AKS, validating": Mutation(
        webhooks("ValidatingWebhookConfiguration"), "admissionsenforcer", excluding(*AKS)
    ),
    "GKE": Mutation(webhooks(), "gke-admission-webhook", excluding(*GKE)),
    "OpenShift": Mutation(webhooks(), "openshift-kube-apiserver-operator", excluding(*OPENSHIFT)),
    "cert-manager over a rendered bundle": Mutation(
        webhooks(caBundle="b2xk"), "cert-manager-cainjector", bundle
    ),
    "cert-manager in a definition": Mutation(
        definition(),
        "cert-manager-cainjector",
        lambda obj: obj["spec"]["conversion"]["webhook"]["clientConfig"].update(caBundle="bmV3"),
    ),
    "OpenShift's service CA": Mutation(webhooks(caBundle="b2xk"), "service-ca-operator", bundle),
    "Kyverno, a digest": Mutation(deployment(), "kyverno", image(f"docker.io/istio/pilot:1.31.1@{SHA}")),
    "Kyverno, only the digest": Mutation(
        deployment(), "kyverno-background-controller", image(f"docker.io/istio/pilot@{SHA}")
    ),
    "Kyverno, a mirror": Mutation(deployment(), "kyverno", image("mirror.corp/docker.io/istio/pilot:1.31.1")),
    "policy-controller, a mirror's digest": Mutation(
        deployment(), "policy-controller", image(f"mirror.corp/istio/pilot@{SHA}")
    ),
    "an HPA": Mutation(deployment(replicas=1), "kube-controller-manager", replicas(4), "scale"),
    "KEDA": Mutation(deployment(replicas=1), "keda-operator", replicas(0)),
    "GKE, Autopilot's namespaces": Mutation(
        webhooks(),
        "gke-common-webhooks",
        excluding({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": AUTOPILOT}),
    ),
    "Kyverno, in the background": Mutation(
        deployment(), "background-controller", image(f"docker.io/istio/pilot:1.31.1@{SHA}")
    ),
    "OpenShift's pull secrets, applied": Mutation(
        account("ours"),
        PULL_SECRETS,
        lambda obj: obj["imagePullSecrets"].append({"name": "istiod-dockercfg-x7k2p"}),
    ),
    "OpenShift's secrets": Mutation(
        {**account("ours"), "secrets": [{"name": "ours"}]},
        PULL_SECRETS,
        lambda obj: obj["secrets"].append({"name": "istiod-dockercfg-x7k2p"}),
    ),
    "OpenShift's pull secrets": Mutation(
        account("ours"),
        "openshift-controller-manager",
        lambda obj: obj["imagePullSecrets"].append({"name": "istiod-dockercfg-x7k2p"}),
    ),
}


def mutated(mutation: Mutation, manager: str = "", *more: Callable[[Obj], None]) -> FakeCluster:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}}
    cluster = FakeCluster(place)
    cluster.apply(mutation.rendered, field_manager=MANAGER)
    live = copy.deepcopy(cluster.find(*key(mutation.rendered)))
    assert live is not None
    for change in (mutation.change, *more):
        change(live)
    patch = {name: value for name, value in live.items() if name not in ("metadata", "apiVersion", "kind")}
    kind, name, namespace = key(mutation.rendered)
    written = manager or mutation.manager
    cluster.patch(mutation.rendered["apiVersion"], kind, name, namespace, patch, field_manager=written)
    stored = cluster.find(kind, name, namespace)
    assert stored is not None
    for entry in stored["metadata"]["managedFields"]:
        if entry["manager"] == written and mutation.subresource:
            entry["subresource"] = mutation.subresource
    cluster.writes.clear()
    return cluster


def key(obj: Obj) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", "")
