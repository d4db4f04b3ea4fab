# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload certificates that a proxy uses, and whether they prove what mutual TLS has to prove.

Source of the shapes: Envoy's ``/certs`` (envoy/admin/v3/certs.proto), one entry per TLS context. A context
whose leaf names a SPIFFE identity is the mesh's; others (client certificates for external services) are not
judged.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...documents.json_text import from_json
from ...errors import MalformedError
from ...fields import mappings_at, text_at
from ...kube.clock import seconds_of
from ...model.certificates.pem import blocks_of
from ...verdicts import CANNOT_TELL, FAIL, PASS

SPIFFE = "spiffe://"
_INLINE = "<inline>"
ROOT_CONFIG_MAP, ROOT_KEY = "istio-ca-root-cert", "root-cert.pem"
"""Where istiod publishes the mesh's roots, in every namespace (CACertNamespaceConfigMap of pkg/constants)."""


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateJudgement:
    """Whether certificates are good.

    :param verdict: pass, fail, or cannot tell. :param reason: half a sentence; ``""`` for a pass.
    """

    verdict: str
    reason: str = ""


def judge_certificates(
    text: str, *, identity: str, roots: frozenset[str], now: float
) -> CertificateJudgement:
    """Whether a proxy serves one identity, in time, below the mesh's root. What is unreadable proves nothing.

    :param text: the answer of ``/certs``. :param identity: SPIFFE id without ``spiffe://``, or its end from
        ``/ns/`` on where the trust domain is not known. :param roots: serial numbers of the mesh's roots
        (`serial_numbers`). :param now: seconds since the epoch.
    """
    try:
        contexts = mappings_at(from_json(text), "certificates")
        chains = [(mappings_at(item, "cert_chain"), mappings_at(item, "ca_cert")) for item in contexts]
        served = [(chain, trusted) for chain, trusted in chains if chain]
        ours = [(chain, trusted) for chain, trusted in served if _identities(chain[0])]
        if not served:
            return CertificateJudgement(FAIL, "serves no certificate")
        if not ours:
            return CertificateJudgement(FAIL, f"serves no identity, not {SPIFFE}{identity.lstrip('/')}")
        return _first(
            judgement
            for chain, trusted in ours
            for judgement in (
                *(_in_time(item, "serves a certificate", now) for item in chain),
                _identity(chain[0], identity),
                *(_in_time(item, "trusts a root", now) for item in trusted),
                _root(trusted, roots),
            )
        )
    except (ValueError, MalformedError):
        return CertificateJudgement(CANNOT_TELL, "shows no certificates that can be read")


