"""Rotations under traffic on a real gateway: no handshake fails, nothing is cut, whatever kills the run.

``ROTATIONS=200 CONNECTIONS=100 KILLS=30 TWICE=50`` for the long form (``make campaign``): so many
rotations, new connections a second, killed runs, and pairs of runs at once.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.pods import is_ready
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import rotation
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    fingerprint,
    new_request,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.previous import SUFFIX

from .company import Company
from .conftest import HOME

ROOT = Path(__file__).resolve().parents[3]
ROTATIONS = int(os.environ.get("ROTATIONS", "5"))
CONNECTIONS = float(os.environ.get("CONNECTIONS", "15"))
LONG_LIVED = 20
GATEWAY, PORT = "istio-ingressgateway", 8443
KILLS = int(os.environ.get("KILLS", "1"))
TWICE = int(os.environ.get("TWICE", "2"))


class Clients:
    """TLS clients in a process of their own (tls_clients.py), so that the runs do not slow them down.

    :ivar told: what they saw, once they have ended.
    """

    def __init__(self, addresses: list[str], host: str, ca: str) -> None:
        self.told: dict[str, Any] = {}
        self._settings = {
            "addresses": addresses,
            "port": PORT,
            "host": host,
            "ca": ca,
            "rate": CONNECTIONS,
            "long_lived": LONG_LIVED,
        }

    def __enter__(self) -> Clients:
        program = [sys.executable, str(Path(__file__).with_name("tls_clients.py"))]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._settings) + "\n")
        self._process.stdin.flush()
        self._begun = time.monotonic()
        return self

    def __exit__(self, *_exc: object) -> None:
        out, _err = self._process.communicate(timeout=90)
        self.told = json.loads(out)
        seconds = time.monotonic() - self._begun
        count = self.told["handshakes"]
        print(
            f"\n{count} handshakes in {seconds:.0f} s ({count / seconds:.0f}/s),"
            f" {self.told['requests']} requests over {LONG_LIVED} long-lived connections"
        )

    def delays(self, written: dict[str, float]) -> list[float]:
        """Seconds from each write to the last pod that serves it. :param written: fingerprint -> when."""
        return [
            max(seen[leaf] - when for seen in self.told["seen"].values())
            for leaf, when in written.items()
            if all(leaf in seen for seen in self.told["seen"].values())
        ]


@pytest.fixture
def gateway(client) -> list[str]:
    """Addresses of the gateway's pods, all of them ready."""
    return scaled(client, client.get("apps/v1", "Deployment", GATEWAY, HOME)["spec"]["replicas"])


@pytest.fixture(scope="module")
def gateways(client) -> Iterator[list[str]]:
    """Addresses of two gateway pods; the second one goes when the tests of it, the last ones, have ended."""
    before = client.get("apps/v1", "Deployment", GATEWAY, HOME)["spec"]["replicas"]
    yield scaled(client, 2)
    scaled(client, before)


def scaled(client, replicas: int) -> list[str]:
    """The addresses of that many ready gateway pods, once there are no others."""
    client.patch("apps/v1", "Deployment", GATEWAY, HOME, {"spec": {"replicas": replicas}})
    for _second in range(120):
        pods = client.list("v1", "Pod", HOME, label_selector="istio=ingressgateway").items
        ready = [pod for pod in pods if is_ready(pod)]
        if len(pods) == len(ready) == replicas:
            return [pod["status"]["podIP"] for pod in ready]
        time.sleep(1)
    raise AssertionError(f"{GATEWAY} does not get {replicas} ready pods")


def wait_for_handshakes(addresses: list[str], host: str, ca: str) -> None:
    """A pod that has just started gets its listeners and credentials a moment later."""
    trusting = ssl.create_default_context(cadata=ca)
    for address in addresses:
        for _try in range(60):
            with (
                contextlib.suppress(OSError),
                socket.create_connection((address, PORT), timeout=5) as raw,
                trusting.wrap_socket(raw, server_hostname=host),
            ):
                break
            time.sleep(0.5)


def first_served(edge) -> str:
    edge.expose()
    done = edge.run()
    assert done["status"] == "pass", done["reason"]
    return str(done["ca"]["certificate"])


def test_a_pair_that_the_gateway_does_not_take_is_taken_back(edge, client, monkeypatch) -> None:
    """Another CA's pair, so that no client of ours accepts it: the old one is back, and served."""
    first_served(edge)
    before = edge.secret()["data"]["tls.crt"]
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
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import backend
backend.LEASE_SECONDS = 6  # whoever comes after a kill watches the Lease for that long
print("begun", flush=True)
try:
    print(backend.run(json.loads(sys.argv[1]), Context(environment=os.environ))["status"], flush=True)
except MeshError as error:
    print(getattr(error, "rule", "") or type(error).__name__, error.message, flush=True)
