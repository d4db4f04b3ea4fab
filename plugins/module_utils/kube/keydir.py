# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private directory for key files that the TLS library can only read from disk.

The kubernetes package writes inline client keys to files and removes them at interpreter exit, which never
comes in an Ansible worker (it leaves by ``os._exit``). So every connection owns a 0700 directory, removed
with it; what a killed run left behind is removed by the next one. A lock held for the owner's lifetime tells
the two apart, also between containers that share a temp directory, where pids mean nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "servicemesh-istio-keys-"
LOCK = ".lock"
# A directory without a lock file belongs to a run that is just creating it, unless it is old.
GRACE_SECONDS = 60.0


class KeyDirectory:
    """A private directory that exists from construction to :meth:`remove`."""

    def __init__(self, base: Path | None = None) -> None:
        root = base or _base()
        sweep(root)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        # Locked before it has its name: whoever sweeps meanwhile must not find it free.
        made = self.path / f"{LOCK}.new"
        self._lock: int | None = os.open(made, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(self.path / LOCK)

    def remove(self) -> None:
        """Remove the directory with every key in it. May be called twice."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = None


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")  # usually memory, readable by its owner only
    if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        return Path(runtime)
    return Path(tempfile.gettempdir())


def sweep(base: Path) -> None:
    """Remove the directories of runs that died without cleaning up."""
    for directory in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            if _is_abandoned(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _is_abandoned(directory: Path) -> bool:
    try:
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - directory.stat().st_mtime > GRACE_SECONDS
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
