# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain in the order of TLS, whatever the order in which a CA or a person handed it over.

A server sends its own certificate first, and each one is certified by the one that follows (RFC 5246 7.4.2).
Envoy and istiod take the first block for the leaf; a chain that begins with the root serves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .pem import UnreadablePemError
from .x509 import issued_by, read_chain, same_key, same_subject_and_key, to_pem

if TYPE_CHECKING:
    from cryptography import x509

    from .x509 import PrivateKey


def ordered(pem: bytes, key: PrivateKey) -> bytes:
    """The same certificates, the one of ``key`` first, then its issuers; each once.

    Roots of which a cross-signed twin is in the chain are left out: clients that trust them have them. Other
    twins, for clients that trust another root, stay behind the path.

    :param pem: certificates, at least one. :returns: PEM.
    :raises UnreadableError: none is of the key, or one has no place in the path.
    """
    rest = list(dict.fromkeys(read_chain(pem)))
    leaf = next((link for link in rest if same_key(link, key)), None)
    if leaf is None:
        raise UnreadablePemError("holds no certificate of the private key")
    path = [leaf]
    rest.remove(leaf)
    while (issuer := _issuer(path[-1], rest)) is not None:
        path.append(issuer)
        rest.remove(issuer)
    twins = [link for link in rest if any(same_subject_and_key(link, one) for one in path[1:])]
    strangers = [link for link in rest if link not in twins and not _above(link, twins, rest)]
    if strangers:
        name = strangers[0].subject.rfc4514_string() or "without a name"
        name = name if name.isprintable() else ascii(name)
        raise UnreadablePemError(f"holds a certificate that is no part of the chain ({name})")
    return to_pem([*path, *(link for link in rest if link.issuer != link.subject)])


def _issuer(link: x509.Certificate, rest: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The certificate that goes on the path; a cross-signed one before the root of the same name."""
    if link.issuer == link.subject:
        return None
    found = [one for one in rest if issued_by(link, one)]
    return min(found, key=lambda one: one.issuer == one.subject, default=None)


def _above(
    link: x509.Certificate, twins: Sequence[x509.Certificate], rest: Sequence[x509.Certificate]
) -> bool:
    """Whether the link certifies a twin, directly or through others."""
    below, seen = list(twins), len(rest)
    for _step in range(seen):
        found = [one for one in rest if any(issued_by(under, one) for under in below)]
        if link in found:
            return True
        below = found
    return False
