# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizes of both versions around a rollout: who gets requests has the pods for them first.

0 replicas are the way in which Kubernetes switches an autoscaler off (HorizontalPodAutoscaler, implicit
maintenance mode); otherwise nobody writes the replicas of a workload that has one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from ...errors import WaitTimeout
from ...fields import integer_at
from ...kube.wait import wait_until
from ...model.rollout.capacity import Autoscaler, Size, size_of_load
from ...model.rollout.journal import Kind, Outcome, ScaledDown
from .autoscaling import Autoscalers, tolerantly
from .drain import drained
from .evidence import has_failed, load_growth, share_now
from .protocols import Objects
from .rollout import Rollout
from .sizes import APPS

AT_ONCE = 10  # percent of the requests that stable takes back at any size: no autoscaler answers so little
FAILING_WAIT = 30.0  # seconds in which a canary that fails its users keeps them while stable grows


class WorkloadScaler:
    """Scales the two Deployments of a rollout, as its journal says they were before."""

    def __init__(self, rollout: Rollout, client: Objects) -> None:
        self._rollout = rollout
        self._client = client
        self._autoscalers = Autoscalers(rollout, client)
        self._namespace = rollout.options.service.namespace
        self._stable, self._canary = rollout.plan.stable, rollout.plan.canary

    def begin(self) -> None:
        """Before any request moves: stable keeps its size, the canary comes up.

        :raises RollbackNeeded: the canary's replicas are not ready in time.
        """
        stable = self._size(self._stable)
        if stable and stable.autoscaler:
            self._hold(stable, stable.autoscaler, size_of_load(stable))
        canary, scale = self._size(self._canary), self._rollout.options.scale
        if canary is None or scale is None or scale.up is None:
            return
        wanted = max(canary.replicas, scale.up)
        if canary.autoscaler:
            self._autoscalers.raise_minimum(canary.autoscaler, scale.up)
        elif self._replicas(canary.workload) < wanted:
            self._scale(canary.workload, wanted)
        name = canary.workload

        def check() -> tuple[bool, str]:
            ready = integer_at(self._deployment(name), "status", "readyReplicas")
            return ready >= wanted, f"Deployment {name} has {ready} of {wanted} replicas ready"

        self._rollout.await_ready(check, f"Deployment {name}")

    def bring_back(self) -> None:
        """What a promotion has scaled to 0 comes back, at the size of the load."""
        down, stable = self._rollout.journal.scaled_down, self._size(self._stable)
        if down is None or self._replicas(down.workload):
            return
        wanted = max(self._wanted(), down.replicas)
        if stable and stable.autoscaler:
            self._hold(stable, stable.autoscaler, wanted)  # first: it acts as soon as there is a pod
        self._scale(down.workload, wanted)

    def before_return(self) -> None:
        """Before requests come back to stable: it has the size of the load, or had its time for it."""
        stable, wanted = self._size(self._stable), self._wanted()
        if stable is None or self._ready() >= wanted:
            return
        if stable.autoscaler:
            self._hold(stable, stable.autoscaler, wanted)
        elif self._replicas(stable.workload) < wanted:
            self._scale(stable.workload, wanted)
        if share_now(self._rollout) > AT_ONCE and not (stable.autoscaler and stable.autoscaler.owner):
            self._await(wanted)

    def end(self, outcome: Outcome) -> None:
        """Before a run ends: what it raised is put back, and who lost the requests is scaled down.

        :raises RollbackNeeded: somebody asked for it while the old version was drained.
        """
        stable, canary = self._size(self._stable), self._size(self._canary)
        if outcome is Outcome.ROLLED_BACK and canary and self._rollout.journal.kind is Kind.ROLLOUT:
            self._back(canary)
        if stable and stable.autoscaler:
            if outcome is Outcome.ROLLED_BACK:
                self._autoscalers.settle(stable.autoscaler)
            self._autoscalers.put_back(stable.autoscaler)
        if canary and canary.autoscaler:
            self._autoscalers.put_back(canary.autoscaler)
        scale = self._rollout.options.scale
        if outcome is Outcome.PROMOTED and scale and scale.down and stable:
            self._down(stable)

    # What the two versions are.

    def _wanted(self) -> int:
        stable = self._size(self._stable)
        if stable is None or self._rollout.options.capacity == "ignore":
            return 0
        return size_of_load(stable, load_growth(self._rollout))

    def _size(self, version: str) -> Size | None:
        return self._rollout.journal.sizes.get(version)

    def _ready(self) -> int:
        return len(self._rollout.endpoints.read()[self._stable].ready)

    def _deployment(self, name: str) -> Mapping[str, object] | None:
        return self._client.get(APPS, "Deployment", name, self._namespace)

    def _replicas(self, name: str) -> int:
        return integer_at(self._deployment(name), "spec", "replicas")

    # Waiting.

    def _await(self, wanted: int) -> None:
        """Until so many pods of stable are ready; not while a canary answers nobody, and not for ever."""
        rollout = self._rollout
        limit = rollout.options.ready_timeout
        if has_failed(rollout):
            limit = min(limit, FAILING_WAIT)
        seen = [0]

        def check() -> tuple[bool, str]:
            rollout.renew_if_due()
            endpoints = rollout.endpoints.read()
            seen[0] = len(endpoints[self._stable].ready)
            gone = not endpoints[self._canary].ready and bool(seen[0])
            return seen[0] >= wanted or gone, endpoints[self._stable].describe()

        rollout.progress(f"{self._stable} needs {wanted} pods before its requests come back")
        with contextlib.suppress(WaitTimeout):
            wait_until(check, awaited="the size of stable", timeout=limit, interval=1.0, clock=rollout.clock)
        if seen[0] < wanted:
            rollout.warnings.append(
                f"{self._stable} had {seen[0]} of {wanted} ready pods when its requests came back"
            )

    # Writing. Each act looks at what is there, so that it may be repeated.

    def _hold(self, size: Size, scaler: Autoscaler, wanted: int) -> None:
        if self._rollout.options.capacity == "ignore" or scaler.owner or size.ready == 0:
            return
        self._autoscalers.raise_minimum(scaler, wanted)

    def _back(self, canary: Size) -> None:
        """The canary's replicas before the run, unless somebody has set others meanwhile."""
        scale = self._rollout.options.scale
        if scale is None or scale.up is None or canary.autoscaler or canary.replicas >= scale.up:
            return
        if self._replicas(canary.workload) == scale.up:
            drained(self._rollout, self._canary, at_least=0.0, limit=scale.delay)
            self._scale(canary.workload, canary.replicas)

    def _down(self, stable: Size) -> None:
        """The version that lost its requests to 0, once nobody uses it any more.

        :raises RollbackNeeded: somebody asked for it.
        """
        rollout, scale = self._rollout, self._rollout.options.scale
        count = self._replicas(stable.workload)
        if not count or scale is None:
            return
        if not drained(rollout, self._stable, at_least=scale.delay, limit=scale.drain, stoppable=True):
            return
        if not rollout.endpoints.read()[self._canary].ready:
            rollout.warnings.append(
                f"{self._stable} is not scaled down: {self._canary} has no ready endpoint"
            )
            return
        # kept, because a later rollback has to bring them back
        rollout.save(replace(rollout.journal, scaled_down=ScaledDown(stable.workload, count)))
        self._scale(stable.workload, 0)

    def _scale(self, name: str, replicas: int) -> None:
        def act() -> bool:
            patch = {"spec": {"replicas": replicas}}
            self._client.patch(APPS, "Deployment", name, self._namespace, patch, subresource="scale")
            return True

        if tolerantly(self._rollout, act):
            self._rollout.changed = True
            self._rollout.progress(f"Deployment {name} scaled to {replicas}")
