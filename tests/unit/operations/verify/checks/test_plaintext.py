"""Plaintext from outside the mesh: what its answers prove, and those to the handshake beside it."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.client_hello import client_hello
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import (
    Answer,
    HttpCall,
    StreamCall,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.send_calls import (
    is_conclusive,
    judge,
)

from .test_authorization import RBAC, SERVED, call

ASKED = "* TLSv1.3 (IN), TLS handshake, Request CERT (13):"
NAMELESS = "curl: (60) SSL: unable to obtain common name from peer certificate"
OTHER_NAME = "curl: (60) SSL: no alternative certificate subject name matches"
MESH_HELLO = Answer(0, {}, ASKED, 60, NAMELESS)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (SERVED, "fail"),
        (RBAC, "fail"),
        (Answer(0, {}, "", 1, "HTTP/0.9"), "fail"),
        (Answer(0, {}, "", 7, "refused"), "cannot tell"),
        (Answer(0, {}, "", 28, "timed out"), "cannot tell"),
        (Answer(0, {}, "", 6, "no such host"), "cannot tell"),
        (Answer(0, {}, "", -1), "cannot tell"),
    ],
)
def test_verdict_on_an_http_answer(answer: Answer, verdict: str) -> None:
    assert judge(call("plaintext"), [answer, MESH_HELLO]).verdict == verdict


CUT = Answer(0, {}, "", 56)
REQUIRED = "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required"


@pytest.mark.parametrize(
    ("plain", "hello", "verdict"),
    [
        (CUT, MESH_HELLO, "pass"),
        (Answer(0, {}, "", 52), MESH_HELLO, "pass"),
        (CUT, Answer(0, {}, ASKED, 60, OTHER_NAME), "pass"),
        (CUT, Answer(0, {}, ASKED, 60, "curl: (60) SSL certificate problem: self-signed"), "cannot tell"),
        (CUT, Answer(0, {}, ASKED, 56, REQUIRED), "cannot tell"),  # TLS of its own, with whatever certificate
        (CUT, Answer(0, {}, "", 60, NAMELESS), "cannot tell"),  # nobody is asked who he is
        (CUT, Answer(0, {}, ASKED, 0), "cannot tell"),
        (CUT, Answer(200, {}, ASKED, 0), "cannot tell"),
        (Answer(0, {}, "", 52), Answer(0, {}, "", 35, "curl: (35) wrong version number"), "cannot tell"),
        (Answer(0, {}, "", 52), Answer(0, {}, "", 52), "cannot tell"),
        (CUT, Answer(200, {}, "hi", 0), "cannot tell"),
        (Answer(0, {}, "", 28), MESH_HELLO, "cannot tell"),
        (Answer(0, {}, "", 1), MESH_HELLO, "fail"),
        (Answer(0, {}, "", 0), MESH_HELLO, "fail"),
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_a_server_that_closes_is_no_proof(protocol: str, plain: Answer, hello: Answer, verdict: str) -> None:
    """A PostgreSQL without any mesh closes as well, and so does one that speaks TLS by itself, or gRPC."""
    assert judge(call("plaintext", protocol), [plain, hello]).verdict == verdict


@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_plaintext_goes_with_a_handshake_by_the_roots_of_the_mesh(protocol: str) -> None:
    plain, hello = call("plaintext", protocol).requests()
    assert isinstance(plain, HttpCall)
    assert isinstance(hello, HttpCall)
    assert plain.url == "http://pay.shop.svc.cluster.local:80/"
    assert (hello.url, hello.curl_options) == ("https://pay.shop.svc.cluster.local:80/", ("-v",))
    assert len(call("allowed", protocol).requests(3)) == 1


def test_a_stream_is_asked_in_silence_and_as_a_proxy_where_the_first_look_shows_nothing() -> None:
    *_both, silent, as_proxy = call("plaintext", "tcp").requests(1)
    assert silent == StreamCall("pay.shop.svc.cluster.local:80")
    assert isinstance(as_proxy, StreamCall)
    assert (as_proxy.address, as_proxy.said) == (silent.address, client_hello())
    assert len(call("plaintext", "http").requests(1)) == 2


NOTHING = Answer(0, {}, "", 28)
GREETED = Answer(0, {}, "220 ready", 28)
IDENTITY = Answer(0, {}, "\x16\x03\x03\0`\2 \ufffd spiffe://cluster.local/ns/shop/sa/pay \r", 28)
TOO_OLD = Answer(0, {}, "\x15\x03\x03\0\2\2F", 0)
REPEATED = Answer(0, {}, client_hello().decode("utf-8", "replace"), 28)
PAST_IT = Answer(
    0, {}, "* TLSv1.3 (OUT), TLS handshake, Client hello (1):", 35, "curl: (35) Connection reset"
)
OWN_TLS = Answer(0, {}, f"* TLSv1.3 (IN), TLS handshake, Server hello (2):\n{ASKED}", 60, "self-signed")
OWN_CERTIFICATE = Answer(0, {}, "\x16\x03\x03\0`\2 \ufffd pay.example.com", 28)
UNMADE = Answer(0, {}, "", 7)


@pytest.mark.parametrize(
    ("hello", "silent", "as_proxy", "verdict"),
    [
        (PAST_IT, GREETED, NOTHING, "fail"),
        (PAST_IT, GREETED, IDENTITY, "fail"),
        (PAST_IT, NOTHING, IDENTITY, "fail"),
        (PAST_IT, NOTHING, TOO_OLD, "fail"),
        (Answer(0, {}, "", 52), NOTHING, IDENTITY, "fail"),
        (OWN_TLS, NOTHING, IDENTITY, "fail"),
        (OWN_TLS, NOTHING, OWN_CERTIFICATE, "cannot tell"),
        (OWN_TLS, NOTHING, TOO_OLD, "cannot tell"),
        (PAST_IT, NOTHING, NOTHING, "cannot tell"),
        (PAST_IT, NOTHING, REPEATED, "cannot tell"),
        (PAST_IT, NOTHING, Answer(0, {}, "220 spiffe://", 28), "cannot tell"),
        (PAST_IT, NOTHING, UNMADE, "cannot tell"),
        (UNMADE, NOTHING, IDENTITY, "cannot tell"),
        (NOTHING, NOTHING, IDENTITY, "cannot tell"),
        (Answer(0, {}, "", -1), NOTHING, IDENTITY, "cannot tell"),
        (Answer(400, {}, "", 0), NOTHING, IDENTITY, "cannot tell"),
        (MESH_HELLO, NOTHING, IDENTITY, "pass"),
    ],
)
def test_a_stream_that_the_first_look_did_not_show(
    hello: Answer, silent: Answer, as_proxy: Answer, verdict: str
) -> None:
    found = judge(call("plaintext", "tcp"), [CUT, hello, silent, as_proxy])
    assert found.verdict == verdict


def test_only_several_looks_show_that_a_port_takes_both() -> None:
    """A pod that is just ending resets one of two connections, too."""
    once = judge(call("plaintext", "tcp"), [CUT, PAST_IT, NOTHING, IDENTITY])
    assert not is_conclusive(once)
    heard = judge(call("plaintext", "tcp"), [CUT, PAST_IT, GREETED, IDENTITY])
    assert is_conclusive(heard)


@pytest.mark.parametrize(("address", "host"), [("10.0.0.7", "10.0.0.7"), ("fd00::7", "[fd00::7]")])
def test_a_single_pod_is_called_at_its_own_port(address: str, host: str) -> None:
    one = dataclasses.replace(call("plaintext"), pod=f"pay-2 {address}")
    (plain, _hello) = one.requests()
    assert isinstance(plain, HttpCall)
    assert plain.url == f"http://{host}:3000/"
    assert "at pod pay-2" in judge(one, [Answer(200, {}, "hi", 0), MESH_HELLO]).message
