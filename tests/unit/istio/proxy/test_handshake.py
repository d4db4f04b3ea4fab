# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A handshake that fails says why, also where the exception has no words of its own."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.handshake import (
    ClientCertificate,
    _refusal,
    handshake,
    leaf_fingerprint,
    request,
)
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from ...support.certificates import DAY, ROOT_KEY, certificate, ec_key, key_pem, pem
from ...support.http_server import at_work

ISSUER = ("root", ROOT_KEY)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionResetError(), "the handshake failed: ConnectionResetError"),
        (TimeoutError("timed out"), "the handshake failed: timed out"),
        (ssl.SSLError(1, "[SSL: X] x"), "the handshake failed: [SSL: X] x"),
    ],
)
def test_a_failed_handshake_says_why(error: OSError, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = handshake("127.0.0.1", server.getsockname()[1], "api.example.com")
    assert served.fault == told
    assert not served.fingerprint


@pytest.mark.parametrize("code", [2, 18, 19, 20, 21, 10, 22, 62])
def test_only_an_issuer_that_nobody_knows_makes_it_untrusted(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of OpenSSL's codes, 10 is of an expired certificate and 62 of another name."""

    def refuse(*arguments: Any, **more: Any) -> Any:
        error = ssl.SSLCertVerificationError(1, "x")
        error.verify_code, error.verify_message = code, "why"
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = handshake("127.0.0.1", server.getsockname()[1], "api.example.com")
    assert (served.fault, served.untrusted, served.fingerprint) == ("why", code in (2, 18, 19, 20, 21), "")


@pytest.mark.parametrize(
    ("reason", "text", "refused"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "x", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (None, "alert: CERTIFICATE_REQUIRED", "CERTIFICATE_REQUIRED"),
        ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "x", ""),
        (None, "something else", ""),
    ],
)
def test_what_a_server_says_without_a_clients_certificate(
    reason: str | None, text: str, refused: str
) -> None:
    class Connection:
        def settimeout(self, _seconds: float) -> None:
            pass

        def recv(self, _count: int) -> bytes:
            error = ssl.SSLError(1, text)
            error.reason = reason
            raise error

    found = _refusal(Connection())
    assert refused in found
    assert bool(found) is bool(refused)
    assert reason is None or found in ("", reason)


@pytest.mark.parametrize("trusted", [True, False])
def test_the_leaf_is_known_also_where_nobody_trusts_it(trusted: bool, tmp_path: Path) -> None:
    key, today = ec_key(), datetime.datetime.now(datetime.UTC)
    times = {"begin": today - DAY, "end": today + DAY}
    own = certificate("a.example.com", key, issuer=ISSUER, hosts=("a.example.com",), **times)
    (tmp_path / "server.pem").write_bytes(pem(own) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_rest: None
    roots = pem(certificate(*(ISSUER if trusted else ("other", ec_key())), ca=True, **times)).decode()
    with at_work(server):
        served = handshake("127.0.0.1", server.server_port, "a.example.com", ca_pem=roots)
    assert served.fingerprint == own.fingerprint(hashes.SHA256()).hex()
    assert (served.fault == "", served.untrusted) == (trusted, not trusted)


@pytest.fixture
def demanding(tmp_path: Path) -> Iterator[Callable[[ssl.TLSVersion], tuple[int, str]]]:
    """Starts a server that wants a client's certificate. :returns: its port and the issuer of both, PEM."""
    key, today = ec_key(), datetime.datetime.now(datetime.UTC)
    times = {"begin": today - DAY, "end": today + DAY}
    authority = certificate("root", ROOT_KEY, ca=True, **times)
    own = certificate("api.example.com", key, issuer=ISSUER, hosts=("api.example.com",), **times)
    chain = pem(own).decode()
    file = tmp_path / "server.pem"
    file.write_text(chain + key_pem(key).decode())
    root = pem(authority).decode()

    def start(newest: ssl.TLSVersion) -> tuple[int, str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = newest
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=root)
        context.verify_mode = ssl.CERT_REQUIRED
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_rest: None
        running.enter_context(at_work(server))
        return server.server_port, root

    with contextlib.ExitStack() as running:
        yield start


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_refuses_who_has_none(
    newest: ssl.TLSVersion, demanding: Any, tmp_path: Path
) -> None:
    port, root = demanding(newest)
    served = handshake("127.0.0.1", port, "api.example.com", ca_pem=root, demanding=True)
    assert served.client_refused
    assert not served.fault
    key, today = ec_key(), datetime.datetime.now(datetime.UTC)
    usage = ExtendedKeyUsageOID.CLIENT_AUTH
    shown = certificate("client", key, issuer=ISSUER, begin=today - DAY, end=today + DAY, usage=usage)
    (tmp_path / "crt").write_bytes(pem(shown))
    (tmp_path / "key").write_bytes(key_pem(key))
    client = ClientCertificate(str(tmp_path / "crt"), str(tmp_path / "key"))
    served = handshake("127.0.0.1", port, "api.example.com", ca_pem=root, client=client)
    assert served.fingerprint
    assert not served.fault
    answer = request("127.0.0.1", port, "api.example.com", "GET", "/", tls=True, ca_pem=root, client=client)
    assert answer.status == 501, "it came through: the handler knows no method"


def test_silence_is_no_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = handshake("127.0.0.1", server.getsockname()[1], "x.example.com", timeout=0.2, demanding=True)
    assert not told.client_refused
    assert told.fault


def test_the_first_certificate_of_a_chain_has_the_fingerprint() -> None:
    one, other = (certificate(name, ec_key()) for name in ("a.example.com", "b.example.com"))
    expected = one.fingerprint(hashes.SHA256()).hex()
    text = pem(one).decode()
    assert leaf_fingerprint(text + pem(other).decode()) == leaf_fingerprint(f"Subject: a\n{text}") == expected
    no_base64 = "-----BEGIN CERTIFICATE-----\na\n-----END CERTIFICATE-----"
    for broken in ("", "text", text.replace("END", "FIN"), text.replace("BEGIN", "START"), no_base64):
        assert leaf_fingerprint(broken) == ""
