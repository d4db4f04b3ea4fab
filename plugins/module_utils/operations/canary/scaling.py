# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional scaling: the canary up before its first request, the old version down after the end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from ...errors import WaitTimeout
from ...fields import integer_at
from ...kube.wait import wait_until
from ...model.rollout.journal import ScaledDown
from ...model.rollout.settings import Scale
from .protocols import Objects
from .rollout import Rollout

APPS = "apps/v1"


class WorkloadScaler:
    """Scales the two Deployments of a rollout.

    :param workloads: version -> name of its Deployment.
    """

    def __init__(self, rollout: Rollout, client: Objects, workloads: Mapping[str, str], scale: Scale) -> None:
        self._rollout = rollout
        self._client = client
        self._namespace = rollout.options.service.namespace
        self._stable = workloads[rollout.plan.stable]
        self._canary = workloads[rollout.plan.canary]
        self._replicas = scale.up
        self._down = scale.down

    def up(self) -> None:
        """Scales the canary up and waits until its replicas are ready. Never scales down here.

        :raises RollbackNeeded: they are not ready in time.
        """
        if self._replicas is None:
            return
        rollout = self._rollout
        before = integer_at(self._deployment(self._canary), "spec", "replicas")
        if rollout.journal.replicas_before is None:
            rollout.save(replace(rollout.journal, replicas_before=before))
        if before < self._replicas:
            scale(rollout, self._client, self._canary, self._replicas)
        wanted = max(before, self._replicas)

        def check() -> tuple[bool, str]:
            ready = integer_at(self._deployment(self._canary), "status", "readyReplicas")
            return ready >= wanted, f"Deployment {self._canary} has {ready} of {wanted} replicas ready"

        rollout.await_ready(check, f"Deployment {self._canary}")

    def down(self, *, promoted: bool) -> None:
        """After the end and its proof nobody calls the version that lost: scale it down, or back."""
        rollout = self._rollout
        if promoted and self._down:
            count = integer_at(self._deployment(self._stable), "spec", "replicas")
            if count:  # kept, because a later rollback has to bring them back
                kept = ScaledDown(self._stable, count)
                rollout.save(replace(rollout.journal, scaled_down=kept))
                scale(rollout, self._client, self._stable, 0)
        before = rollout.journal.replicas_before
        if not promoted and before is not None:
            scale(rollout, self._client, self._canary, before)

    def _deployment(self, name: str) -> Mapping[str, object] | None:
        return self._client.get(APPS, "Deployment", name, self._namespace)


def bring_back(rollout: Rollout, client: Objects, scaled_down: ScaledDown) -> None:
    """Scale up again what a promotion scaled down, and wait until the stable version has a ready endpoint.

    Returns also when it has none in time: whoever goes on looks at the endpoints itself.

    :param scaled_down: from the promotion's journal.
    """
    scale(rollout, client, scaled_down.workload, scaled_down.replicas)

    def check() -> tuple[bool, str]:
        rollout.renew_if_due()
        stable = rollout.endpoints.read()[rollout.plan.stable]
        return bool(stable.ready), stable.describe()

    limit = rollout.options.ready_timeout
    with contextlib.suppress(WaitTimeout):
        wait_until(check, awaited="the stable version", timeout=limit, interval=1.0, clock=rollout.clock)


def scale(rollout: Rollout, client: Objects, name: str, replicas: int) -> None:
    """Set the replicas of a Deployment."""
    namespace = rollout.options.service.namespace
    patch = {"spec": {"replicas": replicas}}
    client.patch(APPS, "Deployment", name, namespace, patch, subresource="scale")
    rollout.changed = True
    rollout.progress(f"Deployment {name} scaled to {replicas}")
