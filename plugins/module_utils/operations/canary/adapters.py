# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small tools of a rollout: a client that counts its calls, routes that remember, and no metrics at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...model.rollout.measurement import Measurement
from ...model.rollout.phases import TrafficState
from ...model.rollout.unattributed import Weight
from .objects.routes import ForeignRoutes, OwnRoutes

if TYPE_CHECKING:
    from ...kube.client import KubeClient

COUNTED = (
    "get",
    "list",
    "apply",
    "create",
    "replace",
    "patch",
    "delete",
    "exec",
    "service_proxy_get",
)


class CountingClient:
    """The Kubernetes client, with a count of its calls."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name not in COUNTED:
            return found

        def counted(*args: Any, **options: Any) -> Any:
            self.calls += 1
            return found(*args, **options)

        return counted


class NoMetrics:
    """No metrics: enough to roll back, never enough to go on."""

    def start(self) -> None:
        """Nothing to count."""

    def measure(self, after: float, weight: Weight | None = None) -> Measurement:
        """Nothing can be measured."""
        del weight  # there is nothing to divide
        return Measurement(after, {}, problem="no Prometheus is configured")


class RememberingRoutes:
    """Remembers the last traffic state, so that the proof of an early phase knows its extra routes."""

    def __init__(self, routes: OwnRoutes | ForeignRoutes) -> None:
        self._routes = routes
        self._written: TrafficState | None = None
        self.name = routes.name
        self.namespace = routes.namespace
        self.annotation = routes.annotation

    def write(self, traffic: TrafficState, fence: int) -> bool:
        """Writes the routes of a traffic state, and remembers it. :returns: whether anything was written."""
        self._written = traffic
        return self._routes.write(traffic, fence)

    def read(self) -> dict[str, Any] | None:
        """The live object. :returns: the object, None when it does not exist."""
        return self._routes.read()

    def now(self, weights: Mapping[str, int]) -> dict[str, Any]:
        """The object as it should be now, with the routes of an early phase of these weights.

        :returns: a VirtualService.
        """
        traffic = self._written
        if traffic is None or traffic.weights != weights:
            traffic = TrafficState(dict(weights))
        return self._routes.desired(traffic)

    def claim(self, fence: int) -> None:
        """Marks the routes with a newer fence."""
        self._routes.claim(fence)

    def snapshot(self) -> tuple[Any, ...] | None:
        """What a foreign object looks like before the run.

        :returns: route lists as plain data; None for routes of our own.
        """
        return self._routes.snapshot()

    def restore(self, snapshot: Sequence[Any] | None) -> None:
        """Tells a foreign object what it looked like before the run."""
        self._routes.restore(snapshot)

    def desired(self, traffic: TrafficState) -> dict[str, Any]:
        """The object for a traffic state. :returns: a VirtualService."""
        return self._routes.desired(traffic)
