"""Callers of own_server.py, in a pod: MODE HOST SECONDS [NUMBER]. One JSON line at the end, or at /tmp/stop.

``load HOST SECONDS RATE``: requests at a rate. ``users HOST SECONDS COUNT``: clients that each ask for twenty
people, who keep their cookies. ``streams HOST SECONDS``: one response, one WebSocket, held.
``calls HOST SECONDS RATE``: gRPC.
"""

import http.client
import json
import pathlib
import socket
import struct
import sys
import threading
import time

STOP = pathlib.Path("/tmp/stop")
LOCK = threading.Lock()
MODE, HOST, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
NUMBER = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
END = time.time() + SECONDS


def going():
    return time.time() < END and not STOP.exists()


def at_rate(act, threads=8):
    """Calls ``act`` from several threads, ``NUMBER`` times a second together."""

    def work(number):
        due = time.time() + number / NUMBER
        while going():
            time.sleep(max(0.0, due - time.time()))
            due = max(due + threads / NUMBER, time.time())  # who was held up does not hurry: no burst
            act(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]


def load():
    total = {"sent": 0, "fails": {}, "seconds": {}}
    connections = {}

    def act(number):
        version, outcome = "?", ""
        try:
            connection = connections.get(number) or http.client.HTTPConnection(HOST, 3000, timeout=15)
            connections[number] = connection
            connection.request("GET", "/")
            answer = connection.getresponse()
            version = json.loads(answer.read())["version"]
            outcome = "" if answer.status == 200 else str(answer.status)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome = outcome or type(error).__name__
            connections.pop(number, None)
        with LOCK:
            second = str(int(time.time()))
            total["sent"] += 1
            here = total["seconds"].setdefault(second, {})
            here[version] = here.get(version, 0) + 1
            if outcome:
                at = total["fails"].setdefault(f"{version} {outcome}", {})
                at[second] = at.get(second, 0) + 1

    at_rate(act)
    return total


JARS = 20  # people for whom one client asks in turn, each with cookies of its own


def users():
    """Per second: which people were answered by which version."""
    seen = {}

    def act(number):
        jars, connection, turn = [{} for _unused in range(JARS)], None, 0
        time.sleep(number / NUMBER)
        while going():
            turn, jar = turn + 1, jars[turn % JARS]
            try:
                connection = connection or http.client.HTTPConnection(HOST, 3000, timeout=15)
                cookies = "; ".join(f"{key}={value}" for key, value in jar.items())
                connection.request("GET", "/", headers={"cookie": cookies} if cookies else {})
                answer = connection.getresponse()
                version = json.loads(answer.read())["version"]
                for cookie in answer.headers.get_all("set-cookie") or []:
                    key, _, value = cookie.partition(";")[0].partition("=")
                    jar[key] = value
                with LOCK:
                    person = f"{number}.{(turn - 1) % JARS}"
                    seen.setdefault(str(int(time.time())), {})[person] = version
            except (OSError, ValueError, http.client.HTTPException):
                connection = None
            time.sleep(0.75)

    people = [threading.Thread(target=act, args=(number,)) for number in range(int(NUMBER))]
    [person.start() for person in people]
    [person.join() for person in people]
    return {"seen": seen}


def streams():
    """Which streams were cut, and how long each was held."""
    held = {}

    def hold(path, headers):
        began, name = time.time(), path.strip("/")
        try:
            connection = socket.create_connection((HOST, 3000), 10)
            lines = [f"GET {path} HTTP/1.1", f"host: {HOST}:3000", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode())
            connection.settimeout(10)
            while going():
                if not connection.recv(4096):
                    raise EOFError
            held[name] = ["held", round(time.time() - began, 1)]
        except (OSError, EOFError) as error:
            held[name] = [type(error).__name__, round(time.time() - began, 1)]

    upgrade = ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"]
    upgrade.append("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")
    both = [
        threading.Thread(target=hold, args=("/stream", [])),
        threading.Thread(target=hold, args=("/ws", upgrade)),
    ]
    [one.start() for one in both]
    [one.join() for one in both]
    return {"held": held}


def literal(name, value):
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def calls():
    """gRPC calls over one connection for each thread; whoever answers, the proxies count how they ended."""
    total = {"sent": 0, "ended": 0}
    state = {}
    head = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/shop.Products/Get"),
        (b":authority", f"{HOST}:9000".encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    block = b"".join(literal(name, value) for name, value in head)

    def drain(connection):
        """Answers what the other side needs to hear, and counts ends of streams."""
        rest = b""
        while True:
            try:
                part = connection.recv(65536)
            except OSError:
                return
            if not part:
                return
            rest += part
            while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
                size = int.from_bytes(rest[:3], "big")
                kind, flags, payload, rest = rest[3], rest[4], rest[9 : 9 + size], rest[9 + size :]
                if kind in (4, 6) and not flags & 1:
                    connection.sendall(frame(kind, 1, 0, payload if kind == 6 else b""))
                if kind in (0, 1) and flags & 1:
                    with LOCK:
                        total["ended"] += 1

    def act(number):
        try:
            if number not in state:
                connection = socket.create_connection((HOST, 9000), 10)
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
                threading.Thread(target=drain, args=(connection,), daemon=True).start()
                state[number] = [connection, 1]
            connection, stream = state[number]
            state[number][1] += 2
            message = b"\0\0\0\0\0"
            connection.sendall(frame(1, 4, stream, block) + frame(0, 1, stream, message))
            with LOCK:
                total["sent"] += 1
        except OSError:
            state.pop(number, None)

    at_rate(act, threads=4)
    time.sleep(1)
    return total


print(json.dumps({"load": load, "users": users, "streams": streams, "calls": calls}[MODE]()))
