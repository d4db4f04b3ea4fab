"""Where a certificate must be served, and who serves which."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import ssl
import threading

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
    Lifetimes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    endpoints,
    proof,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.endpoints import (
    ServingEndpoint,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    KeyPair,
    fingerprint,
    load_authority,
    new_authority,
    new_leaf,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ...support import certificates as made
from ...support.clock import FakeClock

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = load_authority(new_authority("test", NOW, Lifetimes()))
OTHER = load_authority(new_authority("other", NOW, Lifetimes()))
HOSTS = ("api.example.com",)
PAIR = new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())
NO_TRANSLATION = {"experimental.istio.io/disable-gateway-port-translation": "true"}
CREDENTIAL = Credential("edge", "api", ("api.example.com", "*.shop.example.com"))


def gateway(*, credential="api", mode="SIMPLE", hosts=("api.example.com",), number=443, selector=None):
    server = {
        "port": {"number": number},
        "tls": {"mode": mode, "credentialName": credential},
        "hosts": list(hosts),
    }
    return {"spec": {"selector": selector or {"istio": "edge"}, "servers": [server]}}


def pod(name="gw-1", **changes):
    base = {
        "metadata": {"name": name, "labels": {"istio": "edge"}},
        "spec": {"containers": [{"ports": [{"name": "tls", "containerPort": 9443}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }
    return {**base, **changes}


def service(target):
    return {"spec": {"selector": {"istio": "edge"}, "ports": [{"port": 443, "targetPort": target}]}}


def test_every_pod_and_host_of_the_credential_is_an_endpoint():
    found = endpoints.endpoints_of(
        CREDENTIAL,
        [gateway(hosts=("ns/api.example.com", "*.shop.example.com", "other.example.com"))],
        [pod(), pod("gw-2")],
        [service(8443)],
    )
    assert [(e.pod, e.port, e.server_name) for e in found] == [
        ("gw-1", 8443, "any.shop.example.com"),
        ("gw-1", 8443, "api.example.com"),
        ("gw-2", 8443, "any.shop.example.com"),
        ("gw-2", 8443, "api.example.com"),
    ]


@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", ""])
def test_every_mode_that_serves_a_credential_counts(mode):
    assert endpoints.endpoints_of(CREDENTIAL, [gateway(mode=mode)], [pod()], []) == [
        ServingEndpoint("gw-1", "10.0.0.1", 443, "api.example.com", mode or "SIMPLE")
    ]


def test_a_named_port_is_looked_up_in_all_containers():
    ports = [{"name": "other", "containerPort": 1}, {"name": "tls", "containerPort": 9443}]
    two = pod(spec={"containers": [{"name": "a"}, {"ports": ports}]})
    assert [e.port for e in endpoints.endpoints_of(CREDENTIAL, [gateway()], [two], [service("tls")])] == [
        9443
    ]
    assert [e.port for e in endpoints.endpoints_of(CREDENTIAL, [gateway()], [two], [service("none")])] == [
        443
    ]


def test_the_service_that_selects_the_pod_and_has_the_port_decides():
    elsewhere = {"spec": {"selector": {"istio": "x"}, "ports": [{"port": 443, "targetPort": 1}]}}
    headless = {"spec": {"ports": [{"port": 443, "targetPort": 2}]}}
    other_port = {"spec": {"selector": {"istio": "edge"}, "ports": [{"port": 80, "targetPort": 3}]}}
    same = {"spec": {"selector": {"istio": "edge"}, "ports": [{"port": 443}]}}
    udp = {"spec": {"selector": {"istio": "edge"}, "ports": [{"port": 443, "protocol": "UDP"}]}}
    for services, port in (
        ([elsewhere, headless, other_port], 443),
        ([elsewhere, headless, other_port, service(4)], 4),
        ([same, service(5)], 443),
        ([{**service(6), "metadata": {"creationTimestamp": "2026-05-01T00:00:00Z"}}, service(5)], 5),
        ([udp, service(5)], 5),
        ([{**service(6), "metadata": {"labels": NO_TRANSLATION}}], 443),
    ):
        assert [e.port for e in endpoints.endpoints_of(CREDENTIAL, [gateway()], [pod()], services)] == [port]


def test_a_gateway_without_a_selector_is_for_every_gateways_pod():
    """istio pilot/pkg/model/push_context.go mergeGateways."""
    everybody = {"spec": {**gateway()["spec"], "selector": {}}}
    router = pod(spec={"containers": [{"name": "istio-proxy", "args": ["proxy", "router"]}]})
    assert [e.pod for e in endpoints.endpoints_of(CREDENTIAL, [everybody], [router, pod("app")], [])] == [
        "gw-1"
    ]


@pytest.mark.parametrize(
    ("tls", "mode"),
    [
        ({"mode": "MUTUAL", "credentialName": "api"}, "MUTUAL"),
        ({"mode": "MUTUAL", "credentialName": "api", "caCertCredentialName": "api"}, "SIMPLE"),
        ({"mode": "MUTUAL", "credentialName": "api", "caCertCredentialName": "api-cacert"}, "MUTUAL"),
        ({"mode": "OPTIONAL_MUTUAL", "credentialName": "api", "caCertCredentialName": "others"}, "SIMPLE"),
        ({"mode": "MUTUAL", "credentialName": "api", "caCertCredentialName": "configmap://x"}, "SIMPLE"),
        ({"mode": "MUTUAL", "credentialNames": ["api", "rsa"]}, "MUTUAL"),
        ({"mode": "MUTUAL", "credentialNames": ["rsa", "api"]}, "SIMPLE"),
    ],
)
def test_clients_are_asked_for_a_credential_whose_ca_they_are_known_by(tls, mode):
    asking = gateway()
    asking["spec"]["servers"][0]["tls"] = tls
    assert [e.mode for e in endpoints.endpoints_of(CREDENTIAL, [asking], [pod()], [])] == [mode]


def test_a_gateway_host_that_the_credential_does_not_name_is_asked_by_those_it_names():
    found = endpoints.endpoints_of(CREDENTIAL, [gateway(hosts=("*",))], [pod()], [])
    assert [endpoint.server_name for endpoint in found] == ["any.shop.example.com", "api.example.com"]


@pytest.mark.parametrize(("services", "port"), [([], 443), ([service(8443)], 8443), ([service("tls")], 9443)])
def test_the_port_is_the_one_the_pod_listens_on(services, port):
    (endpoint,) = endpoints.endpoints_of(CREDENTIAL, [gateway()], [pod()], services)
    assert endpoint.port == port


@pytest.mark.parametrize(
    ("gateways", "pods"),
    [
        ([], [pod()]),
        ([gateway(credential="other")], [pod()]),
        ([gateway(mode="PASSTHROUGH")], [pod()]),
        ([gateway(selector={"istio": "other"})], [pod()]),
        ([{"spec": {"servers": gateway()["spec"]["servers"]}}], [pod()]),
        ([gateway()], [pod(status={"phase": "Pending"})]),
        ([gateway()], [pod(metadata={"name": "x", "labels": {"istio": "edge"}, "deletionTimestamp": "now"})]),
    ],
)
def test_nobody_serves_what_no_gateway_tells_a_running_pod(gateways, pods):
    assert endpoints.endpoints_of(CREDENTIAL, gateways, pods, []) == []


@contextlib.contextmanager
def server(tmp_path, pair):
    """A TLS server on loopback; yields its endpoint."""
    files = [tmp_path / "tls.crt", tmp_path / "tls.key"]
    for path, data in zip(files, (pair.chain, pair.key), strict=True):
        path.write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield ServingEndpoint("gw-1", "127.0.0.1", listener.getsockname()[1], HOSTS[0])
    finally:
        # Wakes accept(): closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class Proxies:
    """Gateways that answer with a secrets dump; ``pair`` None: the proxy holds nothing."""

    def __init__(self, pair=None, error=None):
        self.pair, self.error = pair, error

    def ask_pod(self, namespace, pod, port, path, **_more):
        if self.error:
            raise self.error
        return PodAnswer(200, dump(self.pair))

    @staticmethod
    def in_parallel(function, items, **_more):
        return [function(item) for item in items]


def dump(pair, name="kubernetes://api"):
    chain = base64.b64encode(pair.chain if pair else b"").decode()
    secret = {"tls_certificate": {"certificate_chain": {"inline_bytes": chain}}}
    return json.dumps({"configs": [{"name": "default", "secret": {}}, {"name": name, "secret": secret}]})


def look(client, endpoint, **changes):
    wanted = {"fingerprint": fingerprint(PAIR), "roots_pem": AUTHORITY.roots_pem, **changes}
    return proof.look(client, CREDENTIAL, [endpoint], **wanted)


STRICT = ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize("flags", [0, STRICT, STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN])
def test_a_private_ca_is_trusted_as_it_is_whatever_python_asks_for(tmp_path, monkeypatch, flags):
    """Python 3.13 wants identifiers that curl, Go and browsers do not ask for, and 3.12 the root itself."""
    root_key, key = made.ec_key(), made.ec_key()
    root = bare("root", root_key, "root", root_key, authority=True)
    middle = bare("middle", key, "root", root_key, authority=True)
    leaf_key = made.ec_key()
    leaf = bare("leaf", leaf_key, "middle", key)
    alone = bare("leaf", leaf_key, "leaf", leaf_key)
    real = ssl.create_default_context

    def default(*args, **more):
        context = real(*args, **more)
        context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | flags
        return context

    monkeypatch.setattr(ssl, "create_default_context", default)
    for chain, trusted in (((leaf, middle), root), ((leaf, middle), middle), ((alone,), alone)):
        pair = KeyPair(made.pem(*chain), made.key_pem(leaf_key))
        with server(tmp_path, pair) as endpoint:
            roots = made.pem(trusted).decode()
            assert proof.served_fingerprint(endpoint, roots) == fingerprint(pair)
            with pytest.raises(ssl.SSLCertVerificationError):
                proof.served_fingerprint(endpoint, OTHER.roots_pem)


def bare(subject, key, issuer, issuer_key, *, authority=False):
    """A certificate that names no keys."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.name(subject))
        .issuer_name(made.name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - made.DAY)
        .not_valid_after(NOW + made.DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = x509.SubjectAlternativeName([x509.DNSName(HOSTS[0])])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def test_a_handshake_with_the_right_certificate_passes(tmp_path):
    with server(tmp_path, PAIR) as endpoint:
        seen = look(Proxies(), endpoint)
        assert (seen.status, seen.method) == ("pass", "handshake")
        assert look(Proxies(), endpoint, roots_pem="").status == "pass"


def test_another_certificate_of_the_same_ca_fails(tmp_path):
    with server(tmp_path, new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())) as endpoint:
        seen = look(Proxies(), endpoint)
        assert seen.status == "fail"
        assert "expected" in seen.evidence


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (new_leaf(OTHER, HOSTS, NOW, Lifetimes()), "clients refuse"),
        (new_leaf(AUTHORITY, ("other.example.com",), NOW, Lifetimes()), "Hostname mismatch"),
        (new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes(leaf=datetime.timedelta(minutes=-1))), "expired"),
    ],
)
def test_a_certificate_that_clients_refuse_fails(tmp_path, pair, why):
    with server(tmp_path, pair) as endpoint:
        seen = look(Proxies(), endpoint)
        assert seen.status == "fail"
        assert why in seen.evidence


