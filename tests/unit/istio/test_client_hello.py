"""The first message of a handshake as a mesh's proxy begins it, put to OpenSSL."""

from __future__ import annotations

import ssl

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.client_hello import (
    client_hello,
    shows_identity,
    speaks_tls,
)

from ..support import certificates as made


def answered(hello: bytes, protocols: list[str], tmp_path, lowest: ssl.TLSVersion) -> tuple[str, str | None]:
    """What a server says to ``hello``, as a probe hands it on, and the protocol that it chose."""
    pair = tmp_path / "pair.pem"
    pair.write_bytes(made.key_pem(made.LEAF_KEY) + made.pem(made.LEAF, made.ROOT))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    context.minimum_version = lowest
    context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    return outgoing.read().decode("utf-8", "replace").replace("\r\n", "\n"), server.selected_alpn_protocol()


def test_what_is_said_byte_by_byte() -> None:
    """RFC 5246 7.4.1.2: version, 32 bytes by chance, no session, ciphers, no compression, extensions."""
    record, handshake = "160301007d", "01000079"
    random = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
    ciphers = "0008c02bc02fc02cc030"
    groups, points = "000a00080006001d00170018", "000b00020100"
    signatures = "000d0012001004030804040105030805050108060601"
    names = b"\x13istio-peer-exchange\x05istio".hex()
    extensions = f"{groups}{points}{signatures}0010001c001a{names}"
    said = f"{record}{handshake}0303{random}00{ciphers}01000048{extensions}"
    assert client_hello().hex() == said


@pytest.mark.parametrize("protocol", ["istio-peer-exchange", "istio"])
def test_a_server_takes_it_and_shows_its_certificate(tmp_path, protocol: str) -> None:
    answer, chosen = answered(client_hello(), [protocol], tmp_path, ssl.TLSVersion.TLSv1_2)
    assert chosen == protocol
    assert speaks_tls(answer)


def test_a_server_that_is_too_new_for_it_refuses_in_tls(tmp_path) -> None:
    answer, _chosen = answered(client_hello(), ["istio"], tmp_path, ssl.TLSVersion.TLSv1_3)
    assert speaks_tls(answer)
    assert not shows_identity(answer)


def test_no_byte_is_a_command_of_telnet() -> None:
    assert 255 not in client_hello()


@pytest.mark.parametrize(
    ("answer", "tls"),
    [
        ("", False),
        ("220 ready", False),
        ("HTTP/1.1 400 Bad Request", False),
        (client_hello().decode("utf-8", "replace"), False),
        ("\x16\x03", False),
        ("\x15\x03\x03\0\2\2F", True),
        ("\x16\x03\x03\0`\2\0\0", True),
        ("\x16\x03\x03\n\2\0\0", True),
    ],
)
def test_an_answer_in_tls(answer: str, tls: bool) -> None:
    assert speaks_tls(answer) is tls
    assert shows_identity(f"{answer} spiffe://cluster.local/ns/a/sa/b") is tls
    assert not shows_identity(answer)
