# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway: what is planted on the lab, and what has to be found."""

from __future__ import annotations

from ..planting import AT_GATEWAY, Block, Problem, of, server, with_new
from ..sick import ISTIO, PLACE, Sick, credential


def foreign_key(sick: Sick) -> Block:
    made = sick.get("Secret", "sick-cert")
    made["data"]["tls.key"] = credential()["data"]["tls.key"]
    return sick.planted(made)


GATEWAY = [
    Problem(
        "selector",
        "gateway",
        f"Gateway {PLACE}/sick",
        AT_GATEWAY,
        of("Gateway", "sick", selector={"istio": "ingresgateway"}),
    ),
    Problem(
        "port",
        "gateway",
        f"Gateway {PLACE}/sick",
        AT_GATEWAY,
        lambda sick: server(sick, port={"number": 9443, "name": "https", "protocol": "HTTPS"}),
    ),
    Problem(
        "no Secret",
        "gateway",
        f"Secret {ISTIO}/sick-cert",
        AT_GATEWAY,
        with_new(gone=(("Secret", "sick-cert"),)),
    ),
    Problem("foreign key", "gateway", f"Secret {ISTIO}/sick-cert", AT_GATEWAY, foreign_key),
    Problem(
        "certificate has ended",
        "gateway",
        f"Secret {ISTIO}/sick-cert",
        AT_GATEWAY,
        with_new(credential(days=-1)),
    ),
    Problem(
        "route to no Gateway",
        "gateway",
        f"VirtualService {PLACE}/sick",
        AT_GATEWAY,
        of("VirtualService", "sick", gateways=["sik"]),
    ),
    Problem(
        "host that nobody serves",
        "gateway",
        "host sick2.example.com",
        {"hostname": "sick2.example.com"},
        with_new(),
    ),
]
