"""A proxy before the API server that loses answers, cuts what pods say, and knows what went through whole."""

from __future__ import annotations

import contextlib
import http.server
import random
import socket
import threading
import urllib.parse
from pathlib import Path

from ...faults import kube_proxy

PLAIN = (kube_proxy.DROP_AFTER, kube_proxy.TRUNCATE, kube_proxy.GARBLE, kube_proxy.STATUS)


class LossyProxy(kube_proxy.FaultProxy):
    """Each path has its fate for as long as the run lasts: retries do not help.

    :ivar whole: for what a pod said that arrived whole, the pod, and the words of the command or the path.
    :ivar listed: paths of lists and objects that were delivered whole.
    """

    def __init__(self, kubeconfig: str, work: Path, seed: int) -> None:
        super().__init__(kubeconfig, work)
        self._dice = random.Random(seed)
        self._lists = self._dice.choice([0.0, 0.02, 0.1])
        self._pods = self._dice.choice([0.05, 0.2, 0.6])
        self._fates: dict[str, float] = {}
        self.whole: set[tuple[str, str]] = set()
        self.listed: set[str] = set()
        self.lost = 0

    def _is_lost(self, path: str, share: float) -> bool:
        with self._lock:
            lost = self._fates.setdefault(path, self._dice.random()) < share
            self.lost += lost
        return lost

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Upgrade"):
            self._tunnel(handler)
        else:
            super().handle(handler)

    def _fault_for(self, method: str, path: str) -> kube_proxy.Fault | None:
        place = path.partition("?")[0]
        if method == "GET" and self._is_lost(place, self._lists):
            return kube_proxy.Fault(self._dice.choice(PLAIN))
        self.listed.add(place)
        return None

    def _tunnel(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        parts = urllib.parse.urlsplit(handler.path)
        words = [value for name, value in urllib.parse.parse_qsl(parts.query) if name == "command"]
        pod = parts.path.split("/")[-2]
        client = handler.connection
        handler.close_connection = True
        host, _colon, port = self._target.partition(":")
        with (
            socket.create_connection((host, int(port or 443)), 30) as plain,
            self._context.wrap_socket(plain, server_hostname=host) as server,
        ):
            lines = [f"GET {handler.path} HTTP/1.1", f"Host: {self._target}"]
            lines += [f"{name}: {value}" for name, value in handler.headers.items() if name.lower() != "host"]
            server.sendall("\r\n".join([*lines, "", ""]).encode())
            request = b""
            if parts.path.endswith("/portforward"):  # what is asked stands in the first message
                _pump(server, client, until=b"\r\n\r\n")
                request = client.recv(65536)
                words = [_asked(request)]
            # What a probe is asked differs from run to run by its mark; who it is stays.
            fate = pod.rpartition("-")[2] if pod.startswith("servicemesh-verify-") else f"{pod} {words[-1]}"
            lost = self._is_lost(fate, self._pods)
            if lost and self._dice.random() < 0.4:
                return
            server.sendall(request)
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            if _pump(server, client, self._dice.randint(200, 4000) if lost else None):
                self.whole.add((pod, " ".join(words)))


def _asked(message: bytes) -> str:
    """The path of a request that a client sent in one message (RFC 6455, section 5.2), "" when it is none."""
    start = 8 if message[1:2] and message[1] & 0x7F == 126 else 6
    mask = message[start - 4 : start]
    text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(message[start:]))
    words = text[1:].decode("ascii", "replace").split()
    return words[1] if len(words) > 1 else ""


def _pump(
    source: socket.socket, sink: socket.socket, limit: int | None = None, *, until: bytes = b""
) -> bool:
    """Carries bytes until the source ends, ``limit`` of them, or ``until`` came; whether all went through."""
    carried = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if limit is not None and carried + len(data) > limit:
                sink.sendall(data[: limit - carried])
                sink.shutdown(socket.SHUT_RDWR)
                return False
            sink.sendall(data)
            carried += len(data)
            if until and until in data:
                return True
        sink.shutdown(socket.SHUT_RDWR)
        return True
    return limit is None and carried > 0
