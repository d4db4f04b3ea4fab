# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries out restart steps: rollouts side by side within a batch, evictions one pod at a time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, WaitTimeout
from ...fields import integer_at, mapping_at
from ...istio.injection.plan import EVICT, ROLLOUT, Restart
from ...istio.workloads import Owner, Pod, parse_budget, parse_pod
from ...kube.wait import rollout_status, wait_until
from ...labels import FIELD_MANAGER

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

# The annotation of `kubectl rollout restart`, so that people and dashboards recognise what happened.
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
API_OF = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}
TOO_MANY_REQUESTS = 429


class Restarter:
    """Restarts workloads of one cluster.

    :param timeout: seconds that one batch may take, and that one eviction may wait for its budget.
    """

    def __init__(self, client: KubeClient, context: Context, *, timeout: float) -> None:
        self._client = client
        self._context = context
        self._timeout = timeout

    def run_batch(self, steps: Sequence[Restart]) -> None:
        """Restarts the workloads of one batch and waits until all are whole again.

        :raises WaitTimeout: naming the workload that is late and what its pods wait for.
        """
        rollouts = [step for step in steps if step.action != EVICT]
        for step in rollouts:
            if step.action == ROLLOUT:
                self._report(f"{step.owner}: restarting, {step.why}")
                self._patch_template(step.owner)
        for step in steps:
            if step.action == EVICT:
                self._evict_all(step)
        self._await_all([step.owner for step in rollouts])

    def _report(self, line: str) -> None:
        self._context.progress(line)

    def _stop_if_asked(self) -> None:
        if self._context.stop():
            raise MeshError("interrupted between two restarts; the next run completes them")

    def _patch_template(self, owner: Owner) -> None:
        self._stop_if_asked()
        now = datetime.datetime.fromtimestamp(self._context.clock.now(), datetime.UTC)
        annotations = {RESTARTED_AT: f"{now:%Y-%m-%dT%H:%M:%SZ}"}
        patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        self._client.patch(
            API_OF[owner.kind], owner.kind, owner.name, owner.namespace, patch, field_manager=FIELD_MANAGER
        )

    def _await_all(self, owners: Sequence[Owner]) -> None:
        late = list(owners)

        def check() -> tuple[bool, str]:
            seen = ""
            for owner in list(late):
                done, status = self._rolled_out(owner)
                if done:
                    late.remove(owner)
                    self._report(f"{owner}: done")
                elif not seen:
                    seen = f"{owner}: {status}"
            return not late, seen

        if late:
            self._wait(check, "the restarted workloads", partial(list, late))

    def _rolled_out(self, owner: Owner) -> tuple[bool, str]:
        live = self._client.get(API_OF[owner.kind], owner.kind, owner.name, owner.namespace)
        if live is None:
            return True, "deleted meanwhile"
        return rollout_status(live)

    def _evict_all(self, step: Restart) -> None:
        for number, pod in enumerate(step.pods, start=1):
            self._stop_if_asked()
            name = f"Pod {pod.namespace}/{pod.name}"
            self._report(f"{step.owner}: evicting pod {pod.name} ({number} of {len(step.pods)}), {step.why}")
            self._wait(partial(self._evict, pod, step.budgets), f"the eviction of {name}", list)
            replaced = partial(self._replaced, step.owner, pod)
            self._wait(replaced, f"the replacement of {name}", partial(list, [step.owner]))

    def _evict(self, pod: Pod, budgets: Sequence[str]) -> tuple[bool, str]:
        # An eviction that is refused with 429 is retried by the client, silently. So look first, and say it.
        for name in budgets:
            budget = self._client.get("policy/v1", "PodDisruptionBudget", name, pod.namespace)
            if budget is not None and not parse_budget(budget).allowed:
                return False, f"PodDisruptionBudget {name} allows no disruption now"
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            # The pod that was judged, not a namesake that came after it (StatefulSets).
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            self._client.create_subresource("v1", "Pod", pod.name, pod.namespace, "eviction", eviction)
        except ApiError as error:
            if error.status == TOO_MANY_REQUESTS:
                return False, error.message
            if error.status in (404, 409) and self._is_gone(pod):
                return True, ""
            raise
        return True, ""

    def _is_gone(self, pod: Pod) -> bool:
        live = self._client.get("v1", "Pod", pod.name, pod.namespace)
        return live is None or live["metadata"].get("uid") != pod.uid

    def _replaced(self, owner: Owner, pod: Pod) -> tuple[bool, str]:
        if not self._is_gone(pod):
            return False, f"pod {pod.name} is terminating"
        if owner.kind not in API_OF:
            return True, ""
        live = self._client.get(API_OF[owner.kind], owner.kind, owner.name, owner.namespace)
        return (True, "") if live is None else _all_ready(live, self._pods_of(live))

    def _wait(
        self, check: Callable[[], tuple[bool, str]], awaited: str, late: Callable[[], Sequence[Owner]]
    ) -> None:
        try:
            wait_until(
                check,
                awaited=awaited,
                timeout=self._timeout,
                stop=self._context.stop,
                progress=self._context.progress,
                clock=self._context.clock,
            )
        except WaitTimeout as error:
            troubles = [trouble for owner in late() for trouble in self._troubles(owner)]
            if not troubles:
                raise
            seen = f"{error.details['last_seen']}; {'; '.join(troubles[:5])}"
            raise WaitTimeout(
                f"{error.message}; {'; '.join(troubles[:5])}", awaited=awaited, last_seen=seen
            ) from error

    def _troubles(self, owner: Owner) -> list[str]:
        live = self._client.get(API_OF[owner.kind], owner.kind, owner.name, owner.namespace)
        pods = self._pods_of(live) if live else []
        return [f"pod {pod.name}: {pod.trouble}" for pod in pods if pod.trouble and not pod.terminating]

    def _pods_of(self, workload: dict[str, Any]) -> list[Pod]:
        labels = mapping_at(workload, "spec", "selector", "matchLabels")
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        namespace = workload["metadata"]["namespace"]
        found = self._client.list("v1", "Pod", namespace, label_selector=selector).items if selector else []
        controller = (workload["kind"], workload["metadata"]["name"])
        pods = [parse_pod(item) for item in found]
        # A Deployment's pods belong to its ReplicaSets; other workloads may share the labels.
        return [pod for pod in pods if controller[0] == "Deployment" or pod.controller == controller]


def _all_ready(workload: dict[str, Any], pods: Sequence[Pod]) -> tuple[bool, str]:
    """Whether a workload has all its pods. Unlike a rollout's status it says nothing about their template:
    under OnDelete, a partition or a pause the template may stay newer than the pods.

    The pods are counted: right after an eviction the workload's status still tells of the pod that is gone.
    """
    if workload["kind"] == "DaemonSet":
        wanted = integer_at(workload, "status", "desiredNumberScheduled")
    else:
        wanted = integer_at(workload, "spec", "replicas", default=1)
    ready = sum(1 for pod in pods if pod.ready and not pod.terminating)
    return ready >= wanted, f"{ready} of {wanted} pods ready"
