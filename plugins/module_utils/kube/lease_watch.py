# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the holder of a Lease lives: he is watched for as long as it lasts, whatever wall clocks say."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..errors import ApiError, RefusedError
from ..fields import mapping_at
from .clock import Clock


class Watched(Protocol):
    """The part of a Lease that a watch needs.

    :ivar duration: seconds after which a silent holder counts as dead, where the Lease does not say.
    :ivar known_dead: holder and renewal of one who was watched for long enough.
    """

    duration: int
    known_dead: tuple[object, object] | None

    def read(self) -> dict[str, Any] | None:
        """The Lease object. :returns: the object, None when it does not exist."""

    def held(self, lease: dict[str, Any] | None) -> RefusedError:
        """The error of somebody who comes second."""


def sign_of(lease: Mapping[str, Any] | None) -> tuple[object, object]:
    """What of a Lease stands still when its holder is dead. :returns: who holds it, when he renewed it."""
    spec = mapping_at(lease, "spec")
    return spec.get("holderIdentity"), spec.get("renewTime")


class Watch:
    """Looks at the holder of a Lease until he has been silent for as long as it lasts.

    :ivar found: the Lease as it was seen last, None when it was deleted and nobody made it again.
    """

    def __init__(self, lease: Watched, found: dict[str, Any]) -> None:
        self.found: dict[str, Any] | None = found
        self.duration = float(found["spec"].get("leaseDurationSeconds") or lease.duration)
        self._lease, self._seen = lease, sign_of(found)
        self._since: float | None = None

    def over(self, clock: Clock) -> bool:
        """Whether nobody holds it any more, or its holder is dead."""
        if self._since is None:
            self._since = clock.monotonic()
        free = self.found is not None and not mapping_at(self.found, "spec").get("holderIdentity")
        return free or clock.monotonic() - self._since >= self.duration

    def look(self) -> None:
        """One more look. :raises RefusedError: rule ``held``: the holder lives.

        One that is deleted is waited for: a living holder makes it again with his next renewal.
        """
        self.found = self._lease.read()
        spec = mapping_at(self.found, "spec")
        if spec.get("holderIdentity") and sign_of(self.found) != self._seen:
            raise self._lease.held(self.found)


def watch_all(leases: Sequence[Watched], clock: Clock) -> None:
    """Watches the holders of many Leases at once: one after the other would take as often as long.

    What the server does not answer is left to whoever takes the Lease.

    :raises RefusedError: rule ``held``: one of them lives.
    """
    watches: dict[int, Watch] = {}
    for number, lease in enumerate(leases):
        with contextlib.suppress(ApiError):
            found = lease.read()
            if found is not None and mapping_at(found, "spec").get("holderIdentity"):
                watches[number] = Watch(lease, found)
    while watches:
        for number, watch in tuple(watches.items()):
            if watch.over(clock):
                leases[number].known_dead = sign_of(watch.found)
                del watches[number]
        if watches:
            clock.sleep(min(1.0, *(watch.duration for watch in watches.values())))
        for number, watch in tuple(watches.items()):
            try:
                watch.look()
            except ApiError:
                del watches[number]
