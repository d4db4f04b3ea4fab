"""What a person sees while a command works: steps with their times, one sentence for what is missing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class SetupError(Exception):
    """A reason to stop that a person can act on: printed as one sentence, without a traceback."""


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Announce a step and say how long it took; says nothing at the end when the step raises."""
    say(f"==> {what}")
    start = time.monotonic()
    yield
    say(f"    {what}: {duration(time.monotonic() - start)}")


def duration(seconds: float) -> str:
    """``4.2 s`` or ``3 min 07 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
