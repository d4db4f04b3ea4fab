# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lease of a service's rollouts."""

from __future__ import annotations

from ....kube import lease
from ....kube.clock import Clock
from ....model.rollout.record import journal_name
from ..protocols import Objects


class RolloutLease(lease.Lease):
    """The Lease that one runner at a time holds for the rollouts of a service; named as their journal."""

    def __init__(
        self,
        client: Objects,
        clock: Clock,
        *,
        service: str,
        namespace: str,
        mesh: str,
        identity: str,
        duration: int,
    ) -> None:
        super().__init__(
            client,
            clock,
            name=journal_name(service),
            namespace=namespace,
            mesh=mesh,
            what="a rollout of this service",
            identity=identity,
            duration=duration,
        )
