# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods an object of Istio is about: by its namespace, its selector or its ``targetRefs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...fields import mapping_at, mappings_at, namespace_of, text_at
from ...labels import is_selected

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
_GATEWAY_API = "gateway.networking.k8s.io"


def selects(obj: Mapping[str, Any], namespace: str, labels: Mapping[str, str], root_namespace: str) -> bool:
    """Whether an object is about a pod, by namespace and then by selector or ``targetRefs``.

    Source: istio pilot/pkg/model/policyattachment.go ShouldAttachPolicy; ``targetRefs`` are for pods of a
    Gateway API gateway, and a waypoint is not looked at.
    """
    if namespace_of(obj) not in (namespace, root_namespace):
        return False
    single = mapping_at(obj, "spec", "targetRef")
    targets = mappings_at(obj, "spec", "targetRefs") or ((single,) if single else ())
    if targets:
        return namespace_of(obj) == namespace and any(_is_target(one, labels, namespace) for one in targets)
    selector = mapping_at(obj, "spec", "selector", "matchLabels")
    workload = mapping_at(obj, "spec", "workloadSelector", "labels")
    return is_selected(labels, {**selector, **workload})


def _is_target(target: Mapping[str, Any], labels: Mapping[str, str], namespace: str) -> bool:
    return (
        (text_at(target, "group"), text_at(target, "kind")) == (_GATEWAY_API, "Gateway")
        and text_at(target, "namespace") in ("", namespace)
        and text_at(target, "name") == labels.get(GATEWAY_NAME_LABEL)
    )
