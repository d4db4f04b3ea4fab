# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a workload that does not get ready waits for, in the words of the kubelet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ApiError
from ..fields import mapping_at, mappings_at, name_of, namespace_of, text_at
from .pods import faults, is_active, trouble

if TYPE_CHECKING:
    from .client import KubeClient


def refusals(workload: Mapping[str, Any]) -> list[str]:
    """Why the API server refuses pods of a Deployment: a quota, a limit range, a webhook, a policy.

    :returns: its sentences; empty where none is refused.
    """
    return [
        text_at(condition, "message")
        for condition in mappings_at(workload, "status", "conditions")
        if text_at(condition, "type") == "ReplicaFailure" and text_at(condition, "status") == "True"
    ]


def pod_trouble(client: KubeClient, workload: Mapping[str, Any]) -> str:
    """The first fault of its pods: ``Pod istiod-x: discovery: ImagePullBackOff ...``; empty without any.

    :param workload: a live one. Without the right to list pods nothing is told of them.
    """
    if refused := refusals(workload):
        return f"its pods are refused: {' '.join(refused[0].split())[:300]}"
    labels = mapping_at(workload, "spec", "selector", "matchLabels")
    if not labels:
        return ""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    try:
        pods = client.list("v1", "Pod", namespace_of(workload), label_selector=selector).items
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ""
    active = [pod for pod in pods if is_active(pod)]
    sick = [pod for pod in active if faults(pod)] or [
        pod for pod in active if trouble(pod).startswith("not scheduled")
    ]
    return f"Pod {name_of(sick[0])}: {trouble(sick[0])}" if sick else ""
