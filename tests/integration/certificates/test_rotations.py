"""Rotations under traffic on a real gateway: no handshake fails, nothing is cut, whatever kills the run.

``ROTATIONS=200 CONNECTIONS=100`` for the long form: so many rotations, and new connections a second.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.previous import SUFFIX

ROOT = Path(__file__).resolve().parents[3]
ROTATIONS = int(os.environ.get("ROTATIONS", "5"))
CONNECTIONS = float(os.environ.get("CONNECTIONS", "15"))
LONG_LIVED = 20
KILLS = int(os.environ.get("KILLS", "4"))


class Clients:
    """New TLS connections at a pace, and some that stay open; both trust the CA of the test only."""

    def __init__(self, address: tuple[str, int], host: str, ca: str) -> None:
        self.address, self.host = address, host
        self.context = ssl.create_default_context(cadata=ca)
        self.failed: list[str] = []
        self.handshakes = 0
        self.seen: dict[bytes, float] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._new, daemon=True)]
        self._threads += [threading.Thread(target=self._stay, daemon=True) for _one in range(LONG_LIVED)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=20)

    def connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(self.address, timeout=10)
        return self.context.wrap_socket(raw, server_hostname=self.host)

    def _new(self) -> None:
        while not self._stop.wait(1 / CONNECTIONS):
            try:
                with self.connect() as secure:
                    leaf = secure.getpeercert(binary_form=True) or b""
                self.seen.setdefault(leaf, time.monotonic())
                self.handshakes += 1
            except OSError as error:
                self.failed.append(f"handshake: {error}")

    def _stay(self) -> None:
        """One connection, one request a second. The gateway may end it politely; it may not cut it."""
        try:
            with self.connect() as secure:
                connection = http.client.HTTPConnection(self.host)
                connection.sock = secure
                while not self._stop.wait(1.0):
                    connection.request("GET", "/", headers={"Host": self.host})
                    connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(f"long-lived: {type(error).__name__}: {error}")


@pytest.fixture
def gateway(client) -> tuple[str, int]:
    """Address and port of one gateway pod."""
    pods = client.list("v1", "Pod", "istio-system", label_selector="istio=ingressgateway").items
    return pods[0]["status"]["podIP"], 8443


def first_served(edge, gateway: tuple[str, int]) -> str:
    edge.expose()
    done = edge.run()
    assert done["status"] == "pass", done["reason"]
    return str(done["ca"]["certificate"])


def test_nobody_notices_a_rotation(edge, gateway) -> None:
    ca = first_served(edge, gateway)
    delays = []
    with Clients(gateway, edge.host, ca) as clients:
        for number in range(ROTATIONS):
            begin = time.monotonic()
            done = edge.run(force=[edge.name], overlap=0)
            assert (done["status"], done["outcome"]) == ("pass", "renewed"), (number, done["reason"])
            new = bytes.fromhex(done["certificates"][0]["fingerprint_sha256"])
            assert new
            delays.append(time.monotonic() - begin)
        time.sleep(2)
    assert clients.failed == []
    assert clients.handshakes > 10
    assert len(clients.seen) >= min(ROTATIONS, 3)
    assert edge.secret(f"{edge.name}{SUFFIX}") is None
    ordered = sorted(delays)
    print(
        f"\n{ROTATIONS} rotations under {clients.handshakes} handshakes, {LONG_LIVED} long-lived: "
        f"0 failed; a rotation takes {statistics.median(delays):.2f} s, "
        f"p99 {ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.2f} s"
    )


def test_a_pair_that_the_gateway_does_not_take_is_taken_back(edge, gateway, client, monkeypatch) -> None:
    """Another CA's pair, so that no client of ours accepts it: the old one is back, and served."""
    first_served(edge, gateway)
    before = edge.secret()["data"]["tls.crt"]
    from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import rotation

    real = rotation.write_credential
    spoilt = []

    def spoil(renewal, item, pair):
        """Somebody's admission policy damages the first write."""
        real(renewal, item, pair)
        if not spoilt:
            spoilt.append(item.credential.name)
            changed = client.patch(
                "v1", "Secret", edge.name, "istio-system", {"data": {"tls.crt": "Z2FyYmFnZQ=="}}
            )
            item.current = changed

    monkeypatch.setattr(rotation, "write_credential", spoil)
    with pytest.raises(MeshError, match="the previous certificate is back and served"):
        edge.run(force=[edge.name], overlap=0, timeout=10)
    assert spoilt
    assert edge.secret()["data"]["tls.crt"] == before
    assert edge.secret(f"{edge.name}{SUFFIX}") is None


RUNNER = """
import json, os, sys
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import backend
print("begun", flush=True)
print(json.dumps(backend.run(json.loads(sys.argv[1]), Context(environment=os.environ))["status"]), flush=True)
"""


def test_killed_at_any_moment_the_next_run_ends_it(edge, gateway) -> None:
    ca = first_served(edge, gateway)
    params = edge.params(force=[edge.name], overlap=1)
    chance = random.Random(7)
    with Clients(gateway, edge.host, ca) as clients:
        for _number in itertools.repeat(None, KILLS):
            runner = subprocess.Popen(
                [sys.executable, "-c", RUNNER, json.dumps(params)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
            )
            assert runner.stdout is not None
            runner.stdout.readline()
            time.sleep(chance.uniform(0.0, 2.5))
            runner.send_signal(signal.SIGKILL)
            runner.wait()
            runner.stdout.close()
            done = edge.run(overlap=0)
            assert done["status"] == "pass", done["reason"]
            assert edge.secret(f"{edge.name}{SUFFIX}") is None
            assert edge.run()["changed"] is False
    assert clients.failed == []
