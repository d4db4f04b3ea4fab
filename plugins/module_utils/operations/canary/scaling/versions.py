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

from ....errors import WaitTimeout
from ....fields import integer_at
from ....kube.wait import wait_until
from ....model.rollout.capacity import Autoscaler, Size, size_of_load
from ....model.rollout.journal import Kind, Outcome, ScaledDown
from ..evidence import has_failed, load_growth, share_now
from ..protocols import Objects
from ..rollout import Rollout
from .autoscaling import Autoscalers, tolerantly
from .drain import drained
from .sizes import APPS, read_sizes

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
        stable, canary = self._size(self._stable), self._size(self._canary)
        if stable and (live := self._live(stable)) and live.autoscaler:
            self._hold(live.autoscaler, size_of_load(stable))
        scale = self._rollout.options.scale
        if canary is None or scale is None or scale.up is None:
            return
        wanted, live = max(canary.replicas, scale.up), self._live(canary)
        if live and live.autoscaler:
            self._autoscalers.raise_minimum(live.autoscaler, scale.up)
            if not live.replicas and not live.autoscaler.controlled:
                self._scale(canary.workload, wanted)  # at 0 replicas an autoscaler is switched off
        elif live and live.replicas < wanted:
            self._scale(canary.workload, wanted)
        name = canary.workload

        def check() -> tuple[bool, str]:
            ready = integer_at(self._deployment(name), "status", "readyReplicas")
            return ready >= wanted, f"Deployment {name} has {ready} of {wanted} replicas ready"

        self._rollout.await_ready(check, f"Deployment {name}")

    def bring_back(self) -> None:
        """What a promotion has scaled to 0 comes back, at the size of the load."""
        down = self._rollout.journal.scaled_down
        if down is None:
            return
        live = self._live(Size(down.workload, 0, 0))
        if live is None or live.replicas:
            return
        wanted = max(self._wanted(), down.replicas)
        if live.autoscaler:
            self._hold(live.autoscaler, wanted)  # first: it acts as soon as there is a pod
        self._scale(down.workload, wanted)

    def before_return(self) -> None:
        """Before requests come back to stable: it has the size of the load, or had its time for it."""
        known, wanted = self._size(self._stable), self._wanted()
        if known is None or self._ready() >= wanted:
            return
        live = self._live(known)
        if live is None:
            return
        if live.autoscaler:
            wanted = min(wanted, live.autoscaler.maximum)
            self._hold(live.autoscaler, wanted)
        elif live.replicas < wanted:
            self._scale(live.workload, wanted)
        if share_now(self._rollout) > AT_ONCE and not (live.autoscaler and live.autoscaler.owner):
            self._await(wanted)

    def end(self, outcome: Outcome) -> None:
        """Before a run ends: what it raised is put back, and who lost the requests is scaled down.

        :raises RollbackNeeded: somebody asked for it while the old version was drained.
        """
        known = [self._size(version) for version in (self._stable, self._canary)]
        stable, canary = (self._live(size) if size else None for size in known)
        if outcome is Outcome.ROLLED_BACK and canary and known[1]:
            self._back(known[1], canary)
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

    def _live(self, size: Size) -> Size | None:
        """A version as it is now: autoscalers come and go. None where nobody may look, or it is gone."""
        gitops = self._rollout.options.gitops
        return read_sizes(self._client, self._namespace, {"": size.workload}, gitops=gitops).get("")

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

    def _hold(self, scaler: Autoscaler, wanted: int) -> None:
        if self._rollout.options.capacity == "hold" and not scaler.owner and wanted:
            self._autoscalers.raise_minimum(scaler, wanted)

    def _back(self, before: Size, canary: Size) -> None:
        """The canary's replicas before the run, unless somebody has set others meanwhile."""
        scale = self._rollout.options.scale
        if self._rollout.journal.kind is not Kind.ROLLOUT or scale is None or scale.up is None:
            return
        if canary.autoscaler:  # it decides about the replicas, but for 0, which switched it off
            ours = not before.replicas and canary.replicas and not canary.autoscaler.controlled
        else:
            ours = before.replicas < scale.up == canary.replicas
        if ours:
            drained(self._rollout, self._canary, at_least=0.0, limit=scale.delay)
            self._scale(canary.workload, before.replicas)

    def _down(self, stable: Size) -> None:
        """The version that lost its requests to 0, once nobody uses it any more.

        :raises RollbackNeeded: somebody asked for it.
        """
        rollout, scale = self._rollout, self._rollout.options.scale
        count = stable.replicas
        if not count or scale is None:
            return
        if stable.autoscaler and stable.autoscaler.controlled:
            rollout.warnings.append(
                f"{self._stable} is not scaled down: {stable.autoscaler.owner} decides about its pods"
            )
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
