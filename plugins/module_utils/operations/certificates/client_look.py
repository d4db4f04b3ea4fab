# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway demands of its clients, seen by handshakes: which CAs it names, and whom it turns away.

In TLS 1.2 a server names the CAs that it accepts before anything is encrypted (CertificateRequest, RFC 5246
7.4.4), so they can be read without a certificate of any of them. That it means it is seen by two clients that
must not get in: one without a certificate, and one with a certificate of a CA that was made for this look.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...model.certificates.credentials import Lifetimes
from ...model.certificates.served import ASKING_MODES
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .endpoints import ServingEndpoint
from .issue import KeyPair, load_authority, new_authority, new_leaf
from .proof import CONNECT_SECONDS, HANDSHAKE, ServingProof

if TYPE_CHECKING:
    from cryptography import x509

    from ...kube.client import KubeClient

PATIENCE = 2.0
"""Seconds in which the alert of a server follows a handshake of TLS 1.3 (RFC 8446, section 6.2)."""
_HANDSHAKE_RECORD, _CERTIFICATE_REQUEST, _DONE = 22, 13, 14


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """:param state: ``right``, ``wrong`` or ``far`` (nothing is known). :param text: why."""

    state: str
    text: str = ""


def look_at_clients(
    client: KubeClient, endpoints: Sequence[ServingEndpoint], authorities: Sequence[x509.Certificate]
) -> ServingProof:
    """One look at every endpoint that asks clients for a certificate.

    :param authorities: the CAs that it has to accept, and no others.
    """
    asking = [endpoint for endpoint in endpoints if endpoint.mode in ASKING_MODES]
    pods = len({endpoint.pod for endpoint in asking})
    if not asking:
        text = "no Gateway asks its clients for a certificate here (tls.mode MUTUAL)"
        return ServingProof(CANNOT_TELL, "none", text)
    wanted = frozenset(one.subject.public_bytes() for one in authorities)
    seen = client.in_parallel(lambda endpoint: _look(endpoint, wanted), asking)
    for state, verdict in (("wrong", FAIL), ("far", CANNOT_TELL)):
        texts = [one.text for one in seen if one.state == state]
        if texts:
            return ServingProof(verdict, HANDSHAKE, texts[0], pods)
    text = f"{len(asking)} handshakes name {len(wanted)} CAs and turn strangers away"
    return ServingProof(PASS, HANDSHAKE, text, pods)


def _look(endpoint: ServingEndpoint, wanted: frozenset[bytes]) -> _Seen:
    where = f"pod {endpoint.pod}:{endpoint.port} for {endpoint.server_name}"
    try:
        if endpoint.mode == "MUTUAL" and not turned_away(endpoint, None):
            return _Seen("wrong", f"{where} lets a client without a certificate in")
        with _stranger() as stranger:
            if stranger is not None and not turned_away(endpoint, stranger):
                return _Seen("wrong", f"{where} lets a client with a certificate of an unknown CA in")
        named = named_authorities(endpoint)
    except OSError as error:
        return _Seen("far", f"{where} is not reachable from here: {error}")
    if named is None:
        return _Seen("far", f"{where} does not say which CAs it accepts: it speaks no TLS 1.2")
    if named != wanted:
        text = f"{where} accepts other CAs than those that are wanted: {len(named - wanted)} too many"
        return _Seen("wrong", f"{text}, {len(wanted - named)} are missing")
    return _Seen("right")


def turned_away(endpoint: ServingEndpoint, certificate: str | None) -> bool:
    """Whether the server ends a connection of such a client.

    :param certificate: path of its certificate and key, None for a client without one.
    :raises OSError: no connection.
    """
    context = _trusting()
    if certificate:
        context.load_cert_chain(certificate)
    address = (endpoint.address, endpoint.port)
    with socket.create_connection(address, timeout=CONNECT_SECONDS) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=endpoint.server_name) as secure:
                secure.settimeout(PATIENCE)
                return secure.recv(1) == b""
        except TimeoutError:
            return False
        except (ssl.SSLError, ConnectionError):
            return True


def named_authorities(endpoint: ServingEndpoint) -> frozenset[bytes] | None:
    """The subjects (DER) of the CAs that a server names; None when it does not speak TLS 1.2.

    :raises OSError: no connection.
    """
    context = _trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname=endpoint.server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    answer = b""
    with socket.create_connection((endpoint.address, endpoint.port), timeout=CONNECT_SECONDS) as raw:
        raw.settimeout(CONNECT_SECONDS)
        raw.sendall(outgoing.read())
        while True:
            messages = list(_messages(answer))
            for kind, body in messages:
                if kind == _CERTIFICATE_REQUEST:
                    return _names_in(body)
                if kind == _DONE:
                    return frozenset()
            part = raw.recv(65536)
            if not part:
                return None
            answer += part
            if answer[0] != _HANDSHAKE_RECORD:
                return None


def _trusting() -> ssl.SSLContext:
    """What the server shows is judged elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole handshake messages in plain records (RFC 5246, 6.2.1 and 7.4)."""
    plain, at = b"", 0
    while at + 5 <= len(data) and data[at] == _HANDSHAKE_RECORD:
        size = int.from_bytes(data[at + 3 : at + 5])
        plain += data[at + 5 : at + 5 + size]
        at += 5 + size
    at = 0
    while True:
        size = int.from_bytes(plain[at + 1 : at + 4])
        if at + 4 + size > len(plain):
            return
        yield plain[at], plain[at + 4 : at + 4 + size]
        at += 4 + size


def _names_in(body: bytes) -> frozenset[bytes]:
    """The certificate_authorities of a CertificateRequest: behind the types and the algorithms."""
    at = 1 + body[0]
    at += 2 + int.from_bytes(body[at : at + 2])
    end = at + 2 + int.from_bytes(body[at : at + 2])
    at += 2
    names = set()
    while at < end:
        size = int.from_bytes(body[at : at + 2])
        names.add(body[at + 2 : at + 2 + size])
        at += 2 + size
    return frozenset(names)


@contextlib.contextmanager
def _stranger() -> Iterator[str | None]:
    """A path to a certificate of a CA that nobody knows, with its key; in memory, None where that cannot be.

    Python's TLS reads a client's pair from files only.
    """
    if not hasattr(os, "memfd_create"):
        yield None
        return
    pair = _unknown_pair()
    handle = os.memfd_create("stranger")
    try:
        os.write(handle, pair.chain + pair.key)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


@functools.cache
def _unknown_pair() -> KeyPair:
    now = datetime.datetime.now(datetime.UTC)
    authority = load_authority(new_authority("nobody", now, Lifetimes()))
    return new_leaf(authority, ["stranger.invalid"], now, Lifetimes())
