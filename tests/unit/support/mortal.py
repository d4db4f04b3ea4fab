# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in memory whose caller dies at one of its calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .cluster import FakeCluster


class KilledError(BaseException):
    """The process is gone: nothing runs after it, not even what stands in ``finally``."""


class Mortal(FakeCluster):
    """Kills its caller at one call, before or after the server has acted; every later call fails, too.

    ``each`` is run after each call that the server has acted on.
    """

    kill_at, after, dead, count = 0, False, False, 0
    each: Callable[[], None] = staticmethod(lambda: None)

    @contextlib.contextmanager
    def _call(self, *arguments: Any, **more: Any) -> Iterator[None]:
        if self.dead:
            raise KilledError
        self.count += 1
        now = self.count == self.kill_at
        if now and not self.after:
            self.dead = True
            raise KilledError
        with super()._call(*arguments, **more):
            yield
        self.each()
        if now:
            self.dead = True
            raise KilledError
