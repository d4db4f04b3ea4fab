# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server's time. Leases, journals and metrics of one run are dated by one clock, whoever runs it.

Two controllers whose clocks differ by minutes would else take each other for dead, or a dead one for alive,
and count other requests than those of the run. Once it is read it goes on by the clock that never jumps: when
this machine's is set right in mid-run, by what was corrected already, no fresh sample may look old.
"""

from __future__ import annotations

from ...kube.clock import Clock
from ...kube.server_time import Requester, server_time

SAME = 2.0  # seconds: the server's date has whole seconds, and its answer takes time


class ServerClock:
    """A clock that was ``offset`` seconds ahead of another one when it was made."""

    def __init__(self, clock: Clock, offset: float) -> None:
        self._clock = clock
        self._zero = clock.now() + offset - clock.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, by the server."""
        return self._zero + self._clock.monotonic()

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        self._clock.sleep(seconds)


def server_clock(client: Requester, clock: Clock) -> ServerClock:
    """The server's clock. This machine's, where both agree or the server does not tell.

    :raises ApiError: the server does not answer.
    """
    before = clock.now()
    there = server_time(client)
    if there is None:
        return ServerClock(clock, 0.0)
    offset = there.timestamp() + 0.5 - (before + clock.now()) / 2
    return ServerClock(clock, offset if abs(offset) > SAME else 0.0)
