# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CAs by which a gateway knows its clients: kept, replaced with both accepted, seen by handshakes."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import datetime
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    client_look,
    clients,
    serving,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.proof import (
    ServingEndpoint,
    ServingProof,
)
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ...support import certificates as made
from ...support.clock import FakeClock
from ...support.cluster import FakeCluster
from ...support.mortal import KilledError
from .test_edges import HOME
from .test_rotation import RotatingWorld

DAY = datetime.timedelta(days=1)
CACERT = "api-cacert"


def authority(now: datetime.datetime, subject: str = "clients", **more: Any) -> x509.Certificate:
    dates = {"begin": now - DAY, "end": now + 900 * DAY, "ca": True, **more}
    return made.certificate(subject, made.ec_key(), **dates)


def given(*authorities: x509.Certificate) -> list[dict[str, str]]:
    return [{"name": "api", "ca": made.pem(*authorities).decode()}]


class Pods:
    """Pods that accept what NAME-cacert holds, as istiod hands it to them."""

    def __init__(self, world: RotatingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.stuck = world, False
        self.accepted: set[x509.Certificate] = set()
        monkeypatch.setattr(clients, "look_at_clients", self.look)
        gateway = world.cluster.find("Gateway", "public", HOME)
        assert gateway is not None
        gateway["spec"]["servers"][0]["tls"]["mode"] = "MUTUAL"

    def look(self, _client: Any, _endpoints: Any, wanted: Any) -> ServingProof:
        if not self.stuck:
            self.accepted = held(self.world)
        status = "pass" if set(wanted) == self.accepted else "fail"
        return ServingProof(status, "handshake", f"accepts {len(self.accepted)}", 1)


def held(world: RotatingWorld) -> set[x509.Certificate]:
    secret = world.cluster.find("Secret", CACERT, HOME)
    pem = base64.b64decode(secret["data"]["ca.crt"]) if secret else b""
    return set(x509.load_pem_x509_certificates(pem)) if pem else set()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RotatingWorld:
    made_world = RotatingWorld(monkeypatch)
    made_world.pods = Pods(made_world, monkeypatch)
    return made_world


def later(world: RotatingWorld, seconds: float) -> None:
    world.clock.time += seconds
    world.cluster.clock = world.now


def test_a_client_ca_is_written_beside_the_key_and_the_second_run_changes_nothing(
    world: RotatingWorld,
) -> None:
    one = authority(world.now)
    result = world.rotate(client_cas=given(one))
    (certificate,) = result["certificates"]
    assert (result["status"], certificate["clients"]["action"]) == ("pass", "created")
    assert certificate["clients"]["authorities"][0]["subject"] == "CN=clients"
    assert {"id": f"Secret {HOME}/{CACERT}", "action": "created"} in result["objects"]
    assert (held(world), "ca.crt" in world.secret()["data"]) == ({one}, False)
    world.cluster.writes.clear()
    again = world.rotate(client_cas=given(one, one))
    assert (again["changed"], again["outcome"], world.cluster.writes) == (False, "fresh", [])
    kept = again["certificates"][0]["clients"]
    assert (kept["action"], kept["proof"]["status"]) == ("unchanged", "pass")


def test_while_a_ca_is_replaced_both_are_accepted(world: RotatingWorld) -> None:
    old, new = authority(world.now), authority(world.now, "new")
    world.rotate(client_cas=given(old))
    result = world.rotate(client_cas=given(new), client_ca_overlap=3600)
    assert (held(world), result["certificates"][0]["clients"]["action"]) == ({old, new}, "updated")
    where = f"Secret {HOME}/{CACERT}"
    before, after = ([one.fingerprint(SHA256()).hex() for one in some] for some in ([old], [new, old]))
    assert result["diff"] == [
        {
            "before_header": where,
            "after_header": where,
            "before": {"authorities": before},
            "after": {"authorities": after},
        }
    ]
    told = {
        one["subject"]: bool(one["retires_at"]) for one in result["certificates"][0]["clients"]["authorities"]
    }
    assert told == {"CN=new": False, "CN=clients": True}
    world.cluster.writes.clear()
    assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["changed"] is False
    assert (held(world), world.cluster.writes) == ({old, new}, [])
    later(world, 3600)
    assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["changed"] is True
    assert held(world) == {new}
    secret = world.cluster.find("Secret", CACERT, HOME)
    assert secret is not None
    assert not secret["metadata"].get("annotations")
    assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["changed"] is False


@pytest.mark.parametrize("overlap", [0, 3600])
def test_a_bundle_that_changes_is_one_write(world: RotatingWorld, overlap: int) -> None:
    """Each write of it makes istiod tell every gateway: there is none that says nothing."""
    for number in range(3):
        world.cluster.writes.clear()
        world.rotate(client_cas=given(authority(world.now, f"ca {number}")), client_ca_overlap=overlap)
        mine = [write for write in world.cluster.writes if write[1].endswith(CACERT)]
        assert mine == [("apply", f"Secret {HOME}/{CACERT}")], number


@pytest.mark.parametrize("status", [403, 503])
def test_gateways_that_cannot_be_looked_at_are_no_proof(
    world: RotatingWorld, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    one = authority(world.now)
    world.rotate(client_cas=given(one))

    def look(*_asked: Any) -> ServingProof:
        raise ApiError("not now", status=status)

    monkeypatch.setattr(clients, "look_at_clients", look)
    if status == 503:
        with pytest.raises(ApiError, match=r"^not now$"):
            world.rotate(client_cas=given(one))
        return
    result = world.rotate(client_cas=given(one))
    assert result["status"] == "cannot tell"
    assert result["reason"].endswith("the gateways cannot be looked at: not now")


def test_a_leaked_ca_goes_at_once_and_an_expired_one_needs_no_overlap(world: RotatingWorld) -> None:
    old, new = authority(world.now, end=world.now + DAY), authority(world.now, "new")
    world.rotate(client_cas=given(old))
    world.rotate(client_cas=given(new), client_ca_overlap=0)
    assert held(world) == {new}
    world.rotate(client_cas=given(old), client_ca_overlap=3600)
    assert held(world) == {old, new}
    later(world, 2 * 24 * 3600)
    world.rotate(client_cas=given(new), client_ca_overlap=0)
    assert held(world) == {new}


def test_a_third_ca_in_the_overlap_begins_a_new_one(world: RotatingWorld) -> None:
    one, two, three = (authority(world.now, name) for name in ("one", "two", "three"))
    world.rotate(client_cas=given(one))
    world.rotate(client_cas=given(two), client_ca_overlap=3600)
    later(world, 1800)
    world.rotate(client_cas=given(three), client_ca_overlap=3600)
    assert held(world) == {one, two, three}
    later(world, 1800)
    world.rotate(client_cas=given(three), client_ca_overlap=3600)
    assert held(world) == {one, two, three}
    later(world, 1800)
    world.rotate(client_cas=given(three), client_ca_overlap=3600)
    assert held(world) == {three}


def test_what_the_gateways_do_not_take_is_taken_back(world: RotatingWorld) -> None:
    old, new = authority(world.now), authority(world.now, "new")
    world.rotate(client_cas=given(old))
    world.pods.stuck = True
    with pytest.raises(MeshError, match="the CAs before are back, and accepted") as caught:
        world.rotate(client_cas=given(new), client_ca_overlap=0)
    assert held(world) == {old}
    assert caught.value.details["certificates"][0]["clients"]["action"] == "restored"


def test_a_pod_that_never_gets_ready_takes_nothing_back(
    world: RotatingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = authority(world.now), authority(world.now, "new")
    world.rotate(client_cas=given(old))
    pod = world.cluster.find("Pod", "gw-1", HOME)
    assert pod is not None
    broken = copy.deepcopy(pod)
    broken["metadata"]["name"] = "gw-2"
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    world.cluster.put(pod)
    world.cluster.put(broken)

    def look(client: Any, endpoints: Any, wanted: Any) -> ServingProof:
        if any(endpoint.pod == "gw-2" for endpoint in endpoints):
            return ServingProof("fail", "handshake", "pod gw-2 answers nobody", 2)
        return world.pods.look(client, endpoints, wanted)

    monkeypatch.setattr(clients, "look_at_clients", look)
    result = world.rotate(client_cas=given(new), client_ca_overlap=0)
    assert held(world) == {new}
    seen = result["certificates"][0]["clients"]["proof"]
    assert (seen["status"], seen["evidence"]) == (
        "cannot tell",
        "accepts 1, but not ready: gw-2; pod gw-2 answers nobody",
    )


def test_a_date_that_a_person_wrote_is_obeyed_and_goes(world: RotatingWorld) -> None:
    """It was left there for ever: an apply does not take what another manager owns."""
    old, new = authority(world.now), authority(world.now, "new")
    world.rotate(client_cas=given(old))
    world.rotate(client_cas=given(new), client_ca_overlap=3600)
    past = {"metadata": {"annotations": {clients.RETIRE_AT: "2020-01-01T00:00:00Z"}}}
    world.cluster.patch("v1", "Secret", CACERT, HOME, past, field_manager="kubectl-annotate")
    world.rotate(client_cas=given(new), client_ca_overlap=3600)
    assert held(world) == {new}
    assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["changed"] is False


def test_keys_that_istiod_would_take_first_go(world: RotatingWorld) -> None:
    one = authority(world.now)
    world.rotate(client_cas=given(one))
    secret = world.cluster.find("Secret", CACERT, HOME)
    assert secret is not None
    secret["data"]["cacert"] = secret["data"]["ca.crt"]
    world.rotate(client_cas=given(one))
    secret = world.cluster.find("Secret", CACERT, HOME)
    assert secret is not None
    assert set(secret["data"]) == {"ca.crt"}


def test_somebody_else_s_secret_is_refused(world: RotatingWorld) -> None:
    world.cluster.put({"kind": "Secret", "metadata": {"name": CACERT, "namespace": HOME}, "data": {}})
    with pytest.raises(RefusedError, match=f"Secret {HOME}/{CACERT}: it has no label"):
        world.rotate(client_cas=given(authority(world.now)))
    assert world.cluster.writes == []


def test_what_no_client_could_be_known_by_is_refused_before_the_write(world: RotatingWorld) -> None:
    now = world.now
    rows = [
        (made.certificate("x", made.ec_key(), begin=now - DAY, hosts=("x",)), "CN=x is no CA"),
        (authority(now, begin=now - 9 * DAY, end=now - DAY), "CN=clients is valid until"),
        (authority(now, begin=now + DAY), "CN=clients is valid from"),
    ]
    for bad, said in rows:
        with pytest.raises(InputError) as caught:
            world.rotate(client_cas=given(bad))
        assert str(caught.value).startswith(f"certificates_client_cas[0].ca: {said}")
    for text, said in (
        ("x", "holds no PEM block"),
        (made.key_pem(made.LEAF_KEY).decode(), "holds PRIVATE KEY"),
    ):
        with pytest.raises(InputError, match=said):
            world.rotate(client_cas=[{"name": "api", "ca": text}])
    assert world.cluster.writes == []


def test_a_gateway_that_asks_without_a_ca_is_a_fail_and_one_with_a_ca_beside_its_key_is_looked_at(
    world: RotatingWorld,
) -> None:
    with pytest.raises(MeshError, match=r"asks clients for a certificate .* and has no CA for them"):
        world.rotate()
    one = authority(world.now)
    world.secret()["data"]["ca.crt"] = base64.b64encode(made.pem(one)).decode()
    world.pods.stuck, world.pods.accepted = True, {one}
    found = world.rotate(existing=["api"])["certificates"][0]["clients"]
    assert (found["proof"]["status"], "id" in found) == ("pass", False)


def test_check_mode_foresees_it(world: RotatingWorld) -> None:
    one = authority(world.now)
    foreseen = world.run(check=True, client_cas=given(one))
    assert (world.cluster.writes, foreseen["status"]) == ([], "cannot tell")
    assert foreseen["certificates"][0]["clients"]["proof"] == {
        "status": "cannot tell",
        "method": "none",
        "evidence": "the clients' CA is not written in check mode",
        "pods": 0,
    }
    assert world.rotate(client_cas=given(one))["objects"] == foreseen["objects"]


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_call_one_of_both_is_accepted_and_the_next_run_ends_it(
    monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    call, reached = 0, True
    while reached:
        call += 1
        world = RotatingWorld(monkeypatch)
        Pods(world, monkeypatch)
        old, new = authority(world.now), authority(world.now, "new")
        world.rotate(client_cas=given(old))
        cluster = world.cluster
        cluster.count, cluster.kill_at, cluster.after = 0, call, after
        with contextlib.suppress(KilledError):
            world.rotate(client_cas=given(new), client_ca_overlap=3600)
        reached = cluster.dead
        cluster.dead, cluster.kill_at = False, 0
        assert old in held(world), "its clients are let in as long as the overlap lasts"
        assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["status"] == "pass", call
        assert held(world) == {old, new}
        cluster.writes.clear()
        assert world.rotate(client_cas=given(new), client_ca_overlap=3600)["changed"] is False, call
    assert call > 10


class Server:
    """A TLS server of its own thread that asks for certificates as it is told to."""

    def __init__(self, tmp_path: Path, *trusted: x509.Certificate, **how: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = tmp_path / "pair.pem"
        pair.write_bytes(made.pem(made.LEAF) + made.key_pem(made.LEAF_KEY))
        context.load_cert_chain(pair)
        context.verify_mode = how.get("verify", ssl.CERT_REQUIRED)
        context.minimum_version = how.get("least", ssl.TLSVersion.TLSv1_2)
        if trusted:
            context.load_verify_locations(cadata=made.pem(*trusted).decode())
        self._context, self._says = context, how.get("says")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = ServingEndpoint(
            "gw", "127.0.0.1", self._listener.getsockname()[1], "api.example.com", "MUTUAL"
        )
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _address = self._listener.accept()
                threading.Thread(target=self._answer, args=(raw,), daemon=True).start()

    def _answer(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(raw, server_side=True) as secure:
            if self._says:
                secure.sendall(self._says)
            if self._says != b"":
                secure.recv(1)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    opened: list[Server] = []

    def open_one(*trusted: x509.Certificate, **how: Any) -> ServingEndpoint:
        opened.append(Server(tmp_path, *trusted, **how))
        return opened[-1].endpoint

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def naming(tmp_path: Path) -> Iterator[Any]:
    """openssl's server, which names the CAs that it accepts (Python's does not)."""
    running: list[subprocess.Popen[bytes]] = []

    def open_one(*trusted: x509.Certificate) -> ServingEndpoint:
        (tmp_path / "leaf.pem").write_bytes(made.pem(made.LEAF) + made.key_pem(made.LEAF_KEY))
        (tmp_path / "trusted.pem").write_bytes(made.pem(*trusted))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-Verify", "2"]
        command += ["-verify_return_error", "-cert", "leaf.pem", "-CAfile", "trusted.pem"]
        running.append(
            subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        )
        for _try in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        return ServingEndpoint("gw", "127.0.0.1", port, "api.example.com", "MUTUAL")

    yield open_one
    for process in running:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def test_a_server_is_seen_to_know_exactly_its_clients_cas(naming: Any) -> None:
    one, two = made.ROOT, made.OTHER_ROOT
    endpoint = naming(one, two)
    seen = client_look.look_at_clients(FakeCluster(), [endpoint], [two, one])
    assert (seen.status, seen.pods) == ("pass", 1), seen.evidence
    for wanted, text in (
        ([one], "1 too many, 0 are missing"),
        ([one, two, made.MIDDLE], "0 too many, 1 are"),
    ):
        seen = client_look.look_at_clients(FakeCluster(), [endpoint], wanted)
        assert (seen.status, text in seen.evidence) == ("fail", True), seen.evidence


def test_a_server_that_lets_strangers_in_is_found(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_look, "PATIENCE", 0.3)
    seen = client_look.look_at_clients(
        FakeCluster(),
        [server(made.ROOT, verify=ssl.CERT_OPTIONAL)],
        [made.ROOT],
    )
    assert seen.status == "fail"
    assert "lets a client without a certificate in" in seen.evidence
    seen = client_look.look_at_clients(
        FakeCluster(),
        [server(verify=ssl.CERT_NONE)],
        [made.ROOT],
    )
    assert seen.status == "fail"


def test_a_server_that_lets_anybody_s_certificate_in_is_found(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_look, "PATIENCE", 0.3)
    lax = dataclasses.replace(server(verify=ssl.CERT_NONE), mode="OPTIONAL_MUTUAL")
    seen = client_look.look_at_clients(FakeCluster(), [lax], [made.ROOT])
    assert seen.status == "fail"
    assert "lets a client with a certificate of an unknown CA in" in seen.evidence


@pytest.mark.parametrize(("says", "away"), [(b"HTTP/1.1 400 Bad Request", False), (b"", True)])
def test_whoever_hears_anything_was_let_in(server: Any, says: bytes, away: bool) -> None:
    """A server may talk at once, or hang up without a word."""
    assert client_look.turned_away(server(verify=ssl.CERT_NONE, says=says), None) is away


@pytest.mark.parametrize(
    ("good", "looks", "counted"),
    [(1, ["pass"], 1), (2, ["pass", "fail", "pass", "pass"], 4), (2, ["fail", "pass", "pass"], 3)],
)
def test_good_looks_count_in_a_row(
    monkeypatch: pytest.MonkeyPatch, good: int, looks: list[str], counted: int
) -> None:
    """After a bad one they begin anew: it counted for the first of the next."""
    seen: list[str] = []

    def look(*_asked: Any) -> ServingProof:
        seen.append(looks[len(seen)])
        return ServingProof(seen[-1], "handshake", "seen", 1)

    monkeypatch.setattr(clients, "look_at_clients", look)
    renewal: Any = SimpleNamespace(
        client=None,
        context=SimpleNamespace(check_mode=False, clock=FakeClock()),
        options=SimpleNamespace(timeout=60.0),
    )
    proof = clients.prove_clients(renewal, [], list, good, lambda: False)
    assert (proof.status, len(seen)) == ("pass", counted)


@pytest.mark.parametrize(("waits", "later"), [(None, ""), ("asked", ": it has only been asked for")])
def test_without_a_certificate_nothing_can_be_proved(waits: Any, later: str) -> None:
    renewal: Any = SimpleNamespace(context=SimpleNamespace(check_mode=False))
    item: Any = SimpleNamespace(
        pair=None,
        told=False,
        waits=waits,
        revoked=False,
        fingerprint="",
        assessment=SimpleNamespace(faults=()),
    )
    proof = serving._proof_of(renewal, item)
    assert (proof.status, proof.evidence) == ("cannot tell", f"there is no certificate yet{later}")


def test_a_client_shows_the_certificate_that_it_was_given(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_look, "PATIENCE", 0.3)
    key = made.ec_key()
    client = made.certificate(
        "client",
        key,
        issuer=("root", made.ROOT_KEY),
        usage=x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
        end=made.NOW + 3000 * DAY,
    )
    path = tmp_path / "client.pem"
    path.write_bytes(made.pem(client) + made.key_pem(key))
    endpoint = server(made.ROOT)
    assert client_look.turned_away(endpoint, None) is True
    assert client_look.turned_away(endpoint, str(path)) is False


def record(*messages: bytes, kind: int = 22) -> bytes:
    content = b"".join(messages)
    return bytes([kind, 3, 3]) + len(content).to_bytes(2) + content


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3) + body


HELLO, DONE = message(2, b"hello"), message(14, b"")
ASKED = message(13, b"\x01\x40" + b"\x00\x02\x04\x03" + b"\x00\x0c" + b"\x00\x03one" + b"\x00\x05other")


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ([record(HELLO), record(ASKED)], {b"one", b"other"}),
        ([record(HELLO, ASKED)], {b"one", b"other"}),
        ([record(HELLO, ASKED[:9]), record(ASKED[9:])], {b"one", b"other"}),
        ([record(HELLO, ASKED)[:20], record(HELLO, ASKED)[20:]], {b"one", b"other"}),
        ([record(message(13, b"\x01\x40\x00\x00\x00\x00"))], set()),
        ([record(HELLO), record(DONE)], set()),
        ([record(b"\x02\x28", kind=21)], None),
        ([b""], None),
    ],
)
def test_the_cas_that_a_server_names_are_read_as_they_come(
    parts: list[bytes], named: set[bytes] | None
) -> None:
    """A server that then waits for the client, or hangs up where it does not speak TLS 1.2."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _address = listener.accept()
            with raw:
                raw.recv(65536)
                for part in parts:
                    raw.sendall(part)
                    time.sleep(0.01)
                if named is not None:
                    raw.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        endpoint = ServingEndpoint("gw", "127.0.0.1", listener.getsockname()[1], "api.example.com", "MUTUAL")
        found = client_look.named_authorities(endpoint)
        thread.join(5)
    assert found == named


def test_one_without_tls_1_2_and_one_out_of_reach_are_cannot_tell(server: Any) -> None:
    new = server(made.ROOT, least=ssl.TLSVersion.TLSv1_3)
    seen = client_look.look_at_clients(FakeCluster(), [new], [made.ROOT])
    assert (seen.status, "speaks no TLS 1.2" in seen.evidence) == ("cannot tell", True), seen.evidence
    gone = ServingEndpoint("gw", "127.0.0.1", 1, "api.example.com", "MUTUAL")
    seen = client_look.look_at_clients(FakeCluster(), [gone], [made.ROOT])
    assert (seen.status, "is not reachable from here" in seen.evidence) == ("cannot tell", True)
    plain = ServingEndpoint("gw", "127.0.0.1", 1, "api.example.com")
    seen = client_look.look_at_clients(FakeCluster(), [plain], [made.ROOT])
    assert seen.status == "cannot tell"
