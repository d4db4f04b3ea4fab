# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a CA, a certificate and a request that are made here, field by field as clients read them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Lifetimes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import issue
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime(2026, 11, 10, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
HOSTS = ["api.example.com", "*.web.example.com"]
LIVES = Lifetimes(leaf=30 * DAY, authority=300 * DAY, backdate=datetime.timedelta(minutes=7))


def certificates(pair: issue.KeyPair) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pair.chain)


def key_of(pair: issue.KeyPair) -> Any:
    return serialization.load_pem_private_key(pair.key, None)


def extension(found: Any, kind: Any) -> Any:
    return found.extensions.get_extension_for_class(kind)


def usages(found: x509.Certificate) -> set[str]:
    held = extension(found, x509.KeyUsage)
    assert held.critical
    return {name for name in USAGES if getattr(held.value, name)}


def identifier(key: Any) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(key).digest


AUTHORITY = issue.load_authority(issue.new_authority("shop", NOW, LIVES))


def test_a_ca_may_sign_leaves_and_nothing_else() -> None:
    pair = issue.new_authority("shop", NOW, LIVES)
    (ca,) = certificates(pair)
    constraints = extension(ca, x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert usages(ca) == {"key_cert_sign", "crl_sign"}
    assert ca.subject == ca.issuer
    ca.verify_directly_issued_by(ca)
    assert (ca.not_valid_before_utc, ca.not_valid_after_utc) == (NOW - LIVES.backdate, NOW + 300 * DAY)
    own = extension(ca, x509.SubjectKeyIdentifier).value
    assert own.digest == identifier(ca.public_key())
    assert extension(ca, x509.AuthorityKeyIdentifier).value.key_identifier == own.digest
    assert not extension(ca, x509.SubjectKeyIdentifier).critical
    assert not extension(ca, x509.AuthorityKeyIdentifier).critical
    assert isinstance(ca.public_key().curve, ec.SECP256R1)
    assert key_of(pair).public_key() == ca.public_key()
    assert isinstance(ca.signature_hash_algorithm, hashes.SHA256)


@pytest.mark.parametrize("length", [1, 46, 47, 48, 90])
def test_the_name_of_a_ca_has_room_for_what_tells_two_of_them_apart(length: int) -> None:
    (ca,) = certificates(issue.new_authority("x" * length, NOW, LIVES))
    (name,) = ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    (company,) = ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    first, _space, serial = str(name.value).partition(" ")
    assert first == "x" * min(length, 47)
    assert len(str(name.value)) <= 64
    assert len(serial) >= 16
    assert f"{ca.serial_number:040x}".startswith(serial)
    assert company.value == "servicemesh.istio"


@pytest.mark.parametrize(
    ("key_type", "kind"), [("ecdsa", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)]
)
def test_a_leaf_is_for_servers_of_its_hosts(key_type: str, kind: type) -> None:
    pair = issue.new_leaf(AUTHORITY, HOSTS, NOW, LIVES, key_type)
    (leaf,) = certificates(pair)
    leaf.verify_directly_issued_by(AUTHORITY.issuer)
    names = extension(leaf, x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == HOSTS
    assert not names.critical
    constraints = extension(leaf, x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length, constraints.critical) == (False, None, True)
    assert usages(leaf) == {"digital_signature"}
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    assert (list(purposes.value), purposes.critical) == ([ExtendedKeyUsageOID.SERVER_AUTH], False)
    assert extension(leaf, x509.SubjectKeyIdentifier).value.digest == identifier(leaf.public_key())
    parent = extension(AUTHORITY.issuer, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == parent
    assert not extension(leaf, x509.SubjectKeyIdentifier).critical
    assert not extension(leaf, x509.AuthorityKeyIdentifier).critical
    assert isinstance(leaf.public_key(), kind)
    assert key_of(pair).public_key() == leaf.public_key()
    assert leaf.subject.rfc4514_string() == f"CN={HOSTS[0]}"
    if key_type == "rsa":
        assert (key_of(pair).key_size, key_of(pair).public_key().public_numbers().e) == (2048, 65537)
    else:
        assert isinstance(leaf.public_key().curve, ec.SECP256R1)


@pytest.mark.parametrize(("length", "named"), [(63, True), (64, True), (65, False), (120, False)])
def test_a_host_that_is_too_long_for_a_name_stands_in_the_names_alone(length: int, named: bool) -> None:
    """Without a subject the names have to be critical (RFC 5280, 4.2.1.6)."""
    host = ("a" * 60 + ".") * 3
    host = host[: length - 2] + ".b" if host[length - 3] != "." else host[: length - 3] + "c.b"
    assert len(host) == length
    (leaf,) = certificates(issue.new_leaf(AUTHORITY, [host, "x.org"], NOW, LIVES))
    assert leaf.subject.rfc4514_string() == (f"CN={host}" if named else "")
    names = extension(leaf, x509.SubjectAlternativeName)
    assert names.critical is not named
    assert names.value.get_values_for_type(x509.DNSName) == [host, "x.org"]


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        (NOW, NOW - LIVES.backdate, NOW + 30 * DAY),
        (NOW + DAY, NOW + DAY - LIVES.backdate, NOW + 31 * DAY),
        (NOW + 270 * DAY, NOW + 270 * DAY - LIVES.backdate, NOW + 300 * DAY),
        (NOW + 299 * DAY, NOW + 299 * DAY - LIVES.backdate, NOW + 300 * DAY),
        (NOW - LIVES.backdate, NOW - LIVES.backdate, NOW - LIVES.backdate + 30 * DAY),
    ],
)
def test_a_leaf_begins_early_and_stays_within_its_ca(
    now: datetime.datetime, begins: datetime.datetime, ends: datetime.datetime
) -> None:
    (leaf,) = certificates(issue.new_leaf(AUTHORITY, HOSTS, now, LIVES))
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (begins, ends)


def foreign_ca(key: Any, *, issuer: tuple[str, Any] | None = None, with_id: bytes = b"") -> x509.Certificate:
    """A CA of somebody else; its identifier may be any bytes, or missing."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sub" if issuer else "theirs")])
    parent = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer[0])]) if issuer else name
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(parent)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 99 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if with_id:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(with_id), critical=False)
    signer = issuer[1] if issuer else key
    own = isinstance(signer, ed25519.Ed25519PrivateKey)
    return builder.sign(signer, None if own else hashes.SHA256())


def pem(*found: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found)


def private(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("with_id", [b"", b"own identifier"])
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["ecdsa", "ed25519", "rsa"],
)
def test_a_ca_of_somebody_else_signs_with_its_kind_of_key(key: Any, with_id: bytes) -> None:
    """The issuer is identified as it says itself, and by its key where it says nothing."""
    ca = foreign_ca(key, with_id=with_id)
    authority = issue.load_authority(issue.KeyPair(pem(ca), private(key)))
    (leaf,) = certificates(issue.new_leaf(authority, HOSTS, NOW, LIVES))
    leaf.verify_directly_issued_by(ca)
    told = extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier
    assert told == (with_id or identifier(key.public_key()))


def test_intermediates_go_along_and_roots_stay_at_home() -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, sub = foreign_ca(root_key), foreign_ca(key, issuer=("theirs", root_key))
    authority = issue.load_authority(issue.KeyPair(pem(sub, root), private(key)))
    leaf, *rest = certificates(issue.new_leaf(authority, HOSTS, NOW, LIVES))
    assert rest == [sub]
    leaf.verify_directly_issued_by(sub)
    assert authority.roots_pem == pem(root).decode()


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("", "CN=api.example.com"),
        ("CN=api.example.com,O=Shop,C=DE", "CN=api.example.com,O=Shop,C=DE"),
    ],
)
@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_a_request_asks_for_its_hosts_with_a_key_of_its_own(subject: str, told: str, key_type: str) -> None:
    pair = issue.new_request(HOSTS, subject, key_type)
    request = x509.load_pem_x509_csr(pair.chain)
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == told
    names = extension(request, x509.SubjectAlternativeName)
    assert (names.value.get_values_for_type(x509.DNSName), names.critical) == (HOSTS, False)
    assert request.public_key() == key_of(pair).public_key()
    assert isinstance(key_of(pair), rsa.RSAPrivateKey) is (key_type == "rsa")
    assert key_of(issue.new_request(HOSTS, subject, key_type)).public_key() != request.public_key()


def test_keys_are_not_shown() -> None:
    pair = issue.new_leaf(AUTHORITY, HOSTS, NOW, LIVES)
    secret = pair.key.decode().splitlines()[1]
    for shown in (repr(pair), str(pair), repr(AUTHORITY)):
        assert secret not in shown
        assert "PRIVATE" not in shown
    assert b"ENCRYPTED" not in pair.key
    assert pair.key.startswith(b"-----BEGIN PRIVATE KEY-----")
    (leaf,) = certificates(pair)
    assert issue.fingerprint(pair) == leaf.fingerprint(hashes.SHA256()).hex()