"""


# Ends itself at its write number N, before the request is sent or after it was answered.
SUICIDAL = """
import os, signal
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient
number, after, real, count = int(os.environ["DIES_AT"]), os.environ["DIES"] == "after", KubeClient.request, 0
def request(self, method, path, **more):
    global count
    count += method in ("POST", "PUT", "PATCH", "DELETE") and "accessreviews" not in path
    dies = count == number
    if dies and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(self, method, path, **more)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
KubeClient.request = request
"""


def start(params: dict[str, Any], program: str = RUNNER, **environment: str) -> subprocess.Popen[bytes]:
    """A run in a process of its own, which has begun."""
    runner = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(params)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), **environment},
    )
    assert runner.stdout is not None
    runner.stdout.readline()
    return runner


def kill(runner: subprocess.Popen[bytes]) -> None:
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert runner.stdout is not None
    runner.stdout.close()


def test_killed_at_any_moment_the_next_run_ends_it(edge, gateway) -> None:
    ca = first_served(edge)
    params = edge.params(force=[edge.name], overlap=1)
    chance = random.Random(7)
    with Clients(gateway, edge.host, ca) as clients:
        for _number in itertools.repeat(None, KILLS):
            runner = start(params)
            time.sleep(chance.uniform(0.0, 2.5))
            kill(runner)
            done = edge.run(overlap=0)
            assert done["status"] == "pass", done["reason"]
            assert edge.secret(f"{edge.name}{SUFFIX}") is None
            assert edge.run()["changed"] is False
    assert clients.told["failed"] == []


@pytest.mark.long
def test_an_answer_and_a_pair_of_one_s_own_killed_at_any_moment(edge, gateway, tmp_path: Path) -> None:
    """The same for certificates that a company's CA issued: on request, and with a key of one's own."""
    edge.expose()
    company = Company(tmp_path, "company", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    entry: dict[str, Any] = {"name": edge.name, "ca": company.root}
    chance = random.Random(11)

    def answered(**params: Any) -> dict[str, Any]:
        request = edge.run(requested=[entry], fail_on=[], **params)["certificates"][0]["request"]
        return {**entry, "certificate": company.answer(request) + company.issuing}

    def given() -> dict[str, Any]:
        pair = new_request([edge.host], "", "ecdsa")
        leaf = company.answer(pair.chain.decode()) + company.issuing
        return {**entry, "certificate": leaf, "private_key": pair.key.decode()}

    assert edge.run(requested=[answered()], overlap=0)["status"] == "pass"
    with Clients(gateway, edge.host, company.root) as clients:
        for number in range(KILLS):
            source = ("requested", "provided")[number % 2]
            made = answered(force=[edge.name]) if source == "requested" else given()
            runner = start(edge.params(**{source: [made]}, overlap=1))
            time.sleep(chance.uniform(0.0, 2.5))
            kill(runner)
            done = edge.run(**{source: [made]}, overlap=0)
            assert done["status"] == "pass", done["reason"]
            assert [edge.secret(f"{edge.name}-{what}") for what in ("prev", "request")] == [None, None]
            assert edge.run(**{source: [made]})["changed"] is False
    assert clients.told["failed"] == []


class Sources:
    """What each kind of certificate needs for its next rotation. :ivar roots: what its clients trust."""

    def __init__(self, edge, source: str, directory: Path) -> None:
        self._edge, self._source = edge, source
        kind = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self._company = Company(directory, "company", *kind)
        self._entry: dict[str, Any] = {"name": edge.name, "ca": self._company.root}
        self.roots = self._company.root

    def first(self) -> None:
        """A first pair, which is served."""
        if self._source == "own":
            self.roots = first_served(self._edge)
            return
        self._edge.expose()
        done = self._edge.run(**self.next(), overlap=0)
        assert done["status"] == "pass", done["reason"]

    def next(self) -> dict[str, Any]:
        """The module's parameters of a run that has a rotation to do."""
        if self._source == "own":
            return {"force": [self._edge.name]}
        if self._source == "requested":
            asking = {"requested": [self._entry], "fail_on": [], "force": [self._edge.name]}
            request = self._edge.run(**asking)["certificates"][0]["request"]
            answer = self._company.answer(request) + self._company.issuing
            return {"requested": [{**self._entry, "certificate": answer}]}
        pair = new_request([self._edge.host], "", "ecdsa")
        chain = self._company.answer(pair.chain.decode()) + self._company.issuing
        return {"provided": [{**self._entry, "certificate": chain, "private_key": pair.key.decode()}]}


