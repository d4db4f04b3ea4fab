# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: pods that a workload cannot create: a quota, a limit range, a webhook or policy, security."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....fields import labels_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....istio.injection.webhooks import WEBHOOK_SUFFIX
from ....kube.rollouts import refusals
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import INJECTION, SURE, Cause
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """Deployments whose pods the API server refuses. :returns: one cause each."""
    for item in case.of("Deployment"):
        if not concerns(case, item):
            continue
        for message in refusals(item):
            yield _cause(case, item, message)


def concerns(case: Case, workload: Obj) -> bool:
    """Whether the symptom is about a workload."""
    place = namespace_of(workload)
    if case.symptom.anything:
        return place == case.symptom.namespace if case.symptom.namespace else place in case.meshed
    names = {
        text.rpartition("/")[2] for text in (case.symptom.source, case.symptom.destination, case.symptom.pod)
    }
    names |= {name_of(item) for item in case.services}
    labels = {
        label
        for service in case.services
        for label in mapping_at(service, "spec", "selector").items()
        if namespace_of(service) == place
    }
    own = set(labels_of(mapping_at(workload, "spec", "template")).items())
    return bool(labels & own) or any(name and name_of(workload).startswith(name) for name in names)


def _by_admission(case: Case, item: Obj, message: str, told: str) -> Cause | None:
    """A webhook or policy that cannot be reached, or that denies the pods of a workload.

    Source of the texts: k8s.io/apiserver pkg/admission/plugin/webhook and plugin/policy/validating.
    """
    evidence = (f"{object_id(item)}: {told}",)
    if named := re.search(r'failed calling webhook "([^"]+)"', message):
        subject, service = _webhook(case, named[1], message)
        said = "cannot be reached by the API server, which refuses all pods that it would be asked about"
        remedy = f"mend {service or 'what answers it'}, or let its failurePolicy be Ignore: {edit(subject)}"
        if named[1].endswith(WEBHOOK_SUFFIX):
            said = "cannot be reached by the API server, which refuses all pods that it would inject"
            remedy = "kubectl get pods -n istio-system -l app=istiod; mend istiod, or the webhook's CA bundle"
        return Cause(INJECTION, subject, said, remedy, SURE + 1, evidence)
    if named := re.search(r'admission webhook "([^"]+)" denied the request', message):
        subject, _service = _webhook(case, named[1], message)
    elif named := re.search(r"ValidatingAdmissionPolicy '([^']+)'.* denied request", message):
        subject = f"ValidatingAdmissionPolicy {named[1]}"
    else:
        return None
    said = f"denies the pods of {object_id(item)}, as they are with their sidecars"
    remedy = "mend what it says in the template of the workload, or ask who keeps it for an exception"
    return Cause(INJECTION, subject, said, remedy, SURE + 1, evidence)


def _webhook(case: Case, name: str, message: str) -> tuple[str, str]:
    """The configuration that holds a webhook of this name, and the Service that it calls.

    Several may hold one of that name, as those of Istio's revisions do: then the one whose Service is told.

    :returns: ``Kind name``, ``Service namespace/name``; the webhook's own name where none is known.
    """
    found: list[tuple[bool, str, str]] = []
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for item in case.of(kind):
            for webhook in mappings_at(item, "webhooks"):
                if text_at(webhook, "name") == name:
                    service = mapping_at(webhook, "clientConfig", "service")
                    host = f"{text_at(service, 'name')}.{text_at(service, 'namespace')}.svc"
                    told = f"{text_at(service, 'namespace')}/{text_at(service, 'name')}" if service else ""
                    found.append((f"//{host}" in message, f"{kind} {name_of(item)}", told))
    if not found:
        return f"webhook {name}", ""
    _told, subject, service_name = max(found, key=lambda entry: entry[0])
    return subject, f"Service {service_name}" if service_name else ""


def _cause(case: Case, item: Obj, message: str) -> Cause:
    place = namespace_of(item)
    told = " ".join(message.split())[:300]
    quota = re.search(r"exceeded quota: ([a-z0-9.-]+)", message)
    if quota:
        said = f"leaves no room for the pods of {object_id(item)} with their sidecars"
        remedy = f"raise ResourceQuota {place}/{quota[1]}, or give the sidecar less (proxy: of the service)"
        return Cause(INJECTION, f"ResourceQuota {place}/{quota[1]}", said, remedy, SURE, (told,))
    found = _by_admission(case, item, message, told)
    if found is not None:
        return found
    if "PodSecurity" in message:
        said = "refuses pods with istio-init, which needs NET_ADMIN"
        remedy = "istio_cni: install Istio's CNI plugin, or relax pod-security.kubernetes.io/enforce"
        return Cause(INJECTION, f"Namespace {place}", said, remedy, SURE, (told,))
    if "LimitRange" in message or "maximum" in message or "minimum" in message:
        said = "cannot create pods: a LimitRange of its namespace does not take its containers"
        return Cause(INJECTION, object_id(item), said, f"kubectl get limitrange -n {place}", SURE, (told,))
    return Cause(
        INJECTION,
        object_id(item),
        "cannot create its pods",
        f"kubectl describe deployment {name_of(item)} -n {place}",
        SURE,
        (told,),
    )
