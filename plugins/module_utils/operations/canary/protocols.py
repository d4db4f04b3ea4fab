# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout needs from outside, as small protocols: a cluster, a clock, proof, and metrics.

The state machine knows nothing else, so that tests can kill it after every single call.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...errors import MeshError


class FencedError(MeshError):
    """Another runner has taken over: this one must not write any more."""


class StoppedError(MeshError):
    """The run was told to stop (a signal, or its parent process died)."""


class Objects(Protocol):
    """The part of the Kubernetes client that a rollout uses."""

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """One object, ``None`` when absent."""

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Any:
        """Objects as ``.items``."""

    def apply(
        self,
        obj: dict[str, Any],
        *,
        field_manager: str = "servicemesh.istio",
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply."""

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create; status 409 when the object exists."""

    def replace(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace at the object's resourceVersion; status 409 when it has moved on."""

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        patch_type: str = "merge",
        subresource: str | None = None,
        dry_run: bool = False,
        field_manager: str | None = None,
    ) -> dict[str, Any]:
        """Merge or JSON patch."""

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete with its dependents; ``False`` when it was gone already."""


class Clock(Protocol):
    """Time, so that tests need none."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What the proxies say about a write.

    :param status: ``pass``, ``fail`` or ``cannot tell``. :param seconds: from the write to the last proxy.
    :param proxies: number of proxies that were asked. :param detail: who is late, or why nothing can be told.
    """

    status: str
    seconds: float
    proxies: int
    detail: str = ""


class Prover(Protocol):
    """Asks the calling proxies and gateways what they hold."""

    def routes(self, weights: Mapping[str, int], keep: Callable[[], None]) -> Proof:
        """Waits until every proxy that matters holds the split; calls ``keep`` while it waits."""

    def mtls(self, versions: tuple[str, ...], keep: Callable[[], None]) -> Proof:
        """Whether every call to the versions' pods is mutual TLS, from listeners and served certificates."""


def timestamp(seconds: float) -> str:
    """RFC 3339 with microseconds, as the Lease API wants it."""
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; ``None`` when it is none."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, AttributeError):
        return None
