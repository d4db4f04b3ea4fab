# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs istioctl and helm: bounded, stoppable, secrets only in files of mode 0600, errors as one sentence."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ...documents.json_text import from_json
from ...errors import InputError, MalformedError, MeshError, Problem
from ...fields import text_at
from ...kube.redaction import redacted
from ...kube.secret_fields import without_secrets

_POLL = 0.2
_GRACE = 5.0
"""Seconds that a child has to end after it was told to."""
_NOISE = re.compile(r"\x1b\[[0-9;]*m")
# istioctl logs to its standard output, between the lines of a manifest if need be.
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+Z\t\w+\t.*\n?", re.MULTILINE)
_VERSION = re.compile(r"v?(\d+(?:\.\d+){1,2}\S*)")


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A program and what it says about itself. ``version`` without a leading ``v``."""

    path: str
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Runner:
    """How commands run: their environment, and when to give up.

    :param stop: becomes true when the play was interrupted; the child is then ended.
    :param secrets: what the commands may quote and nobody may read.
    """

    environment: Mapping[str, str]
    stop: Callable[[], bool] = lambda: False
    secrets: Collection[str] = dataclasses.field(default=(), repr=False)

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 120.0, about: str = "") -> str:
        """The standard output of a command.

        :param stdin: text for its standard input; sent through a file that only we can read, so that a large
            text cannot block and nothing shows in the process list.
        :param about: what the command does, for the error, such as ``render the istiod chart``.
        :raises MeshError: when it fails, does not end in ``timeout`` seconds, or the play is interrupted.
        """
        purpose = about or Path(argv[0]).name
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as given,
            # A program may print anything: what is no text must not end the run without a sentence.
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out,
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as err,
        ):
            given.write(stdin)
            given.flush()
            given.seek(0)
            try:
                # Not run_command: backends run in the controller too, and a stopped play must end the child.
                child = subprocess.Popen(  # pylint: disable=ansible-bad-function
                    list(argv), stdin=given, stdout=out, stderr=err, env=dict(self.environment), text=True
                )
            except OSError as error:
                raise MeshError(f"cannot run {argv[0]} to {purpose}: {error.strerror or error}") from error
            code = self._wait(child, timeout, purpose)
            out.seek(0)
            err.seek(0)
            if code != 0:
                # A program may quote what it was given.
                cause = without_secrets(redacted(first_error(err.read() or out.read()), self.secrets))
                raise MeshError(f"could not {purpose}: {cause}", returncode=code)
            return out.read()

    def _wait(self, child: subprocess.Popen[str], timeout: float, purpose: str) -> int:
        deadline = time.monotonic() + timeout
        while True:
            try:
                return child.wait(timeout=_POLL)
            except subprocess.TimeoutExpired:
                late = time.monotonic() > deadline
                if not late and not self.stop():
                    continue
            child.terminate()
            try:
                child.wait(timeout=_GRACE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            reason = f"it did not end within {timeout:.0f} s" if late else "the play was interrupted"
            raise MeshError(f"could not {purpose}: {reason}")


def first_error(text: str) -> str:
    """The sentence of a tool's output that says what went wrong."""
    lines = [_NOISE.sub("", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    for line in lines:
        if line.lower().startswith("error"):
            return line.partition(":")[2].strip() or line
    return lines[-1] if lines else "it failed without a message"


def without_log_lines(text: str) -> str:
    """The output of istioctl without the log lines in it."""
    return _LOG_LINE.sub("", text)


def find_tool(path: str, *, where: str, environment: Mapping[str, str]) -> str:
    """The absolute path of a program given as a path or a name on PATH.

    :raises InputError: when there is none, named by the variable ``where``.
    """
    # Not Path.expanduser: it makes ./istioctl a mere name, which would be looked for on PATH.
    expanded = os.path.expanduser(path)  # noqa: PTH111 - see above
    found = shutil.which(expanded, path=environment.get("PATH", os.defpath))
    if found is None:
        raise InputError([Problem(where, f"{path!r} is not a program that can be run here", "tool-missing")])
    return str(Path(found).resolve())


def istioctl_version(runner: Runner, path: str) -> Tool:
    """istioctl and its own version; asks no cluster.

    :raises MeshError: when it fails, or answers something else than its version.
    """
    answer = runner.run(
        [path, "version", "--remote=false", "-o", "json"], timeout=20, about="ask istioctl its version"
    )
    try:
        version = text_at(from_json(without_log_lines(answer)), "clientVersion", "version")
    except (ValueError, MalformedError) as error:
        raise MeshError(f"{path} does not answer like istioctl") from error
    if not version:
        raise MeshError(f"{path} does not answer like istioctl")
    return Tool(path, version)


def helm_version(runner: Runner, path: str) -> Tool:
    """helm and its version.

    :raises MeshError: when it fails, or answers something else than its version.
    """
    answer = runner.run(
        [path, "version", "--template", "{{.Version}}"], timeout=20, about="ask helm its version"
    )
    match = _VERSION.match(answer.strip())
    if match is None:
        raise MeshError(f"{path} does not answer like helm")
    return Tool(path, match[1])
