# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CA may certify, as clients read it from its own certificate (RFC 5280 4.2.1 and 6.1).

It holds whatever root a client trusts, so it is judged where nobody said which root that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

try:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:
    pass  # x509.HAS_CRYPTOGRAPHY says so

_Extension = TypeVar("_Extension", bound="x509.ExtensionType")


def names_another_key(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate says that another key signed it than the issuer says that it has.

    OpenSSL and BoringSSL go by these identifiers and do not try the signature; Go does not look at them.
    """
    said = _extension(certificate, x509.AuthorityKeyIdentifier)
    if said is None:
        return False
    named = _extension(issuer, x509.SubjectKeyIdentifier)
    serial = said.authority_cert_serial_number
    if said.key_identifier is not None and named is not None and said.key_identifier != named.digest:
        return True
    return serial is not None and serial != issuer.serial_number


def overreaches(path: Sequence[x509.Certificate]) -> list[str]:
    """Why clients refuse what the CAs of a path have certified.

    :param path: the leaf, then its issuers; a root at its end is judged by whoever trusts it.
    :returns: sentences without full stop.
    """
    return [
        f"intermediate {position} {text}"
        for position, issuer in enumerate(path[1:], start=1)
        if position < len(path) - 1 or issuer.issuer != issuer.subject
        for text in _of_issuer(issuer, path[:position])
    ]


def _of_issuer(issuer: x509.Certificate, below: Sequence[x509.Certificate]) -> Iterator[str]:
    try:
        constraints = _extension(issuer, x509.BasicConstraints)
        usage = _extension(issuer, x509.KeyUsage)
        purposes = _extension(issuer, x509.ExtendedKeyUsage)
        limits = _extension(issuer, x509.NameConstraints)
    except ValueError:
        yield "has extensions that cannot be parsed"
        return
    if constraints is None or not constraints.ca:
        yield "is no CA"
        return
    if usage is not None and not usage.key_cert_sign:
        yield "may not sign certificates"
    deeper = sum(link.issuer != link.subject for link in below[1:])
    if constraints.path_length is not None and deeper > constraints.path_length:
        yield f"allows {constraints.path_length} CAs below it, and there are {deeper}"
    if purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        # OpenSSL and BoringSSL do not take anyExtendedKeyUsage for it.
        yield "is not for server authentication"
    if limits is not None:
        yield from _beyond(limits, below[0])


def _beyond(limits: x509.NameConstraints, leaf: x509.Certificate) -> Iterator[str]:
    """The names of the leaf that are outside the limits of a CA; of other kinds no gateway's client asks."""
    for name in _extension(leaf, x509.SubjectAlternativeName) or ():
        if not isinstance(name, x509.DNSName | x509.IPAddress):
            continue
        permitted = [one for one in limits.permitted_subtrees or () if type(one) is type(name)]
        excluded = [one for one in limits.excluded_subtrees or () if type(one) is type(name)]
        if any(_within(name, one) for one in excluded):
            yield f"excludes the name {name.value!a}"
        elif permitted and not any(_within(name, one) for one in permitted):
            yield f"does not permit the name {name.value!a}"


def _within(name: x509.GeneralName, limit: x509.GeneralName) -> bool:
    """Whether a DNS name is below another one, or an address in a network."""
    if isinstance(name, x509.IPAddress):
        return bool(name.value in limit.value)
    asked, under = str(name.value).lower(), str(limit.value).lower().lstrip(".")
    return not under or asked == under or asked.endswith(f".{under}")


def _extension(  # noqa: UP047  # ansible-test's pylint does not read PEP 695
    certificate: x509.Certificate, kind: type[_Extension]
) -> _Extension | None:
    """:raises ValueError: the extensions cannot be parsed."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
