"""Where a certificate must be served, and who serves which."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import json
import socket
import ssl
import threading

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
    Lifetimes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import proof
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    fingerprint,
    load_authority,
    new_authority,
    new_leaf,
)

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = load_authority(new_authority("test", NOW, Lifetimes()))
OTHER = load_authority(new_authority("other", NOW, Lifetimes()))
HOSTS = ("api.example.com",)
PAIR = new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())
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
    found = proof.endpoints_of(
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


@pytest.mark.parametrize(("services", "port"), [([], 443), ([service(8443)], 8443), ([service("tls")], 9443)])
def test_the_port_is_the_one_the_pod_listens_on(services, port):
    (endpoint,) = proof.endpoints_of(CREDENTIAL, [gateway()], [pod()], services)
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
    assert proof.endpoints_of(CREDENTIAL, gateways, pods, []) == []


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
        yield proof.Endpoint("gw-1", "127.0.0.1", listener.getsockname()[1], HOSTS[0])
    finally:
        # Wakes accept(): closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class Proxies:
    """Answers execs in gateway pods with a secrets dump; ``pair`` None: the proxy holds nothing."""

    def __init__(self, pair=None, error=None):
        self.pair, self.error = pair, error

    def exec(self, namespace, pod, container, command, **_more):
        if self.error:
            raise self.error
        return dataclasses.make_dataclass("Result", ["stdout"])(dump(self.pair))

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
    seen = look(Proxies(), proof.Endpoint("gw-1", "127.0.0.1", port, HOSTS[0]))
    assert (seen.status, seen.method) == ("fail", "handshake")


@pytest.fixture
def unreachable(monkeypatch):
    def refuse(*_args, **_more):
        raise TimeoutError("timed out")

    monkeypatch.setattr(proof.socket, "create_connection", refuse)
    return proof.Endpoint("gw-1", "10.0.0.1", 443, HOSTS[0])


@pytest.mark.parametrize(
    ("client", "status", "evidence"),
    [
        (Proxies(PAIR), "pass", "hold"),
        (Proxies(new_leaf(AUTHORITY, HOSTS, NOW, Lifetimes())), "fail", "expected"),
        (Proxies(), "fail", "does not hold it"),
        (Proxies(error=ApiError("pods/exec is forbidden", status=403)), "cannot tell", "forbidden"),
    ],
)
def test_pods_out_of_reach_are_asked_from_inside(unreachable, client, status, evidence):
    seen = look(client, unreachable)
    assert (seen.status, seen.method) == (status, "proxy secret")
    assert evidence in seen.evidence


def test_a_failed_handshake_is_settled_inside():
    endpoint = proof.Endpoint("gw-1", "10.0.0.1", 443, HOSTS[0])
    seen = proof.ServingProof("fail", "handshake", "it presents something else", 1)
    cases = [
        (Proxies(PAIR), "cannot tell"),
        (Proxies(), "fail"),
        (Proxies(error=ApiError("no", status=403)), "fail"),
    ]
    for client, status in cases:
        settled = proof.settle(client, CREDENTIAL, [endpoint], seen, fingerprint=fingerprint(PAIR))
        assert settled.status == status


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
