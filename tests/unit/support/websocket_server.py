"""A websocket server that plays the API server's part: a script of frames, and what it got."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from types import TracebackType
from typing import Any

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(payload: bytes, *, opcode: int = BINARY, last: bool = True) -> bytes:
    """One frame of a server. RFC 6455, section 5.2."""
    first = bytes([(0x80 if last else 0) | opcode])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    return first + bytes([126]) + struct.pack("!H", len(payload)) + payload


def channel(number: int, text: str | bytes) -> bytes:
    """A message on a channel."""
    return frame(bytes([number]) + (text.encode() if isinstance(text, str) else text))


END = frame(b"\x03\xe8", opcode=CLOSE)
"""The server closes in order."""


def refusal(status: int, body: str = "", kind: str = "application/json") -> bytes:
    """What a handshake is answered with when there is no dialogue."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


class WebsocketServer:
    """For each connection the next of ``script``: a refusal (bytes that begin with HTTP) or frames.

    :ivar heads: the requests' heads. :ivar messages: what the client sent, by connection.
    """

    def __init__(self, *script: bytes, protocol: str = "v5.channel.k8s.io", linger: bool = False) -> None:
        self._script = list(script)
        self._protocol = protocol
        self._linger = linger
        self.heads: list[str] = []
        self.messages: list[list[bytes]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> WebsocketServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: Any) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return
            head += part
        self.heads.append(head.decode())
        answer = self._script.pop(0) if self._script else b""
        if answer.startswith(b"HTTP"):
            connection.sendall(answer)
            return
        key = next(
            line.partition(": ")[2]
            for line in head.decode().splitlines()
            if line.lower().startswith("sec-websocket-key")
        )
        accept = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324  # RFC 6455
        ).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {self._protocol}\r\n\r\n".encode()
        )
        received: list[bytes] = []
        self.messages.append(received)
        line = head.decode().splitlines()[0]
        if "stdin=true" in line or "/portforward?" in line:
            self._receive(connection, received)
        connection.sendall(answer)
        if self._linger:
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.recv(65536)

    def _receive(self, connection: Any, received: list[bytes]) -> None:
        """Masked frames of a client, until it closes the channel, has sent a request, or pauses."""
        connection.settimeout(0.3)
        stream = connection.makefile("rb")
        while True:
            try:
                start = stream.read(2)
            except OSError:
                return
            if len(start) < 2:
                return
            length = start[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", stream.read(2))
            mask, data = stream.read(4), stream.read(length)
            received.append(bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)))
            if received[-1][:1] == b"\xff" or received[-1].endswith(b"\r\n\r\n"):
                return
