"""One service of the demo shop: answers with what it is and what it saw, and really calls what it depends on.

Standard library only (it runs on the Python of a minimal Debian). Environment:
  SERVICE, VERSION           what to say about itself
  PORT (3000), PORTS         HTTP port; PORTS: several, comma-separated
  TCP_PORT                   a line echo, if set
  TLS_PORT, TLS_CERT, TLS_KEY   HTTPS too, if all three are set
  UPSTREAMS                  comma-separated HOST:PORT/PATH to call for each request; `/prefix=HOST:PORT/PATH`
                             only for requests whose path starts so
  UPSTREAM_TIMEOUT (3)       seconds for each such call
  DRAIN_SECONDS (2)          how long to go on answering after SIGTERM
  FAULT_DELAY_MS             delay of every answer;      header x-fault-delay-ms on a request does the same
  FAULT_STATUS               answer with this status;    header x-fault-status does the same
  FAULT_STATUS_PERCENT (100) share of the requests that FAULT_STATUS hits
  FAULT_CRASH_AFTER          end the process at this request; header x-fault-crash: 1 ends it at once
A request whose calls do not all succeed is answered with 502. A fault header may name the service it is meant
for (`payment-service=503`); without a name it hits whichever service sees it first, and goes no further.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE = os.environ.get("SERVICE", "service")
VERSION = os.environ.get("VERSION", "v1")
UPSTREAM_TIMEOUT = float(os.environ.get("UPSTREAM_TIMEOUT", "3"))
FORWARDED = {
    "b3", "traceparent", "tracestate", "baggage", "x-request-id", "x-ot-span-context", "x-user-id", "cookie",
    "authorization", "x-beta", "x-version", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
    "x-b3-sampled", "x-b3-flags",
}  # fmt: skip
FAULTS = ("x-fault-delay-ms", "x-fault-status", "x-fault-crash")
Upstream = tuple[str, int, str]  # host, port, path
STOPPING = threading.Event()


def parse_upstreams(text: str) -> list[tuple[str, str, int, str]]:
    """[(prefix, host, port, path), ...] out of `/api/products=product-service:3000/api/products,...`."""
    upstreams = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        prefix, equals, target = entry.rpartition("=")
        address, slash, path = target.partition("/")
        host, _, port = address.partition(":")
        upstreams.append((prefix if equals else "/", host, int(port or 80), slash + path or "/"))
    return upstreams


def upstreams_for(path: str, upstreams: Sequence[tuple[str, str, int, str]]) -> list[Upstream]:
    """Those of `upstreams` that a request for `path` needs."""
    return [(host, port, target) for prefix, host, port, target in upstreams if path.startswith(prefix)]


def fault_for_me(value: str | None, service: str = SERVICE) -> str | None:
    """The value of a fault header (`name=value` or plain `value`) if it is meant for this service."""
    if value is None:
        return None
    name, equals, rest = value.partition("=")
    if not equals:
        return value
    return rest if name == service else None


def forwarded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for the calls that a request causes: tracing, user, and faults meant for somebody else."""
    passed = {name: value for name, value in headers.items() if name.lower() in FORWARDED}
    given = {name.lower(): value for name, value in headers.items()}
    for name in FAULTS:
        value = given.get(name)
        if value is not None and "=" in value and fault_for_me(value) is None:
            passed[name] = value
    return passed


def number(text: str | None, default: float = 0.0) -> float:
    try:
        return float(text or "")
    except ValueError:
        return default


