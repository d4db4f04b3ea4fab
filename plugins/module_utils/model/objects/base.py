# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of every computed object: API version, metadata, ownership labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...labels import ownership_labels

API_VERSIONS = {
    "ServiceEntry": "networking.istio.io/v1",
    "Gateway": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "VirtualService": "networking.istio.io/v1",
    "Sidecar": "networking.istio.io/v1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "PeerAuthentication": "security.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "ConfigMap": "v1",
}
"""The kinds that a catalogue renders to, in the order in which a reader meets them."""

Obj = dict[str, Any]

REASON_ANNOTATION = "servicemesh.istio/reason"
"""Why an object lets somebody in whom the mesh would refuse."""


def build(kind: str, name: str, namespace: str, mesh_name: str, spec: Mapping[str, Any]) -> Obj:
    """An object with ``spec``; fields that are ``None`` are left out at every depth."""
    return {
        "apiVersion": API_VERSIONS[kind],
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": ownership_labels(mesh_name)},
        "spec": compact(spec),
    }


def compact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` without the entries that are ``None``, at every depth. :returns: a new mapping."""
    return {key: _compact_value(value) for key, value in fields.items() if value is not None}


def _compact_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return compact(value)
    return [_compact_value(item) for item in value] if isinstance(value, (list, tuple)) else value


def plain_number(value: float) -> int | float:
    """Whole floats as integers, as the API server stores them."""
    return int(value) if value == int(value) else value