def test_a_closed_port_fails():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = look(Proxies(), ServingEndpoint("gw-1", "127.0.0.1", port, HOSTS[0]))
    assert (seen.status, seen.method) == ("fail", "handshake")
    assert seen.evidence == f"pod gw-1:{port} for {HOSTS[0]} completes no handshake: Connection refused"


@pytest.fixture
def unreachable(monkeypatch):
    def refuse(*_args, **_more):
        raise TimeoutError("timed out")

    monkeypatch.setattr(proof.socket, "create_connection", refuse)
    return ServingEndpoint("gw-1", "10.0.0.1", 443, HOSTS[0])


@pytest.mark.parametrize(
    ("client", "status", "evidence"),
    [
        (Proxies(PAIR), "pass", "hold"),
        (Proxies(new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())), "fail", "expected"),
        (Proxies(), "fail", "does not hold it"),
        (Proxies(error=ApiError("pods/portforward is forbidden", status=403)), "cannot tell", "forbidden"),
    ],
)
def test_pods_out_of_reach_are_asked_from_inside(unreachable, client, status, evidence):
    seen = look(client, unreachable)
    assert (seen.status, seen.method) == (status, "proxy secret")
    assert evidence in seen.evidence


def test_a_failed_handshake_is_settled_inside():
    endpoint = ServingEndpoint("gw-1", "10.0.0.1", 443, HOSTS[0])
    seen = proof.ServingProof("fail", "handshake", "it presents something else", 1)
    cases = [
        (Proxies(PAIR), "cannot tell"),
        (Proxies(), "fail"),
        (Proxies(error=ApiError("no", status=403)), "fail"),
    ]
    for client, status in cases:
        settled = proof.settle(client, CREDENTIAL, [endpoint], seen, fingerprint=fingerprint(PAIR))
        assert settled.status == status


