# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing and latency: faults that somebody injects by a VirtualService, and answers of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....fields import field, mapping_at, text_at
from ..case import Case, LiveVirtualService
from ..cause import LATENCY, LIKELY, ROUTING, SURE, Cause
from .route_conflicts import rules_of
from .words import edit


def find(case: Case) -> Iterator[Cause]:
    """VirtualServices of the symptom. :returns: one cause per fault."""
    for item in case.concerned_routes():
        if _is_stated(case, item):
            continue
        for rule in rules_of(item):
            abort, delay = mapping_at(rule, "fault", "abort"), mapping_at(rule, "fault", "delay")
            if share := _share(abort):
                status = abort.get("httpStatus") or abort.get("grpcStatus") or abort.get("http2Error")
                said = (
                    f"answers {share:g} % of the requests itself, with status {status} (fault.abort, flag FI)"
                )
                yield Cause(ROUTING, item.id, said, edit(item.id), SURE if share >= 50 else LIKELY)
            if share := _share(delay):
                time = text_at(delay, "fixedDelay")
                said = f"delays {share:g} % of the requests by {time} (fault.delay, flag DI)"
                yield Cause(LATENCY, item.id, said, edit(item.id), SURE if share >= 50 else LIKELY)
            if mapping_at(rule, "directResponse"):
                status = field(rule, "directResponse", "status")
                said = f"answers requests itself with status {status} (directResponse)"
                if not case.symptom.anything:
                    yield Cause(ROUTING, item.id, said, edit(item.id), LIKELY)


def _share(fault: Mapping[str, Any]) -> float:
    """Percent; without a percentage all requests (networking/v1 virtual_service.proto). 0 without a fault."""
    if not fault:
        return 0.0
    value = field(fault, "percentage", "value")
    if value is None:
        value = 0 if "percentage" in fault else fault.get("percent", 100)
    return float(value or 0)


def _is_stated(case: Case, item: LiveVirtualService) -> bool:
    """Whether the catalogue itself injects faults there."""
    hosts = {target.host for route in item.read.routes for target in route.destinations}
    return any(service.fqdn in hosts and service.fault is not None for service in case.catalogue.services)
