# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run made a probe, and whether that run still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def runner_id() -> str:
    """This process, unmistakably: host, boot, pid and the time the process started."""
    return f"{socket.gethostname()}:{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def runner_alive(runner: str) -> bool | None:
    """Whether the run named ``runner`` lives; ``None`` when it runs elsewhere or left no trace."""
    parts = runner.rsplit(":", 3)
    if len(parts) != 4 or parts[0] != socket.gethostname() or parts[1] != _boot() or not parts[2].isdigit():
        return None
    return _started(int(parts[2])) == parts[3]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)); the name in field 2 may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "gone"
