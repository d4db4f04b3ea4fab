"""A pod that answers in every way that the tests ask for. Standard library only; NAME says who answers.

8080 HTTP, 9100 the same for scrapers, 9090 HTTP/2 without TLS (as gRPC is spoken), 8443 TLS,
5432 lines that come back.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

NAME = os.environ["NAME"]
PAUSE = 5.0


class Http(BaseHTTPRequestHandler):
    """Says who it is; ``/stream`` is silent between its two events, ``/slow`` before its answer.

    ``/flaky/KEY`` is a 503 the first time.
    """

    protocol_version = "HTTP/1.1"
    failed: ClassVar[set[str]] = set()

    def handle_any(self) -> None:
        if self.path.startswith("/stream"):
            self.stream()
            return
        if self.path.startswith("/slow"):
            time.sleep(PAUSE)
        status = 200
        if self.path.startswith("/flaky/") and self.path not in self.failed:
            self.failed.add(self.path)
            status = 503
        seen = {name.lower(): value for name, value in self.headers.items()}
        said = {"name": NAME, "pod": socket.gethostname(), "path": self.path, "headers": seen}
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in ("first", "second"):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
            time.sleep(PAUSE)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: Any) -> None:
        pass

    do_GET = do_POST = handle_any  # noqa: N815 - names of http.server


class Lines(socketserver.StreamRequestHandler):
    """Every line comes back with the name in front."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(f"{NAME} ".encode() + line)


class Http2(socketserver.StreamRequestHandler):
    """Answers each stream with 200 and the name (RFC 9113); it reads no header."""

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        self.wfile.write(head + payload)

    def handle(self) -> None:
        self.rfile.read(24)  # the preface
        self.frame(4, 0, 0)
        while len(head := self.rfile.read(9)) == 9:
            self.rfile.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == 4 and not flags & 1:
                self.frame(4, 1, 0)
            if kind == 6 and not flags & 1:
                self.frame(6, 1, 0, bytes(8))
            if kind in (0, 1) and flags & 1:
                self.frame(1, 4, stream, b"\x88")  # :status 200, from HPACK's static table
                self.frame(0, 1, stream, f"{NAME} by HTTP/2".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class TlsServer(Server):
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer


def main() -> None:
    servers = [
        ThreadingHTTPServer(("", 8080), Http),
        ThreadingHTTPServer(("", 9100), Http),
        Server(("", 9090), Http2),
        TlsServer(("", 8443), Lines),
        Server(("", 5432), Lines),
    ]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
