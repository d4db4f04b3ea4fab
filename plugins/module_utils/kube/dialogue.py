# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One websocket dialogue with the API server, about a pod: commands and forwarded ports are spoken over it.

Each message starts with a channel number (Kubernetes' ``channel.k8s.io`` protocols). The kubernetes package's
own stream client has no connect timeout and drops impersonation headers, so the dialogue is ours and the
websocket library is the package's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Sequence
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..documents.json_text import from_json
from ..errors import ApiError, WaitTimeout
from .failures import UNREACHABLE, from_answer, no_answer
from .pool import websocket_proxy, websocket_tls

if TYPE_CHECKING:
    from .transport import Transport

_CONNECT_ATTEMPTS = 3
# The dialogue itself looks at the time between two messages; the watch ends one that does not end.
_GRACE = 1.0


class Dialogue:
    """A bounded dialogue, as a context: opened at its beginning, closed at its end.

    :param path: below the pod, such as ``exec``. :param protocols: the subprotocols that are offered.
    :param subject: what errors are about. :param awaited: what one that takes too long was waiting for.
    :param timeout: seconds, for all of it.
    :raises ApiError: the pod does not exist, no rights, no connection, or the run was stopped.
    :raises WaitTimeout: its time is over.
    """

    def __init__(
        self,
        transport: Transport,
        namespace: str,
        pod: str,
        path: str,
        query: Sequence[tuple[str, str]],
        *,
        protocols: Sequence[str],
        subject: str,
        awaited: str,
        timeout: float,
    ) -> None:
        self.subject = subject
        self._transport = transport
        self._protocols = list(protocols)
        self._awaited = awaited
        rest = transport.remaining()
        self._seconds = timeout if rest is None else min(timeout, max(0.0, rest))
        self._end = transport.clock.monotonic() + self._seconds
        host = "ws" + transport.host.removeprefix("http")
        self._url = f"{host}/api/v1/namespaces/{namespace}/pods/{pod}/{path}?{urlencode(query)}"
        self._socket: Any = None
        self._over = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Dialogue:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._transport.slot(self.subject))
            timer = threading.Timer(self._seconds + _GRACE, self._break)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
            self._open()
            stack.callback(self._socket.shutdown)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def protocol(self) -> str | None:
        """The subprotocol that the API server chose."""
        found: str | None = self._socket.subprotocol
        return found

    def send(self, channel: int, data: bytes) -> None:
        """One message. :raises ApiError: the connection broke. :raises WaitTimeout: its time is over."""
        import websocket

        try:
            self._socket.send_binary(bytes([channel]) + data)
        except (websocket.WebSocketException, OSError) as error:
            raise self._unanswered(error) from error

    def receive(self) -> tuple[int, bytes] | None:
        """The next message.

        :returns: its channel and what it carries; ``None`` when the other side has closed.
        """
        import websocket

        while True:
            rest = self._end - self._transport.clock.monotonic()
            if rest <= 0:
                raise self._late()
            if self._transport.stopped:
                raise ApiError(f"{self.subject}: interrupted", reason="Interrupted", subject=self.subject)
            self._socket.settimeout(min(rest, 0.5))
            try:
                opcode, data = self._socket.recv_data()
            except websocket.WebSocketTimeoutException:
                continue
            except (websocket.WebSocketException, OSError) as error:
                raise self._unanswered(error) from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return None
            if data:
                return data[0], bytes(data[1:])

    def _late(self) -> WaitTimeout:
        return WaitTimeout(
            f"{self._awaited} did not come in time", awaited=self._awaited, last_seen="still running"
        )

    def _unanswered(self, error: Exception) -> ApiError | WaitTimeout:
        return self._late() if self._over else no_answer(error, self._transport.host, self.subject)

    def _break(self) -> None:
        """A timeout of a socket counts from byte to byte, and bytes may drip."""
        self._over = True
        raw = getattr(self._socket, "sock", None)
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.shutdown(SHUT_RDWR)

    def _open(self) -> None:
        import websocket

        transport, subject = self._transport, self.subject
        for attempt in range(1, _CONNECT_ATTEMPTS + 1):
            transport.check(subject)
            credential, generation = transport.authorization(subject)
            self._socket = websocket.WebSocket(sslopt=websocket_tls(transport.tls), skip_utf8_validation=True)
            try:
                self._socket.connect(
                    self._url,
                    header=[f"{name}: {value}" for name, value in credential],
                    subprotocols=self._protocols,
                    timeout=max(1.0, min(10.0, self._end - transport.clock.monotonic())),
                    suppress_origin=True,
                    redirect_limit=0,
                    **websocket_proxy(transport.target.proxy),
                )
            except websocket.WebSocketBadStatusException as error:
                failure = _refusal(error, subject, transport.secrets(credential))
                if failure.status == 401 and transport.renew(generation):
                    continue
                # 500 is what the API server answers while a container is being (re)started.
                if failure.status not in (429, 500, 502, 503, 504) or attempt == _CONNECT_ATTEMPTS:
                    raise failure from error
            except (ValueError, LookupError) as error:  # what the library makes of a status line that is none
                message = f"{subject}: the answer is not that of an API server (is a proxy in between?)"
                raise ApiError(message, reason="NotWebsocket", subject=subject) from error
            except (websocket.WebSocketException, OSError) as error:
                if attempt == _CONNECT_ATTEMPTS or transport.clock.monotonic() > self._end:
                    raise self._unanswered(error) from error
            else:
                return
            transport.pause(0.3 * attempt, subject)
        raise ApiError(f"{subject}: no connection", reason=UNREACHABLE, subject=subject)


def _refusal(error: Any, subject: str, secrets: Collection[str]) -> ApiError:
    """What the handshake was answered with."""
    status = int(getattr(error, "status_code", 0) or 0)
    body = getattr(error, "resp_body", None)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else ""
    data: Any
    try:
        data = from_json(text)
    except ValueError:
        data = {"kind": "Status", "message": text[:300]} if text else None
    return from_answer(status, data, subject, secrets=secrets)
