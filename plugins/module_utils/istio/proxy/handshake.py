# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS seen from the outside: one request over a connection whose certificate is checked, or told apart.

Only the standard library: what a client sees, with the checks that every client makes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator

from ...tls import as_go
from ..probe.pods import Answer

MAX_BODY = 2000
DEMANDS = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE")
"""Alerts of a server that wants a client's certificate (RFC 8446, section 6.2; RFC 5246, section 7.2.2)."""
PATIENCE = 1.0
"""Seconds in which such an alert follows a handshake of TLS 1.3."""
UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's X509_V_ERR_* for a chain that ends in nothing we trust (openssl/x509_vfy.h)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Presented:
    """What a server showed in the handshake.

    :param fault: why a client would refuse it, in OpenSSL's words; empty for a good certificate.
    :param untrusted: whether the fault is only that nobody here knows the issuer.
    :param fingerprint: SHA-256 of the leaf, hexadecimal; empty when there was no certificate at all.
    :param unanswered: why nothing is known of it; empty when the server answered or was refused.
    :param client_refused: how it refused a client without a certificate; empty when it did not, or was not
        asked to show that.
    """

    fault: str
    untrusted: bool = False
    fingerprint: str = ""
    not_after: str = ""
    unanswered: str = ""
    client_refused: str = ""


class UnreachableError(OSError):
    """No connection: nothing is known about what would be served."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Files (PEM) that a client shows to servers that ask for a certificate."""

    certificate: str
    key: str


def handshake(
    address: str,
    port: int,
    host: str,
    *,
    ca_pem: str = "",
    timeout: float = 3.0,
    client: ClientCertificate | None = None,
    demanding: bool = False,
) -> Presented:
    """Connects with SNI ``host`` and checks the chain, the dates and the name.

    :param ca_pem: certificates to trust; empty for those of the system.
    :param client: shown when the server asks. :param demanding: wait for the server to refuse a client
        without a certificate, which with TLS 1.3 comes after the handshake.
    :raises UnreachableError: no TCP connection.
    """
    context = _context(ca_pem, client)
    try:
        with _connect(address, port, timeout) as raw, context.wrap_socket(raw, server_hostname=host) as tls:
            der, names = tls.getpeercert(binary_form=True) or b"", tls.getpeercert() or {}
            return Presented(
                "",
                fingerprint=hashlib.sha256(der).hexdigest(),
                not_after=str(names.get("notAfter", "")),
                client_refused=_refusal(tls) if demanding else "",
            )
    except ssl.SSLCertVerificationError as error:
        return Presented(
            error.verify_message or str(error),
            untrusted=error.verify_code in UNKNOWN_ISSUER,
            fingerprint=_fingerprint(address, port, host, timeout),
        )
    except (ssl.SSLError, ConnectionError, TimeoutError) as error:
        reason = str(getattr(error, "reason", None) or str(error) or type(error).__name__)
        if demanding and any(mark in reason for mark in DEMANDS):
            return Presented("", client_refused=reason)
        return Presented(f"the handshake failed: {reason}")


def trusting(ca_pem: str) -> ssl.SSLContext:
    """A client that trusts these CAs (PEM; without any, the system's), by the rules of kubectl and curl."""
    return as_go(ssl.create_default_context(cadata=ca_pem or None))


def _context(ca_pem: str, client: ClientCertificate | None) -> ssl.SSLContext:
    context = trusting(ca_pem)
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


def _refusal(tls: ssl.SSLSocket) -> str:
    """The alert by which a server ends a connection without a client's certificate; ``""`` when it waits."""
    tls.settimeout(PATIENCE)
    try:
        tls.recv(1)
    except ssl.SSLError as error:
        reason = str(error.reason or error)
        return reason if any(mark in reason for mark in DEMANDS) else ""
    except OSError:
        return ""
    return ""


def request(
    address: str,
    port: int,
    host: str,
    method: str,
    path: str,
    *,
    tls: bool,
    ca_pem: str = "",
    timeout: float = 5.0,
    client: ClientCertificate | None = None,
) -> Answer:
    """One HTTP/1.1 request with Host ``host``; redirects are not followed.

    :raises UnreachableError: no TCP connection.
    """
    try:
        with contextlib.ExitStack() as stack:
            channel = stack.enter_context(_connect(address, port, timeout))
            if tls:
                context = _context(ca_pem, client)
                channel = stack.enter_context(context.wrap_socket(channel, server_hostname=host))
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
            connection.sock = channel
            connection.request(method, path, headers={"Host": host, "User-Agent": "servicemesh-verify"})
            response = connection.getresponse()
            body = response.read(MAX_BODY).decode("utf-8", "replace").strip()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, body, 0)
    except UnreachableError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, {}, "", -1, f"{type(error).__name__}: {error}"[:200])


@contextlib.contextmanager
def _connect(address: str, port: int, timeout: float) -> Iterator[socket.socket]:
    try:
        connection = socket.create_connection((address, port), timeout=timeout)
    except OSError as error:
        raise UnreachableError(f"{address}:{port}: {error}") from error
    with connection:
        yield connection


def _fingerprint(address: str, port: int, host: str, timeout: float) -> str:
    """The leaf of a server whose certificate was refused; nothing is sent over this connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(address, port, timeout) as raw, context.wrap_socket(raw, server_hostname=host) as tls:
            return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""


def leaf_fingerprint(chain_pem: str) -> str:
    """SHA-256 of the first certificate in PEM text; ``""`` when there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    first = chain_pem.find(begin)
    last = chain_pem.find(end, first)
    if first < 0 or last < 0:
        return ""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain_pem[first : last + len(end)])).hexdigest()
    except ValueError:
        return ""
