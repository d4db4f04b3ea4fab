# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import faults

from ...waiting import until
from ..planting import SICK_NAMESPACE, Problem, extra, labelled, refused, with_new
from ..sick import PLACE, Obj, Sick, obj

PODS = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
HERE = {"matchLabels": {"kubernetes.io/metadata.name": PLACE}}


def webhook(name: str) -> Obj:
    """One that is asked about every pod of the namespace, and that nobody answers."""
    service = {"namespace": "policies", "name": "nobody", "path": "/validate"}
    hook = {
        "name": f"{name}.example.com",
        "clientConfig": {"service": service},
        "rules": PODS,
        "namespaceSelector": HERE,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return obj("ValidatingWebhookConfiguration", name, place="", webhooks=[hook])


def admission_policy(name: str) -> tuple[Obj, Obj]:
    """One that denies every pod of the namespace."""
    constraints = {"resourceRules": [{**PODS[0]}]}
    rules = [{"expression": "false", "message": "no pods on Sundays"}]
    spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": rules}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": HERE},
    }
    return (
        obj("ValidatingAdmissionPolicy", name, spec, place=""),
        obj("ValidatingAdmissionPolicyBinding", name, binding, place=""),
    )


@contextlib.contextmanager
def denied(sick: Sick) -> Iterator[None]:
    """The API server takes a policy over within seconds."""
    with sick.planted(*admission_policy("sundays")):
        time.sleep(5)
        yield


@contextlib.contextmanager
def tagged(sick: Sick) -> Iterator[None]:
    """The namespace follows a revision tag whose istiod has been taken away."""
    live = sick.client.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration").items
    hook = next(
        hook
        for one in live
        for hook in one["webhooks"]
        if hook["name"] == "rev.namespace.sidecar-injector.istio.io"
    )
    service = {**hook["clientConfig"]["service"], "name": "istiod-gone"}
    values = [{"key": "istio.io/rev", "operator": "In", "values": ["prod"]}]
    changed = {
        **hook,
        "clientConfig": {**hook["clientConfig"], "service": service},
        "namespaceSelector": {"matchExpressions": values},
    }
    made = obj(
        "MutatingWebhookConfiguration",
        "istio-revision-tag-prod",
        place="",
        metadata={"labels": {"app": "sidecar-injector", "istio.io/rev": "gone", "istio.io/tag": "prod"}},
        webhooks=[changed],
    )

    def label(**labels: str | None) -> None:
        sick.client.patch("v1", "Namespace", PLACE, None, {"metadata": {"labels": labels}})

    with sick.planted(made):
        label(**{"istio-injection": None, "istio.io/rev": "prod"})
        try:
            yield
        finally:
            label(**{"istio-injection": "enabled", "istio.io/rev": None})


@contextlib.contextmanager
def image(sick: Sick) -> Iterator[None]:
    notes = {"sidecar.istio.io/proxyImage": "lab.local/none:1"}
    with extra("Pending", annotations=notes)(sick):
        until(lambda: any(map(faults, sick.pods("extra"))), "kubelet that has given up", 60)
        yield


INJECTION = [
    Problem(
        "label taken away",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None}),
    ),
    Problem(
        "unknown revision",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None, "istio.io/rev": "canary"}),
    ),
    Problem(
        "injection disabled",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": "disabled"}),
    ),
    Problem(
        "opted out",
        "injection",
        f"Pod {PLACE}/extra",
        {"pod": f"{PLACE}/extra"},
        extra(labels={"sidecar.istio.io/inject": "false"}),
    ),
    Problem(
        "host network",
        "injection",
        f"Pod {PLACE}/extra",
        {"source": f"{PLACE}/extra"},
        extra(hostNetwork=True),
    ),
    Problem("image of the proxy", "injection", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, image),
    Problem(
        "quota",
        "injection",
        f"ResourceQuota {PLACE}/small",
        SICK_NAMESPACE,
        refused(with_new(obj("ResourceQuota", "small", {"hard": {"pods": "1"}}))),
    ),
    Problem(
        "webhook of others is away",
        "injection",
        "ValidatingWebhookConfiguration guard",
        SICK_NAMESPACE,
        refused(with_new(webhook("guard"))),
    ),
    Problem(
        "policy denies", "injection", "ValidatingAdmissionPolicy sundays", SICK_NAMESPACE, refused(denied)
    ),
    Problem(
        "revision tag without istiod",
        "injection",
        "MutatingWebhookConfiguration istio-revision-tag-prod",
        SICK_NAMESPACE,
        refused(tagged),
    ),
]
