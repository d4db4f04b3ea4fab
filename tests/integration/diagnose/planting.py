# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A problem that is planted on the lab, and the blocks in which it is there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from ..waiting import until
from .sick import HOST, OUTSIDE, PLACE, Obj, Sick, deployment, obj

CALL = {"source": f"{PLACE}/caller", "destination": f"{PLACE}/callee"}


AT_GATEWAY = {"hostname": HOST}


TO_OUTSIDE = {"source": f"{PLACE}/caller", "hostname": OUTSIDE}


SICK_NAMESPACE = {"namespace": PLACE}
Block = contextlib.AbstractContextManager[Any]


@dataclasses.dataclass(frozen=True)
class Problem:
    """:param plant: a block in which the problem is there. :param object: whose name has to be found; a
    pod's as far as its workload.
    """

    name: str
    family: str
    object: str
    symptom: dict[str, str]
    plant: Callable[[Sick], Block]


def of(kind: str, name: str, **spec: Any) -> Callable[[Sick], Block]:
    """An object of the namespace with other fields."""
    return lambda sick: sick.planted(sick.changed(kind, name, **spec))


def with_new(*objects: Obj, gone: tuple[tuple[str, str], ...] = ()) -> Callable[[Sick], Block]:
    """Further objects."""
    return lambda sick: sick.planted(*objects, gone=gone)


def labelled(labels: dict[str, str | None]) -> Callable[[Sick], Block]:
    """The namespace with other labels, and a pod that is made meanwhile."""

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        patch = {"metadata": {"labels": labels}}
        before = {"metadata": {"labels": dict.fromkeys(labels) | {"istio-injection": "enabled"}}}
        sick.client.patch("v1", "Namespace", PLACE, None, patch)
        try:
            with extra()(sick):
                yield
        finally:
            sick.client.patch("v1", "Namespace", PLACE, None, before)

    return block


def extra(wait: str = "Running", **pod: Any) -> Callable[[Sick], Block]:
    """A Deployment `extra` besides, of the callee's account.

    :param wait: phase of its pod that is waited for; ``""`` for no pod.
    """

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        made = deployment("extra", **pod)
        made["spec"]["template"]["spec"]["serviceAccountName"] = "callee"
        with sick.planted(made):
            if wait:
                until(
                    lambda: any(one["status"].get("phase") == wait for one in sick.pods("extra")), "pod", 60
                )
            yield
        until(lambda: not sick.pods("extra"), "end of the pod", 60)

    return block


def refused(plant: Callable[[Sick], Block]) -> Callable[[Sick], Block]:
    """A problem that lets no pod of a new Deployment be created."""

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        with plant(sick), extra(wait="")(sick):

            def told() -> bool:
                live = sick.client.get("apps/v1", "Deployment", "extra", PLACE) or {}
                conditions = live.get("status", {}).get("conditions", [])
                return any(one["type"] == "ReplicaFailure" for one in conditions)

            until(told, "refusal", 30)
            yield

    return block


def network_policy(name: str, app: str, **rules: Any) -> Obj:
    """:param rules: ``ingress`` and ``egress``."""
    types = [kind for kind in ("Ingress", "Egress") if kind.lower() in rules]
    chosen = {"podSelector": {"matchLabels": {"app": app}}}
    return obj("NetworkPolicy", name, {**chosen, "policyTypes": types, **rules})


def after_calls(plant: Callable[[Sick], Block], number: int = 5, **call: str) -> Callable[[Sick], Block]:
    """A problem that is seen once there are requests."""

    @contextlib.contextmanager
    def block(sick: Sick) -> Iterator[None]:
        with plant(sick):
            sick.settle()
            sick.call(number, **call)
            sick.settle()
            yield

    return block


def settled(plant: Callable[[Sick], Block]) -> Callable[[Sick], Block]:
    """A problem that the proxies have to be told of."""
    return after_calls(plant, 0)


def server(sick: Sick, **more: Any) -> Block:
    one = sick.get("Gateway", "sick")
    one["spec"]["servers"][0].update(more)
    return sick.planted(one)
