# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional scaling: the canary up before its first request, the old version down after the end."""

from __future__ import annotations

from dataclasses import replace

from ...model.rollout.journal import ScaledDown
from .protocols import Objects
from .rollout import RollbackNeeded, Rollout

APPS = "apps/v1"


class WorkloadScaler:
    """Scales the two Deployments of a rollout.

    :param replicas: replicas of the canary before the first phase; ``None`` leaves them.
    :param down: scale the version that lost all its traffic to 0 after the end.
    """

    def __init__(
        self,
        rollout: Rollout,
        client: Objects,
        *,
        namespace: str,
        stable: str,
        canary: str,
        replicas: int | None,
        down: bool,
    ) -> None:
        self._rollout = rollout
        self._client = client
        self._namespace = namespace
        self._stable = stable
        self._canary = canary
        self._replicas = replicas
        self._down = down

    def up(self) -> None:
        """Scales the canary up and waits until its replicas are ready. Never scales down here.

        :raises RollbackNeeded: they are not ready in time.
        """
        if self._replicas is None:
            return
        live = self._client.get(APPS, "Deployment", self._canary, self._namespace) or {}
        before = int((live.get("spec") or {}).get("replicas") or 0)
        if self._rollout.journal.replicas_before is None:
            self._rollout.save(replace(self._rollout.journal, replicas_before=before))
        if before < self._replicas:
            self._scale(self._canary, self._replicas)
        deadline = self._rollout.clock.monotonic() + self._rollout.settings.ready_timeout
        while True:
            live = self._client.get(APPS, "Deployment", self._canary, self._namespace) or {}
            ready = int((live.get("status") or {}).get("readyReplicas") or 0)
            if ready >= max(before, self._replicas):
                return
            if self._rollout.clock.monotonic() >= deadline:
                raise RollbackNeeded(
                    f"Deployment {self._canary} has {ready} of {self._replicas} replicas ready"
                )
            self._rollout.checkpoint()
            self._rollout.clock.sleep(min(2.0, self._rollout.settings.poll))

    def down(self, *, promoted: bool) -> None:
        """After the end and its proof nobody calls the version that lost: scale it down, or back."""
        if promoted and self._down:
            live = self._client.get(APPS, "Deployment", self._stable, self._namespace) or {}
            count = int((live.get("spec") or {}).get("replicas") or 0)
            if count:  # kept, because a later rollback has to bring them back
                kept = ScaledDown(self._stable, count)
                self._rollout.save(replace(self._rollout.journal, scaled_down=kept))
                self._scale(self._stable, 0)
        before = self._rollout.journal.replicas_before
        if not promoted and before is not None:
            self._scale(self._canary, before)

    def _scale(self, name: str, replicas: int) -> None:
        scale(self._rollout, self._client, self._namespace, name, replicas)


def bring_back(rollout: Rollout, client: Objects, scaled_down: ScaledDown) -> None:
    """Scale up again what a promotion scaled down, and wait until the stable version has a ready endpoint.

    Returns also when it has none in time: whoever goes on looks at the endpoints itself.

    :param scaled_down: from the promotion's journal.
    """
    scale(
        rollout,
        client,
        rollout.settings.namespace,
        scaled_down.workload,
        scaled_down.replicas,
    )
    deadline = rollout.clock.monotonic() + rollout.settings.ready_timeout
    while (
        not rollout.endpoints.read()[rollout.settings.stable].ready and rollout.clock.monotonic() < deadline
    ):
        rollout.renew_if_due()
        rollout.clock.sleep(1.0)


def scale(rollout: Rollout, client: Objects, namespace: str, name: str, replicas: int) -> None:
    """Set the replicas of a Deployment."""
    client.patch(APPS, "Deployment", name, namespace, {"spec": {"replicas": replicas}}, subresource="scale")
    rollout.changed = True
    rollout.progress(f"Deployment {name} scaled to {replicas}")
