"""TLS clients of gateway pods: new connections at a pace, and some that stay open. A process of its own.

One JSON object of settings comes in on stdin: ``addresses`` (of pods), ``port``, ``host``, ``ca`` (PEM),
``rate`` (new connections a second, over all pods), ``long_lived``. The end of stdin ends it; then one JSON
object goes out: ``handshakes``, ``requests``, ``failed`` (texts), ``seen`` (pod -> fingerprint -> the time
when it was first served there, seconds since the epoch).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from typing import Any

THREADS = 8


class Clients:
    """All of them trust the CA of the test only."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.addresses = list(settings["addresses"])
        self.port, self.host = int(settings["port"]), str(settings["host"])
        self.rate, self.long_lived = float(settings["rate"]), int(settings["long_lived"])
        self.context = ssl.create_default_context(cadata=settings["ca"])
        self.failed: list[str] = []
        self.handshakes = self.requests = 0
        self.seen: dict[str, dict[str, float]] = {address: {} for address in self.addresses}
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [threading.Thread(target=self._new, args=(number,)) for number in range(THREADS)]
        threads += [threading.Thread(target=self._stay, args=(number,)) for number in range(self.long_lived)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self.stop.set()
        for thread in threads:
            thread.join(timeout=30)

    def connect(self, address: str) -> ssl.SSLSocket:
        raw = socket.create_connection((address, self.port), timeout=10)
        try:
            return self.context.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def _new(self, number: int) -> None:
        """Every THREADS-th beat of the pace, whatever the one before took."""
        begin, beat = time.monotonic(), number
        while not self.stop.is_set():
            wait = begin + beat / self.rate - time.monotonic()
            if wait > 0 and self.stop.wait(wait):
                return
            address = self.addresses[(beat // THREADS) % len(self.addresses)]
            beat += THREADS
            try:
                with self.connect(address) as secure:
                    leaf = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
            except OSError as error:
                self.failed.append(f"{time.time():.1f} handshake with {address}: {error}")
                continue
            with self._lock:
                self.handshakes += 1
                self.seen[address].setdefault(leaf, time.time())

    def _stay(self, number: int) -> None:
        """One connection, one request a second: it may not be cut."""
        address = self.addresses[number % len(self.addresses)]
        try:
            with self.connect(address) as secure:
                connection = http.client.HTTPConnection(self.host)
                connection.sock = secure
                while not self.stop.wait(1.0):
                    connection.request("GET", "/", headers={"Host": self.host})
                    connection.getresponse().read()
                    with self._lock:
                        self.requests += 1
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(f"{time.time():.1f} long-lived to {address}: {type(error).__name__}: {error}")


def main() -> None:
    clients = Clients(json.loads(sys.stdin.readline()))
    with contextlib.suppress(KeyboardInterrupt):
        clients.run()
    told = {name: getattr(clients, name) for name in ("handshakes", "requests", "failed", "seen")}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
