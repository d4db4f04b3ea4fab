"""Where the lab keeps things: two fixed directories outside every clone, and the clone itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .screen import say

LAB = Path(__file__).resolve().parent
REPOSITORY = LAB.parent


def cache_root() -> Path:
    """Programs, images and charts, shared by all clones and clusters (override: LAB_CACHE)."""
    return Path(os.environ.get("LAB_CACHE") or "/var/cache/servicemesh-istio-lab").absolute()


def state_root() -> Path:
    """One directory per cluster (override: LAB_STATE)."""
    return Path(os.environ.get("LAB_STATE") or "/var/lib/servicemesh-istio-lab").absolute()


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive flock on `path`; the kernel drops it when this process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another lab command that works on {waiting_for}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
