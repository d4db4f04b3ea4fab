# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and judging X.509 certificates and keys, without network, clock or cluster.

Istio distributes expired and not yet valid certificates, and Envoy keeps the old pair when key and
certificate do not match; neither tells the writer of the Secret. So everything that can be known before a
write is checked here (RFC 5280, RFC 6125).
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ...words import some_of
from .credentials import covers
from .issuing import names_another_key, overreaches
from .pem import UnreadablePemError, blocks_of, skipped

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509 import verification
    from cryptography.x509.oid import ExtendedKeyUsageOID

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

if TYPE_CHECKING:
    PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

CERTIFICATE = "CERTIFICATE"
SKIPPED = "holds a PEM block that does not begin and end on a line of its own, which istiod skips"
SECRET_LIMIT = 1024 * 1024
LONGEST_DAYS = 825
"""Apple's systems refuse longer-lived server certificates, also of private CAs (support.apple.com/103769)."""
SHOWN_NAMES = 10
_READ_BY_CLIENTS = "malformed DNS name constraint"
"""``.example.com`` and the empty name as limits of a CA: OpenSSL and Go read them, and so does `issuing`."""
CLOCK_TOLERANCE = datetime.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateFault:
    """One thing wrong with a certificate: a short stable ``rule``, a sentence without full stop."""

    rule: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What may be told about a certificate: nothing here is secret."""

    fingerprint: str
    serial: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    dns_names: tuple[str, ...]
    subject: str
    issuer: str

    def as_result(self) -> dict[str, Any]:
        """The facts as a module returns them.

        :returns: ``fingerprint_sha256``, ``serial``, ``not_before``, ``not_after`` (RFC 3339), ``dns_names``,
            ``subject``, ``issuer``.
        """
        return {
            "fingerprint_sha256": self.fingerprint,
            "serial": self.serial,
            "not_before": rfc3339(self.not_before),
            "not_after": rfc3339(self.not_after),
            "dns_names": list(self.dns_names),
            "subject": self.subject,
            "issuer": self.issuer,
        }


def rfc3339(moment: datetime.datetime) -> str:
    """UTC to the second, as certificates say it."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates in ``pem``, leaf first.

    :returns: one per PEM block, at least one.
    :raises UnreadableError: when it is empty or holds anything else, such as a private key.
    """
    return list(_read_chain(pem))


@functools.lru_cache(maxsize=64)
def _read_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Kept: a run asks for the same chain again and again. What holds a key is refused, and not kept."""
    blocks = blocks_of(pem)
    if skipped(pem):
        raise UnreadablePemError(SKIPPED)
    if not blocks:
        raise UnreadablePemError("holds no PEM certificate")
    foreign = sorted({block.label for block in blocks} - {CERTIFICATE})
    if foreign:
        raise UnreadablePemError(f"holds {', '.join(foreign)} beside certificates")
    try:
        return tuple(x509.load_der_x509_certificate(block.content) for block in blocks)
    except ValueError as error:
        raise UnreadablePemError("holds a certificate that cannot be parsed") from error


def read_key(pem: bytes) -> PrivateKey:
    """The private key in ``pem``: unencrypted, ECDSA P-256 or P-384, Ed25519, or RSA of at least 2048 bits.

    Gateways serve all of them (tried on the lab); browsers know no Ed25519.

    :raises UnreadableError: otherwise.
    """
    block = next((block for block in blocks_of(pem) if block.is_key), None)
    if block is None:
        raise UnreadablePemError("is not a PEM private key")
    try:
        if block.encrypted:
            raise TypeError
        key = serialization.load_pem_private_key(block.as_pem(), password=None)
    except TypeError as error:
        raise UnreadablePemError("is encrypted: a gateway cannot ask for a passphrase") from error
    except ValueError as error:
        raise UnreadablePemError("is not a PEM private key") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1"):
        return key
    if (
        isinstance(key, rsa.RSAPrivateKey)
        and key.key_size >= 2048
        and key.public_key().public_numbers().e >= 65537
    ):
        return key
    raise UnreadablePemError("is neither ECDSA P-256/P-384, Ed25519 nor RSA of at least 2048 bits")


