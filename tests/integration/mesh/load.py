"""Constant load on one path: ADDRESS PORT PATH HOST TLS(0|1) RATE SECONDS [HEADER=VALUE ...]; totals as JSON.

Runs on the host and inside pods, with Python's standard library only. Ends early when /tmp/stop-load exists
or SIGTERM arrives. Whatever is not a 2xx answer counts as failed, with the second in which it happened.
"""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path

THREADS = 10
STOP = threading.Event()
LOCK = threading.Lock()
TOTALS: Counter[str] = Counter()
FAILS: Counter[str] = Counter()
VERSIONS: Counter[str] = Counter()


def connect(address: str, port: int, host: str, tls: bool) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address, port, timeout=15)
    connection.connect()
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    return connection


def work(number: int, arguments: list[str], end: float) -> None:
    address, port, path, host, tls, rate = arguments[:6]
    headers = {"host": host, **dict(item.split("=", 1) for item in arguments[7:])}
    connection: http.client.HTTPConnection | None = None
    due = time.monotonic() + number / float(rate)
    while time.monotonic() < end and not STOP.is_set() and not Path("/tmp/stop-load").exists():
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + THREADS / float(rate), time.monotonic() - 0.5)
        outcome = version = ""
        try:
            connection = connection or connect(address, int(port), host, tls == "1")
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            version = answer.headers.get("x-service-version", "")
            if answer.status // 100 != 2:
                outcome = f"{answer.status} {body[:60].decode(errors='replace')}"
            if answer.will_close:
                connection = None
        except (OSError, http.client.HTTPException) as error:
            outcome, connection = f"{type(error).__name__}: {error}", None
        with LOCK:
            TOTALS["sent"] += 1
            VERSIONS[version] += 1
            if outcome:
                TOTALS["failed"] += 1
                FAILS[f"{time.strftime('%H:%M:%S')} {outcome}"] += 1


def main(arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    end = time.monotonic() + float(arguments[6])
    threads = [threading.Thread(target=work, args=(number, arguments, end)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = {"sent": TOTALS["sent"], "failed": TOTALS["failed"], "versions": VERSIONS}
    print(json.dumps({**said, "fails": dict(sorted(FAILS.items())[:40])}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
