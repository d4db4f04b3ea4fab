# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what is planted on the lab, and what has to be found."""

from __future__ import annotations

from ..planting import SICK_NAMESPACE, Block, Problem, extra, network_policy, settled, with_new
from ..sick import PLACE, Sick, obj, route, service

SE_PORTS = [{"number": 443, "name": "tls", "protocol": "TLS"}]


def named(sick: Sick, target: str) -> Block:
    return sick.planted(service("bank", selector=None, type="ExternalName", externalName=target))


UNKNOWN = obj(
    "ServiceEntry",
    "nowhere",
    {
        "hosts": ["nowhere.example.invalid"],
        "resolution": "DNS",
        "ports": SE_PORTS,
        "location": "MESH_EXTERNAL",
    },
)


DNS = [
    Problem(
        "network policy without DNS",
        "dns",
        f"NetworkPolicy {PLACE}/inside",
        {"source": f"{PLACE}/caller"},
        with_new(network_policy("inside", "caller", egress=[{"ports": [{"port": 1, "endPort": 65535}]}])),
    ),
    Problem(
        "misspelt",
        "dns",
        f"Service {PLACE}/calle",
        {"source": f"{PLACE}/caller", "destination": f"{PLACE}/calle"},
        with_new(),
    ),
    Problem(
        "of another namespace",
        "dns",
        f"Service {PLACE}/frontend",
        {"source": f"{PLACE}/caller", "hostname": "frontend"},
        with_new(),
    ),
    Problem(
        "short name in a route",
        "dns",
        f"VirtualService {PLACE}/short",
        SICK_NAMESPACE,
        with_new(
            obj("VirtualService", "short", {"hosts": ["x.example.com"], "http": [route("payment-service")]})
        ),
    ),
    Problem(
        "stands for nothing",
        "dns",
        f"Service {PLACE}/bank",
        {"source": f"{PLACE}/caller", "destination": f"{PLACE}/bank"},
        lambda sick: named(sick, f"gone.{PLACE}.svc.cluster.local"),
    ),
    Problem(
        "another DNS server",
        "dns",
        f"Pod {PLACE}/extra",
        {"source": f"{PLACE}/extra", "destination": f"{PLACE}/callee"},
        extra("Pending", dnsPolicy="Default"),
    ),
    Problem(
        "no address",
        "dns",
        f"ServiceEntry {PLACE}/nowhere",
        {"source": f"{PLACE}/caller", "hostname": "nowhere.example.invalid"},
        settled(with_new(UNKNOWN)),
    ),
]
