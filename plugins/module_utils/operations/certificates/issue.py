# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes keys and certificates, in memory only: a CA of its own, and leaves for gateway hosts."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...labels import COLLECTION
from ...model.certificates.credentials import Lifetimes
from ...model.certificates.x509 import facts_of, read_chain, read_key, roots_of, to_pem

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

if TYPE_CHECKING:
    from ...model.certificates.x509 import PrivateKey

ECDSA, RSA = "ecdsa", "rsa"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A certificate chain and its private key, as PEM. No ``repr``: a traceback must not show the key."""

    chain: bytes
    key: bytes


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """A CA that can issue. ``chain`` begins with the issuing certificate."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey

    @property
    def issuer(self) -> x509.Certificate:
        """The certificate that signs."""
        return self.chain[0]

    @property
    def roots(self) -> list[x509.Certificate]:
        """The certificates that clients must trust. :returns: at least one certificate."""
        return roots_of(self.chain)

    @property
    def roots_pem(self) -> str:
        """The roots as PEM text; public."""
        return to_pem(self.roots).decode()


def load_authority(pair: KeyPair) -> Authority:
    """The CA in ``pair``, which must have passed ``check_authority``."""
    return Authority(tuple(read_chain(pair.chain)), read_key(pair.key))


def new_authority(common_name: str, now: datetime.datetime, lifetimes: Lifetimes) -> KeyPair:
    """A self-signed ECDSA P-256 CA that may sign leaves only (RFC 5280 4.2.1.9, path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Clients match issuers by name: two CAs of one mesh must not share theirs.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, COLLECTION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name[:47]} {serial:040x}"[:64]),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(
            name,
            name,
            key.public_key(),
            serial=serial,
            valid=(now - lifetimes.backdate, now + lifetimes.authority),
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return KeyPair(to_pem([certificate]), _key_pem(key))


def new_key(key_type: str) -> PrivateKey:
    """A key: ``ecdsa`` (P-256) or ``rsa`` (2048 bits, for clients and CAs that know nothing else)."""
    if key_type == RSA:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def _hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    """What a signature is made of; Ed25519 has its own (RFC 8032)."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def new_leaf(
    authority: Authority,
    hosts: Sequence[str],
    now: datetime.datetime,
    lifetimes: Lifetimes,
    key_type: str = ECDSA,
) -> KeyPair:
    """A server certificate for ``hosts`` with a new key, signed by ``authority``.

    It never outlives its issuer, nor what that leads to. The chain carries what a client needs to reach a
    root it trusts, hence not the root itself.
    """
    key = new_key(key_type)
    ends = min(link.not_valid_after_utc for link in authority.chain)
    not_after = min(now + lifetimes.leaf, ends)
    not_before = max(now - lifetimes.backdate, authority.issuer.not_valid_before_utc)
    name = _name_for(hosts)
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(authority.issuer.public_key())
    for extension in authority.issuer.extensions:
        if isinstance(extension.value, x509.SubjectKeyIdentifier):
            issuer_id = extension.value
    certificate = (
        _builder(
            name,
            authority.issuer.subject,
            key.public_key(),
            serial=x509.random_serial_number(),
            valid=(not_before, not_after),
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=not list(name)
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False
        )
        .sign(authority.key, _hash_for(authority.key))
    )
    intermediates = [link for link in authority.chain if link.issuer != link.subject]
    return KeyPair(to_pem([certificate, *intermediates]), _key_pem(key))


def _name_for(hosts: Sequence[str]) -> x509.Name:
    """The CN is for people; clients look at the SAN only (RFC 6125), and a CN ends at 64 characters."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])] if len(hosts[0]) <= 64 else [])


def subject_of(text: str) -> x509.Name:
    """A distinguished name out of text (RFC 4514). :raises ValueError: it is none."""
    return x509.Name.from_rfc4514_string(text)


def new_request(hosts: Sequence[str], subject: str, key_type: str) -> KeyPair:
    """A key, and the request by which a CA certifies it for ``hosts`` (PKCS #10).

    :param subject: distinguished name (RFC 4514); empty for one of the first host.
    :returns: the request in the place of the chain.
    """
    key = new_key(key_type)
    name = subject_of(subject) if subject else _name_for(hosts)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(request.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
    *,
    serial: int,
    valid: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(pair: KeyPair) -> str:
    """SHA-256 fingerprint of the leaf, as hex."""
    return facts_of(read_chain(pair.chain)[0]).fingerprint
