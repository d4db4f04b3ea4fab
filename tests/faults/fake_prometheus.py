"""A Prometheus between the collection and the lab's, which takes a label away when it is told to."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakePrometheus:
    """``url`` answers like the Prometheus at ``upstream``; no series bears the label ``hidden``."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.hidden = ""
        self.asked = 0
        self.url = ""

    def answer(self, path: str) -> bytes:
        """The upstream's answer, without the hidden label."""
        self.asked += 1
        with urllib.request.urlopen(self.upstream + path, timeout=10) as response:  # noqa: S310 - http
            body: bytes = response.read()
        if not self.hidden:
            return body
        parsed: dict[str, Any] = json.loads(body)
        for series in parsed["data"]["result"]:
            series["metric"].pop(self.hidden, None)
        return json.dumps(parsed).encode()


@contextlib.contextmanager
def fake_prometheus(upstream: str) -> Iterator[FakePrometheus]:
    """Serves on loopback while the block runs."""
    fake = FakePrometheus(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fake.answer(self.path)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