class Scripted(Proxies):
    """Notes what pods are asked."""

    def __init__(self, pair=None, error=None):
        super().__init__(pair, error)
        self.asked = []

    def ask_pod(self, *args, **more):
        self.asked.append(args)
        return super().ask_pod(*args, **more)


def test_a_proxy_is_asked_for_its_secrets(unreachable):
    client = Scripted(PAIR)
    assert look(client, unreachable).evidence == f"the proxies of 1 pods hold {fingerprint(PAIR)[:16]}"
    path = "/config_dump?resource=dynamic_active_secrets"
    assert client.asked == [("edge", "gw-1", 15000, path)]


def waited(monkeypatch, looks, *, timeout, second=None):
    """What `prove` returns for a list of looks, the seconds it took, and how often the inside was asked.

    :param looks: status of each look; the last one repeats. :param second: the opinion from inside.
    """
    clock, asked, settled = FakeClock(), [], []
    begin = clock.time

    def one_look(*_args, **_more):
        asked.append(clock.time - begin)
        return proof.ServingProof(looks[min(len(asked), len(looks)) - 1], "handshake", "seen", 1)

    def from_inside(*_args, **_more):
        settled.append(clock.time - begin)
        return proof.ServingProof(second, "handshake", "inside", 1)

    monkeypatch.setattr(proof, "look", one_look)
    monkeypatch.setattr(proof, "settle", from_inside)
    endpoint = ServingEndpoint("gw-1", "10.0.0.1", 443, HOSTS[0])
    seen = proof.prove(
        Proxies(), CREDENTIAL, lambda: [endpoint], fingerprint="f", roots_pem="", timeout=timeout, clock=clock
    )
    return seen, clock.time - begin, asked, settled


