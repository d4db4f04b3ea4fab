# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that plaintext from outside the mesh is refused, by the answers of planned calls."""

from __future__ import annotations

from collections.abc import Sequence

from ....istio.client_hello import shows_identity, speaks_tls
from ....istio.probe.pods import Answer
from ..findings import Finding, failed, passed, unknown
from ..planned_calls import PlannedCall
from .authorization import describe

CLOSED = (52, 56)
"""curl: empty reply, connection reset: the other end took the connection and closed it without an
answer."""

MORE = 2
"""Answers of a call of plaintext, before those of a second look."""
NO_HANDSHAKE = (35, 52, 56)
"""curl: the TLS handshake failed, and the other end closed or reset the connection in it, or answered in
something else; a connection that was never made, or in which nothing came, tells nothing."""
OTHER_HANDSHAKE = (0, 1, 8, 35, 51, 52, 56, 60)
"""curl: the handshake came to an end, one way or another."""
TLS_SPOKEN = "(IN), TLS "
"""What curl with OpenSSL tells of anything that a server says in TLS."""
CERTIFICATE_REQUEST = "TLS handshake, Request CERT (13)"
"""What curl with OpenSSL tells of a server that asks for a certificate; a mesh's proxies that ask for one
demand it."""
OTHER_NAME = (
    "SSL: no alternative certificate subject name",
    "SSL: unable to obtain common name",
    "SSL: certificate subject name",
)
"""How curl ends when a certificate is of an issuer that it trusts, and of another name than the host's: so it
is with every certificate of a workload, which holds a SPIFFE identity and no host (curl
lib/vtls/openssl.c)."""


def judge(call: PlannedCall, answers: Sequence[Answer]) -> Finding:
    """The finding that the answers of a call amount to.

    A server that closes proves nothing: it may just speak another protocol, or TLS of its own. The answer to
    a TLS handshake shows whether a proxy of the mesh stands there and asks for a certificate.

    :param answers: to a plaintext request and to a TLS handshake; in further rounds also to a connection in
        which nothing is said, and to the handshake of a proxy.
    """
    answer, where = answers[0], f" at pod {call.pod.partition(' ')[0]}" if call.pod else ""
    if answer.status:
        reason = f"a plaintext request was answered with {answer.status}{where}"
        return failed("plaintext", call.subject, reason)
    if answer.exit_code in (0, 1):  # 1: bytes that are no HTTP, from a service that speaks something else
        return failed("plaintext", call.subject, f"a plaintext connection was answered{where}")
    if len(answers) > MORE:
        silent, as_proxy = answers[MORE:]
        if silent.body:
            what = f"a plaintext connection was answered{where} before anything was said"
            return failed("plaintext", call.subject, what)
        if _tells_apart(answers[1], as_proxy):
            what = f"it demands a certificate of whoever begins as a proxy does, and of nobody else{where}"
            return failed("plaintext", call.subject, f"{what}: that is PERMISSIVE", late=True)
    if answer.exit_code not in CLOSED:
        reason = f"the plaintext request did not reach it{where}: {describe(answer)}"
        return unknown("plaintext", call.subject, reason)
    lacking = _lacks(answers[1])
    if not lacking:
        reason = "plaintext was cut off, and in a TLS handshake a proxy of the mesh demands a certificate"
        return passed("plaintext", call.subject, f"{reason}{where}")
    reason = f"plaintext was cut off{where}, but no TLS handshake showed {lacking}"
    return unknown("plaintext", call.subject, f"{reason} ({describe(answers[1])})")


def _tells_apart(hello: Answer, as_proxy: Answer) -> bool:
    """Whether a port answers a client that begins as a proxy of the mesh does, and lets another go past.

    :param hello: to a handshake like that of any client. :param as_proxy: to one like that of a proxy.
    """
    if hello.status:
        return False
    told = f"{hello.error} {hello.body}"
    if hello.exit_code in NO_HANDSHAKE:
        return TLS_SPOKEN not in told and speaks_tls(as_proxy.body)
    return hello.exit_code in OTHER_HANDSHAKE and bool(_lacks(hello)) and shows_identity(as_proxy.body)


def _lacks(hello: Answer) -> str:
    """What a TLS handshake leaves unproved about a port that must be the mesh's own."""
    told = f"{hello.error} {hello.body}"
    if CERTIFICATE_REQUEST not in told:
        return "that a certificate is demanded"
    return "" if any(word in told for word in OTHER_NAME) else "a certificate of the mesh"
