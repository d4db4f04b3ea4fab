"""Sends one request, or one stream, straight to a pod, where its proxy takes it; says what came of it."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import uuid
from collections.abc import Mapping

from .servers import SERVED

ALLOWED, DENIED = "allow", "deny"
DENIAL = b"RBAC: access denied"


@dataclasses.dataclass(frozen=True, slots=True)
class Wire:
    """What is on the wire. ``method`` is empty for a stream. ``source``: the address that it comes from."""

    address: str
    port: int
    source: str
    context: ssl.SSLContext | None
    sni: str
    method: str = ""
    target: str = ""
    host: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


SECONDS = 30.0
"""A machine that does too much at once makes everybody slow."""


def send(wire: Wire) -> str:
    """``allow`` when the application answered, ``deny`` when the proxy refused; anything else in words."""
    try:
        with socket.create_connection((wire.address, wire.port), SECONDS, (wire.source, 0)) as plain:
            if wire.context is None:
                return _request(plain, wire) if wire.method else _stream(plain)
            with wire.context.wrap_socket(plain, server_hostname=wire.sni or None) as secured:
                return _request(secured, wire) if wire.method else _stream(secured)
    except OSError as error:
        return f"lost: {type(error).__name__} {error}"


def _request(connection: socket.socket, wire: Wire) -> str:
    lines = [f"{wire.method} {wire.target} HTTP/1.1", f"Host: {wire.host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in wire.headers.items()]
    connection.sendall("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
    answer = b""
    while part := connection.recv(65536):
        answer += part
    if answer.startswith(b"HTTP/1.1 200") and SERVED in answer:
        return ALLOWED
    if answer.startswith(b"HTTP/1.1 403") and (wire.method == "HEAD" or answer.endswith(DENIAL)):
        return DENIED
    return f"lost: {answer[:200]!r}"


def _stream(connection: socket.socket) -> str:
    mark = f"mark {uuid.uuid4().hex}\n".encode()
    answer = b""
    try:
        connection.sendall(mark)
        while len(answer) < len(mark) and (part := connection.recv(65536)):
            answer += part
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        pass  # closed without an answer, in one of the ways in which a proxy does that
    if answer == mark:
        return ALLOWED
    return DENIED if not answer else f"lost: {answer[:200]!r}"
