"""A load generator that counts what it sent and what came back, request by request."""

from __future__ import annotations

import concurrent.futures
import http.client
import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence

THREADS = 4
Request = tuple[str, dict[str, str]]
Counted = Counter[tuple[str, int]]


class _Tls(http.client.HTTPSConnection):
    """HTTPS to an address under a host's name; certificates are judged elsewhere."""

    def __init__(self, address: str, host: str) -> None:
        self._address = address
        self._trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trusting.check_hostname, self._trusting.verify_mode = False, ssl.CERT_NONE
        super().__init__(host, 443, timeout=20, context=self._trusting)

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), self.timeout)
        self.sock = self._trusting.wrap_socket(plain, server_hostname=self.host)


def send(address: str, host: str, requests: Sequence[Request], pause: float = 0.01) -> Counted:
    """Send all requests, as (path, headers), over a few connections; counted by path and status."""
    found: Counted = Counter()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        parts = [requests[number::THREADS] for number in range(THREADS)]
        for counted in pool.map(lambda part: _send(address, host, part, pause), parts):
            found += counted
    return found


def _send(address: str, host: str, requests: Sequence[Request], pause: float) -> Counted:
    counted: Counted = Counter()
    connection = _Tls(address, host)
    for path, headers in requests:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        counted[path, answer.status] += 1
        if answer.will_close:
            connection.close()
        time.sleep(pause)
    connection.close()
    return counted
