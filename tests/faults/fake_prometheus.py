"""A Prometheus between the collection and the lab's, which changes what is answered when it is told to."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakePrometheus:
    """``url`` answers like the Prometheus at ``upstream``; no series bears the label ``hidden``.

    :ivar copies: labels of copies of every series, such as ``{"cluster": "west"}``. A matcher of such a label
        chooses among them, as in a central store. Copies beside the first one count ``times`` as much.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.hidden = ""
        self.copies: list[dict[str, str]] = []
        self.times = 1
        self.asked = 0
        self.url = ""

    def answer(self, path: str) -> bytes:
        """The upstream's answer, without the hidden label."""
        self.asked += 1
        path, chosen = self._chosen(path)
        with urllib.request.urlopen(self.upstream + path, timeout=10) as response:  # noqa: S310 - http
            body: bytes = response.read()
        if not self.hidden and not self.copies:
            return body
        parsed: dict[str, Any] = json.loads(body)
        data = parsed["data"]
        if data["resultType"] not in ("matrix", "vector"):
            return body
        for series in data["result"]:
            series["metric"].pop(self.hidden, None)
        if self.copies and data["resultType"] == "matrix":
            data["result"] = [self._copy(series, copy) for series in data["result"] for copy in chosen]
        return json.dumps(parsed).encode()

    def _chosen(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """The query without the matchers that only the copies know, and the copies that they choose."""
        base, _mark, query = path.partition("?")
        fields = dict(urllib.parse.parse_qsl(query))
        chosen = self.copies
        for name in {name for copy in self.copies for name in copy}:
            if found := re.search(rf',{name}="([^"]*)"', fields.get("query", "")):
                fields["query"] = fields["query"].replace(found[0], "")
                chosen = [copy for copy in chosen if copy.get(name) == found[1]]
        return f"{base}?{urllib.parse.urlencode(fields)}", chosen

    def _copy(self, series: dict[str, Any], copy: dict[str, str]) -> dict[str, Any]:
        times = 1 if copy == self.copies[0] else self.times
        values = [[at, str(float(value) * times)] for at, value in series["values"]]
        return {"metric": {**series["metric"], **copy}, "values": values}


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
