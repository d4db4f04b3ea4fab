# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifications of a rollout: each milestone as JSON to URLs of the user. They never delay or fail a run.

They are sent in threads of their own, in order. At the end the run waits a moment for them, and says once for
each URL what went wrong.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

from ...model.rollout.journal import Journal
from ...model.rollout.milestones import Milestone, notice
from .background import Background, Pending, Worker
from .outside.listeners import Listener
from .outside.web_call import call
from .rollout import Rollout

LAST_WORD = 10.0  # seconds for which the end of a run waits for its notifications
GIVE_UP = 3  # failures in a row; then only the end is tried again
ATTEMPTS = 2
AGAIN = 1.0  # seconds between two attempts


@dataclasses.dataclass(slots=True)
class _Line:
    """What became of the notifications to one listener; used by its thread only, until it is read."""

    failed: int = 0
    in_a_row: int = 0
    trouble: str = ""


class Notifications:
    """Tells the listeners of one run. :param environment: of the run; names the proxies."""

    def __init__(
        self,
        rollout: Rollout,
        listeners: tuple[Listener, ...],
        environment: Mapping[str, str],
        *,
        workers: Callable[[], Background] = Worker,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rollout = rollout
        self._environment = environment
        self._sleep = sleep
        self._lines = [(listener, workers(), _Line()) for listener in listeners]
        self._pending: list[tuple[Pending, _Line]] = []

    def tell(self, milestone: Milestone, journal: Journal) -> None:
        """Begins to tell everybody who wants to know."""
        body = notice(milestone, journal, self._rollout.options.catalogue.name)
        for listener, thread, line in self._lines:
            if not listener.events or milestone in listener.events:
                send = _Send(self, listener, line, milestone, body)
                self._pending.append((thread(send), line))

    def close(self) -> None:
        """Waits a moment for what is not told yet, and adds a warning for each listener with trouble."""
        rollout = self._rollout
        end = rollout.clock.monotonic() + LAST_WORD
        left: set[int] = set()
        for pending, line in self._pending:
            if not rollout.await_result(pending, max(0.0, end - rollout.clock.monotonic())):
                left.add(id(line))
        for listener, _thread, line in self._lines:
            trouble = line.trouble
            if id(line) in left:
                trouble = trouble or f"{listener.web.host} has not answered yet"
            if trouble:
                more = f" ({line.failed} notifications were lost)" if line.failed > 1 else ""
                rollout.warnings.append(f"notification: {trouble}{more}")
        self._pending.clear()

    def send(self, listener: Listener, line: _Line, milestone: Milestone, body: Mapping[str, object]) -> None:
        """Sends one notification, in the listener's thread."""
        if line.in_a_row >= GIVE_UP and not milestone.last:
            line.failed += 1
            return
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(AGAIN)
            reply = call(listener.web, body, timeout=listener.timeout, environment=self._environment)
            if 200 <= reply.status < 300:
                line.in_a_row = 0
                return
        line.failed += 1
        line.in_a_row += 1
        line.trouble = reply.trouble or f"{listener.web.host} answered with HTTP {reply.status}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Send:
    """One notification that waits for its turn."""

    to: Notifications
    listener: Listener
    line: _Line
    milestone: Milestone
    body: Mapping[str, object]

    def __call__(self) -> None:
        self.to.send(self.listener, self.line, self.milestone, self.body)
