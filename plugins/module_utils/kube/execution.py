# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers, over the API server's websocket.

Protocol: v5.channel.k8s.io (KEP-4006; stdin can be closed) or v4. Each message starts with a channel number;
the exit status is a ``Status`` object on channel 3. The kubernetes package's own stream client has no connect
timeout and drops impersonation headers, so the dialogue is ours and the websocket library is the package's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Collection, Mapping, Sequence
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..documents.json_text import from_json
from ..errors import ApiError, WaitTimeout
from .failures import causes_of, from_answer, no_answer
from .pool import websocket_proxy, websocket_tls

if TYPE_CHECKING:
    from .transport import Transport

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
_CONNECT_ATTEMPTS = 3
_CHUNK = 32 * 1024
# The dialogue itself looks at the time between two messages; the watch ends one that does not end.
_GRACE = 1.0
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
    rest = transport.remaining()
    timeout = timeout if rest is None else min(timeout, max(0.0, rest))
    end = transport.clock.monotonic() + timeout
    subject = f"exec in Pod {namespace}/{pod} ({container})"
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin is not None else []
    query += [("command", word) for word in command]
    url = f"{transport.host}/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"
    with transport.slot(subject), _Watch(timeout) as watch:
        socket = _open(transport, "ws" + url.removeprefix("http"), subject, end, watch)
        try:
            if stdin is not None:
                _send(socket, stdin.encode() if isinstance(stdin, str) else stdin)
            return _collect(transport, socket, subject, command, end)
        except ApiError as error:
            if watch.over and error.reason == "Unreachable":
                raise _late(command, subject) from error
            raise
        finally:
            socket.shutdown()


class _Watch:
    """Ends a dialogue in time: a timeout of a socket counts from byte to byte, and bytes may drip."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._socket: Any = None
        self._timer = threading.Timer(seconds + _GRACE, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._timer.cancel()

    def use(self, socket: Any) -> None:
        """The dialogue is now this one."""
        self._socket = socket

    def _end(self) -> None:
        self.over = True
        raw = getattr(self._socket, "sock", None)
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(SHUT_RDWR)


def _late(command: Sequence[str], subject: str) -> WaitTimeout:
    awaited = f"the end of '{command[0]}' in {subject.removeprefix('exec in ')}"
    return WaitTimeout(f"{awaited} did not come in time", awaited=awaited, last_seen="still running")


def _open(transport: Transport, url: str, subject: str, end: float, watch: _Watch) -> Any:
    import websocket

    for attempt in range(1, _CONNECT_ATTEMPTS + 1):
        transport.check(subject)
        credential, generation = transport.authorization(subject)
        socket = websocket.WebSocket(sslopt=websocket_tls(transport.tls), skip_utf8_validation=True)
        watch.use(socket)
        try:
            socket.connect(  # type: ignore[no-untyped-call]  # websocket-client has no types
                url,
                header=[f"{name}: {value}" for name, value in credential],
                subprotocols=_PROTOCOLS,
                timeout=max(1.0, min(10.0, end - transport.clock.monotonic())),
                suppress_origin=True,
                redirect_limit=0,
                **websocket_proxy(transport.target.proxy),
            )
        except websocket.WebSocketBadStatusException as error:
            failure = _handshake_failure(error, subject, transport.secrets(credential))
            if failure.status == 401 and transport.renew(generation):
                continue
            # 500 is what the API server answers while a container is being (re)started.
            if failure.status not in (429, 500, 502, 503, 504) or attempt == _CONNECT_ATTEMPTS:
                raise failure from error
        except (ValueError, LookupError) as error:  # what the library makes of a status line that is none
            message = f"{subject}: the answer is not that of an API server (is a proxy in between?)"
            raise ApiError(message, reason="NotWebsocket", subject=subject) from error
        except (websocket.WebSocketException, OSError) as error:
            if attempt == _CONNECT_ATTEMPTS or transport.clock.monotonic() > end:
                raise no_answer(error, transport.host, subject) from error
        else:
            return socket
        transport.pause(0.3 * attempt, subject)
    raise ApiError(f"{subject}: no connection", reason="Unreachable", subject=subject)


def _handshake_failure(error: Any, subject: str, secrets: Collection[str]) -> ApiError:
    status = int(getattr(error, "status_code", 0) or 0)
    body = getattr(error, "resp_body", None)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else ""
    data: Any
    try:
        data = from_json(text)
    except ValueError:
        data = {"kind": "Status", "message": text[:300]} if text else None
    return from_answer(status, data, subject, secrets=secrets)


def _send(socket: Any, data: bytes) -> None:
    for start in range(0, len(data), _CHUNK):
        socket.send_binary(bytes([_STDIN]) + data[start : start + _CHUNK])
    if socket.subprotocol == _PROTOCOLS[0]:
        socket.send_binary(bytes([_CLOSE, _STDIN]))


def _collect(
    transport: Transport, socket: Any, subject: str, command: Sequence[str], end: float
) -> ExecResult:
    import websocket

    parts: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
    while True:
        rest = end - transport.clock.monotonic()
        if rest <= 0:
            raise _late(command, subject)
        if transport.stopped:
            raise ApiError(f"{subject}: interrupted", reason="Interrupted", subject=subject)
        socket.settimeout(min(rest, 0.5))
        try:
            opcode, data = socket.recv_data()
        except websocket.WebSocketTimeoutException:
            continue
        except (websocket.WebSocketException, OSError) as error:
            if parts[_STATUS]:
                break
            raise no_answer(error, transport.host, subject) from error
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        if data and data[0] in parts:
            parts[data[0]].append(bytes(data[1:]))
    stdout, stderr, status = (b"".join(parts[channel]) for channel in (_STDOUT, _STDERR, _STATUS))
    return ExecResult(
        stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"), _returncode(status, subject)
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
