# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to a gateway: what curl's exit codes mean, and what was not answered is not accepted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Answer, HttpCall
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import (
    Presented,
    UnreachableError,
    leaf_fingerprint,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.channels import (
    DirectChannel,
    ProbeChannel,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.gateways import (
    planned_calls,
)

from ...support import certificates
from .builders import GATEWAY, catalogue, service

MESH = catalogue(
    service("web", exposed=[{"gateway": "public", "host": "api.example.com", "path": "/"}]),
    mesh_gateways=[GATEWAY],
)
GATE = MESH.gateways[0]
SERVER = GATE.servers[0]
CALLS = planned_calls(MESH, GATE, unsafe_methods=False)


class Probe:
    """A probe whose curl ends as told; remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.calls: list[HttpCall] = []
        self.ca_pem = ""

    def __call__(self, calls: Sequence[HttpCall], ca_pem: str) -> Sequence[Answer]:
        self.calls, self.ca_pem = list(calls), ca_pem
        return self.answers[: len(calls)]


def ended(exit_code: int, error: str = "", status: int = 0) -> Answer:
    return Answer(status, {}, "", exit_code, error)


def handshake(answer: Answer) -> Presented:
    return ProbeChannel("10.0.0.1", "CA", Probe(answer)).handshake(SERVER)


@pytest.mark.parametrize("code", [0, 18, 28, 56, 60])
def test_an_answer_over_tls_shows_that_the_certificate_was_accepted(code: int) -> None:
    assert handshake(ended(code, "curl: x", status=404)) == Presented("")


@pytest.mark.parametrize("code", [-1, 0, 1, 2, 49, 52, 56, 58, 77, 127, 137])
def test_what_was_not_answered_is_not_accepted(code: int) -> None:
    """Each of these passed before."""
    assert handshake(ended(code, "curl: (n) why")) == Presented("", unanswered="curl: (n) why")
    assert handshake(ended(code)) == Presented("", unanswered=f"no HTTP answer (curl exit {code})")


@pytest.mark.parametrize(
    ("code", "error", "untrusted"),
    [
        (60, "curl: (60) SSL certificate problem: unable to get local issuer certificate", True),
        (60, "curl: (60) SSL certificate problem: self-signed certificate", True),
        (60, "curl: (60) SSL: no alternative certificate subject name matches", False),
        (51, "curl: (51) SSL: certificate subject name does not match", False),
        (35, "curl: (35) TLS connect error", False),
    ],
)
def test_a_refused_certificate_is_a_fault(code: int, error: str, untrusted: bool) -> None:
    assert handshake(ended(code, error)) == Presented(error, untrusted=untrusted)


def test_a_fault_without_words_is_one_all_the_same() -> None:
    assert handshake(ended(60)) == Presented("curl exit 60")


@pytest.mark.parametrize("code", [5, 6, 7, 28])
def test_no_connection_at_all_is_unreachable(code: int) -> None:
    with pytest.raises(UnreachableError, match=r"10\.0\.0\.1: curl: nobody"):
        handshake(ended(code, "curl: nobody"))
    with pytest.raises(UnreachableError, match=r"10\.0\.0\.1: no connection"):
        ProbeChannel("10.0.0.1", "", Probe(ended(code), ended(code))).send(CALLS)


def test_one_slow_answer_does_not_make_the_gateway_unreachable() -> None:
    answers = [ended(28, "curl: (28) timed out"), ended(0, status=200)]
    assert ProbeChannel("10.0.0.1", "", Probe(*answers)).send(CALLS) == tuple(answers)


@pytest.mark.parametrize(("address", "written"), [("10.0.0.1", "10.0.0.1"), ("2001:db8::1", "[2001:db8::1]")])
def test_the_probe_is_told_the_address(address: str, written: str) -> None:
    probe = Probe(ended(0, status=301), ended(0, status=200))
    channel = ProbeChannel(address, "CA", probe)
    assert channel.name == f"from a pod outside the mesh to {address}"
    channel.send(CALLS)
    assert probe.ca_pem == "CA"
    assert [(call.method, call.url, call.curl_options) for call in probe.calls] == [
        ("GET", "http://api.example.com/", ("--connect-to", f"api.example.com:80:{written}:80")),
        ("GET", "https://api.example.com/", ("--connect-to", f"api.example.com:443:{written}:443")),
    ]
    channel.handshake(SERVER)
    assert [(call.method, call.url, call.curl_options) for call in probe.calls] == [
        (
            "HEAD",
            "https://api.example.com:443/",
            ("--connect-to", f"api.example.com:443:{written}:443", "-w", "%{certs}"),
        )
    ]


PASSTHROUGH = dataclasses.replace(SERVER, protocol="TLS", mode="PASSTHROUGH", certificate=None)
MUTUAL = dataclasses.replace(SERVER, mode="MUTUAL")


@pytest.mark.parametrize("code", [1, 8, 51, 52, 56, 60])
def test_a_server_behind_the_gateway_need_not_speak_http(code: int) -> None:
    served = ProbeChannel("10.0.0.1", "", Probe(ended(code, "curl: x"))).handshake(PASSTHROUGH)
    assert served == Presented("")


@pytest.mark.parametrize("code", [35, 127, -1])
def test_nor_is_it_there_because_curl_ended(code: int) -> None:
    served = ProbeChannel("10.0.0.1", "", Probe(ended(code, "curl: x"))).handshake(PASSTHROUGH)
    assert served.fault or served.unanswered


@pytest.mark.parametrize("alert", ["tlsv13 alert certificate required", "sslv3 alert handshake failure"])
def test_a_host_that_wants_a_certificate_says_so(alert: str) -> None:
    told = f"curl: (56) OpenSSL SSL_read: {alert}, errno 0"
    served = ProbeChannel("10.0.0.1", "", Probe(ended(56, told))).handshake(MUTUAL)
    assert served == Presented("", client_refused=told)
    other = ProbeChannel("10.0.0.1", "", Probe(ended(56, told))).handshake(SERVER)
    assert not other.client_refused


def test_a_host_that_wants_a_certificate_may_fail_for_another_reason() -> None:
    told = "curl: (56) Recv failure: Connection reset by peer"
    served = ProbeChannel("10.0.0.1", "", Probe(ended(56, told))).handshake(MUTUAL)
    assert served == Presented("", unanswered=told)


def test_the_direct_way_says_where_it_went() -> None:
    channel = DirectChannel("127.0.0.1", "", 1.0)
    assert channel.name == "from the controller to 127.0.0.1"


def test_the_certificate_that_curl_was_shown_is_told() -> None:
    pem = certificates.pem(certificates.certificate("api.example.com", certificates.ec_key())).decode()
    answer = Answer(200, {}, f"Subject:CN = x\nCert:{pem}", 0)
    assert handshake(answer).fingerprint == leaf_fingerprint(pem) != ""
