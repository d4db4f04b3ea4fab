"""Gateways: real handshakes with a local server, and the judgement of answers."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.server
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Answer
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import handshake as certs
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.mesh import Catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    gateways as verify_gateways,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ....support.clock import FakeClock
from ....support.http_server import at_work
from ..builders import GATEWAY, catalogue, service

UPSTREAM = {"x-envoy-upstream-service-time": "2"}
PEM = serialization.Encoding.PEM


class Authority:
    """A CA for tests, and the leaves it signs."""

    def __init__(self, name: str = "test ca") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._build(self.name, self.key, "", ca=True)

    def leaf(self, host: str, directory: Path, *, expired: bool = False) -> tuple[Path, str]:
        """A file with key and certificate, and the certificate's PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(x509.Name([]), key, host, expired=expired)
        chain = certificate.public_bytes(PEM).decode()
        private = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        path = directory / f"{host}-{expired}.pem"
        path.write_text(chain + private)
        return path, chain

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        host: str,
        *,
        ca: bool = False,
        expired: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        end = now - datetime.timedelta(hours=1) if expired else now + datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=2))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            # Python 3.13 verifies strictly (VERIFY_X509_STRICT) and wants both identifiers and the key usage.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
            )
        )
        if host:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(host)]), critical=not subject
            )
        return builder.sign(self.key, hashes.SHA256())


