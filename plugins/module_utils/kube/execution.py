# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers, over the API server's websocket.

Protocol: v5.channel.k8s.io (KEP-4006; stdin can be closed) or v4. The exit status is a ``Status`` object on
channel 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..documents.json_text import from_json
from ..errors import ApiError
from .dialogue import Dialogue
from .failures import UNREACHABLE, causes_of

if TYPE_CHECKING:
    from .transport import Transport

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
_CHUNK = 32 * 1024
_MAX_DIGITS = 9


@dataclasses.dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    returncode: int


def execute(
    transport: Transport,
    namespace: str,
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    timeout: float,
    stdin: str | bytes | None,
) -> ExecResult:
    """Run ``command`` and collect its output. :param timeout: seconds for the whole command.

    :raises ApiError: the pod or container does not exist, no rights, or the connection failed.
    :raises WaitTimeout: the command did not end in time (it may go on running in the container).
    """
    where = f"Pod {namespace}/{pod} ({container})"
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin is not None else []
    query += [("command", word) for word in command]
    with Dialogue(
        transport,
        namespace,
        pod,
        "exec",
        query,
        protocols=_PROTOCOLS,
        subject=f"exec in {where}",
        awaited=f"the end of '{command[0]}' in {where}",
        timeout=timeout,
    ) as dialogue:
        if stdin is not None:
            _send(dialogue, stdin.encode() if isinstance(stdin, str) else stdin)
        return _collect(dialogue)


def _send(dialogue: Dialogue, data: bytes) -> None:
    for start in range(0, len(data), _CHUNK):
        dialogue.send(_STDIN, data[start : start + _CHUNK])
    if dialogue.protocol == _PROTOCOLS[0]:
        dialogue.send(_CLOSE, bytes([_STDIN]))


def _collect(dialogue: Dialogue) -> ExecResult:
    parts: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
    try:
        while (message := dialogue.receive()) is not None:
            channel, data = message
            if channel in parts:
                parts[channel].append(data)
    except ApiError as error:
        if error.reason != UNREACHABLE or not parts[_STATUS]:  # the status is the last that is sent
            raise
    stdout, stderr, status = (b"".join(parts[channel]) for channel in (_STDOUT, _STDERR, _STATUS))
    return ExecResult(
        stdout.decode("utf-8", "replace"),
        stderr.decode("utf-8", "replace"),
        _returncode(status, dialogue.subject),
    )


def _returncode(status: bytes, subject: str) -> int:
    """The exit code in the ``Status`` of channel 3 (``details.causes`` with reason ``ExitCode``)."""
    try:
        body = from_json(status)
    except ValueError:
        raise ApiError(
            f"{subject}: the connection ended without an exit status", reason="NoExitStatus", subject=subject
        ) from None
    if not isinstance(body, Mapping):
        raise ApiError(f"{subject}: the exit status cannot be read", reason="NoExitStatus", subject=subject)
    if body.get("status") == "Success":
        return 0
    for cause in causes_of(body):
        text = str(cause.get("message"))
        if cause.get("reason") == "ExitCode" and text.isascii() and text.isdigit():
            return int(text[:_MAX_DIGITS])
    raise ApiError(
        f"{subject}: {str(body.get('message') or 'the command could not be started')[:500]}",
        reason=str(body.get("reason") or "ExecFailed"),
        subject=subject,
    )
