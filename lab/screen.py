"""Progress on standard error: seconds since the start of the command, then what happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one progress line. Standard output stays free for answers such as a kubeconfig's path."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f}s] {text}\n")
    sys.stderr.flush()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say `what` when it starts and how long it took when it is done."""
    say(f"{what} ...")
    began = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - began:.1f} s")
