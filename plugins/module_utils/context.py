# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backend knows about the run it is part of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


def _quiet(_unused: str) -> None:
    """Drop a line: nobody listens."""


def _never() -> bool:
    return False


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one backend call.

    :param check_mode: nothing may be written. :param diff_mode: the result carries diffs.
    :param progress: takes one line for the person who watches. :param warn: takes one Ansible warning.
    :param environment: the task's environment merged over the process's; never read ``os.environ`` instead.
    :param stop: true when the run was asked to end (signal) or its parent is gone; ask between writes.
    :param files: contents of controller-side ``src`` files by option name, read by the action plugin.
    """

    check_mode: bool = False
    diff_mode: bool = False
    progress: Callable[[str], None] = _quiet
    warn: Callable[[str], None] = _quiet
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stop: Callable[[], bool] = _never
    files: Mapping[str, Any] = dataclasses.field(default_factory=dict)
