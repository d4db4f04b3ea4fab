"""Sends requests through the gateway, eight at a time, and counts what comes back. Standard library only.

probe.py ADDRESS reads {NAME: [PATH, REQUESTS, "HEADER=VALUE", ...], ...} on its standard input, and prints
{NAME: {"status": {"200": 9, ...}, "version": {"v1": 9}, "service": {...}, "seconds": 1.2}, ...}. TLS is not
verified here: other tests do that.
"""

from __future__ import annotations

import collections
import http.client
import json
import ssl
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

HOST = "api.example.com"
THREADS = 8


class Connection(http.client.HTTPSConnection):
    """Connects to an address and asks for HOST, as `curl --resolve` does."""

    def __init__(self, address: str) -> None:
        self.wanted = ssl._create_unverified_context()  # noqa: S323 - the lab's own gateway
        super().__init__(address, 443, timeout=20, context=self.wanted)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self.wanted.wrap_socket(self.sock, server_hostname=HOST)


def ask(address: str, path: str, headers: Mapping[str, str], requests: int) -> list[tuple[int, bytes]]:
    """Status and body of requests over one connection."""
    connection, answers = Connection(address), []
    for _ in range(requests):
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        answers.append((answer.status, answer.read()))
    return answers


def counted(address: str, path: str, requests: int, *headers: str) -> dict[str, Any]:
    """Sends the requests of one probe. :returns: how often each answer came, and the seconds it took."""
    sent = {"host": HOST, **dict(header.split("=", 1) for header in headers)}
    share, rest = divmod(requests, THREADS)
    shares = [share + (index < rest) for index in range(THREADS)]
    begin = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [
            answer for found in pool.map(lambda n: ask(address, path, sent, n), shares) for answer in found
        ]
    seconds = time.monotonic() - begin
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for status, body in answers:
        counts["status"][str(status)] += 1
        try:
            said = json.loads(body)
        except ValueError:
            continue
        for key in ("version", "service", "path"):
            counts[key][str(said.get(key))] += 1
    return {**counts, "seconds": round(seconds, 2)}


if __name__ == "__main__":
    probes = json.load(sys.stdin)
    print(json.dumps({what: counted(sys.argv[1], *probe) for what, probe in probes.items()}))
