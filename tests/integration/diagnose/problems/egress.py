# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is outside: what is planted on the lab, and what has to be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..planting import TO_OUTSIDE, Block, Problem, after_calls, with_new
from ..sick import OUTSIDE, PLACE, Sick, obj

NARROW = obj(
    "Sidecar",
    "narrow",
    {"egress": [{"hosts": ["./*", "istio-system/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
)


SIMPLE = obj("DestinationRule", "outside", {"host": OUTSIDE, "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})


def entry(**spec: Any) -> Callable[[Sick], Block]:
    def plant(sick: Sick) -> Block:
        one = sick.get("ServiceEntry", "outside")
        one["spec"] = {key: text for key, text in {**one["spec"], **spec}.items() if text is not None}
        return sick.planted(one)

    return plant


EGRESS = [
    Problem(
        "not declared",
        "egress",
        "host bank.example.net",
        {"source": f"{PLACE}/caller", "hostname": "bank.example.net"},
        with_new(NARROW),
    ),
    Problem(
        "port not declared",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        {**TO_OUTSIDE, "port": "8443"},
        with_new(),
    ),
    Problem("TLS inside TLS", "egress", f"DestinationRule {PLACE}/outside", TO_OUTSIDE, with_new(SIMPLE)),
    Problem(
        "nobody begins TLS",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        TO_OUTSIDE,
        entry(ports=[{"number": 443, "name": "http", "protocol": "HTTP"}]),
    ),
    Problem(
        "Sidecar hides it",
        "egress",
        f"Sidecar {PLACE}/narrow",
        TO_OUTSIDE,
        with_new(obj("Sidecar", "narrow", {"egress": [{"hosts": ["istio-system/*"]}]})),
    ),
    Problem(
        "cannot be reached",
        "egress",
        f"ServiceEntry {PLACE}/outside",
        TO_OUTSIDE,
        after_calls(
            entry(
                endpoints=[{"address": "127.0.0.1"}],
                addresses=["203.0.113.7"],
                ports=[{"number": 443, "name": "tcp", "protocol": "TCP"}],
            ),
            3,
            url="https://203.0.113.7/",
        ),
    ),
]
