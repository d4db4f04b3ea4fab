# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What platforms change is not drift; the same change by a person is; and what only looks alike is, too."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.platforms import (
    Kept,
    platform_notes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import drift

from ...support.cluster import FakeCluster

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


def compared(
    cluster: FakeCluster, rendered: Obj
) -> tuple[list[drift.Difference], dict[str, tuple[Kept, ...]]]:
    kept: dict[str, tuple[Kept, ...]] = {}
    return drift.compare(cluster, [rendered], field_manager=MANAGER, kept=kept), kept


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_platform_changes_is_left_and_told(name: str) -> None:
    mutation = MUTATIONS[name]
    cluster = mutated(mutation)
    found, kept = compared(cluster, mutation.rendered)
    assert found == []
    assert cluster.writes == []
    assert len(kept) == 1
    notes = next(iter(kept.values()))
    assert {note.manager for note in notes} == {mutation.manager}


@pytest.mark.parametrize("tool", ["kubectl-edit", "kubectl-client-side-apply", "oc", "k9s"])
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_same_change_by_a_person_is_drift(name: str, tool: str) -> None:
    mutation = dataclasses.replace(MUTATIONS[name], subresource="")
    found, kept = compared(mutated(mutation, tool), mutation.rendered)
    assert [item.action for item in found] == ["update"]
    assert kept == {}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_same_change_by_somebody_unknown_is_drift(name: str) -> None:
    mutation = dataclasses.replace(MUTATIONS[name], subresource="")
    found, _kept = compared(mutated(mutation, "some-program"), mutation.rendered)
    assert [item.action for item in found] == ["update"]


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
    found, kept = compared(mutated(mutation), mutation.rendered)
    assert [item.action for item in found] == ["update"]
    assert kept == {}


def test_a_new_version_goes_on_although_a_policy_pinned_the_old_one() -> None:
    mutation = MUTATIONS["Kyverno, a digest"]
    newer = copy.deepcopy(mutation.rendered)
    image("docker.io/istio/pilot:1.31.2")(newer)
    found, _kept = compared(mutated(mutation), newer)
    assert found[0].after["spec"]["template"]["spec"]["containers"][0]["image"].endswith("1.31.2")


def test_drift_beside_a_platforms_change_is_repaired_and_that_change_stays() -> None:
    mutation = MUTATIONS["AKS"]
    cluster = mutated(mutation)
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None
    live["webhooks"][0]["clientConfig"]["service"]["name"] = "elsewhere"
    found, _kept = compared(cluster, mutation.rendered)
    drift.repair(cluster, found, field_manager=MANAGER)
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None
    assert live["webhooks"][0]["clientConfig"]["service"]["name"] == "istiod"
    assert AKS[0] in live["webhooks"][0]["namespaceSelector"]["matchExpressions"]


@pytest.mark.parametrize("seed", range(30))
def test_any_of_them_at_any_time_change_nothing(seed: int) -> None:
    """One cluster, some of the changes one after the other, each run twice."""
    chance = random.Random(seed)
    objects = {key(mutation.rendered): mutation.rendered for mutation in MUTATIONS.values()}
    for name in chance.sample(sorted(MUTATIONS), chance.randint(1, len(MUTATIONS))):
        mutation = MUTATIONS[name]
        if objects[key(mutation.rendered)] != mutation.rendered:
            continue  # rendered otherwise
        cluster = mutated(mutation)
        for _time in range(2):
            found, kept = compared(cluster, mutation.rendered)
            assert (found, len(kept), cluster.writes) == ([], 1, []), name


def test_a_bundle_that_a_person_wrote_is_drift_and_istiods_is_not() -> None:
    """Nothing of it is rendered: istiod patches it in, and would do so again."""
    mutation = Mutation(webhooks(), "pilot-discovery", bundle)
    assert compared(mutated(mutation), mutation.rendered) == ([], {})
    by_hand, _kept = compared(mutated(mutation, "kubectl-edit"), mutation.rendered)
    assert [item.action for item in by_hand] == ["update"]


def test_one_sentence_for_each_who_changed_something() -> None:
    kept = {
        f"Deployment mesh/{name}": (Kept("an image policy", "kyverno", "spec.image"),) for name in "abcde"
    }
    assert platform_notes(kept) == [
        "an image policy (kyverno) keeps spec.image of Deployment mesh/a, spec.image of Deployment mesh/b, "
        "spec.image of Deployment mesh/c and 2 more: left as it is"
    ]
    assert platform_notes({}) == []


class Admitting(FakeCluster):
    """GKE's admission webhook: it answers every write, dry runs too, and leaves no manager of its own."""

    def apply_told(self, obj: Obj, **options: Any) -> Any:
        changed = copy.deepcopy(dict(obj))
        if "webhooks" in changed:
            excluding({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": AUTOPILOT})(
                changed
            )
        return super().apply_told(changed, **options)

    def apply(self, obj: Obj, **options: Any) -> Any:
        return self.apply_told(obj, **options)[0]


def test_what_is_changed_at_admission_is_no_drift() -> None:
    rendered = webhooks()
    cluster = Admitting({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}})
    cluster.apply(rendered, field_manager=MANAGER)
    cluster.writes.clear()
    found, kept = compared(cluster, rendered)
    assert (found, kept, cluster.writes) == ([], {}, [])
    live = cluster.find("MutatingWebhookConfiguration", "injector")
    assert live is not None and "gke-managed-cim" in str(live["webhooks"])


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
    found, kept = compared(cluster, mutation.rendered)
    assert (found, {note.manager for notes in kept.values() for note in notes}) == ([], {manager})


def test_the_controller_manager_scales_by_the_subresource_alone() -> None:
    """What else it writes into the object is no autoscaler's."""
    mutation = MUTATIONS["KEDA"]
    found, _kept = compared(mutated(mutation, "kube-controller-manager"), mutation.rendered)
    assert [item.action for item in found] == ["update"]


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
    found, kept = compared(
        mutated(dataclasses.replace(MUTATIONS["AKS"], change=excluding(expression))), webhooks()
    )
    assert (found, len(kept)) == ([], 1)


@pytest.mark.parametrize("namespace", NAMESPACES_OF_PLATFORMS)
def test_a_platform_may_take_out_each_of_its_namespaces(namespace: str) -> None:
    expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace]}
    found, kept = compared(
        mutated(dataclasses.replace(MUTATIONS["AKS"], change=excluding(expression))), webhooks()
    )
    assert (found, len(kept)) == ([], 1)


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet"])
@pytest.mark.parametrize("containers", ["containers", "initContainers"])
def test_images_are_pinned_in_every_kind_of_workload(kind: str, containers: str) -> None:
    rendered = {**deployment(), "kind": kind}
    rendered["spec"]["template"]["spec"]["initContainers"] = [{"name": "init", "image": "istio/base:1.31.1"}]

    def pinned(obj: Obj) -> None:
        obj["spec"]["template"]["spec"][containers][0]["image"] += f"@{SHA}"

    found, kept = compared(mutated(Mutation(rendered, "kyverno", pinned)), rendered)
    assert (found, len(kept)) == ([], 1)