def lives(text: str) -> list[tuple[float, float, str]]:
    """The leaves with a SPIFFE identity that a proxy serves.

    :param text: the answer of ``/certs``.
    :returns: begin and end (seconds since the epoch), and the identity; each leaf once. Empty when there is
        none that can be read.
    """
    found: dict[tuple[float, float, str], None] = {}
    try:
        for context in mappings_at(from_json(text), "certificates"):
            for leaf in mappings_at(context, "cert_chain")[:1]:
                since, until = (seconds_of(text_at(leaf, key)) for key in ("valid_from", "expiration_time"))
                if _identities(leaf) and since is not None and until is not None:
                    found[since, until, _identities(leaf)[0]] = None
    except (ValueError, MalformedError):
        return []
    return list(found)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A certificate as a proxy shows it.

    :param serial: lower-case hexadecimal, without zeros before it.
    :param begin: seconds since the epoch, as ``end``. :param names: DNS names that it is for.
    :param path: of its file; empty for one that istiod or the agent sent.
    """

    serial: str
    begin: float
    end: float
    names: tuple[str, ...] = ()
    path: str = ""


def foreign_certificates(text: str) -> list[Shown]:
    """The certificates that a proxy presents and that are not the mesh's, with their issuers.

    :param text: the answer of ``/certs``.
    :returns: each once; empty when there is none that can be read.
    """
    found: dict[Shown, None] = {}
    try:
        for context in mappings_at(from_json(text), "certificates"):
            chain = mappings_at(context, "cert_chain")
            if chain and not _identities(chain[0]):
                found.update(dict.fromkeys(shown for link in chain if (shown := _shown(link)) is not None))
    except (ValueError, MalformedError):
        return []
    return list(found)


def _shown(link: Mapping[str, Any]) -> Shown | None:
    since, until = (seconds_of(text_at(link, key)) for key in ("valid_from", "expiration_time"))
    if since is None or until is None:
        return None
    names = tuple(name for entry in mappings_at(link, "subject_alt_names") if (name := text_at(entry, "dns")))
    path = text_at(link, "path")
    return Shown(_plain(text_at(link, "serial_number")), since, until, names, "" if path == _INLINE else path)


def without_repetition(text: str) -> str:
    """The answer of ``/certs`` with each TLS context once: a proxy has one per cluster, all alike."""
    try:
        contexts = from_json(text)["certificates"]
        unique = {json.dumps(context, sort_keys=True): context for context in contexts}
    except (ValueError, KeyError, TypeError):
        return text[:1000]
    return json.dumps({"certificates": list(unique.values())})


def serial_numbers(pem: str) -> frozenset[str]:
    """The serial numbers of PEM certificates, as Envoy spells them: lower-case hexadecimal.

    :returns: empty when there is none, or one cannot be read.
    """
    blocks = [block for block in blocks_of(pem.encode()) if block.label == "CERTIFICATE"]
    try:
        return frozenset(_serial(block.content) for block in blocks)
    except (IndexError, ValueError):
        return frozenset()


def _first(judgements: Iterable[CertificateJudgement]) -> CertificateJudgement:
    """A fail first, then what cannot be told, else a pass."""
    found = list(judgements)
    for verdict in (FAIL, CANNOT_TELL):
        for judgement in found:
            if judgement.verdict == verdict:
                return judgement
    return CertificateJudgement(PASS)


def _identities(certificate: Mapping[str, Any]) -> list[str]:
    names = [text_at(name, "uri") for name in mappings_at(certificate, "subject_alt_names")]
    return sorted({name for name in names if name.startswith(SPIFFE)})


def _identity(leaf: Mapping[str, Any], identity: str) -> CertificateJudgement:
    names = _identities(leaf)
    wanted = identity if identity.startswith("/") else f"{SPIFFE}{identity}"
    good = [name for name in names if name == wanted or (wanted[0] == "/" and name.endswith(wanted))]
    if len(names) == 1 and good:
        return CertificateJudgement(PASS)
    return CertificateJudgement(FAIL, f"serves {', '.join(names)}, not {SPIFFE}{identity.lstrip('/')} alone")


def _in_time(certificate: Mapping[str, Any], what: str, now: float) -> CertificateJudgement:
    begin, end = text_at(certificate, "valid_from"), text_at(certificate, "expiration_time")
    since, until = seconds_of(begin), seconds_of(end)
    if since is None or until is None:
        return CertificateJudgement(CANNOT_TELL, f"{what} without readable dates")
    if now >= until:
        return CertificateJudgement(FAIL, f"{what} that expired {end}")
    if now < since:
        return CertificateJudgement(FAIL, f"{what} that is valid from {begin} on only")
    return CertificateJudgement(PASS)


def _root(trusted: Iterable[Mapping[str, Any]], roots: frozenset[str]) -> CertificateJudgement:
    serials = [_plain(text_at(item, "serial_number")) for item in trusted]
    if not serials or not all(serials):
        return CertificateJudgement(CANNOT_TELL, "shows no root")
    if not roots:
        return CertificateJudgement(CANNOT_TELL, "trusts a root that nothing is known of to compare it with")
    for serial in serials:
        if serial not in roots:
            return CertificateJudgement(FAIL, f"trusts root {serial}, which is not the mesh's")
    return CertificateJudgement(PASS)


def _plain(serial: str) -> str:
    return serial.lower().lstrip("0")


def _serial(der: bytes) -> str:
    """RFC 5280 4.1: Certificate, tbsCertificate, behind an optional [0] version the serial number."""
    body = _content(_content(der, 0x30)[0], 0x30)[0]
    if body[0] == 0xA0:
        body = _content(body, 0xA0)[1]
    return _plain(_content(body, 0x02)[0].hex())


def _content(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it (X.690 8.1.3). :raises ValueError: another."""
    if der[0] != tag:
        raise ValueError(f"tag {der[0]:#x} where {tag:#x} belongs")
    length, start = der[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:start], "big")
    if len(der) < start + length:
        raise ValueError("cut off")
    return der[start : start + length], der[start + length :]
