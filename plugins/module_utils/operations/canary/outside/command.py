# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command on this machine, without a shell, which ends in time with everything that it has started."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

MOST_KEPT = 16_384  # bytes of the output, its end
GRACE = 2.0  # seconds between SIGTERM and SIGKILL
LOOK = 0.05
# What a command gets of the environment; everything else may hold secrets of the run.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. :param code: below 0 = by a signal; ``None`` = not, then ``trouble`` says why."""

    code: int | None
    output: str = ""
    trouble: str = ""


def run_command(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    given: Mapping[str, str],
    stdin: bytes,
    timeout: float,
    cancelled: threading.Event,
) -> Ended:
    """Runs a command to its end.

    :param words: the program and its arguments. :param environment: of the run, of which `KEPT` is handed on.
    :param given: what the command gets besides. :param timeout: seconds. :param cancelled: ends it at once.
    """
    own = {name: environment[name] for name in KEPT if name in environment}
    own = {"PATH": USUAL_PATH, **own, **given}
    try:
        # Not run_command: it ends no process group at a deadline, and action plugins have none.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=own,
            start_new_session=True,  # a process group of its own, which can be ended as a whole
        )
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "its arguments cannot be handed over"
        return Ended(None, trouble=f"cannot be run: {cause}")
    tail = _Tail(process)
    writer = threading.Thread(target=_feed, args=(process, stdin), daemon=True)
    writer.start()
    end = time.monotonic() + timeout
    while not _has_ended(process) and time.monotonic() < end and not cancelled.is_set():
        cancelled.wait(LOOK)
    trouble = ""
    if not _has_ended(process):
        trouble = "was no longer needed" if cancelled.is_set() else f"did not end in {timeout:g} s"
        _signal(process, signal.SIGTERM)
        patience = time.monotonic() + GRACE
        while not _has_ended(process) and time.monotonic() < patience:
            time.sleep(LOOK)
    # what it has started and left behind goes, too: until it is waited for, its group cannot be another's
    _signal(process, signal.SIGKILL)
    code = process.wait()
    return Ended(None if trouble else code, tail.text(), trouble)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the command has ended. It is not waited for: its number stays its own."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _feed(process: subprocess.Popen[bytes], content: bytes) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError, ValueError):  # who does not want to read it need not
            process.stdin.write(content)
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()


class _Tail:
    """The end of a command's output, read while it runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._kept = b""
        self._pipe = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._pipe is None:
            return
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(self._pipe.fileno(), MOST_KEPT):
                self._kept = (self._kept + part)[-MOST_KEPT:]

    def text(self) -> str:
        """What is known of it. Somebody who left the group may hold the pipe open for ever."""
        self._thread.join(1.0)
        if self._pipe is not None and not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", errors="replace")