class Handler(http.server.BaseHTTPRequestHandler):
    """Says which host and path it was asked for."""

    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("X-Envoy-Upstream-Service-Time", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_rest: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def serve(authority: Authority, tmp_path: Path) -> Iterator:
    """A function that starts a TLS server with a leaf for a host and returns its port and certificate."""

    def start(host: str, **options: bool) -> tuple[int, str]:
        path, chain = authority.leaf(host, tmp_path, **options)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_rest: None
        running.enter_context(at_work(server))
        return server.server_port, chain

    with contextlib.ExitStack() as running:
        yield start


def test_a_good_certificate_has_no_fault(serve, authority: Authority) -> None:
    port, chain = serve("api.example.com")
    served = certs.handshake("127.0.0.1", port, "api.example.com", ca_pem=authority.pem)
    assert served.fault == ""
    assert served.fingerprint == certs.leaf_fingerprint(chain)
    assert served.not_after


def test_a_certificate_for_another_host_is_told(serve, authority: Authority) -> None:
    port, _rest = serve("other.example.com")
    served = certs.handshake("127.0.0.1", port, "api.example.com", ca_pem=authority.pem)
    assert "Hostname mismatch" in served.fault
    assert not served.untrusted


def test_an_expired_certificate_is_told(serve, authority: Authority) -> None:
    port, chain = serve("api.example.com", expired=True)
    served = certs.handshake("127.0.0.1", port, "api.example.com", ca_pem=authority.pem)
    assert "expired" in served.fault
    assert served.fingerprint == certs.leaf_fingerprint(chain)


def test_an_unknown_issuer_is_a_thing_of_its_own(serve) -> None:
    port, _rest = serve("api.example.com")
    served = certs.handshake("127.0.0.1", port, "api.example.com", ca_pem=Authority("another ca").pem)
    assert served.untrusted


def test_a_server_without_tls_fails_the_handshake(serve) -> None:
    with at_work(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        served = certs.handshake("127.0.0.1", server.server_port, "api.example.com")
    assert served.fault.startswith("the handshake failed")


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(certs.UnreachableError):
        certs.handshake("127.0.0.1", 1, "api.example.com")
    with pytest.raises(certs.UnreachableError):
        certs.request("127.0.0.1", 1, "api.example.com", "GET", "/", tls=True)


def test_a_request_names_the_host(serve, authority: Authority) -> None:
    port, _rest = serve("api.example.com")
    answer = certs.request("127.0.0.1", port, "api.example.com", "GET", "/x", tls=True, ca_pem=authority.pem)
    assert (answer.status, answer.body) == (200, "api.example.com /x")


def test_a_refused_certificate_is_no_answer(serve) -> None:
    port, _rest = serve("api.example.com")
    answer = certs.request("127.0.0.1", port, "api.example.com", "GET", "/", tls=True, ca_pem=Authority().pem)
    assert answer.status == 0
    assert "certificate" in answer.error.lower()


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"]
)
def test_no_certificate_has_no_fingerprint(text: str) -> None:
    assert len(certs.leaf_fingerprint(text)) in (0, 64)
    if "BEGIN" not in text:
        assert certs.leaf_fingerprint(text) == ""


MESH = catalogue(
    service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
    service(
        "pay", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/pay", "methods": ["POST"]}]
    ),
    mesh_gateways=[GATEWAY],
)
GATE = MESH.gateways[0]
FACTS = verify_gateways.GatewayFacts({"api": "aa"}, trusted=True)


def planned(*, unsafe: bool = False) -> list[verify_gateways.GatewayCall]:
    return verify_gateways.planned_calls(MESH, GATE, unsafe_methods=unsafe)


def test_what_a_gateway_hands_on_by_bytes_is_called_by_nobody() -> None:
    ports = [
        {"name": "tls", "number": 8443, "protocol": "tls"},
        {"name": "db", "number": 5432, "protocol": "tcp"},
    ]
    exposed = [
        {"gateway": "public", "host": "mq.example.com", "port": "tls"},
        {"gateway": "public", "host": "db.example.com", "port": "db"},
    ]
    servers = [
        {"host": "mq.example.com", "mode": "PASSTHROUGH", "port": 443},
        {"host": "db.example.com", "protocol": "TCP", "port": 5432},
    ]
    gateway = {**GATEWAY, "servers": servers}
    mesh = catalogue(service("mq", ports=ports, exposed=exposed), mesh_gateways=[gateway])
    assert verify_gateways.planned_calls(mesh, mesh.gateways[0], unsafe_methods=True) == []


def test_calls_are_the_redirect_and_every_harmless_exposure() -> None:
    assert [(call.kind, call.method, call.url) for call in planned()] == [
        ("redirect", "GET", "http://api.example.com/"),
        ("exposure", "GET", "https://api.example.com/"),
    ]
    assert [call.method for call in planned(unsafe=True)] == ["GET", "GET", "POST"]


REDIRECT, EXPOSURE = planned()


@pytest.mark.parametrize(
    ("call", "answer", "verdict"),
    [
        (REDIRECT, Answer(301, {"location": "https://api.example.com/"}, "", 0), "pass"),
        (REDIRECT, Answer(301, {"location": "http://api.example.com/"}, "", 0), "fail"),
        (REDIRECT, Answer(301, {"location": "https://evil.example.com/"}, "", 0), "fail"),
        (REDIRECT, Answer(301, {"location": "https://api.example.com.evil.test/"}, "", 0), "fail"),
        (REDIRECT, Answer(301, {"location": "https://[api.example.com/"}, "", 0), "fail"),
        (REDIRECT, Answer(308, {"location": "https://api.example.com:8443/x"}, "", 0), "pass"),
        (REDIRECT, Answer(304, {"location": "https://api.example.com/"}, "", 0), "fail"),
        (REDIRECT, Answer(301, {}, "", 0), "fail"),
        (REDIRECT, Answer(200, UPSTREAM, "hello", 0), "fail"),
        (REDIRECT, Answer(0, {}, "", -1, "reset"), "cannot tell"),
        (EXPOSURE, Answer(200, UPSTREAM, "hello", 0), "pass"),
        (EXPOSURE, Answer(404, UPSTREAM, "no such page", 0), "pass"),
        (EXPOSURE, Answer(404, {}, "", 0), "fail"),
        (EXPOSURE, Answer(503, {}, "", 0), "fail"),
        (EXPOSURE, Answer(403, UPSTREAM, "RBAC: access denied", 0), "fail"),
        (EXPOSURE, Answer(503, UPSTREAM, "no healthy upstream", 0), "cannot tell"),
        (EXPOSURE, Answer(0, {}, "", -1, "reset"), "cannot tell"),
    ],
)
def test_verdict_on_a_gateways_answer(
    call: verify_gateways.GatewayCall, answer: Answer, verdict: str
) -> None:
    assert verify_gateways.judge_gateway_call(call, answer, "from here").verdict == verdict


class Channel:
    """A gateway that answers as it is told."""

    name = "from a test"
    has_client = False

    def __init__(self, served: certs.Presented | None, answers: Sequence[Answer] = ()) -> None:
        self.served, self.answers = served, list(answers)
        self.sent = 0

    def handshake(self, server: object) -> certs.Presented:
        if self.served is None:
            raise certs.UnreachableError("no route to host")
        return self.served

    def send(self, calls: Sequence[verify_gateways.GatewayCall]) -> list[Answer]:
        self.sent += 1
        return [self.answers.pop(0) for _rest in calls]


GOOD = [Answer(301, {"location": "https://api.example.com/"}, "", 0), Answer(200, UPSTREAM, "hi", 0)]


def check(*channels: Channel, facts: verify_gateways.GatewayFacts = FACTS) -> tuple[dict[str, str], set[str]]:
    found = verify_gateways.check_gateway(MESH, GATE, planned(), channels, facts, FakeClock())
    return {finding.message: finding.verdict for finding in found.findings}, set(found.reached)


def test_everything_good() -> None:
    findings, reached = check(Channel(certs.Presented("", fingerprint="aa"), GOOD))
    assert set(findings.values()) == {"pass"}
    assert reached == {"shop/web"}


def test_a_missing_secret_fails_even_while_the_old_certificate_is_served() -> None:
    facts = verify_gateways.GatewayFacts({"api": None}, trusted=True)
    findings, _rest = check(Channel(certs.Presented("", fingerprint="aa"), GOOD), facts=facts)
    assert findings["its certificate, Secret istio-system/api, does not exist"] == "fail"


def test_another_certificate_than_the_stored_one_fails() -> None:
    findings, _rest = check(Channel(certs.Presented("", fingerprint="bb"), GOOD))
    assert findings["serves certificate bb, Secret api holds aa"] == "fail"


@pytest.mark.parametrize(
    ("stored", "served", "words"),
    [("aa", "", "which one it serves was not seen"), ("", "aa", "its Secret was not read")],
)
def test_without_both_fingerprints_nothing_is_proved(stored: str, served: str, words: str) -> None:
    """A good certificate that nobody compared passed before."""
    facts = verify_gateways.GatewayFacts({"api": stored}, trusted=True)
    findings, _rest = check(Channel(certs.Presented("", fingerprint=served), GOOD), facts=facts)
    (told,) = [message for message in findings if words in message]
    assert findings[told] == "cannot tell"


def test_a_credential_that_a_starting_gateway_could_not_use_fails() -> None:
    """The gateway serves the last good one from memory; comparing was skipped before."""
    facts = verify_gateways.GatewayFacts({"api": "aa"}, trusted=True, faults={"api": "holds no certificate"})
    findings, _rest = check(Channel(certs.Presented("", fingerprint="aa"), GOOD), facts=facts)
    told = "Secret istio-system/api holds no certificate: a gateway keeps the last good one until it restarts"
    assert findings[told] == "fail"


@pytest.mark.parametrize(("mode", "fails"), [("MUTUAL", True), ("OPTIONAL_MUTUAL", True), ("SIMPLE", False)])
def test_a_server_for_clients_with_certificates_needs_their_ca(mode: str, fails: bool) -> None:
    facts = verify_gateways.GatewayFacts({"api": "aa"}, trusted=True, without_ca={"api": "there is no CA"})
    gate = dataclasses.replace(
        GATE, servers=tuple(dataclasses.replace(one, mode=mode) for one in GATE.servers)
    )
    channel = Channel(certs.Presented("", fingerprint="aa"), GOOD)
    found = verify_gateways.check_gateway(MESH, gate, [], [channel], facts, FakeClock())
    told = [
        finding.verdict
        for finding in found.findings
        if "no client gets in: there is no CA" in finding.message
    ]
    assert told == (["fail"] if fails else [])


def test_an_unknown_issuer_proves_nothing_unless_the_issuer_was_given() -> None:
    served = certs.Presented("unable to get local issuer certificate", untrusted=True)
    for trusted, verdict in ((False, "cannot tell"), (True, "fail")):
        findings, _rest = check(
            Channel(served, GOOD), facts=verify_gateways.GatewayFacts({"api": ""}, trusted)
        )
        assert verdict in findings.values()


def test_a_gateway_that_did_not_answer_proves_nothing() -> None:
    findings, _rest = check(Channel(certs.Presented("", unanswered="curl: (52) Empty reply"), GOOD))
    assert findings["no handshake from a test: curl: (52) Empty reply"] == "cannot tell"


def test_the_next_channel_is_taken_when_the_first_does_not_connect() -> None:
    findings, reached = check(Channel(None), Channel(certs.Presented("", fingerprint="aa"), GOOD))
    assert set(findings.values()) == {"pass"}
    assert reached == {"shop/web"}


def test_no_way_in_proves_nothing() -> None:
    for channels in ((Channel(None),), ()):
        findings, reached = check(*channels)
        assert set(findings.values()) == {"cannot tell"}
        assert reached == set()


def test_an_inconclusive_answer_is_asked_for_again() -> None:
    channel = Channel(
        certs.Presented("", fingerprint="aa"), [GOOD[0], Answer(0, {}, "", -1, "reset"), GOOD[1]]
    )
    findings, _rest = check(channel)
    assert set(findings.values()) == {"pass"}
    assert channel.sent == 2


def exposed(name: str, host: str, **more: object) -> dict[str, object]:
    return service(name, exposed=[{"gateway": "public", "host": host} | more])


def gateway_of(*servers: dict[str, object], services: Sequence[dict[str, object]]) -> Catalogue:
    return catalogue(*services, mesh_gateways=[GATEWAY | {"servers": list(servers)}])


def results(mesh: Catalogue, channel: Channel) -> tuple[dict[str, str], verify_gateways.GatewayResult]:
    """By subject and message, the verdicts."""
    named, notes = verify_gateways.named_servers(mesh, mesh.gateways[0])
    calls = verify_gateways.planned_calls(mesh, named, unsafe_methods=False)
    facts = verify_gateways.GatewayFacts({"wild": "aa"}, trusted=True)
    found = verify_gateways.check_gateway(mesh, named, calls, [channel], facts, FakeClock())
    told = {f"{item.subject}: {item.message}": item.verdict for item in (*notes, *found.findings)}
    return told, found


def test_of_a_wildcard_host_only_names_are_asked_that_the_catalogue_says() -> None:
    """A name of our own got 404, and with it the gateway a fail."""
    mesh = gateway_of(
        {"host": "*.wild.example.org", "certificate": "wild"},
        {"host": "own.wild.example.org", "certificate": "wild"},
        services=[exposed("web", "a.wild.example.org"), exposed("api", "own.wild.example.org")],
    )
    named, notes = verify_gateways.named_servers(mesh, mesh.gateways[0])
    assert [server.host for server in named.servers] == ["a.wild.example.org", "own.wild.example.org"]
    assert notes == []
    calls = verify_gateways.planned_calls(mesh, named, unsafe_methods=False)
    assert [(call.kind, call.url) for call in calls] == [
        ("redirect", "http://a.wild.example.org/"),
        ("exposure", "https://a.wild.example.org/"),
        ("redirect", "http://own.wild.example.org/"),
        ("exposure", "https://own.wild.example.org/"),
    ]


def test_a_wildcard_host_without_a_name_is_not_tested() -> None:
    mesh = gateway_of({"host": "*.wild.example.org", "certificate": "wild"}, services=[service("web")])
    told, found = results(mesh, Channel(None))
    assert told == {
        "public *.wild.example.org: no service is exposed under it, so no name is known that it serves":
            "not tested",
    }  # fmt: skip
    assert not found.reached


def test_a_plain_host_is_asked_on_its_own_port() -> None:
    mesh = gateway_of({"host": "in.example.org", "port": 8080}, services=[exposed("web", "in.example.org")])
    (call,) = verify_gateways.planned_calls(mesh, mesh.gateways[0], unsafe_methods=False)
    assert (call.port, call.url) == (8080, "http://in.example.org:8080/")


MUTUAL = gateway_of(
    {"host": "m.example.org", "certificate": "wild", "mode": "MUTUAL", "https_redirect": False},
    services=[exposed("web", "m.example.org")],
)
UNTESTED = (
    "public m.example.org: its clients need a certificate, and there is none from a test: "
    "give verify_gateway_client_cert and verify_gateway_client_key"
)
REFUSES = "public m.example.org: refuses clients without a certificate, from a test"


def test_a_host_that_asks_clients_for_a_certificate_has_to_refuse_those_without() -> None:
    refused = certs.Presented("", fingerprint="aa", client_refused="TLSV13_ALERT_CERTIFICATE_REQUIRED")
    told, found = results(MUTUAL, Channel(refused))
    assert told == {
        REFUSES: "pass",
        "public m.example.org: serves a certificate that clients accept, from a test": "pass",
        UNTESTED: "not tested",
    }
    assert (found.reached, found.untested) == (frozenset(), {"shop/web"})
    told, _found = results(MUTUAL, Channel(certs.Presented("", client_refused="HANDSHAKE_FAILURE")))
    assert told == {REFUSES: "pass", UNTESTED: "not tested"}
    told, _found = results(MUTUAL, Channel(certs.Presented("", fingerprint="aa")))
    assert told["public m.example.org: lets clients in that show no certificate, from a test"] == "fail"


def test_with_a_clients_certificate_it_is_asked_like_any_other() -> None:
    channel = Channel(certs.Presented("", fingerprint="aa"), [Answer(200, UPSTREAM, "hi", 0)])
    channel.has_client = True
    told, found = results(MUTUAL, channel)
    assert set(told.values()) == {"pass"}
    assert (found.reached, found.untested) == ({"shop/web"}, frozenset())


STREAM = {"ports": [{"name": "tls", "number": 443, "protocol": "tls"}]}


@pytest.mark.parametrize(
    ("served", "verdict"),
    [
        (certs.Presented("certificate verify failed", untrusted=True, fingerprint="cc"), "pass"),
        (certs.Presented("Hostname mismatch", fingerprint="cc"), "pass"),
        (certs.Presented("", fingerprint="cc"), "pass"),
        (certs.Presented("", client_refused="HANDSHAKE_FAILURE"), "pass"),
        (certs.Presented("the handshake failed: ConnectionResetError"), "fail"),
        (certs.Presented("", unanswered="no HTTP answer"), "cannot tell"),
    ],
)
def test_where_tls_passes_through_a_tls_server_has_to_answer(served: certs.Presented, verdict: str) -> None:
    mesh = gateway_of(
        {"host": "mq.example.org", "mode": "PASSTHROUGH"}, services=[exposed("mq", "mq.example.org") | STREAM]
    )
    told, found = results(mesh, Channel(served))
    assert list(told.values()) == [verdict]
    assert found.reached == ({"shop/mq"} if verdict == "pass" else frozenset())


@pytest.mark.parametrize(
    "server",
    [
        {"host": "sql.example.org", "protocol": "TCP", "port": 5432},
        {"host": "sql.example.org", "protocol": "TLS", "certificate": "wild", "port": 5432},
    ],
)
def test_what_speaks_no_http_is_not_tested(server: dict[str, object]) -> None:
    mesh = gateway_of(server, services=[exposed("sql", "sql.example.org") | STREAM])
    told, found = results(mesh, Channel(certs.Presented("", fingerprint="aa")))
    assert list(told.values()) == [*(["pass"] if "certificate" in server else []), "not tested"]
    assert (found.reached, found.untested) == (frozenset(), {"shop/sql"})
