"""A version of a service that answers, streams and fails as it is told. Python's standard library only.

HTTP/1.1 on 3000: ``/`` says the version, ``/stream`` ticks until the client goes away, ``/ws`` does so after
an upgrade. gRPC on 9000: every call ends with the status in the file ``/tmp/grpc``. Environment: ``VERSION``;
``LIMIT``: with more requests in one second the rest gets 503. The file ``/tmp/status`` holds the status of
every answer.
"""

import http.server
import json
import os
import pathlib
import socket
import socketserver
import struct
import threading
import time

VERSION, LIMIT = os.environ.get("VERSION", "v1"), int(os.environ.get("LIMIT", "0"))
SECONDS, LOCK = {}, threading.Lock()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def told(name, default):
    file = pathlib.Path("/tmp") / name
    return file.read_text().strip() if file.exists() else default


def too_many():
    with LOCK:
        second = int(time.time())
        SECONDS[second] = SECONDS.get(second, 0) + 1
        return bool(LIMIT) and SECONDS[second] > LIMIT


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        if self.path == "/stream":
            return self.ticks(200, ("transfer-encoding", "chunked"))
        if self.path == "/ws":
            return self.ticks(101, ("upgrade", "websocket"), ("connection", "upgrade"))
        status = 503 if too_many() else int(told("status", "200"))
        body = json.dumps({"version": VERSION}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def ticks(self, status, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while True:
            try:
                self.wfile.write(b"4\r\ntick\r\n")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.5)

    def log_message(self, *_unused):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header as HPACK's literal without indexing (RFC 7541, 6.2.2), without Huffman."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


def read(connection, size):
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def calls(connection):
    """One HTTP/2 connection: every request that ends is answered with a gRPC status in its trailers."""
    try:
        read(connection, len(PREFACE))
        connection.sendall(frame(SETTINGS, 0, 0))
        while True:
            head = read(connection, 9)
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream, payload = int.from_bytes(head[5:], "big") & 0x7FFFFFFF, read(connection, size)
            answer = b""
            if kind == SETTINGS and not flags & ACK:
                answer = frame(SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                answer = frame(PING, ACK, 0, payload)
            elif kind == DATA and size:
                answer = frame(WINDOW, 0, 0, struct.pack(">I", size))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                first = b"\x88" + literal(b"content-type", b"application/grpc")
                last = literal(b"grpc-status", told("grpc", "0").encode())
                answer += frame(HEADERS, END_HEADERS, stream, first)
                answer += frame(HEADERS, END_HEADERS | END_STREAM, stream, last)
            if answer:
                connection.sendall(answer)
    except (EOFError, OSError):
        connection.close()


def grpc():
    listener = socket.create_server(("", 9000), backlog=128)
    while True:
        threading.Thread(target=calls, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=grpc, daemon=True).start()
Server(("", 3000), Handler).serve_forever()
