"""Certificates made to order, good and bad."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_pem(key: Any, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def ec_key(curve: Any = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def certificate(
    subject: str,
    key: Any,
    *,
    issuer: tuple[str, Any] | None = None,
    hosts: tuple[str, ...] = (),
    ca: bool = False,
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 60 * DAY,
    usage: Any = ExtendedKeyUsageOID.SERVER_AUTH,
    number: int | None = None,
    identifiers: bool = True,
) -> x509.Certificate:
    """A certificate; without ``issuer`` it signs itself, without ``number`` it gets one by chance, without
    ``identifiers`` it names neither key."""
    issuer_name, issuer_key = issuer or (subject, key)
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer_name))
        .public_key(key.public_key())
        .serial_number(number or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
            critical=True,
        )
    )
    if identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(authority_id, critical=False)
    if hosts:
        names = [x509.DNSName(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def unsigned(
    subject: str,
    issuer: str,
    key: Any,
    *extensions: tuple[Any, bool],
    end: datetime.datetime = NOW + 60 * DAY,
) -> x509.CertificateBuilder:
    """A certificate with these extensions and no others, each with whether it is critical; to be signed."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


ROOT_KEY = ec_key()
ROOT = certificate("root", ROOT_KEY, ca=True, end=NOW + 3650 * DAY)
OTHER_KEY = ec_key()
OTHER_ROOT = certificate("other", OTHER_KEY, ca=True, end=NOW + 3650 * DAY)
MIDDLE_KEY = ec_key()
MIDDLE = certificate("middle", MIDDLE_KEY, issuer=("root", ROOT_KEY), ca=True, end=NOW + 365 * DAY)
LEAF_KEY = ec_key()
LEAF = certificate("leaf", LEAF_KEY, issuer=("root", ROOT_KEY), hosts=("api.example.com",))
RSA_1024 = rsa.generate_private_key(65537, 1024)  # noqa: S505  # weak on purpose: it must be refused
