"""A scriptable proxy in front of an API server: it counts, delays, drops, repeats and garbles.

Plain HTTP on loopback towards the client; the client certificate of a kubeconfig towards the server. Each
fault hits the n-th request that matches, once, so that a test can put every fault at every index.
"""

from __future__ import annotations

import dataclasses
import http.client
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import yaml

DROP_BEFORE = "drop before the server sees it"
DROP_AFTER = "drop the answer"
DELAY = "delay the answer"
STATUS = "answer with a status"
TRUNCATE = "cut the answer off"
GARBLE = "cut the JSON off but not the answer"
HTML = "answer with a proxy's page"
TWICE = "deliver twice"
MUTILATE = "answer with what a function makes of the answer"


@dataclasses.dataclass(frozen=True)
class Wire:
    """What goes over the wire. ``length`` is what the header says; after ``cut`` bytes the line breaks.

    :param drip: seconds between two of its first bytes.
    """

    status: int
    headers: dict[str, str]
    data: bytes
    length: int | None = None
    cut: int | None = None
    drip: float = 0.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to the ``at``-th request (from 0) for which ``matches`` is true, ``times`` times."""

    action: str
    at: int = 0
    times: int = 1
    status: int = 503
    retry_after: str | None = None
    seconds: float = 0.0
    mutilate: Callable[[Wire], Wire] | None = None
    matches: Callable[[str, str], bool] = lambda method, path: True


@dataclasses.dataclass
class Seen:
    """One request as the proxy received it."""

    method: str
    path: str
    forwarded: int
    status: int


class FaultProxy:
    """Use as a context manager; ``url`` is what the client connects to."""

    def __init__(self, kubeconfig: str | Path, work: Path) -> None:
        self._target, self._context = _target(kubeconfig, work)
        self._lock = threading.Lock()
        self._hits: dict[int, int] = {}
        self.faults: list[Fault] = []
        self.requests: list[Seen] = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def handle_any(self) -> None:
                proxy.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of http.server

            def log_message(self, *args: object) -> None:
                """Quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is what some faults are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._idle: list[http.client.HTTPSConnection] = []  # to the server, for whoever asks next

    def __enter__(self) -> FaultProxy:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self._idle:
            connection.close()

    def reset(self, *faults: Fault) -> None:
        """Forget what was seen, and set other faults."""
        with self._lock:
            self.faults, self._hits = list(faults), {}
            self.requests = []

    @property
    def methods(self) -> dict[str, int]:
        """Requests by method; server-side applies by ``DRY-RUN`` and ``APPLY``."""
        counts: dict[str, int] = {}
        for seen in self.requests:
            name = seen.method
            if name == "PATCH" and "force=" in seen.path + "force=":
                name = "DRY-RUN" if "dryRun=All" in seen.path else "APPLY"
            if name == "GET":
                name = (
                    "DISCOVERY"
                    if seen.path in ("/apis", "/api")
                    else "LIST"
                    if "limit=" in seen.path
                    else "GET"
                )
            counts[name] = counts.get(name, 0) + 1
        return counts

    def _fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fault.matches(method, path):
                    continue
                hit = self._hits.get(number, 0)
                self._hits[number] = hit + 1
                if fault.at <= hit < fault.at + fault.times:
                    return fault
        return None

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else None
        seen = Seen(handler.command, handler.path, 0, 0)
        with self._lock:
            self.requests.append(seen)
        fault = self._fault_for(handler.command, handler.path)
        action = fault.action if fault else ""
        if action == DROP_BEFORE:
            return _hang_up(handler)
        if fault and action == STATUS:
            headers = {"Content-Type": "application/json"}
            if fault.retry_after is not None:
                headers["Retry-After"] = fault.retry_after
            seen.status = fault.status
            text = b'{"kind":"Status","status":"Failure","message":"injected","reason":"Injected"}'
            return _answer(handler, fault.status, headers, text)
        if action == HTML:
            return _answer(handler, 200, {"Content-Type": "text/html"}, b"<html>Sign in to the proxy</html>")
        status, headers, data = self._forward(handler, body)
        seen.forwarded, seen.status = 1, status
        if action == TWICE:
            status, headers, data = self._forward(handler, body)
            seen.forwarded = 2
        if fault and action == DELAY:
            time.sleep(fault.seconds)
        if action == DROP_AFTER:
            return _hang_up(handler)
        if action == TRUNCATE:
            handler.send_response_only(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[: len(data) // 2])
            handler.wfile.flush()
            return _hang_up(handler)
        if fault and fault.mutilate and action == MUTILATE:
            return _send(handler, fault.mutilate(Wire(status, headers, data)))
        if action == GARBLE:
            data = data[: len(data) // 2]
        return _answer(handler, status, headers, data)

    def _rested(self) -> http.client.HTTPSConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _forward(
        self, handler: http.server.BaseHTTPRequestHandler, body: bytes | None
    ) -> tuple[int, dict[str, str], bytes]:
        skipped = ("host", "connection", "content-length", "accept-encoding")
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in skipped}
        for attempt in (0, 1):
            connection = None if attempt else self._rested()
            if connection is None:
                connection = http.client.HTTPSConnection(self._target, context=self._context, timeout=60)
            try:
                connection.request(handler.command, handler.path, body=body, headers=headers)
                response = connection.getresponse()
                data = response.read()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                if attempt:
                    return 502, {"Content-Type": "text/plain"}, b"bad gateway"
        with self._lock:
            self._idle.append(connection)
        kept = {
            name: value
            for name, value in response.getheaders()
            if name.lower() in ("content-type", "etag", "warning", "retry-after")
        }
        return response.status, kept, data


def _answer(
    handler: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: bytes
) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
    handler.wfile.flush()


def _send(handler: http.server.BaseHTTPRequestHandler, wire: Wire) -> None:
    handler.send_response_only(wire.status)
    for name, value in wire.headers.items():
        handler.send_header(name, value)
    length = len(wire.data) if wire.length is None else wire.length
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    data = wire.data[: wire.cut]
    dripped = 10 if wire.drip else 0
    for byte in data[:dripped]:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(wire.drip)
    handler.wfile.write(data[dripped:])
    handler.wfile.flush()
    if length != len(data):
        _hang_up(handler)


def _hang_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def _target(kubeconfig: str | Path, work: Path) -> tuple[str, ssl.SSLContext]:
    """Host and port of the server, and a TLS context with the kubeconfig's client certificate."""
    import base64

    content = yaml.safe_load(Path(kubeconfig).read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    certificate = work / "client.pem"
    certificate.touch(mode=0o600)
    certificate.write_bytes(
        base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
    )
    context.load_cert_chain(certificate)
    certificate.unlink()
    return urlsplit(cluster["server"]).netloc, context
