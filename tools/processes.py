"""Programs that end with us: a make that is killed must leave nobody behind who writes to a cluster."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .paths import ROOT
from .screen import say

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> Callable[[], None]:
    """A function for the child: the kernel sends it SIGTERM when its parent dies, however that happens."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    return ask_the_kernel


def run(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    capture: bool = False,
    keep: Sequence[int] = (),
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. `keep`: descriptors it inherits; `capture`: stdout and stderr as one text."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        text=True,
        errors="replace",
        check=False,
        pass_fds=tuple(keep),
        timeout=timeout,
        preexec_fn=end_with_parent(),
    )


@contextmanager
def one_at_a_time(path: Path, what: str) -> Iterator[IO[str]]:
    """Hold a lock that the kernel drops when every process that inherited it has ended.

    Whoever is given the descriptor (`keep`) prolongs the lock: an orphan of a killed run is waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command that works on {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
