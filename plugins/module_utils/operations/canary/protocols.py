# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout needs from outside, as small protocols: a cluster, a clock, proof, and metrics.

The state machine knows nothing else, so that tests can kill it after every single call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...errors import ApiError, MeshError
from ...labels import FIELD_MANAGER


class StoppedError(MeshError):
    """The run was told to stop (a signal, or its parent process died)."""


def too_fast(what: str) -> ApiError:
    """The error of a write that somebody else's writes kept from landing: it may be tried again later."""
    return ApiError(f"{what} changes faster than it can be written", status=409, reason="Conflict")


class Objects(Protocol):
    """The part of the Kubernetes client that a rollout uses."""

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """One object, ``None`` when absent. :returns: the object as the server stores it."""

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
        field_manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply. :returns: the object after the write."""

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create; status 409 when the object exists. :returns: the object as it was stored."""

    def replace(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace at the object's resourceVersion; status 409 when it has moved on.

        :returns: the object after the write.
        """

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
        """Merge or JSON patch. :returns: the object after the write."""

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete with its dependents; ``False`` when it was gone already."""


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

    def routes(self, weights: Mapping[str, int], renew_if_due: Callable[[], None]) -> Proof:
        """Waits until every proxy that matters holds the split; calls ``keep`` while it waits."""

    def mtls(self, versions: tuple[str, ...], renew_if_due: Callable[[], None]) -> Proof:
        """Whether every call to the versions' pods is mutual TLS, from listeners and served certificates."""

    def open_requests(self, version: str) -> int | None:
        """Requests that the version's pods serve now, streams among them; None when nobody can tell."""
