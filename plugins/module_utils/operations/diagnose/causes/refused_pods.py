# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: pods that a workload cannot create: a quota, a limit range, the webhook, security."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....fields import mappings_at, name_of, namespace_of, text_at
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import INJECTION, SURE, Cause


def find(case: Case) -> Iterator[Cause]:
    """Deployments whose pods the API server refuses. :returns: one cause each."""
    for item in case.of("Deployment"):
        if not concerns(case, item):
            continue
        for condition in mappings_at(item, "status", "conditions"):
            if text_at(condition, "type") == "ReplicaFailure" and text_at(condition, "status") == "True":
                yield _cause(item, text_at(condition, "message"))


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
        for label in (service.get("spec") or {}).get("selector", {}).items()
        if namespace_of(service) == place
    }
    template = ((workload.get("spec") or {}).get("template") or {}).get("metadata") or {}
    own = set((template.get("labels") or {}).items())
    return bool(labels & own) or any(name and name_of(workload).startswith(name) for name in names)


def _cause(item: Obj, message: str) -> Cause:
    place = namespace_of(item)
    told = " ".join(message.split())[:300]
    quota = re.search(r"exceeded quota: ([a-z0-9.-]+)", message)
    if quota:
        said = f"leaves no room for the pods of {object_id(item)} with their sidecars"
        remedy = f"raise ResourceQuota {place}/{quota[1]}, or give the sidecar less (proxy: of the service)"
        return Cause(INJECTION, f"ResourceQuota {place}/{quota[1]}", said, remedy, SURE, (told,))
    if "failed calling webhook" in message and "istio" in message:
        said = "cannot be reached by the API server, which refuses all pods that it would inject"
        remedy = "kubectl get pods -n istio-system -l app=istiod; mend istiod, or the webhook's CA bundle"
        name = re.search(r'failed calling webhook "([^"]+)"', message)
        return Cause(
            INJECTION,
            f"MutatingWebhookConfiguration {name[1] if name else 'istio-sidecar-injector'}",
            said,
            remedy,
            SURE,
            (f"{object_id(item)}: {told}",),
        )
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
        f"kubectl describe {object_id(item)}",
        SURE,
        (told,),
    )
