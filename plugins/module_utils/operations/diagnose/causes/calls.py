# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that a symptom is about: each caller with each callee, port by port."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ....fields import integer_at
from ....kube.pods import is_active
from ....model.security.pods import MeshPod, read_pod, target_ports
from ....model.security.requests import Request
from ..case import Case, Obj
from .protocols import speaks

MAX_CALLS = 400
"""So many combinations are tried at most; pods of one workload are alike anyway."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One caller, one port of one pod.

    :param caller: None for one that nobody named. :param number: port of the Service.
    :param target: port of the pod.
    """

    caller: MeshPod | None
    callee: MeshPod
    service: Obj
    number: int
    target: int
    http: bool

    def request(self, case: Case) -> Request:
        """The request of the symptom, as the callee's proxy meets it."""
        return Request(
            principal_of(case, self.caller) if self.caller else "",
            self.target,
            case.symptom.method,
            case.symptom.path,
            http=self.http,
            source_ip=self.caller.address or None if self.caller else None,
        )


def principal_of(case: Case, pod: MeshPod) -> str:
    """The identity of a pod; ``""`` for one without a proxy."""
    if not pod.meshed:
        return ""
    return f"{case.catalogue.trust_domain}/ns/{pod.namespace}/sa/{pod.service_account}"


def calls(case: Case) -> Iterator[Call]:
    """The calls of the symptom's callers; with a caller None where none is named.

    :returns: one per kind of caller, kind of callee and port.
    """
    callers: list[MeshPod | None] = list(_kinds(case.callers)) or [None]
    count = 0
    for service in case.services:
        entries = case.port_entries(service)
        for raw in case.pods_behind(service):
            if not is_active(raw):
                continue
            for target, entry in target_ports({"spec": {"ports": entries}}, raw).items():
                for caller in callers:
                    count += 1
                    if count > MAX_CALLS:
                        return
                    http = speaks(entry) != "tcp"
                    yield Call(caller, read_pod(raw), service, integer_at(entry, "port"), target, http)


def _kinds(pods: list[Obj]) -> list[MeshPod]:
    """One pod of each identity and set of labels."""
    found: dict[tuple[object, ...], MeshPod] = {}
    for raw in pods:
        pod = read_pod(raw)
        labels = tuple(sorted((key, text) for key, text in pod.labels.items() if "hash" not in key))
        found.setdefault((pod.namespace, pod.service_account, pod.meshed, labels), pod)
    return list(found.values())