@pytest.mark.long
@pytest.mark.parametrize("source", ["own", "provided", "requested"])
def test_killed_at_every_write_the_next_run_ends_it(edge, gateway, tmp_path: Path, source: str) -> None:
    """Before each request that changes something and after each answer, until a run gets to its end."""
    sources = Sources(edge, source, tmp_path)
    sources.first()
    ends: list[str] = []
    with Clients(gateway, edge.host, sources.roots) as clients:
        for turn in itertools.count():
            number, when = 1 + turn // 2, ("before", "after")[turn % 2]
            params = sources.next()
            program = SUICIDAL + RUNNER
            runner = start(edge.params(**params, overlap=1), program, DIES_AT=str(number), DIES=when)
            told = runner.communicate(timeout=120)[0].decode().strip()
            if runner.returncode != -signal.SIGKILL:
                assert (runner.returncode, told) == (0, "pass")
                break
            before = edge.secret()["data"]["tls.crt"]
            done = edge.run(**{key: value for key, value in params.items() if key != "force"}, overlap=0)
            assert done["status"] == "pass", (number, when, done["reason"])
            left = [edge.secret(f"{edge.name}-{what}") for what in ("prev", "request")]
            assert left == [None, None], (number, when)
            finished = edge.secret()["data"]["tls.crt"] == before
            again = edge.run(**{key: value for key, value in params.items() if key != "force"})
            assert again["changed"] is False, (number, when)
            ends.append(f"{number} {when}: {'stays' if finished else 'written'}")
    assert clients.told["failed"] == []
    assert len(ends) >= 10, ends
    print(f"\n{source}: killed {len(ends)} times at every write; {', '.join(ends)}")


@pytest.mark.long
def test_two_at_once_one_acts_and_one_is_told(edge, gateway) -> None:
    ca = first_served(edge)
    params = edge.params(force=[edge.name], overlap=5)  # who comes second still finds the first at work
    ends: list[str] = []
    with Clients(gateway, edge.host, ca) as clients:
        for _number in range(TWICE):
            both = [start(params), start(params)]
            told = [runner.communicate(timeout=120)[0].decode().strip() for runner in both]
            assert [runner.returncode for runner in both] == [0, 0], told
            ends += told
            assert "pass" in told, told
            assert all(text == "pass" or text.startswith("held ") for text in told), told
            assert edge.secret(f"{edge.name}{SUFFIX}") is None
            assert edge.run()["changed"] is False
    assert clients.told["failed"] == []
    told_who = [text for text in ends if text.startswith("held ")]
    print(f"\n{TWICE} times two at once: {ends.count('pass')} acted, {len(told_who)} were told who holds it")
    assert told_who
    assert all("the rotation of certificates in namespace istio-system" in text for text in told_who)


def test_nobody_notices_a_rotation(edge, gateways, monkeypatch) -> None:
    ca = first_served(edge)
    wait_for_handshakes(gateways, edge.host, ca)
    written: dict[str, float] = {}
    real = rotation.write_credential

    def timed(renewal, item, pair):
        real(renewal, item, pair)
        written[fingerprint(pair)] = time.time()

    monkeypatch.setattr(rotation, "write_credential", timed)
    with Clients(gateways, edge.host, ca) as clients:
        for number in range(ROTATIONS):
            done = edge.run(force=[edge.name], overlap=0)
            assert (done["status"], done["outcome"]) == ("pass", "renewed"), (number, done["reason"])
            assert done["certificates"][0]["proof"]["pods"] == 2
        time.sleep(2)
    assert clients.told["failed"] == []
    assert clients.told["handshakes"] > 10
    delays = sorted(clients.delays(written))
    assert len(written) == ROTATIONS
    assert len(delays) >= ROTATIONS * 0.9, "the clients saw most pairs on both pods"
    assert edge.secret(f"{edge.name}{SUFFIX}") is None
    last = min(len(delays) - 1, int(len(delays) * 0.99))
    print(
        f"{ROTATIONS} rotations, two pods: 0 failed, 0 cut; write to last pod: "
        f"median {statistics.median(delays):.2f} s, p99 {delays[last]:.2f} s"
    )


def test_a_leaked_key_is_served_by_no_pod_and_held_by_no_secret(edge, gateways) -> None:
    ca = first_served(edge)
    wait_for_handshakes(gateways, edge.host, ca)
    leaked = edge.secret()["data"]["tls.crt"]
    with Clients(gateways, edge.host, ca) as clients:
        done = edge.run(revoke=[edge.name])
        end = time.time()
        time.sleep(2)
    assert done["status"] == "pass", done["reason"]
    der = ssl.PEM_cert_to_DER_cert(base64.b64decode(leaked).decode())
    old = hashlib.sha256(der).hexdigest()
    for address in gateways:
        served = hashlib.sha256(served_now(address, edge.host, ca)).hexdigest()
        assert served == done["certificates"][0]["fingerprint_sha256"] != old
    secrets = edge.client.list("v1", "Secret").items
    assert [one["metadata"]["name"] for one in secrets if leaked in (one.get("data") or {}).values()] == []
    assert clients.told["failed"] == []
    assert all(when <= end for seen in clients.told["seen"].values() for when in seen.values())


def served_now(address: str, host: str, ca: str) -> bytes:
    trusting = ssl.create_default_context(cadata=ca)
    with (
        socket.create_connection((address, PORT), timeout=5) as raw,
        trusting.wrap_socket(raw, server_hostname=host) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""
