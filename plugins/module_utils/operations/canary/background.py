# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may take long runs beside the run: metrics that do not answer keep nobody from renewing and looking.

One worker does one thing after the other, so that what it works on needs no locks. Its thread is a daemon: a
program that has come to its end does not wait for an answer that nobody needs any more.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Pending:
    """A result that is there, or will be."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def wait(self, seconds: float) -> bool:
        """Whether it is there, after so many seconds at most."""
        return self._there.wait(seconds)

    def result(self) -> Any:
        """The result, once it is there. Raises what the work raised."""
        if self._error is not None:
            raise self._error
        return self._value

    def work(self, function: Callable[[], Any]) -> None:
        """Does the work."""
        try:
            self._value = function()
        except BaseException as error:  # it is raised where the result is asked for
            self._error = error
        self._there.set()


class Background(Protocol):
    """Where long work is done."""

    def __call__(self, function: Callable[[], Any]) -> Pending:
        """Begins the work."""


def inline(function: Callable[[], Any]) -> Pending:
    """Does the work at once."""
    pending = Pending()
    pending.work(function)
    return pending


class Worker:
    """Does the work in a thread of its own, which ends when nothing is left to do: nobody has to close it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: collections.deque[tuple[Pending, Callable[[], Any]]] = collections.deque()
        self._at_work = False

    def __call__(self, function: Callable[[], Any]) -> Pending:
        """Begins the work after what was asked for before."""
        pending = Pending()
        with self._lock:
            self._tasks.append((pending, function))
            begin, self._at_work = not self._at_work, True
        if begin:
            threading.Thread(target=self._run, name="rollout-metrics", daemon=True).start()
        return pending

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._at_work = False
                    return
                pending, function = self._tasks.popleft()
            pending.work(function)
