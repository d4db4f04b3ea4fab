# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads that go on taking plaintext, because their entry says so with a reason. Nobody is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...fields import Object, annotations_of, labels_of, mapping_at, mappings_at, namespace_of, text_at
from ...model.objects.base import REASON_ANNOTATION

TAKES_PLAINTEXT = ("PERMISSIVE", "DISABLE")


def stated_exceptions(
    namespace: str, policies: Iterable[Object], pods: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """The workloads of a namespace whose ports all stay open to plaintext.

    A workload with one such port is not among them: metrics do not tell to which port a caller came.

    :param policies: the PeerAuthentications as they will stand. :param pods: of the namespace.
    :returns: name of the workload, as in metrics -> reason.
    """
    loose = [
        (labels, annotations_of(policy).get(REASON_ANNOTATION, "no reason is given"))
        for policy in policies
        if namespace_of(policy) == namespace
        if (labels := mapping_at(policy, "spec", "selector", "matchLabels"))
        if text_at(policy, "spec", "mtls", "mode") in TAKES_PLAINTEXT and not _closes_a_port(policy)
    ]
    return {
        workload_name(pod): reason
        for pod in pods
        for labels, reason in loose
        if labels.items() <= labels_of(pod).items()
    }


def _closes_a_port(policy: Object) -> bool:
    ports = mapping_at(policy, "spec", "portLevelMtls")
    return any(text_at(ports, port, "mode") not in (*TAKES_PLAINTEXT, "UNSET", "") for port in ports)


def workload_name(pod: Mapping[str, Any]) -> str:
    """The name of a pod's workload in metrics: its Deployment, StatefulSet or the like, else its own.

    Source: istio pkg/kube/inject/webhook.go, the label ``pod-template-hash`` taken off a ReplicaSet's name.
    """
    owner = next(
        (item for item in mappings_at(pod, "metadata", "ownerReferences") if item.get("controller") is True),
        {},
    )
    name = text_at(owner, "name") or text_at(pod, "metadata", "name")
    ending = f"-{labels_of(pod).get('pod-template-hash', '')}"
    return name.removesuffix(ending) if text_at(owner, "kind") == "ReplicaSet" and len(ending) > 1 else name
