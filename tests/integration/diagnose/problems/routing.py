# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..planting import CALL, SICK_NAMESPACE, Block, Problem, of, with_new
from ..sick import CALLEE, PLACE, Sick, obj, route

SUBSETS = [{"name": "v1", "labels": {"version": "one"}}]


ABORT = {"abort": {"httpStatus": 500, "percentage": {"value": 100}}}


EJECT = {
    "outlierDetection": {
        "consecutive5xxErrors": 1,
        "interval": "1s",
        "baseEjectionTime": "30s",
        "maxEjectionPercent": 100,
    },
}


def failing(sick: Sick) -> Block:
    """The callee answers 503, and its callers throw it out."""
    subsets = sick.get("DestinationRule", "callee")["spec"]["subsets"]
    rule = sick.changed("DestinationRule", "callee", trafficPolicy=EJECT, subsets=subsets)
    return sick.planted(rule)


def thrown_out(sick: Sick) -> Block:
    @contextlib.contextmanager
    def block() -> Iterator[None]:
        with failing(sick):
            sick.settle()
            sick.call(6, header="x-fault-status: 503")
            sick.settle()
            yield

    return block()


ROUTING = [
    Problem(
        "unknown subset",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[route(subset="v9")]),
    ),
    Problem(
        "unknown host",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[route("calle")]),
    ),
    Problem(
        "subset without pods",
        "routing",
        f"DestinationRule {PLACE}/callee",
        CALL,
        of("DestinationRule", "callee", subsets=SUBSETS),
    ),
    Problem(
        "selector of the Service",
        "routing",
        f"Service {PLACE}/callee",
        CALL,
        of("Service", "callee", selector={"app": "calle"}),
    ),
    Problem(
        "port is TCP by its name",
        "routing",
        f"Service {PLACE}/callee",
        CALL,
        of("Service", "callee", ports=[{"name": "tcp-web", "port": 80, "targetPort": 3000}]),
    ),
    Problem(
        "Sidecar hides it",
        "routing",
        f"Sidecar {PLACE}/narrow",
        CALL,
        with_new(obj("Sidecar", "narrow", {"egress": [{"hosts": ["istio-system/*"]}]})),
    ),
    Problem(
        "two routes for one host",
        "routing",
        f"VirtualService {PLACE}/second",
        SICK_NAMESPACE,
        with_new(obj("VirtualService", "second", {"hosts": [CALLEE], "http": [route(subset="v2")]})),
    ),
    Problem(
        "no route for the path",
        "routing",
        f"VirtualService {PLACE}/callee",
        {**CALL, "path": "/orders"},
        of(
            "VirtualService",
            "callee",
            http=[{**route(subset="v1"), "match": [{"uri": {"prefix": "/items"}}]}],
        ),
    ),
    Problem(
        "abort",
        "routing",
        f"VirtualService {PLACE}/callee",
        CALL,
        of("VirtualService", "callee", http=[{**route(subset="v1"), "fault": ABORT}]),
    ),
    Problem("endpoints thrown out", "routing", f"DestinationRule {PLACE}/callee", CALL, thrown_out),
]
