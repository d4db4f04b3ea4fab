"""An HTTP server on this machine that answers by a script, also badly."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any


@contextlib.contextmanager
def at_work(server: http.server.HTTPServer) -> Iterator[http.server.HTTPServer]:
    """The server at work in a thread. At the end it stops within milliseconds, not within half a second."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@dataclasses.dataclass
class Answer:
    """One answer.

    :param body: JSON, or bytes as they are. :param how: ``whole``, ``cut`` (the connection ends within the
        body), ``none`` (it ends before an answer), ``silent`` (nothing comes), ``drip`` (a byte at a time),
        ``dripping head`` (the same from the status line on) or ``endless`` (the body never ends).
    """

    status: int = 200
    body: Any = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    how: str = "whole"


@dataclasses.dataclass
class Request:
    """What was asked. ``headers`` in lower case, all values of each."""

    method: str
    path: str
    headers: dict[str, list[str]]
    body: Any


class ScriptedServer:
    """Answers ``script`` in its order, then ``always``; notes what was asked and how many asked at once."""

    def __init__(self, *script: Answer, always: Answer | Callable[[Request], Answer] | None = None) -> None:
        self.script = list(script)
        self.always = always
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self.hold = 0.0
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each body waits until its head is acknowledged, 40 ms later

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True

            def _serve(self) -> None:
                outer._serve(self)

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "CONNECT"):
            setattr(Handler, f"do_{method}", Handler._serve)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_arguments: None
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()

    def secure(self, chain: str) -> None:
        """Speak TLS from now on. :param chain: path of certificate and key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: Any) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length)
        headers: dict[str, list[str]] = {}
        for name, value in handler.headers.items():
            headers.setdefault(name.lower(), []).append(value.encode("latin-1").decode())
        request = Request(handler.command, handler.path, headers, json.loads(raw) if raw else None)
        with self._lock:
            self.requests.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            answer = self.script.pop(0) if self.script else self.always
        time.sleep(self.hold)
        with self._lock:
            self.at_once -= 1
        if callable(answer):
            answer = answer(request)
        assert answer is not None, f"no answer to {request.method} {request.path}"
        _send(handler, answer)


def _send(handler: Any, answer: Answer) -> None:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    if answer.how in ("none", "silent"):
        if answer.how == "silent":
            time.sleep(1.0)
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)
        return
    if answer.how == "dripping head":
        head = f"HTTP/1.1 {answer.status} OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        _drip(handler, head + body)
        return
    if answer.how == "endless":
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        _drip(handler, b"1," * 1000)
        return
    handler.send_response(answer.status)
    known = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
    for name, value in known.items():
        if value:
            handler.send_header(name, value)
    handler.end_headers()
    if answer.how == "cut":
        handler.wfile.write(body[: len(body) // 2])
        handler.close_connection = True
    elif answer.how == "drip":
        _drip(handler, body)
    else:
        handler.wfile.write(body)


def _drip(handler: Any, content: bytes) -> None:
    for byte in content:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.01)
