# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What platforms change is left; the same change by a person is not, nor what only looks alike."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.platforms import (
    Kept,
    platform_notes,
    with_platforms,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.objects import covers

from ...support.cluster import FakeCluster
from ...support.platforms import (
    MUTATIONS,
    PULL_SECRETS,
    SHA,
    Mutation,
    Obj,
    account,
    deployment,
    excluding,
    image,
    key,
    mutated,
    webhooks,
)


def compared(cluster: FakeCluster, rendered: Obj) -> tuple[bool, tuple[Kept, ...]]:
    """Whether nothing is left to repair, and what was left as it is."""
    live, before = cluster.find(*key(rendered)), copy.deepcopy(rendered)
    assert live is not None
    wanted, kept = with_platforms(rendered, live)
    assert rendered == before, "an argument was changed"
    return covers(live, wanted), kept


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_platform_changes_is_left_and_told(name: str) -> None:
    mutation = MUTATIONS[name]
    same, kept = compared(mutated(mutation), mutation.rendered)
    assert same
    assert {note.manager for note in kept} == {mutation.manager}


SELECTOR = "webhooks.rev.namespace.sidecar-injector.istio.io.namespaceSelector"
WHO = {
    "AKS": (
        "Azure's admissions enforcer",
        "webhooks.rev.namespace.sidecar-injector.istio.io.namespaceSelector",
    ),
    "GKE": ("GKE", SELECTOR),
    "OpenShift": ("OpenShift", SELECTOR),
    "OpenShift's pull secrets": ("OpenShift", "imagePullSecrets"),
    "OpenShift's secrets": ("OpenShift", "secrets"),
    "cert-manager over a rendered bundle": (
        "whoever signs the webhook's certificate",
        "webhooks.rev.namespace.sidecar-injector.istio.io.clientConfig.caBundle",
    ),
    "cert-manager in a definition": (
        "whoever signs the webhook's certificate",
        "spec.conversion.webhook.clientConfig.caBundle",
    ),
    "Kyverno, a digest": ("an image policy", "spec.template.spec.containers.discovery.image"),
    "KEDA": ("an autoscaler", "spec.replicas"),
}


@pytest.mark.parametrize("name", WHO)
def test_who_changed_what_is_told(name: str) -> None:
    _same, kept = compared(mutated(MUTATIONS[name]), MUTATIONS[name].rendered)
    assert (kept[0].who, kept[0].field) == WHO[name]


@pytest.mark.parametrize("tool", ["kubectl-edit", "kubectl-client-side-apply", "oc", "k9s"])
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_same_change_by_a_person_is_drift(name: str, tool: str) -> None:
    mutation = dataclasses.replace(MUTATIONS[name], subresource="")
    assert compared(mutated(mutation, tool), mutation.rendered) == (False, ())


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_same_change_by_somebody_unknown_is_drift(name: str) -> None:
    mutation = dataclasses.replace(MUTATIONS[name], subresource="")
    assert compared(mutated(mutation, "some-program"), mutation.rendered) == (False, ())


