# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small tools of a rollout: a client that counts its calls, routes that remember, and no metrics at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metrics import Look
from .routes import ForeignRoutes, OwnRoutes, Shape

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
    "get_raw",
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


class BlindMeter:
    """No metrics: enough to roll back, never enough to go on."""

    def start(self) -> None:
        """Nothing to count."""

    def look(self, after: float) -> Look:
        """Nothing can be measured."""
        return Look(after, {}, problem="no Prometheus is configured")


class RememberingRoutes:
    """Routes that remember the last shape, so that the proof of an early phase knows its extra routes."""

    def __init__(self, routes: OwnRoutes | ForeignRoutes, held: dict[str, Shape]) -> None:
        self._routes = routes
        self._held = held
        self.name = routes.name
        self.namespace = routes.namespace

    def write(self, shape: Shape, fence: int) -> bool:
        """Writes and remembers."""
        self._held["shape"] = shape
        return self._routes.write(shape, fence)

    def stamp(self, fence: int) -> None:
        """Marks with a newer fence."""
        self._routes.stamp(fence)

    def image(self) -> list[Any] | None:
        """What a foreign object looks like before the run."""
        return self._routes.image()

    def restore(self, image: list[Any] | None) -> None:
        """Tells a foreign object what it looked like before the run."""
        self._routes.restore(image)

    def desired(self, shape: Shape) -> dict[str, Any]:
        """The object for a shape."""
        return self._routes.desired(shape)
