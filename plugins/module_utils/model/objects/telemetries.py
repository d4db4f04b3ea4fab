# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry: what is logged, traced and measured in the namespaces of the mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..catalogue.mesh import Catalogue, MetricTags, Telemetry
from .base import Obj, build, compact, plain_number
from .names import NAMESPACE_TELEMETRY, service_telemetry_name


def telemetry_objects(catalogue: Catalogue) -> list[Obj]:
    """One Telemetry per namespace with services, and one per service whose good health checks are not logged.

    The root namespace is shared, so it is left alone. What one service opens for health checks says nothing
    of the same path of its neighbour, hence the second kind.

    :returns: Telemetries, by namespace; empty when the catalogue has no telemetry.
    """
    telemetry = catalogue.telemetry
    if telemetry is None:
        return []
    objects: list[Obj] = []
    for namespace in catalogue.namespaces:
        spec = _spec(telemetry)
        if spec:
            objects.append(build("Telemetry", NAMESPACE_TELEMETRY, namespace, catalogue.name, spec))
    for service in catalogue.services:
        if telemetry.access_log == "all" and service.open_paths:
            quiet = {
                "selector": {"matchLabels": dict(service.labels)},
                "accessLogging": [_access_log(telemetry, sorted(service.open_paths))],
            }
            name = service_telemetry_name(service.name)
            objects.append(build("Telemetry", name, service.namespace, catalogue.name, quiet))
    return objects


def _spec(telemetry: Telemetry) -> dict[str, Any]:
    tracing = {
        "providers": [{"name": telemetry.tracing_provider}] if telemetry.tracing_provider else None,
        "randomSamplingPercentage": (
            None
            if telemetry.trace_sampling_percent is None
            else plain_number(telemetry.trace_sampling_percent)
        ),
    }
    spec = {
        "accessLogging": [_access_log(telemetry, ())] if telemetry.access_log else None,
        "tracing": [tracing] if compact(tracing) else None,
        "metrics": [_metrics(telemetry.metrics)] if telemetry.metrics else None,
    }
    return compact(spec)


def _access_log(telemetry: Telemetry, quiet: Sequence[str]) -> dict[str, Any]:
    """``errors``: answers from 400 on and broken TCP connections. ``all``: everything but good answers on
    the service's ``quiet`` paths, which are its health checks."""
    if telemetry.access_log == "none":
        return {"disabled": True}
    entry: dict[str, Any] = {"providers": [{"name": telemetry.access_log_provider}]}
    failed = "has(response.code) ? response.code >= 400 : response.flags != 0"
    if telemetry.access_log == "errors":
        return entry | {"filter": {"expression": failed}}
    if quiet:
        paths = ", ".join(f"'{path}'" for path in (item.replace("'", "\\'") for item in quiet))
        expression = f"!has(request.url_path) || !(request.url_path in [{paths}]) || response.code >= 400"
        return entry | {"filter": {"expression": expression}}
    return entry


def _metrics(metrics: MetricTags) -> dict[str, Any]:
    tags = {name: {"operation": "REMOVE"} for name in metrics.remove}
    tags |= {name: {"operation": "UPSERT", "value": value} for name, value in metrics.add.items()}
    overrides: list[dict[str, Any]] = []
    if tags:
        overrides.append({"match": {"metric": "ALL_METRICS"}, "tagOverrides": tags})
    overrides += [{"match": {"metric": metric}, "disabled": True} for metric in metrics.disabled]
    return {"providers": [{"name": metrics.provider}], "overrides": overrides}
