# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles as people bring them that must not be served: each is refused before the write with one line.

The same rows are tried as a pair of one's own and as the answer to a request, whose key waits in the cluster.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, RefusedError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from ...support import certificates as made
from .test_edges import HOME, World

NOW, DAY, HOST = made.NOW, made.DAY, "api.example.com"
KEY, LEAF = made.LEAF_KEY, made.LEAF
ROOT_PEM, KEY_PEM = made.pem(made.ROOT).decode(), made.key_pem(KEY).decode()
MIDDLE = made.certificate(
    "middle", made.MIDDLE_KEY, issuer=("root", made.ROOT_KEY), ca=True, end=NOW + 365 * DAY
)


def leaf(key: Any = KEY, **more: Any) -> x509.Certificate:
    return made.certificate("leaf", key, **{"issuer": ("root", made.ROOT_KEY), "hosts": (HOST,), **more})


def built(
    *extensions: tuple[Any, bool], key: Any = KEY, algorithm: Any = None, signer: Any = None
) -> x509.Certificate:
    """A leaf of the root with these extensions only."""
    builder = made.unsigned("leaf", "root", key, *extensions)
    return builder.sign(signer or made.ROOT_KEY, algorithm or hashes.SHA256())


def names(*found: Any) -> tuple[Any, bool]:
    return x509.SubjectAlternativeName(list(found)), False


def text_of(*certificates: x509.Certificate) -> str:
    return made.pem(*certificates).decode()


