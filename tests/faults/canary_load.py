"""Constant load: HOST PORT PATH HOST_HEADER RATE SECONDS. Prints totals as one JSON line at the end.

Runs in a pod of the lab too, so it needs nothing but Python's standard library.
"""

import contextlib
import http.client
import json
import pathlib
import socket
import ssl
import sys
import threading
import time

STOP_FILE = ""
THREADS = 10

lock = threading.Lock()
totals = {"sent": 0, "failed": 0, "versions": {}, "fails": {}, "seconds": {}}


class Tls(http.client.HTTPSConnection):
    """HTTPS to an address under the host's name. Requests are counted here; certificates are not judged."""

    def __init__(self, address, port, name):
        self.address = address
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        self.trusting = trusting
        super().__init__(name, port, timeout=15, context=trusting)

    def connect(self):
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self.trusting.wrap_socket(plain, server_hostname=self.host)


def connected(host, port, header):
    """A connection that opens with its first request."""
    return Tls(host, port, header) if port == 443 else http.client.HTTPConnection(host, port, timeout=15)


def version_of(answer, service="product-service"):
    """The version of the service that took part in an answer, however deep."""
    if isinstance(answer, dict):
        if answer.get("service") == service:
            return answer.get("version")
        answer = list(answer.values())
    if isinstance(answer, list):
        for item in answer:
            found = version_of(item)
            if found:
                return found
    return None


def work(number, host, port, path, header, rate, end):
    connection, due = None, time.time() + number / rate
    while time.time() < end and not (STOP_FILE and pathlib.Path(STOP_FILE).exists()):
        time.sleep(max(0.0, due - time.time()))
        due = max(due + THREADS / rate, time.time() - 0.5)
        version, outcome = "?", ""
        try:
            connection = connection or connected(host, port, header)
            connection.request("GET", path, headers={"Host": header})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                outcome = str(response.status)
            with contextlib.suppress(ValueError):
                version = version_of(json.loads(body)) or "?"
        except (OSError, http.client.HTTPException) as error:
            outcome, connection = type(error).__name__, None
        with lock:
            totals["sent"] += 1
            totals["versions"][version] = totals["versions"].get(version, 0) + 1
            second = totals["seconds"].setdefault(int(time.time()), {})
            second[version] = second.get(version, 0) + 1
            if outcome:
                totals["failed"] += 1
                key = f"{outcome}@{int(time.time())}"
                totals["fails"][key] = totals["fails"].get(key, 0) + 1


def main():
    host, port, path, header, rate, seconds = sys.argv[1:7]
    end = time.time() + float(seconds)
    threads = [
        threading.Thread(target=work, args=(number, host, int(port), path, header, float(rate), end))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(totals))


main()