class Connections:
    """Keep-alive connections to upstreams, one per thread and address."""

    def __init__(self) -> None:
        self.local = threading.local()

    def get(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """One GET; a connection that the other side closed meanwhile is replaced once."""
        pool: dict[tuple[str, int], http.client.HTTPConnection] = self.local.__dict__.setdefault("pool", {})
        for attempt in (1, 2):
            fresh = (host, port) not in pool
            connection = pool.setdefault(
                (host, port), http.client.HTTPConnection(host, port, timeout=UPSTREAM_TIMEOUT)
            )
            try:
                connection.request("GET", path, headers=dict(headers))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                del pool[(host, port)]
                if fresh or attempt == 2:
                    raise
        raise AssertionError


UPSTREAMS = parse_upstreams(os.environ.get("UPSTREAMS", ""))
CONNECTIONS = Connections()
WORKERS = ThreadPoolExecutor(max_workers=32)
REQUESTS = [0]


def call(upstream: Upstream, headers: Mapping[str, str]) -> dict[str, Any]:
    """What an upstream said, in short; never raises."""
    host, port, path = upstream
    try:
        status, body = CONNECTIONS.get(host, port, path, headers)
    except (http.client.HTTPException, OSError) as error:
        return {"service": host, "status": 0, "error": f"{type(error).__name__}: {error}"}
    result: dict[str, Any] = {"service": host, "status": status}
    try:
        answer = json.loads(body)
        result.update({key: answer[key] for key in ("version", "upstream") if key in answer})
    except (ValueError, TypeError):
        result["body"] = body[:100].decode(errors="replace")
    return result


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body
    timeout = 75

    def handle_any(self) -> None:
        length = int(number(self.headers.get("content-length")))
        if length:
            self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path == "/health/liveness":
            return self.answer(200, {"status": "alive"})
        if path == "/health/readiness":
            return self.answer(
                503 if STOPPING.is_set() else 200, {"status": "stopping" if STOPPING.is_set() else "ready"}
            )
        return self.serve(path)

    def serve(self, path: str) -> None:
        REQUESTS[0] += 1
        crash_after = int(number(os.environ.get("FAULT_CRASH_AFTER")))
        if fault_for_me(self.headers.get("x-fault-crash")) or (crash_after and REQUESTS[0] >= crash_after):
            os._exit(13)
        delay = number(fault_for_me(self.headers.get("x-fault-delay-ms"))) or number(
            os.environ.get("FAULT_DELAY_MS")
        )
        if delay:
            time.sleep(min(delay, 60000) / 1000)
        status = int(number(fault_for_me(self.headers.get("x-fault-status"))))
        if not status and random.uniform(0, 100) < number(os.environ.get("FAULT_STATUS_PERCENT"), 100):  # noqa: S311 - no secret
            status = int(number(os.environ.get("FAULT_STATUS")))
        headers = forwarded_headers(dict(self.headers.items()))
        needed = [] if status else upstreams_for(path, UPSTREAMS)
        upstream = list(WORKERS.map(lambda one: call(one, headers), needed)) if needed else []
        body = {
            "service": SERVICE,
            "version": VERSION,
            "path": self.path,
            "method": self.command,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "upstream": upstream,
        }
        if not 200 <= status <= 599:
            status = 200 if all(200 <= one["status"] < 400 for one in upstream) else 502
        return self.answer(status, body)

    def answer(self, status: int, body: Mapping[str, Any]) -> None:
        content = b"" if status in (204, 304) else json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("x-service-version", VERSION)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass  # the proxy beside it writes the access log

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any  # noqa: N815 - names of http.server


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    address_family = socket.AF_INET

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Echo(socketserver.StreamRequestHandler):
    """Every line comes back with the name of the service in front."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(f"{SERVICE} {VERSION} ".encode() + line)


class EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    ports = os.environ.get("PORTS") or os.environ.get("PORT", "3000")
    # Every port listens before the first answers: who sees the service ready may call all of them.
    servers: list[socketserver.BaseServer] = [Server(("", int(port)), Handler) for port in ports.split(",")]
    if os.environ.get("TCP_PORT"):
        servers.append(EchoServer(("", int(os.environ["TCP_PORT"])), Echo))
    if all(os.environ.get(name) for name in ("TLS_CERT", "TLS_KEY", "TLS_PORT")):
        server: ThreadingHTTPServer = Server(("", int(os.environ["TLS_PORT"])), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
    for one in servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    print(f"{SERVICE} {VERSION} listens on {ports}, calls {UPSTREAMS}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: STOPPING.set())
    STOPPING.wait()
    # Endpoints and proxies learn of the end with a delay: go on answering for a moment
    time.sleep(number(os.environ.get("DRAIN_SECONDS"), 2))
    for one in servers:
        one.shutdown()


if __name__ == "__main__":
    main()
