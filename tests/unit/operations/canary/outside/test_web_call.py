"""A request to somebody outside of the mesh, and every way in which the other side may behave."""

from __future__ import annotations

import datetime
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.outside.web_call import (
    MOST_READ,
    Reply,
    Web,
    call,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ....support.certificates import ec_key, key_pem, name, pem
from ....support.http_server import Answer, ScriptedServer

SECRET = "s3cret-token"


def chain_for(host: str, directory: Path) -> tuple[str, str]:
    """A certificate of its own root for a host. :returns: paths of certificate with key, and of the root."""
    key = ec_key()
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(host))
        .issuer_name(name(host))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, root = directory / "chain.pem", directory / "root.pem"
    chain.write_bytes(pem(made) + key_pem(key))
    root.write_bytes(pem(made))
    return str(chain), str(root)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def asked(server: ScriptedServer, answer: Answer, timeout: float = 60.0, **web: Any) -> Reply:
    server.always = answer
    where = Web(server.url + "/gate?key=hidden", headers={"X-Key": SECRET}, **web)
    return call(where, {"id": "run-1"}, timeout=timeout, environment={})


def test_the_body_and_the_headers_arrive(server: ScriptedServer) -> None:
    assert asked(server, Answer(200, b"fine")) == Reply(200, "fine")
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/gate?key=hidden", {"id": "run-1"})
    assert request.headers["x-key"] == [SECRET]
    assert request.headers["content-type"] == ["application/json"]


def test_get_sends_no_body(server: ScriptedServer) -> None:
    assert asked(server, Answer(204, b""), method="GET").status == 204
    assert "content-type" not in server.requests[0].headers
    assert (server.requests[0].method, server.requests[0].body) == ("GET", None)


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    with ScriptedServer(always=Answer(200)) as other:
        reply = asked(server, Answer(307, b"", {"Location": other.url}))
        assert (reply.status, other.requests) == (307, [])


@pytest.mark.parametrize("how", ["silent", "dripping head"])
def test_a_server_that_does_not_come_to_its_answer_is_cut_off(server: ScriptedServer, how: str) -> None:
    began = time.monotonic()
    reply = asked(server, Answer(200, b"x" * 2000, how=how), timeout=0.3)
    assert reply.status == 0
    assert "did not answer in 0.3 s" in reply.trouble
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("how", ["drip", "endless"])
def test_a_body_that_does_not_end_does_not_change_the_status(server: ScriptedServer, how: str) -> None:
    began = time.monotonic()
    assert asked(server, Answer(200, b"x" * 2000, how=how), timeout=1.0).status == 200
    assert time.monotonic() - began < 15


def test_of_a_huge_body_only_the_begin_is_read(server: ScriptedServer) -> None:
    reply = asked(server, Answer(500, b"y" * (8 * MOST_READ)))
    assert (reply.status, len(reply.text)) == (500, MOST_READ)


def test_a_binary_body_is_text_with_holes(server: ScriptedServer) -> None:
    assert asked(server, Answer(500, b"\xff\x00\xfe ok")).text == "\ufffd\x00\ufffd ok"


@pytest.mark.parametrize("how", ["none", "cut"])
def test_a_connection_that_breaks(server: ScriptedServer, how: str) -> None:
    reply = asked(server, Answer(200, b"0123456789", how=how))
    assert (reply.status == 200) == (how == "cut")
    assert bool(reply.trouble) == (how == "none")


def test_nobody_listens() -> None:
    reply = call(Web("http://127.0.0.1:1/secret-path"), {}, timeout=60, environment={})
    assert reply.status == 0
    assert reply.trouble == "127.0.0.1:1 did not answer: Connection refused"


def test_a_certificate_for_another_name_is_not_trusted(server: ScriptedServer, tmp_path: Path) -> None:
    chain, root = chain_for("elsewhere.example.com", tmp_path)
    server.secure(chain)
    reply = asked(server, Answer(200), ca_cert=root)
    assert (reply.status, server.requests) == (0, [])
    assert "is not trusted" in reply.trouble
    assert asked(server, Answer(200), ca_cert=root, validate_certs=False).status == 200


def test_a_certificate_of_an_unknown_root_is_not_trusted(server: ScriptedServer, tmp_path: Path) -> None:
    chain, root = chain_for("127.0.0.1", tmp_path)
    server.secure(chain)
    assert "is not trusted" in asked(server, Answer(200)).trouble
    assert asked(server, Answer(200), ca_cert=root).status == 200


def test_the_proxy_of_the_environment_is_used(server: ScriptedServer) -> None:
    server.always = Answer(200)
    proxy = server.url.replace("http://", "http://user:word@")
    web = Web("http://gate.example.com/x?y=1", headers={})
    assert call(web, {}, timeout=60, environment={"HTTP_PROXY": proxy}).status == 200
    request = server.requests[0]
    assert request.path == "http://gate.example.com/x?y=1"
    assert request.headers["proxy-authorization"] == ["Basic dXNlcjp3b3Jk"]


def test_nothing_that_is_said_shows_url_or_headers(server: ScriptedServer) -> None:
    for how in ("silent", "none", "dripping head"):
        reply = asked(server, Answer(200, b"z" * 400, how=how), timeout=0.3)
        for hidden in (SECRET, "hidden", "/gate"):
            assert hidden not in reply.trouble
    assert SECRET not in repr(Web("http://a/b", headers={"X": SECRET}))


def test_a_proxy_that_quotes_its_login_gives_nothing_away(server: ScriptedServer) -> None:
    server.always = Answer(407, b"no: Basic dXNlcjp3b3Jk is user:word, whose word is p%40ss")
    web = Web("http://gate.invalid/x")
    proxy = server.url.replace("http://", "http://user:word@")
    reply = call(web, {}, timeout=60, environment={"HTTP_PROXY": proxy})
    assert reply == Reply(407, "no: <hidden> is <hidden>, whose <hidden> is p%40ss")
