# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what is planted, and what has to be found."""

from __future__ import annotations

from ..healthy_mesh import Healthy, network_policy, pod, route, service, to
from ..planted import CALL, NOTHING, OUTSIDE, Planted
from .routing import mover


def external_name(cluster: Healthy, target: str) -> None:
    cluster.put(service("bank", selector={}, type="ExternalName", externalName=target))


DNS = [
    Planted(
        "network policy without DNS",
        "dns",
        "NetworkPolicy shop/istio-only",
        {"pod": "web-1"},
        lambda one: one.put(
            network_policy(
                "istio-only", {}, egress=[{"ports": [{"port": 15012}]}, {"to": [{"podSelector": {}}]}]
            )
        ),
    ),
    Planted(
        "misspelt", "dns", "Service shop/apii", {"source": "web", "destination": "apii"}, lambda _one: None
    ),
    Planted(
        "of another namespace", "dns", "Service team/api", {"source": "team/job-1", "hostname": "api"}, mover
    ),
    Planted(
        "no namespace",
        "dns",
        "Service shap/api",
        {"source": "web", "hostname": "api.shap.svc.cluster.local"},
        lambda _one: None,
    ),
    Planted(
        "short name in a route",
        "dns",
        "VirtualService team/api",
        NOTHING,
        lambda one: (
            mover(one),
            one.put(route("api", {"hosts": ["x.example.com"], "http": [to("api")]}, "team")),
        ),
    ),
    Planted(
        "route for half a name",
        "dns",
        "VirtualService shop/half",
        CALL,
        lambda one: one.put(route("half", {"hosts": ["api.shop"], "http": [to("api", subset="v1")]})),
    ),
    Planted(
        "DNS server away",
        "dns",
        "Service kube-system/kube-dns",
        NOTHING,
        lambda one: one.remove("Pod", "coredns-1", "kube-system"),
    ),
    Planted(
        "another DNS server",
        "dns",
        "Pod shop/web-1",
        {**CALL},
        lambda one: one.put(pod("web-1", dnsPolicy="Default")),
    ),
    Planted(
        "stands for nothing",
        "dns",
        "Service shop/bank",
        {"source": "web", "destination": "bank"},
        lambda one: external_name(one, "gone.shop.svc.cluster.local"),
    ),
    Planted(
        "stands for an unknown host",
        "dns",
        "Service shop/bank",
        {"source": "web", "destination": "bank"},
        lambda one: external_name(one, "bank.example.net"),
    ),
    Planted(
        "no address",
        "dns",
        "ServiceEntry shop/pay",
        OUTSIDE,
        lambda one: one.clusters.update({"shop/web-1": {"outbound|443||pay.example.org": []}}),
    ),
]
