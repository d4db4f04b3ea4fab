# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA that istiod signs workload certificates with: read as istiod reads it, and judged before it does.

Sources: pilot/pkg/bootstrap/istio_ca.go (files, formats, reload), security/pkg/pki/util/keycertbundle.go
(Verify), security/pkg/pki/ca/ca.go (what is signed, and for how long) of Istio.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...fields import mapping_at
from .pem import UnreadablePemError, blocks_of, certificates_of, key_of
from .served import AUTHORITY_KEY, CERTIFICATE_KEY, PRIVATE_KEY, decode
from .x509 import (
    SECRET_LIMIT,
    CertificateFault,
    facts_of,
    issued_by,
    read_ca_key,
    read_chain,
    rfc3339,
    same_key,
    to_pem,
)

if TYPE_CHECKING:
    from typing import Any

try:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:
    pass

PLUGGED, SELF_SIGNED = "cacerts", "istio-ca-secret"
"""Secrets of istiod's namespace: it mounts the first one; without it, it makes and keeps the second one."""
CA_CERTIFICATE, CA_KEY, CA_CHAIN, CA_ROOTS = "ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"
CA_LIST = "ca-crl.pem"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Bundle:
    """A CA, all of it PEM. No ``repr``: it holds a private key.

    :param certificate: of the signer, alone. :param chain: what follows a leaf: the signer, then its
        intermediates. :param roots: what proxies trust.
    """

    certificate: bytes
    key: bytes
    chain: bytes
    roots: bytes

    @property
    def signer(self) -> x509.Certificate:
        """The certificate that signs. :raises UnreadableError: it cannot be read."""
        return read_chain(self.certificate)[0]

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """The roots, each once. :returns: in order. :raises UnreadableError: one cannot be read."""
        return tuple(dict.fromkeys(read_chain(self.roots)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signer's certificate, as hex."""
        return facts_of(self.signer).fingerprint


def bundle_of(secret: Mapping[str, Any] | None) -> Bundle | None:
    """The CA in a Secret, in either form; istiod prefers ``tls.crt`` (detectSigningCABundleAndCRL).

    :returns: None without a Secret; parts that are missing are empty.
    """
    if secret is None:
        return None
    if CERTIFICATE_KEY in mapping_at(secret, "data"):
        whole, key, roots = (decode(secret, name) for name in (CERTIFICATE_KEY, PRIVATE_KEY, AUTHORITY_KEY))
        return Bundle(_first(whole), key, whole, roots)
    certificate, key, chain, roots = (
        decode(secret, name) for name in (CA_CERTIFICATE, CA_KEY, CA_CHAIN, CA_ROOTS)
    )
    return Bundle(_first(certificate), key, chain or certificate, roots or certificate)


def _first(pem: bytes) -> bytes:
    """The only block that istiod reads of a signer's certificate (pem.Decode)."""
    blocks = blocks_of(pem)
    return blocks[0].as_pem() if blocks else b""


def read_bundle(certificate: str, private_key: str, chain: str, roots: str) -> Bundle:
    """A CA as people hand it over, written as istiod reads it.

    :param certificate: the signer's, its issuers may follow. :param chain: its issuers, with or without it.
    :param roots: what proxies are to trust; empty: what signed itself among the others.
    :raises UnreadableError: with the part that cannot be read; the text quotes nothing.
    """
    own = read_chain(_part("certificate", certificates_of, certificate))
    given = read_chain(_part("chain", certificates_of, chain)) if chain.strip() else []
    if roots.strip():
        trusted = read_chain(_part("roots", certificates_of, roots))
    else:
        trusted = [link for link in [*own, *given] if link.issuer == link.subject]
        if not trusted:
            raise UnreadablePemError("roots: are not given, and no certificate of the chain signed itself")
    trusted = list(dict.fromkeys(trusted))
    links = [link for link in dict.fromkeys([*own, *given]) if link not in trusted or link == own[0]]
    key = _part("private_key", key_of, private_key)
    return Bundle(to_pem(own[:1]), key, to_pem(_in_order(links)), to_pem(trusted))


def _part(name: str, reader: Any, text: str) -> bytes:
    try:
        return bytes(reader(text))
    except UnreadablePemError as error:
        raise UnreadablePemError(f"{name}: {error}") from error


def _in_order(links: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Signer, its issuer, and so on; what does not belong stays behind, where the check finds it."""
    ordered, rest = [links[0]], list(links[1:])
    while (found := next((link for link in rest if issued_by(ordered[-1], link)), None)) is not None:
        rest.remove(found)
        ordered.append(found)
    return [*ordered, *rest]


def check_bundle(
    bundle: Bundle, now: datetime.datetime, leaf_life: datetime.timedelta = datetime.timedelta(days=1)
) -> list[CertificateFault]:
    """Everything that keeps a CA from being istiod's, or proxies from accepting what it signs.

    :param now: aware. :param leaf_life: how long a workload's certificate lives.
    :returns: one per fault; empty when it is safe to write.
    """
    if sum(map(len, (bundle.certificate, bundle.key, bundle.chain, bundle.roots))) > SECRET_LIMIT:
        return [CertificateFault("size", "the CA is larger than a Secret may be (1 MiB)")]
    read, faults = _read(bundle)
    if faults:
        return faults
    signer, links, roots = read["certificate"][0], read["chain"], read["root"]
    if not same_key(signer, read_ca_key(bundle.key)):
        faults.append(
            CertificateFault("key-mismatch", "the CA's private key does not belong to its certificate")
        )
    if links[0] != signer:
        faults.append(CertificateFault("chain", "the CA's chain does not begin with its certificate"))
    anchors = [root for root in roots if root == links[-1] or issued_by(links[-1], root)]
    if not anchors:
        faults.append(
            CertificateFault("root", "the CA's chain does not lead to its root: proxies would trust nobody")
        )
    path = [*links, *(root for root in anchors[:1] if root != links[-1])]
    for position, (link, issuer) in enumerate(itertools.pairwise(path)):
        if not issued_by(link, issuer):
            faults.append(
                CertificateFault(
                    "path", f"certificate {position} of the CA's chain is not issued by the next"
                )
            )
        elif link.not_valid_after_utc > issuer.not_valid_after_utc:
            faults.append(CertificateFault("outlives", f"{_name(link)} outlives {_name(issuer)}, its issuer"))
    for position, link in enumerate(path):
        faults += _authority_faults(link, position)
    faults += [fault for root in roots for fault in _root_faults(root)]
    for link in dict.fromkeys([*path, *roots]):
        faults += _date_faults(link, now, leaf_life)
    return list(dict.fromkeys(faults))


def _read(bundle: Bundle) -> tuple[dict[str, list[x509.Certificate]], list[CertificateFault]]:
    """:returns: certificates by part, and a fault per part that cannot be read."""
    faults: list[CertificateFault] = []
    read: dict[str, list[x509.Certificate]] = {}
    for name, pem in (("certificate", bundle.certificate), ("chain", bundle.chain), ("root", bundle.roots)):
        try:
            read[name] = read_chain(pem)
        except UnreadablePemError as error:
            faults.append(CertificateFault(name, f"the CA's {name} {error}"))
    try:
        read_ca_key(bundle.key)
    except UnreadablePemError as error:
        faults.append(CertificateFault("key", f"the CA's private key {error}"))
    return read, faults


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"


def _authority_faults(link: x509.Certificate, below: int) -> list[CertificateFault]:
    """What keeps a certificate from signing. :param below: how many CAs stand between it and a leaf."""
    try:
        extensions = {type(extension.value): extension.value for extension in link.extensions}
    except ValueError:
        return [CertificateFault("certificate", f"{_name(link)} has extensions that cannot be parsed")]
    faults = []
    constraints, usage = extensions.get(x509.BasicConstraints), extensions.get(x509.KeyUsage)
    if not isinstance(constraints, x509.BasicConstraints) or not constraints.ca:
        faults.append(CertificateFault("not-a-ca", f"{_name(link)} is no CA (CA:TRUE)"))
    elif constraints.path_length is not None and constraints.path_length < below:
        text = f"{_name(link)} allows {constraints.path_length} CAs below it, and {below} are there"
        faults.append(CertificateFault("path-length", text))
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        faults.append(CertificateFault("not-a-ca", f"{_name(link)} may not sign certificates (key usage)"))
    purposes = extensions.get(x509.ExtendedKeyUsage)
    if isinstance(purposes, x509.ExtendedKeyUsage):
        both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
        if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in purposes and not both <= set(purposes):
            text = f"{_name(link)} is not for servers and clients (extended key usage): istiod refuses it"
            faults.append(CertificateFault("usage", text))
    algorithm = link.signature_hash_algorithm
    if algorithm is not None and algorithm.name in ("sha1", "md5") and link.issuer != link.subject:
        faults.append(CertificateFault("hash", f"{_name(link)} is signed with {algorithm.name}"))
    return faults


def _root_faults(root: x509.Certificate) -> list[CertificateFault]:
    if root.issuer != root.subject or not issued_by(root, root):
        return [CertificateFault("root", f"{_name(root)} is among the roots and did not sign itself")]
    return [fault for fault in _authority_faults(root, 0) if fault.rule in ("not-a-ca", "certificate")]


def _date_faults(
    link: x509.Certificate, now: datetime.datetime, leaf_life: datetime.timedelta
) -> list[CertificateFault]:
    begin, end = link.not_valid_before_utc, link.not_valid_after_utc
    if end <= now:
        return [CertificateFault("expired", f"{_name(link)} is valid until {rfc3339(end)} only")]
    if begin > now:
        return [CertificateFault("future", f"{_name(link)} is valid from {rfc3339(begin)} only")]
    if end - now < 2 * leaf_life:
        hours = leaf_life.total_seconds() / 3600
        text = f"{_name(link)} ends on {rfc3339(end)}: too early for workload certificates of {hours:g} h"
        return [CertificateFault("ending", text)]
    return []


def secret_data(bundle: Bundle, *, tls: bool) -> dict[str, str]:
    """The data of ``cacerts``.

    :param tls: in the form of ``kubernetes.io/tls``. :returns: key -> base64.
    """
    if tls:
        plain = {CERTIFICATE_KEY: bundle.chain, PRIVATE_KEY: bundle.key, AUTHORITY_KEY: bundle.roots}
    else:
        plain = {
            CA_CERTIFICATE: bundle.certificate,
            CA_KEY: bundle.key,
            CA_CHAIN: bundle.chain,
            CA_ROOTS: bundle.roots,
        }
    return {key: base64.b64encode(value).decode() for key, value in plain.items()}


def same_names(old: Bundle, new: Bundle) -> list[CertificateFault]:
    """Roots of one name and two keys: a client tells them apart by the authority key identifier only.

    :returns: a fault per root that would be mistaken for another one.
    """
    held = {root.subject: root for root in old.trusted}
    last = read_chain(new.chain)[-1]
    return [
        CertificateFault(
            "same-name", f"{_name(root)} is the name of an old root, too, and {_name(last)} names no key"
        )
        for root in new.trusted
        if root.subject in held and held[root.subject] != root and not _names_its_issuer(last)
    ]


def _names_its_issuer(link: x509.Certificate) -> bool:
    try:
        found = link.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.key_identifier is not None


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Stage:
    """One step of a rotation: what istiod is given, and what shows that a proxy has arrived.

    :param name: one of OLD, BOTH, SWITCHED, NEW. :param hold: fingerprints of roots that a proxy must trust.
    :param drop: of roots that it must no longer trust.
    """

    name: str
    bundle: Bundle
    hold: frozenset[str]
    drop: frozenset[str]


OLD, BOTH, SWITCHED, NEW = "old", "both", "switched", "new"


def stages_of(old: Bundle, new: Bundle, *, live: bool) -> tuple[Stage, ...]:
    """The way from one CA to another on which every proxy trusts every other one at every moment.

    Roots that stay the same need no stage of their own: the rotation of an intermediate is two stages.

    :param live: whether istiod and proxies take over a changed list of roots while they run
        (ISTIO_MULTIROOT_MESH, PROXY_CONFIG_XDS_AGENT). Then the order of the roots changes with the signer:
        that alone makes every proxy ask for a new certificate at once.
    :returns: the first is what is there, the last is what is wanted.
    """
    olds, news = prints_of(old.trusted), prints_of(new.trusted)
    if news <= olds:
        joined = [old.roots, old.roots]
    else:
        both = to_pem(list(dict.fromkeys([*new.trusted, *old.trusted])))
        turned = to_pem(list(dict.fromkeys([*old.trusted, *new.trusted])))
        joined = [both, turned if live and olds - news else both]
    final = old.roots if olds == news else new.roots
    steps = [
        Stage(OLD, old, olds, news - olds),
        Stage(BOTH, dataclasses.replace(old, roots=joined[0]), olds | news, frozenset()),
        Stage(SWITCHED, dataclasses.replace(new, roots=joined[1]), olds | news, frozenset()),
        Stage(NEW, dataclasses.replace(new, roots=final), news, olds - news),
    ]
    kept = [steps[0]]
    if joined[0] != old.roots:
        kept.append(steps[1])
    if joined[1] != final:
        kept.append(steps[2])
    return (*kept, steps[3])


def prints_of(certificates: Sequence[x509.Certificate]) -> frozenset[str]:
    """Their SHA-256 fingerprints. :returns: as hex; a set."""
    return frozenset(facts_of(certificate).fingerprint for certificate in certificates)