OTHER_SHAPES = {
    "a platform that takes a namespace in": Mutation(
        webhooks(), "admissionsenforcer", excluding({"key": "control-plane", "operator": "Exists"})
    ),
    "a platform that excludes the team's own": Mutation(
        webhooks(), "admissionsenforcer", excluding({"key": "team", "operator": "NotIn", "values": ["a"]})
    ),
    "a platform that excludes a team's namespace": Mutation(
        webhooks(),
        "gke-common-webhooks",
        excluding(
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "shop"]}
        ),
    ),
    "a platform that excludes no namespace": Mutation(
        webhooks(),
        "gke-common-webhooks",
        excluding({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": []}),
    ),
    "a platform that lets only its own in": Mutation(
        webhooks(),
        "admissionsenforcer",
        excluding({"key": "kubernetes.azure.com/managedby", "operator": "In", "values": ["aks"]}),
    ),
    "a background controller that runs another image": Mutation(
        deployment(), "background-controller", image("docker.io/istio/pilot:1.30.0")
    ),
    "secrets that are no pull secrets": Mutation(
        {**account("ours"), "secrets": [{"name": "ours"}]},
        PULL_SECRETS,
        lambda obj: obj["secrets"].append({"name": "istiod-token-x7k2p"}),
    ),
    "a platform that drops what was rendered": Mutation(
        webhooks(), "admissionsenforcer", lambda obj: obj["webhooks"][0].update(namespaceSelector={})
    ),
    "a policy that runs another version": Mutation(deployment(), "kyverno", image("istio/pilot:1.30.0")),
    "a policy that runs something else": Mutation(deployment(), "kyverno", image(f"evil/x@{SHA}")),
    "an empty bundle": Mutation(
        webhooks(caBundle="b2xk"),
        "cert-manager-cainjector",
        lambda obj: obj["webhooks"][0]["clientConfig"].update(caBundle=""),
    ),
    "pull secrets that replace the rendered ones": Mutation(
        account("ours"),
        "openshift-controller-manager",
        lambda obj: obj.update(imagePullSecrets=[{"name": "istiod-dockercfg-x7k2p"}]),
    ),
    "pull secrets of another kind": Mutation(
        account("ours"),
        "openshift-controller-manager",
        lambda obj: obj["imagePullSecrets"].append({"name": "theirs"}),
    ),
}


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_a_known_manager_with_another_shape_is_drift(name: str) -> None:
    mutation = OTHER_SHAPES[name]
    assert compared(mutated(mutation), mutation.rendered) == (False, ())


@pytest.mark.parametrize("count", [-1, True, "3"])
def test_what_is_no_count_of_replicas_is_no_autoscalers(count: Any) -> None:
    mutation = dataclasses.replace(MUTATIONS["KEDA"], change=lambda obj: obj["spec"].update(replicas=count))
    assert compared(mutated(mutation), mutation.rendered) == (False, ())


def test_who_is_not_there_has_nothing_changed() -> None:
    rendered = webhooks()
    for entry in ("x", {"name": "new.istio.io"}, {}):
        rendered["webhooks"].append(entry)
    same, kept = compared(mutated(MUTATIONS["AKS"]), rendered)
    assert (same, len(kept)) == (False, 2)
    for live in ({}, {"webhooks": None}, {"webhooks": [None, {}]}):
        assert with_platforms(rendered, live) == (rendered, ())


def test_one_sentence_for_each_who_changed_something() -> None:
    kept = {
        f"Deployment mesh/{name}": (Kept("an image policy", "kyverno", "spec.image"),) for name in "abcde"
    }
    assert platform_notes(kept) == [
        "an image policy (kyverno) keeps spec.image of Deployment mesh/a, spec.image of Deployment mesh/b, "
        "spec.image of Deployment mesh/c and 2 more: left as it is"
    ]
    assert platform_notes({}) == []


# Who writes what, by the names that their programs give themselves.
ALSO_BY = {
    "AKS": ("Admissions-Enforcer", "admission-enforcer-webhook", "aks-controller"),
    "GKE": ("gke.io/webhooks", "autopilot-controller", "GoogleContainerEngine", "warden-validating"),
    "OpenShift": ("openshift.io/namespaces", "cluster-kube-apiserver-operator", "service-ca-operator"),
    "OpenShift's pull secrets": (
        "openshift.io/pull-secrets",
        "cluster-openshift-controller-manager-operator",
    ),
    "cert-manager over a rendered bundle": ("cainjector", "cert-manager", "pilot-discovery", "istiod-canary"),
    "cert-manager in a definition": ("cainjector", "service-ca-operator", "pilot-discovery", "istiod"),
    "Kyverno, a digest": (
        "kyverno-admission-controller",
        "policy-controller-webhook",
        "policy-webhook",
        "cosigned",
        "connaisseur",
        "ratify-mutation",
        "gatekeeper",
    ),
    "KEDA": ("kube-controller-manager", "horizontal-pod-autoscaler", "cluster-autoscaler", "keda-operator"),
}


@pytest.mark.parametrize(("name", "manager"), [(name, who) for name, all_ in ALSO_BY.items() for who in all_])
def test_everybody_who_is_known_to_change_it_may(name: str, manager: str) -> None:
    mutation = MUTATIONS[name]
    through = "scale" if manager.startswith("kube-controller") else ""
    cluster = mutated(dataclasses.replace(mutation, manager=manager, subresource=through))
    same, kept = compared(cluster, mutation.rendered)
    assert (same, {note.manager for note in kept}) == (True, {manager})


def test_the_controller_manager_scales_by_the_subresource_alone() -> None:
    """What else it writes into the object is no autoscaler's."""
    mutation = MUTATIONS["KEDA"]
    assert compared(mutated(mutation, "kube-controller-manager"), mutation.rendered) == (False, ())


NAMESPACES_OF_PLATFORMS = (
    "kube-system", "gke-managed-cim", "gmp-public", "config-management-system", "gatekeeper-system",
    "openshift", "openshift-monitoring", "aks-command", "azure-arc", "calico-system", "tigera-operator",
    "amazon-guardduty", "aws-observability",
)  # fmt: skip
TAKEN_OUT = (
    ("kubernetes.azure.com/managedby", ["aks"]),
    ("openshift.io/run-level", ["0"]),
    ("network.openshift.io/policy-group", ["ingress"]),
    ("cloud.google.com/gke-nodepool", ["x"]),
    ("autopilot.gke.io/no-connect", ["true"]),
    ("eks.amazonaws.com/component", ["coredns"]),
)


@pytest.mark.parametrize("operator", ["NotIn", "DoesNotExist"])
@pytest.mark.parametrize(("label", "values"), TAKEN_OUT, ids=str)
def test_a_platform_may_take_out_what_is_its_own(label: str, values: list[str], operator: str) -> None:
    expression = {"key": label, "operator": operator, "values": values}
    same, kept = compared(
        mutated(dataclasses.replace(MUTATIONS["AKS"], change=excluding(expression))), webhooks()
    )
    assert same
    assert kept


@pytest.mark.parametrize("namespace", NAMESPACES_OF_PLATFORMS)
def test_a_platform_may_take_out_each_of_its_namespaces(namespace: str) -> None:
    expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace]}
    same, kept = compared(
        mutated(dataclasses.replace(MUTATIONS["AKS"], change=excluding(expression))), webhooks()
    )
    assert same
    assert kept


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet"])
@pytest.mark.parametrize("containers", ["containers", "initContainers"])
def test_images_are_pinned_in_every_kind_of_workload(kind: str, containers: str) -> None:
    rendered = {**deployment(), "kind": kind}
    rendered["spec"]["template"]["spec"]["initContainers"] = [{"name": "init", "image": "istio/base:1.31.1"}]

    def pinned(obj: Obj) -> None:
        obj["spec"]["template"]["spec"][containers][0]["image"] += f"@{SHA}"

    same, kept = compared(mutated(Mutation(rendered, "kyverno", pinned)), rendered)
    assert same
    assert kept