@pytest.mark.parametrize("status", ["pass", "cannot tell"])
def test_a_first_look_that_is_no_failure_ends_the_wait(monkeypatch, status):
    seen, seconds, asked, settled = waited(monkeypatch, [status], timeout=60)
    assert (seen.status, seconds, len(asked), settled) == (status, 0, 1, [])


def test_a_late_certificate_is_waited_for_and_the_inside_is_left_alone(monkeypatch):
    seen, seconds, asked, settled = waited(monkeypatch, ["fail", "fail", "pass"], timeout=60)
    assert (seen.status, len(asked), settled) == ("pass", 3, [])
    assert 0 < seconds < 15


def test_a_failure_that_stays_gets_a_second_opinion_after_a_while(monkeypatch):
    seen, seconds, _asked, settled = waited(monkeypatch, ["fail"], timeout=60, second="cannot tell")
    assert (seen.status, seen.evidence, len(settled)) == ("cannot tell", "inside", 1)
    assert 15 <= seconds < 18


def test_a_failure_that_the_inside_confirms_lasts_until_the_end(monkeypatch):
    seen, seconds, asked, settled = waited(monkeypatch, ["fail"], timeout=30, second="fail")
    assert (seen.status, seen.evidence) == ("fail", "inside")
    assert 29 < seconds < 32
    assert len(settled) == sum(1 for second in asked if second >= 15)


def test_a_short_limit_shortens_the_patience(monkeypatch):
    seen, _seconds, _asked, settled = waited(monkeypatch, ["fail"], timeout=2, second="cannot tell")
    assert (seen.status, settled) == ("cannot tell", [2])


