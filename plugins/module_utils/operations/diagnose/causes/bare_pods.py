# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: pods without a proxy, and which label, revision, webhook, opt-out or age is to blame.

What a pod would get now is evaluated as the API server and istiod do it (`istio/injection/webhooks`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import field, labels_of
from ....istio.injection.webhooks import INJECT_KEY, REVISION_KEY, expected_proxy, opted_out_by
from ....istio.workloads import Pod, parse_pod
from ....kube.pods import is_active
from ....model.installation.injection import INJECTION_LABEL
from ..case import Case, Obj
from ..cause import INJECTION, SURE, Cause
from .words import restart

AMBIENT_KEY = "istio.io/dataplane-mode"


def find(case: Case) -> Iterator[Cause]:
    """Pods that the symptom is about and that have no proxy. :returns: one cause per object at fault."""
    told: set[tuple[str, str]] = set()
    for raw in case.subjects:
        pod = parse_pod(raw)
        if pod.proxy is not None or not is_active(raw) or not _should(case, pod):
            continue
        cause = _why(case, raw, pod)
        if cause is not None and (cause.object, cause.said) not in told:
            told.add((cause.object, cause.said))
            yield cause


def _should(case: Case, pod: Pod) -> bool:
    """Whether a proxy is to be expected: somebody asks about this pod, or its namespace takes part."""
    if pod.namespace not in case.namespaces:  # its labels are not known
        return False
    if pod.namespace in ("kube-system", case.catalogue.istio_namespace):
        return False
    if case.namespaces.get(pod.namespace) and _label(case, pod.namespace, AMBIENT_KEY) == "ambient":
        return False
    if not case.symptom.anything:
        return True
    opted_out = opted_out_by(pod.labels, pod.annotations)
    finished = pod.controller is not None and pod.controller[0] == "Job"
    return pod.namespace in case.meshed and not opted_out and not pod.host_network and not finished


def _label(case: Case, namespace: str, key: str) -> str:
    return labels_of(case.namespaces.get(namespace)).get(key, "")


def _why(case: Case, raw: Obj, pod: Pod) -> Cause | None:
    subject = f"Pod {pod.namespace}/{pod.name}"
    if opted_by := opted_out_by(pod.labels, pod.annotations):
        said = f"has no sidecar: it opts out by the {opted_by} {INJECT_KEY}=false"
        remedy = f"take {INJECT_KEY} out of the template of its workload, or set it to true"
        return Cause(INJECTION, subject, said, remedy, SURE)
    if field(raw, "spec", "hostNetwork") is True:
        said = "has no sidecar: it uses the host's network (hostNetwork: true), where none is ever injected"
        return Cause(INJECTION, subject, said, "take hostNetwork out of the template of its workload", SURE)
    if case.material.injectors is None:
        return None
    if not case.material.injectors:
        said = "has no webhook that injects sidecars: every new pod stays without one"
        return Cause(
            INJECTION,
            "MutatingWebhookConfiguration istio-sidecar-injector",
            said,
            "ansible-playbook servicemesh.istio.istio -i INVENTORY",
            SURE,
            (f"{subject} has no sidecar",),
        )
    return _by_webhooks(case, pod, subject)


def _by_webhooks(case: Case, pod: Pod, subject: str) -> Cause | None:
    injectors = case.material.injectors or ()
    labels = labels_of(case.namespaces.get(pod.namespace))
    expected = expected_proxy(
        injectors,
        case.material.settings,
        namespace=pod.namespace,
        namespace_labels=labels,
        labels=pod.labels,
        annotations=pod.annotations,
        host_network=pod.host_network,
    )
    if expected.inject:
        said = "has no sidecar: it was created before injection was on, or while the webhook was away"
        return Cause(INJECTION, subject, said, restart(pod), SURE)
    if expected.injectors:
        return Cause(
            INJECTION, subject, f"has no sidecar: {expected.why}", "see docs/guides/injection.md", SURE
        )
    return _unselected(case, pod, subject)


def _unselected(case: Case, pod: Pod, subject: str) -> Cause:
    """No webhook takes the pod: the namespace's labels, the pod's revision, or the webhooks themselves."""
    own = labels_of(case.namespaces.get(pod.namespace))
    place, evidence = f"Namespace {pod.namespace}", (f"{subject} has no sidecar",)
    known = sorted(
        {name for item in case.material.injectors or () for name in (item.revision, item.tag) if name}
    )
    if own.get(INJECTION_LABEL) == "disabled":
        said = f"is not injected: its label {INJECTION_LABEL}=disabled beats every other one"
        return Cause(INJECTION, place, said, _labelled(pod.namespace), SURE, evidence)
    wanted, at_fault = pod.labels.get(REVISION_KEY, ""), subject
    if not wanted or own.get(REVISION_KEY) or own.get(INJECTION_LABEL):
        wanted, at_fault = own.get(REVISION_KEY, ""), place
    if wanted and wanted not in known:
        said = (
            f"asks for revision {wanted!r}, which no webhook serves (there are: {', '.join(known) or 'none'})"
        )
        remedy = (
            f"kubectl label namespace {pod.namespace} istio.io/rev={known[0]} --overwrite"
            if known
            else ("ansible-playbook servicemesh.istio.istio -i INVENTORY")
        )
        return Cause(INJECTION, at_fault, said, remedy, SURE, evidence)
    if own.get(INJECTION_LABEL) == "enabled" or wanted:
        names = ", ".join(sorted({item.configuration for item in case.material.injectors or ()}))
        said = (
            f"takes no pod of namespace {pod.namespace}, though it is labelled "
            f"{INJECTION_LABEL if own.get(INJECTION_LABEL) else REVISION_KEY}: "
            "its selectors were changed, or it is switched off"
        )
        remedy = "ansible-playbook servicemesh.istio.istio -i INVENTORY (it puts the webhook back)"
        return Cause(INJECTION, f"MutatingWebhookConfiguration {names}", said, remedy, SURE, evidence)
    said = f"carries neither {INJECTION_LABEL}=enabled nor {REVISION_KEY}: no sidecar is injected there"
    return Cause(INJECTION, place, said, _labelled(pod.namespace), SURE, evidence)


def _labelled(namespace: str) -> str:
    return (
        f"injection_namespaces: [{namespace}], then ansible-playbook servicemesh.istio.injection -i INVENTORY"
    )
