# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection: what is planted on the lab, and what has to be found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import faults

from ...waiting import until
from ..planting import SICK_NAMESPACE, Problem, extra, labelled
from ..sick import PLACE, Sick, obj


@contextlib.contextmanager
def quota(sick: Sick) -> Iterator[None]:
    with sick.planted(obj("ResourceQuota", "small", {"hard": {"pods": "1"}})), extra(wait="")(sick):

        def refused() -> bool:
            live = sick.client.get("apps/v1", "Deployment", "extra", PLACE) or {}
            conditions = live.get("status", {}).get("conditions", [])
            return any(one["type"] == "ReplicaFailure" for one in conditions)

        until(refused, "refusal", 30)
        yield


@contextlib.contextmanager
def image(sick: Sick) -> Iterator[None]:
    notes = {"sidecar.istio.io/proxyImage": "lab.local/none:1"}
    with extra("Pending", annotations=notes)(sick):
        until(lambda: any(map(faults, sick.pods("extra"))), "kubelet that has given up", 60)
        yield


INJECTION = [
    Problem(
        "label taken away",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None}),
    ),
    Problem(
        "unknown revision",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": None, "istio.io/rev": "canary"}),
    ),
    Problem(
        "injection disabled",
        "injection",
        f"Namespace {PLACE}",
        {"pod": f"{PLACE}/extra"},
        labelled({"istio-injection": "disabled"}),
    ),
    Problem(
        "opted out",
        "injection",
        f"Pod {PLACE}/extra",
        {"pod": f"{PLACE}/extra"},
        extra(labels={"sidecar.istio.io/inject": "false"}),
    ),
    Problem(
        "host network",
        "injection",
        f"Pod {PLACE}/extra",
        {"source": f"{PLACE}/extra"},
        extra(hostNetwork=True),
    ),
    Problem("image of the proxy", "injection", f"Pod {PLACE}/extra", {"pod": f"{PLACE}/extra"}, image),
    Problem("quota", "injection", f"ResourceQuota {PLACE}/small", SICK_NAMESPACE, quota),
]