@pytest.mark.parametrize("comes", [True, False])
@pytest.mark.parametrize("status", ["fail", "pass"])
def test_what_was_seen_of_endpoints_that_went_away_says_nothing(monkeypatch, status, comes):
    """Not even after two good looks of three."""
    answers = [[ServingEndpoint("gw-1", "10.0.0.1", 443, HOSTS[0])]] * 2
    monkeypatch.setattr(
        proof, "look", lambda *_args, **_more: proof.ServingProof(status, "handshake", "seen", 1)
    )
    clock = FakeClock()
    begin = clock.monotonic()
    seen = proof.prove(
        Proxies(),
        CREDENTIAL,
        lambda: answers.pop() if answers else [],
        awaited=lambda: comes,
        fingerprint="f",
        roots_pem="",
        timeout=60,
        good=3,
        clock=clock,
    )
    assert (seen.status, seen.evidence) == ("cannot tell", proof.NOBODY)
    assert (clock.monotonic() - begin >= 60) is comes


@pytest.mark.parametrize(
    ("gateways", "pods", "comes"),
    [
        ([gateway()], [pod(status={"phase": "Pending"})], True),
        ([gateway()], [pod(status={})], True),
        ([gateway()], [pod(status={"phase": "Running"})], True),
        ([gateway()], [pod(metadata={"labels": {"istio": "edge"}, "deletionTimestamp": "now"})], True),
        ([gateway()], [pod()], False),
        ([gateway()], [pod(status={"phase": "Succeeded"})], False),
        ([gateway()], [pod(status={"phase": "Failed"})], False),
        ([gateway()], [], False),
        ([gateway(credential="other")], [pod(status={})], False),
        ([gateway(mode="PASSTHROUGH")], [pod(status={})], False),
        ([gateway(selector={"istio": "other"})], [pod(status={})], False),
    ],
)
def test_a_pod_on_its_way_is_awaited(gateways, pods, comes):
    assert endpoints.is_awaited(CREDENTIAL, gateways, pods) is comes


def test_without_an_endpoint_nothing_can_be_told():
    seen = proof.prove(
        Proxies(), CREDENTIAL, list, fingerprint="f", roots_pem="", timeout=60, clock=FakeClock()
    )
    assert (seen.status, seen.method) == ("cannot tell", "handshake")
    assert "no running gateway pod" in seen.evidence


def test_one_pod_out_of_reach_does_not_hide_what_another_serves(tmp_path, monkeypatch):
    """A wrong certificate that was seen is a failure, whatever the rest may hold."""
    with server(tmp_path, new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())) as near:
        far = ServingEndpoint("gw-2", "10.0.0.2", 443, HOSTS[0])
        real = socket.create_connection

        def connect(address, **more):
            if address[0] == far.address:
                raise TimeoutError("timed out")
            return real(address, **more)

        monkeypatch.setattr(proof.socket, "create_connection", connect)
        seen = proof.look(
            Proxies(PAIR),
            CREDENTIAL,
            [near, far],
            fingerprint=fingerprint(PAIR),
            roots_pem=AUTHORITY.roots_pem,
        )
    assert (seen.status, seen.method, seen.pods) == ("fail", "handshake", 2)
    assert seen.as_result() == {
        "status": "fail",
        "method": "handshake",
        "evidence": seen.evidence,
        "pods": 2,
    }


def test_the_wait_ends_with_what_was_seen(tmp_path):
    with server(tmp_path, new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())) as endpoint:
        seen = proof.prove(
            Proxies(),
            CREDENTIAL,
            lambda: [endpoint],
            fingerprint=fingerprint(PAIR),
            roots_pem=AUTHORITY.roots_pem,
            timeout=0.1,
        )
    assert seen.status == "fail"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (dump(PAIR), True),
        (dump(PAIR, "kubernetes://edge/api"), True),
        (dump(PAIR, "kubernetes://api-cacert"), False),
        (dump(None), False),
        ("no json", False),
        ("[]", False),
        ("{}", False),
    ],
)
def test_dumps_of_envoy_are_read_defensively(text, found):
    assert (proof.fingerprint_in_dump(text, "api") == fingerprint(PAIR)) is found
