# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How workloads are called in the metrics of proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...fields import labels_of, mappings_at, text_at


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
