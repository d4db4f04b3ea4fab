# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend knows about the run it is part of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .kube.client import KubeClient, connect
from .kube.clock import Clock, SystemClock

if TYPE_CHECKING:
    from .kube.options import ConnectionOptions


def _quiet(_unused: str) -> None:
    """Drop a line: nobody listens."""


def _never() -> bool:
    return False


class Connect(Protocol):
    """Makes a client; :func:`kube.client.connect` does it for a real API server."""

    def __call__(
        self,
        options: ConnectionOptions,
        /,
        *,
        threads: int,
        deadline: float | None,
        stop: Callable[[], bool] | None,
        clock: Clock,
    ) -> KubeClient:
        """A client that is a context manager."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one backend call.

    :param check_mode: nothing may be written. :param diff_mode: the result carries diffs.
    :param progress: takes one line for the person who watches. :param warn: takes one Ansible warning.
    :param environment: the task's environment merged over the process's; never read ``os.environ`` instead.
    :param stop: true when the run was asked to end (signal) or its parent is gone; ask between writes.
    :param files: contents of controller-side ``src`` files by option name, read by the action plugin.
    :param clock: time for every wait of the backend.
    :param connect: makes the clients of :meth:`client`.
    """

    check_mode: bool = False
    diff_mode: bool = False
    progress: Callable[[str], None] = _quiet
    warn: Callable[[str], None] = _quiet
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stop: Callable[[], bool] = _never
    files: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    clock: Clock = dataclasses.field(default_factory=SystemClock)
    connect: Connect = connect

    def client(
        self,
        options: ConnectionOptions,
        *,
        threads: int = 16,
        deadline: float | None = None,
        stoppable: bool = True,
    ) -> KubeClient:
        """A client for the API server of ``options``; a context manager. Sends nothing yet.

        :param threads: requests in flight at most, commands in containers included.
        :param deadline: seconds, once there is a credential, after which nothing is sent nor waited for.
        :param stoppable: whether a stop of the run ends its requests; a backend that has to leave a safe
            state behind asks :attr:`stop` itself.
        :raises InputError: the connection options do not say clearly which cluster is meant.
        """
        if options.unused:
            names = ", ".join(options.unused)
            self.warn(
                f"the task says itself which cluster is meant: of the environment, {names} do not count"
            )
        stop = self.stop if stoppable else None
        return self.connect(options, threads=threads, deadline=deadline, stop=stop, clock=self.clock)