def read_ca_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The key of a mesh's CA: as :func:`read_key`, but for Ed25519, with which no istiod was seen to sign.

    :raises UnreadableError: otherwise.
    """
    key = read_key(pem)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raise UnreadablePemError("is Ed25519, which is not known to work as a mesh's CA: use ECDSA or RSA")
    return key


def kind_of_key(pem: bytes) -> str:
    """``ecdsa``, ``rsa`` or ``ed25519``. :raises UnreadableError: as :func:`read_key`."""
    key = read_key(pem)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """The certificate request in ``pem`` (PKCS #10).

    :raises UnreadableError: it holds none that can be read.
    """
    block = next((block for block in blocks_of(pem) if block.label == "CERTIFICATE REQUEST"), None)
    if block is None:
        raise UnreadablePemError("holds no PEM certificate request")
    try:
        return x509.load_der_x509_csr(block.content)
    except ValueError as error:
        raise UnreadablePemError("holds a certificate request that cannot be parsed") from error


def request_names(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """The DNS names that a request asks for. :returns: empty when it names none."""
    return tuple(_dns_names(request))


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """The facts of ``certificate``."""
    return CertificateFacts(
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        dns_names=tuple(_dns_names(certificate)),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
    )


def _dns_names(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    try:
        extension = holder.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(extension.value.get_values_for_type(x509.DNSName))


def public_key_of(holder: x509.Certificate | x509.CertificateSigningRequest | PrivateKey) -> bytes:
    """The public key of a certificate, a request or a private key (DER, SubjectPublicKeyInfo)."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return holder.public_key().public_bytes(*form)


def same_key(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether ``certificate`` is about the public half of ``key``."""
    return public_key_of(certificate) == public_key_of(key)


def same_subject_and_key(one: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether two certificates are about one CA: cross-signed twins, or a root and its cross-signed twin."""
    return one.subject == other.subject and public_key_of(one) == public_key_of(other)


def check_pair(
    chain_pem: bytes,
    key_pem: bytes,
    *,
    hosts: Sequence[str],
    roots: Sequence[x509.Certificate],
    now: datetime.datetime,
) -> list[CertificateFault]:
    """Everything that is wrong with a serving pair; an empty list means: safe to serve.

    :param chain_pem: leaf, then intermediates. :param key_pem: the leaf's private key.
    :param hosts: names that the leaf must cover.
    :param roots: trusted roots; empty: the end of the path is not judged.
    :param now: aware time.
    :returns: one per fault, in the order of the checks.
    """
    if len(chain_pem) + len(key_pem) > SECRET_LIMIT:
        return [CertificateFault("size", "certificate and key are larger than a Secret may be (1 MiB)")]
    try:
        chain = read_chain(chain_pem)
    except UnreadablePemError as error:
        return [CertificateFault("certificate", f"the certificate {error}")]
    leaf, intermediates = chain[0], chain[1:]
    faults: list[CertificateFault] = []
    try:
        key = read_key(key_pem)
        if not same_key(leaf, key):
            others = [number for number, link in enumerate(chain) if same_key(link, key)]
            order = f" but to number {others[0] + 1} of the chain: it comes first" if others else ""
            message = f"the private key does not belong to the certificate{order}"
            faults.append(CertificateFault("key-mismatch", message))
    except UnreadablePemError as error:
        faults.append(CertificateFault("key", f"the private key {error}"))
    faults += _leaf_faults(leaf, hosts)
    faults += _date_faults(chain, now)
    faults += _root_faults(roots, now)
    faults += _path_faults(chain, roots)
    # The last word has an implementation that is not ours.
    if roots and hosts and not faults:
        faults += _verified(leaf, intermediates, roots, hosts, now)
    return faults


def _leaf_faults(leaf: x509.Certificate, hosts: Sequence[str]) -> list[CertificateFault]:
    names = _dns_names(leaf)
    missing = [host for host in hosts if not any(covers(name, host) for name in names)]
    faults = []
    if not 0 < leaf.serial_number < 1 << 160:
        # RFC 5280 4.1.2.2
        faults.append(
            CertificateFault("serial", "the certificate's serial number is not between 1 and 20 octets long")
        )
    if missing:
        listed = some_of([_printable(name) for name in names], SHOWN_NAMES) or "none"
        faults.append(
            CertificateFault(
                "san", f"the certificate does not cover {', '.join(missing)} (its names: {listed})"
            )
        )
    try:
        extensions = leaf.extensions
    except ValueError:
        return [
            *faults,
            CertificateFault("certificate", "the certificate has extensions that cannot be parsed"),
        ]
    for extension in extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            oid = extension.oid.dotted_string
            message = f"the certificate has a critical extension that no client knows ({oid})"
            faults.append(CertificateFault("extension", message))
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            faults.append(
                CertificateFault(
                    "is-ca", "the certificate is a CA: such a key must not lie in a gateway's Secret"
                )
            )
        if (
            isinstance(extension.value, x509.ExtendedKeyUsage)
            and ExtendedKeyUsageOID.SERVER_AUTH not in extension.value
        ):
            faults.append(CertificateFault("usage", "the certificate is not for server authentication"))
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            # TLS 1.3 and every exchange with ECDHE sign; Java and BoringSSL look at it, OpenSSL does not.
            text = "the certificate's keyUsage lacks digitalSignature: browsers refuse it"
            faults.append(CertificateFault("usage", text))
    return faults


def _printable(name: str) -> str:
    """A name from a certificate for a terminal: whoever made it may have put anything into it."""
    return name if name.isprintable() else ascii(name)


def lifetime_faults(chain_pem: bytes) -> list[CertificateFault]:
    """Whether a certificate that is brought here lives longer than clients allow, whoever signed it.

    :returns: at most one; empty also where the chain cannot be read.
    """
    try:
        leaf = read_chain(chain_pem)[0]
    except UnreadablePemError:
        return []
    days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days
    if days <= LONGEST_DAYS:
        return []
    text = f"the certificate is valid for {days} days: some clients refuse more than {LONGEST_DAYS} days"
    return [CertificateFault("too-long", text)]


def _date_faults(chain: Sequence[x509.Certificate], now: datetime.datetime) -> list[CertificateFault]:
    faults = []
    for position, certificate in enumerate(chain):
        what = "the certificate" if position == 0 else f"intermediate {position}"
        if certificate.not_valid_after_utc <= now:
            faults.append(
                CertificateFault(
                    "expired", f"{what} is valid until {rfc3339(certificate.not_valid_after_utc)} only"
                )
            )
        if certificate.not_valid_before_utc > now - CLOCK_TOLERANCE:
            begin = rfc3339(certificate.not_valid_before_utc)
            faults.append(
                CertificateFault(
                    "future", f"{what} is valid from {begin} only, too late for clocks that run slow"
                )
            )
    return faults


def _root_faults(roots: Sequence[x509.Certificate], now: datetime.datetime) -> list[CertificateFault]:
    """Whether none of the roots is valid: one that is over may stand beside the one that follows it."""
    if not roots or any(one.not_valid_before_utc <= now < one.not_valid_after_utc for one in roots):
        return []
    last = max(roots, key=lambda root: root.not_valid_after_utc)
    name, life = last.subject.rfc4514_string(), (last.not_valid_before_utc, last.not_valid_after_utc)
    begin, end = (rfc3339(moment) for moment in life)
    text = f"the expected CA ({_printable(name)}) is valid from {begin} to {end} only"
    return [CertificateFault("expired", f"{text}: clients refuse what it signed")]


def _path_faults(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[CertificateFault]:
    faults, end = [], _path_end(chain)
    for position, certificate in enumerate(chain):
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and algorithm.name in ("sha1", "md5"):
            faults.append(
                CertificateFault(
                    "hash", f"certificate {position} of the chain is signed with {algorithm.name}"
                )
            )
        if position >= end:
            continue
        issuers = chain[position + 1 : min(position + 2, end)] or roots
        if issuers and not any(issued_by(certificate, issuer) for issuer in issuers):
            follows = "the next one in the chain" if position + 1 < end else "the expected CA"
            faults.append(
                CertificateFault("path", f"certificate {position} of the chain is not issued by {follows}")
            )
    return faults or [CertificateFault("issuer", text) for text in overreaches(chain[:end])]


def _path_end(chain: Sequence[x509.Certificate]) -> int:
    """Where the path ends: at a CA that stands in it already. What follows is for clients of another root."""
    return next(
        (
            position
            for position, certificate in enumerate(chain)
            if any(same_subject_and_key(certificate, one) for one in chain[1:position])
        ),
        len(chain),
    )


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate`` (names, identifiers of keys and signature; not dates)."""
    try:
        certificate.verify_directly_issued_by(issuer)
        return not names_another_key(certificate, issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False


def _verified(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    hosts: Sequence[str],
    now: datetime.datetime,
) -> list[CertificateFault]:
    if any(isinstance(one.public_key(), ed25519.Ed25519PublicKey) for one in (leaf, *intermediates, *roots)):
        return []  # that implementation keeps to the rules of browsers, which know no Ed25519
    builder = _policy().store(verification.Store(list(roots))).time(now)
    for host in hosts:
        verifier = builder.build_server_verifier(x509.DNSName(host.replace("*.", "any.")))
        try:
            verifier.verify(leaf, list(intermediates))
        except verification.VerificationError as error:
            if _READ_BY_CLIENTS in str(error):
                continue
            return [CertificateFault("path", f"a client would refuse the certificate for {host}: {error}")]
    return []


def _policy() -> verification.PolicyBuilder:
    """What clients ask of extensions: a public CA has to name the key that signed, clients do not mind.

    Without cryptography 45, the rules are those of public CAs.
    """
    builder = verification.PolicyBuilder()
    if not hasattr(verification, "ExtensionPolicy"):
        return builder
    either = verification.Criticality.AGNOSTIC
    issuers, leaves = (
        policy.may_be_present(x509.AuthorityKeyIdentifier, either, None)
        for policy in (
            verification.ExtensionPolicy.webpki_defaults_ca(),
            verification.ExtensionPolicy.webpki_defaults_ee(),
        )
    )
    return builder.extension_policies(
        ca_policy=issuers.may_be_present(x509.KeyUsage, either, _may_sign),
        ee_policy=leaves.require_present(x509.SubjectAlternativeName, either, None),
    )


def _may_sign(_policy: object, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("keyUsage.keyCertSign must be asserted in a CA certificate")


def check_authority(chain_pem: bytes, key_pem: bytes, now: datetime.datetime) -> list[CertificateFault]:
    """Everything that keeps a CA from issuing. ``chain_pem`` begins with the issuer, its parents follow.

    :returns: one per fault; empty when it can issue.
    """
    try:
        chain, key = read_chain(chain_pem), read_key(key_pem)
    except UnreadablePemError as error:
        return [CertificateFault("unreadable", f"its certificate or key {error}")]
    issuer = chain[0]
    faults = []
    if not same_key(issuer, key):
        faults.append(CertificateFault("key-mismatch", "its private key does not belong to its certificate"))
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        may_sign = issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, ValueError):
        faults.append(CertificateFault("not-a-ca", "its certificate lacks the extensions of a CA"))
    else:
        if not constraints.ca or not may_sign:
            faults.append(CertificateFault("not-a-ca", "its certificate may not sign certificates"))
    for certificate in chain:
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            ends = rfc3339(certificate.not_valid_after_utc)
            faults.append(
                CertificateFault(
                    "expired", f"{certificate.subject.rfc4514_string()} is not valid now (until {ends})"
                )
            )
    return [*faults, *_path_faults(chain, [])]


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may certify others: basicConstraints say so (RFC 5280 4.2.1.9)."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def roots_of(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The self-signed end of a CA's chain, or its last certificate: what clients must trust.

    :returns: at least one certificate.
    """
    return [certificate for certificate in chain if certificate.issuer == certificate.subject] or [chain[-1]]


def to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM text of ``certificates``, in order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)