def other_signature(certificate: x509.Certificate) -> str:
    """The same certificate with a signature that fits nothing."""
    der = bytearray(certificate.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    return pem_of(bytes(der))


def with_serial(certificate: x509.Certificate, old: bytes, new: bytes) -> str:
    return pem_of(certificate.public_bytes(serialization.Encoding.DER).replace(old, new, 1))


def pem_of(der: bytes, label: str = "CERTIFICATE") -> str:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


class Row:
    """A bundle. :param chain: of the certificate file. :param ca: what it must end in."""

    def __init__(
        self, chain: str, key: str = KEY_PEM, ca: str = "", hosts: tuple[str, ...] = (HOST,)
    ) -> None:
        self.chain, self.key, self.ca, self.hosts = chain, key, ca, hosts


GOOD = text_of(LEAF)
RSA = rsa.generate_private_key(65537, 2048)
RSA_3 = rsa.generate_private_key(3, 2048)
P192, P521 = ec.generate_private_key(ec.SECP192R1()), ec.generate_private_key(ec.SECP521R1())
ED, ED_448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
DSA = dsa.generate_private_key(2048)
LOOP_A_KEY, LOOP_B_KEY = made.ec_key(), made.ec_key()
LOOP_A = made.certificate("loop a", LOOP_A_KEY, issuer=("loop b", LOOP_B_KEY), ca=True)
LOOP_B = made.certificate("loop b", LOOP_B_KEY, issuer=("loop a", LOOP_A_KEY), ca=True)
OLD_ROOT = made.certificate("root", made.ROOT_KEY, ca=True, begin=NOW - 900 * DAY, end=NOW - DAY)
NO_CA_KEY = made.ec_key()
NO_CA = made.certificate("no ca", NO_CA_KEY, issuer=("root", made.ROOT_KEY), hosts=("x.example.com",))
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
P12 = pkcs12.serialize_key_and_certificates(b"x", KEY, LEAF, None, serialization.NoEncryption())
DER = LEAF.public_bytes(serialization.Encoding.DER)
CRL = (
    x509.CertificateRevocationListBuilder()
    .issuer_name(made.name("root"))
    .last_update(NOW - 9 * DAY)
    .next_update(NOW - DAY)
    .sign(made.ROOT_KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
    .decode()
)


def expired_intermediate() -> Row:
    middle = made.certificate(
        "middle",
        made.MIDDLE_KEY,
        issuer=("root", made.ROOT_KEY),
        ca=True,
        begin=NOW - 90 * DAY,
        end=NOW - DAY,
    )
    return Row(text_of(leaf(issuer=("middle", made.MIDDLE_KEY)), middle))


def gap() -> Row:
    """The leaf of an intermediate that nobody brought, and a root that did not sign it."""
    return Row(text_of(leaf(issuer=("middle", made.MIDDLE_KEY))), ca=ROOT_PEM)


def not_a_ca() -> Row:
    return Row(text_of(leaf(issuer=("no ca", NO_CA_KEY)), NO_CA), ca=ROOT_PEM)


# What it is, the bundle, and what is said of it.
BUNDLES: list[tuple[str, Callable[[], Row], str]] = [
    ("empty", lambda: Row(" "), "holds no PEM block"),
    ("words", lambda: Row("see the vault"), "holds no PEM block"),
    ("DER", lambda: Row(DER.decode("latin-1")), "holds no PEM block"),
    ("PKCS #12", lambda: Row(P12.decode("latin-1")), "holds no PEM block"),
    ("not UTF-8", lambda: Row(DER.decode("utf-8", "surrogateescape")), "holds no PEM block"),
    ("base64 without lines", lambda: Row(base64.b64encode(DER).decode()), "holds no PEM block"),
    ("HTML", lambda: Row("<html>502 Bad Gateway</html>"), "holds no PEM block"),
    ("cut at the end", lambda: Row(GOOD[:-40]), "holds a PEM block without its BEGIN or END line"),
    ("cut at the begin", lambda: Row(GOOD[40:]), "holds a PEM block without its BEGIN or END line"),
    ("cut in the middle", lambda: Row(GOOD[:200] + GOOD[260:]), "cannot be parsed|is damaged"),
    (r"\n in words", lambda: Row(GOOD.replace("\n", r"\n")), "its line breaks are written as"),
    ("damaged base64", lambda: Row(GOOD.replace("M", "*", 1).replace("*", "M*", 1)), "damaged"),
    ("no DER in it", lambda: Row(pem_of(b"0123")), "holds a certificate that cannot be parsed"),
    ("a request", lambda: Row(pem_of(DER, "CERTIFICATE REQUEST")), "holds CERTIFICATE REQUEST beside"),
    ("OpenSSL's trusted form", lambda: Row(pem_of(DER, "TRUSTED CERTIFICATE")), "holds TRUSTED CERTIFICATE"),
    ("a revocation list beside it", lambda: Row(GOOD + CRL), "holds X509 CRL beside certificates"),
    ("the key in the chain", lambda: Row(GOOD + KEY_PEM), "holds PRIVATE KEY beside certificates"),
    ("two leaves", lambda: Row(GOOD + text_of(leaf(made.ec_key()))), "is no part of the chain"),
    ("a stranger's intermediate", lambda: Row(GOOD + text_of(made.OTHER_ROOT)), "is no part of the chain"),
    (
        "of another key",
        lambda: Row(text_of(leaf(made.ec_key()))),
        "does not belong|of the key of the request",
    ),
    ("expired", lambda: Row(text_of(leaf(begin=NOW - 90 * DAY, end=NOW - DAY))), "is valid until"),
    ("ends now", lambda: Row(text_of(leaf(begin=NOW - 90 * DAY, end=NOW))), "is valid until"),
    ("not yet valid", lambda: Row(text_of(leaf(begin=NOW + DAY))), "is valid from"),
    ("valid since this minute", lambda: Row(text_of(leaf(begin=NOW))), "too late for clocks that run slow"),
    ("valid for ten years", lambda: Row(text_of(leaf(end=NOW + 3650 * DAY))), "more than 825 days"),
    ("expired intermediate", expired_intermediate, "intermediate 1 is valid until"),
    ("no SAN", lambda: Row(text_of(leaf(hosts=()))), "does not cover api.example.com"),
    ("another name", lambda: Row(text_of(leaf(hosts=("b.example.com",)))), "does not cover api.example.com"),
    ("one host of two", lambda: Row(GOOD, hosts=(HOST, "b.example.com")), "does not cover b.example.com"),
    ("star", lambda: Row(text_of(leaf(hosts=("*",)))), "does not cover"),
    (
        "star of a top level",
        lambda: Row(text_of(leaf(hosts=("*.com",))), hosts=("example.com",)),
        "does not cover",
    ),
    (
        "star two labels up",
        lambda: Row(
            text_of(leaf(hosts=("*.com", "*.example"))),
        ),
        "does not cover",
    ),
    ("star inside", lambda: Row(text_of(leaf(hosts=("a*.example.com",)))), "does not cover"),
    ("two stars", lambda: Row(text_of(leaf(hosts=("*.*.com",)))), "does not cover"),
    (
        "name with NUL",
        lambda: Row(text_of(built(names(x509.DNSName(HOST + "\0.evil.com"))))),
        "does not cover",
    ),
    ("name with escapes", lambda: Row(text_of(built(names(x509.DNSName("\x1b[2Japi"))))), "does not cover"),
    (
        "address only",
        lambda: Row(text_of(built(names(x509.IPAddress(ipaddress.ip_address("10.0.0.1")))))),
        "does not cover",
    ),
    ("a CA as leaf", lambda: Row(text_of(leaf(ca=True))), "is a CA"),
    ("for clients only", lambda: Row(text_of(leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH))), "not for server"),
    (
        "unknown critical extension",
        lambda: Row(text_of(built(names(x509.DNSName(HOST)), (UNKNOWN, True)))),
        "critical",
    ),
    ("signed with SHA-1", lambda: Row(rsa_sha1_leaf()), "is signed with sha1"),
    (
        "serial 0",
        lambda: Row(with_serial(built(names(x509.DNSName(HOST))), b"\x02\x01\x07", b"\x02\x01\x00")),
        "serial",
    ),
    (
        "negative serial",
        lambda: Row(with_serial(built(names(x509.DNSName(HOST))), b"\x02\x01\x07", b"\x02\x01\xff")),
        "serial|cannot be parsed",
    ),
    ("of another root", lambda: Row(GOOD, ca=text_of(made.OTHER_ROOT)), "is not issued by the expected CA"),
    ("forged signature", lambda: Row(other_signature(LEAF), ca=ROOT_PEM), "is not issued by the expected CA"),
    ("gap in the chain", gap, "is not issued by"),
    (
        "loop",
        lambda: Row(text_of(leaf(issuer=("loop a", LOOP_A_KEY)), LOOP_A, LOOP_B), ca=ROOT_PEM),
        "is not issued by",
    ),
    ("intermediate that is no CA", not_a_ca, "a client would refuse|is not issued by|no CA"),
    (
        "expired root to end in",
        lambda: Row(GOOD, ca=text_of(OLD_ROOT)),
        "the expected CA .CN=root. is valid from",
    ),
    ("too large", lambda: Row(large()), "larger than a Secret may be"),
]

# Keys: only a pair of one's own brings one.
KEYS: list[tuple[str, Callable[[], Row], str]] = [
    ("RSA 1024", lambda: keyed(made.RSA_1024), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("RSA with exponent 3", lambda: keyed(RSA_3), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("P-192", lambda: keyed(P192), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("P-521", lambda: keyed(P521), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("Ed448", lambda: keyed(ED_448), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("DSA", lambda: keyed(DSA), "is neither ECDSA P-256/P-384, Ed25519 nor RSA"),
    ("encrypted", lambda: Row(GOOD, made.key_pem(KEY, b"secret").decode()), "is encrypted"),
    ("encrypted as OpenSSL did", lambda: Row(GOOD, traditional()), "is encrypted"),
    ("two keys", lambda: Row(GOOD, KEY_PEM + KEY_PEM), "holds 2 private keys"),
    ("certificate for key", lambda: Row(GOOD, GOOD), "holds CERTIFICATE beside the private key"),
    ("public key", lambda: Row(GOOD, public()), "holds PUBLIC KEY beside the private key"),
    ("OpenSSH key", lambda: Row(GOOD, openssh()), "is not a PEM private key"),
    ("no key", lambda: Row(GOOD, "none"), "holds no PEM block"),
    ("key without its end", lambda: Row(GOOD, KEY_PEM[:-30]), "without its BEGIN or END line"),
    ("damaged key", lambda: Row(GOOD, pem_of(b"01234567", "PRIVATE KEY")), "is not a PEM private key"),
    (
        "another key",
        lambda: Row(GOOD, made.key_pem(made.OTHER_KEY).decode()),
        "does not belong to the certificate",
    ),
]


def rsa_sha1_leaf() -> str:
    """As old CAs sign. The library refuses to sign so; what matters is that it is read."""
    der = built(names(x509.DNSName(HOST)), signer=RSA).public_bytes(serialization.Encoding.DER)
    with_sha256, with_sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    assert der.count(with_sha256) == 2
    return pem_of(der.replace(with_sha256, with_sha1))


def large() -> str:
    many = [x509.DNSName(f"{'x' * 60}{number}.example.com") for number in range(14_000)]
    return text_of(built(names(*many)))


def keyed(key: Any) -> Row:
    return Row(text_of(leaf(key)), made.key_pem(key).decode())


def traditional() -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
    return KEY.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")).decode()


def openssh() -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    return KEY.private_bytes(*form).decode()


def public() -> str:
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KEY.public_key().public_bytes(*form).decode()


@pytest.fixture
def world() -> World:
    found = World(HOME)
    found.clock.time = NOW.timestamp()
    found.cluster.clock = found.now
    return found


def gateways(row: Row) -> list[dict[str, Any]]:
    servers = [{"host": host, "certificate": "api"} for host in row.hosts]
    return [{"workload_namespace": HOME, "service_account": "gateway", "servers": servers}]


def check_refused(world: World, row: Row, said: str, **params: Any) -> None:
    before = list(world.cluster.writes)
    with pytest.raises((InputError, RefusedError), match=said) as caught:
        world.run(gateways=gateways(row), **params)
    text = str(caught.value)
    assert world.cluster.writes == before, "nothing is written"
    assert "\n" not in text
    assert text.isprintable(), "nothing that a terminal obeys"
    assert text.startswith("certificates_")
    assert "Traceback" not in text
    assert len(text) < 1000
    assert KEY_PEM.splitlines()[1] not in text


@pytest.mark.parametrize(
    ("make", "said"), [row[1:] for row in BUNDLES + KEYS], ids=[row[0] for row in BUNDLES + KEYS]
)
def test_a_bad_pair_is_refused_before_the_write(world: World, make: Callable[[], Row], said: str) -> None:
    row = make()
    given = {"name": "api", "certificate": row.chain, "private_key": row.key, "ca": row.ca}
    check_refused(world, row, said, provided=[given])


@pytest.mark.parametrize(
    ("make", "said"), [row[1:] for row in BUNDLES if row[0] != "empty"], ids=[row[0] for row in BUNDLES[1:]]
)
def test_a_bad_answer_is_refused_before_the_write(world: World, make: Callable[[], Row], said: str) -> None:
    row = make()
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(made.name("leaf"))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in row.hosts]), critical=False
        )
        .sign(KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    world.cluster.put(
        {
            "kind": "Secret",
            "metadata": {
                "name": "api-request",
                "namespace": HOME,
                "labels": {"app.kubernetes.io/managed-by": "servicemesh.istio"},
                "annotations": {"servicemesh.istio/request-of": "api"},
            },
            "data": {
                "tls.csr": base64.b64encode(request).decode(),
                "tls.key": base64.b64encode(made.key_pem(KEY)).decode(),
            },
        }
    )
    check_refused(world, row, said, requested=[{"name": "api", "certificate": row.chain, "ca": row.ca}])


def test_there_are_forty_bundles() -> None:
    assert len(BUNDLES) >= 40


def cross_signed() -> dict[str, x509.Certificate]:
    """A new root that the old one has signed, too, as long as clients know only the old one."""
    new_key = made.ec_key()
    year = {"ca": True, "end": NOW + 900 * DAY}
    return {
        "new": made.certificate("new root", new_key, **year),
        "cross": made.certificate("new root", new_key, issuer=("root", made.ROOT_KEY), **year),
        "middle": made.certificate("middle", made.MIDDLE_KEY, issuer=("new root", new_key), **year),
        "leaf": leaf(issuer=("middle", made.MIDDLE_KEY)),
        "old": made.ROOT,
    }


# What is given, what is served, and the root that a client knows.
GOOD_ORDERS = [
    ("leaf middle cross", "leaf middle cross", "old"),
    ("cross middle leaf", "leaf middle cross", "old"),
    ("new cross leaf middle", "leaf middle cross", "old"),
    ("old cross middle leaf new", "leaf middle cross old", "old"),
    ("leaf leaf middle middle cross", "leaf middle cross", "old"),
    ("middle new leaf", "leaf middle new", "new"),
    ("middle leaf", "leaf middle", "new"),
]


@pytest.mark.parametrize(("given", "served", "trusts"), GOOD_ORDERS)
def test_a_chain_is_put_in_order_whatever_root_clients_know(
    world: World, given: str, served: str, trusts: str
) -> None:
    found = cross_signed()
    chain = text_of(*(found[name] for name in given.split()))
    provided = [{"name": "api", "certificate": chain, "private_key": KEY_PEM, "ca": text_of(found[trusts])}]
    assert world.run(provided=provided)["changed"] is True
    written = base64.b64decode(world.secret()["data"]["tls.crt"])
    assert x509.load_pem_x509_certificates(written) == [found[name] for name in served.split()]
    assert world.run(provided=provided)["changed"] is False, "the same again"


@pytest.mark.parametrize("key", [KEY, RSA, ED, ec.generate_private_key(ec.SECP384R1())])
def test_a_good_key_is_taken(world: World, key: Any) -> None:
    pair = {"certificate": text_of(leaf(key)), "private_key": made.key_pem(key).decode(), "ca": ROOT_PEM}
    assert world.run(provided=[{"name": "api", **pair}])["changed"] is True


@pytest.mark.parametrize("key", [RSA, ED])
@pytest.mark.parametrize("root", [True, False])
def test_a_ca_of_one_s_own_signs_with_any_key_also_as_an_intermediate(
    world: World, key: Any, root: bool
) -> None:
    if root and isinstance(key, ed25519.Ed25519PrivateKey):
        own = signed_by_itself(key)
    elif root:
        own = made.certificate("own", key, ca=True, end=NOW + 900 * DAY)
    else:
        own = made.certificate("own", key, issuer=("root", made.ROOT_KEY), ca=True, end=NOW + 900 * DAY)
    data = {"tls.crt": made.pem(own, *([] if root else [made.ROOT])), "tls.key": made.key_pem(key)}
    world.cluster.put({"kind": "Namespace", "metadata": {"name": "servicemesh-system"}})
    world.cluster.put(
        {
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "servicemesh-ca", "namespace": "servicemesh-system"},
            "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
        }
    )
    assert world.run()["changed"] is True
    written = x509.load_pem_x509_certificates(base64.b64decode(world.secret()["data"]["tls.crt"]))
    written[0].verify_directly_issued_by(own)
    assert written[1:] == ([] if root else [own])
    assert world.run()["changed"] is False


def signed_by_itself(key: Any) -> x509.Certificate:
    """A root whose key has a hash of its own."""
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(made.name("own"))
        .issuer_name(made.name("own"))
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 900 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, None)
    )
