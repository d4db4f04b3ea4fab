# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every certificate that can end a mesh: where it was found, how long it lives, and what is wrong with it.

Pure: places hand in PEM text or dates, and get entries with a verdict. A bundle is judged block by block,
because a reader that stops at the first one (istiod's does) never sees the second one end.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...verdicts import CANNOT_TELL, FAIL, PASS
from . import pem
from .credentials import covers
from .x509 import CERTIFICATE, SKIPPED, CertificateFacts, CertificateFault, facts_of, issued_by, rfc3339

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
except ImportError:
    pass

DUE = "due"
ORDER = (FAIL, CANNOT_TELL, DUE, PASS)
"""Verdicts, the worst first. "due" is good today, and has to be renewed."""

GATEWAY, GATEWAY_CA, CLIENT_CA = "gateway", "gateway CA", "client CA"
MESH_CA, MESH_ROOT = "mesh CA", "mesh root"
ISTIOD, WORKLOAD, WEBHOOK = "istiod", "workload", "webhook"
REMOTE, ORIGINATION, CONNECTION, CLOCK = "remote cluster", "origination", "connection", "clock"
ROTATION = "rotation"
KINDS = (
    GATEWAY, GATEWAY_CA, CLIENT_CA, MESH_CA, MESH_ROOT, ISTIOD, WORKLOAD, WEBHOOK, REMOTE, ORIGINATION,
    CONNECTION, CLOCK, ROTATION,
)  # fmt: skip

END_METRIC = "servicemesh_certificate_not_after_timestamp_seconds"
SHARE_METRIC = "servicemesh_certificate_life_left_ratio"
VERDICTS_METRIC = "servicemesh_trust_entries"
LOOKED_METRIC = "servicemesh_trust_last_look_timestamp_seconds"
"""Series of the textfile for Prometheus. Labels of the first two: ``mesh``, ``kind``, ``where``, ``part``."""

_DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Shares of a certificate's life: with less than that left it is due, or it fails.

    A third and a sixth leave time for two more tries, whatever the lifetime is.
    """

    due: float = 1 / 3
    fail: float = 1 / 6


@dataclasses.dataclass(frozen=True, slots=True)
class TrustEntry:
    """One certificate, or one thing that should have been one.

    :param kind: one of KINDS. :param where: the object that holds it, or the proxy that uses it.
    :param part: which block of it: ``leaf``, ``issuer 1``, ``root 2``.
    :param reasons: what is wrong, sentences without full stop.
    """

    kind: str
    where: str
    part: str
    verdict: str
    reasons: tuple[CertificateFault, ...] = ()
    life: CertificateFacts | None = None

    def as_result(self, now: datetime.datetime) -> dict[str, Any]:
        """The entry as a module returns it.

        :returns: ``kind``, ``where``, ``part``, ``verdict``, ``reasons`` (``rule``, ``message``), and where
            dates are known ``not_before``, ``not_after`` (RFC 3339), ``days_left``, ``share_left``,
            ``subject``, ``issuer``, ``serial``, ``fingerprint_sha256``.
        """
        result: dict[str, Any] = {
            "kind": self.kind,
            "where": self.where,
            "part": self.part,
            "verdict": self.verdict,
            "reasons": [dataclasses.asdict(reason) for reason in self.reasons],
        }
        if self.life is not None:
            told = self.life.as_result()
            del told["dns_names"]
            days = (self.life.not_after - now) / _DAY
            result.update(told, days_left=round(days, 3), share_left=round(share_left(self.life, now), 4))
        return result


def share_left(life: CertificateFacts, now: datetime.datetime) -> float:
    """How much of its life a certificate has before it, 1 to 0; below 0 when it has ended."""
    whole = (life.not_after - life.not_before).total_seconds()
    return (life.not_after - now).total_seconds() / whole if whole > 0 else -1.0


def judge_life(
    life: CertificateFacts, now: datetime.datetime, limits: Limits
) -> tuple[str, tuple[CertificateFault, ...]]:
    """The verdict that the dates give. :param now: aware. :returns: verdict, and why it is no pass."""
    left = share_left(life, now)
    if now >= life.not_after:
        return FAIL, (CertificateFault("expired", f"ended on {rfc3339(life.not_after)}"),)
    if now < life.not_before:
        return FAIL, (CertificateFault("future", f"is not valid before {rfc3339(life.not_before)}"),)
    days = (life.not_after - now) / _DAY
    end = f"ends on {rfc3339(life.not_after)}, {days:.1f} days from now: {left:.0%} of its life is left"
    if left < limits.fail:
        return FAIL, (CertificateFault("ending", f"{end}, less than {limits.fail:.0%}"),)
    if left < limits.due:
        return DUE, (CertificateFault("due", f"{end}, less than {limits.due:.0%}"),)
    return PASS, ()


def worst(verdicts: Iterable[str]) -> str:
    """One verdict for many; for none at all "cannot tell"."""
    found = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in found), CANNOT_TELL)


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateBlock:
    """One PEM block: a certificate, or what stands in its place."""

    certificate: x509.Certificate | None
    fault: CertificateFault | None = None


def certificates_in(text: bytes) -> list[CertificateBlock]:
    """Every PEM block that istiod and gateways read, also those behind one that is no certificate.

    :returns: in order, and a fault at the end where a block is skipped; empty for no PEM.
    """
    found = [_block(block) for block in pem.blocks_of(text)]
    return (
        [*found, CertificateBlock(None, CertificateFault("skipped", SKIPPED))] if pem.skipped(text) else found
    )


def _block(block: pem.PemBlock) -> CertificateBlock:
    if block.label != CERTIFICATE:
        return CertificateBlock(
            None, CertificateFault("foreign-block", f"holds a block {block.label} beside certificates")
        )
    try:
        return CertificateBlock(x509.load_der_x509_certificate(block.content))
    except ValueError:
        return CertificateBlock(
            None, CertificateFault("unreadable", "holds a certificate that cannot be parsed")
        )


class TrustJudge:
    """Makes entries of what the places hold.

    :param now: the API server's time, aware. :param limits: by kind; others get the defaults.
    """

    def __init__(self, now: datetime.datetime, limits: Mapping[str, Limits] | None = None) -> None:
        self.now = now
        self._limits = dict(limits or {})

    def limits(self, kind: str) -> Limits:
        """The limits of a kind."""
        return self._limits.get(kind, Limits())

    def entry(
        self, kind: str, where: str, part: str, life: CertificateFacts, *faults: CertificateFault
    ) -> TrustEntry:
        """One certificate with its dates, and what else is wrong with it (each a fail)."""
        verdict, reasons = judge_life(life, self.now, self.limits(kind))
        return TrustEntry(kind, where, part, FAIL if faults else verdict, (*faults, *reasons), life)

    def wrong(self, kind: str, where: str, part: str, rule: str, message: str) -> TrustEntry:
        """Something that is a fail without dates."""
        return TrustEntry(kind, where, part, FAIL, (CertificateFault(rule, message),))

    def unknown(self, kind: str, where: str, message: str) -> TrustEntry:
        """What could not be looked at. It is never a pass."""
        return TrustEntry(kind, where, "", CANNOT_TELL, (CertificateFault("not-seen", message),))

    def chain(
        self,
        kind: str,
        where: str,
        text: bytes,
        *,
        hosts: Sequence[str] = (),
        roots: bytes = b"",
        first: str = "leaf",
    ) -> list[TrustEntry]:
        """A leaf and its issuers, in the order of TLS: each is signed by the next one, and ends before it.

        :param hosts: names that the leaf must cover. :param roots: PEM; when given, the last one leads to
            one of them, and lives no longer. :param first: what the first block is called.
        :returns: one per PEM block.
        """
        found = certificates_in(text)
        if not found:
            return [self.wrong(kind, where, first, "no-certificate", "holds no PEM certificate")]
        anchors = [block.certificate for block in certificates_in(roots) if block.certificate is not None]
        entries = []
        for position, block in enumerate(found):
            part = first if position == 0 else f"issuer {position}"
            if block.certificate is None:
                entries.append(self._unreadable(kind, where, part, block))
                continue
            following = found[position + 1 : position + 2]
            above = [item.certificate for item in following if item.certificate is not None]
            faults = [*_link_faults(block.certificate, above, anchors)]
            if position == 0:
                faults += _name_faults(facts_of(block.certificate), hosts)
            entries.append(self.entry(kind, where, part, facts_of(block.certificate), *faults))
        return entries

    def bundle(self, kind: str, where: str, text: bytes, part: str = "root") -> list[TrustEntry]:
        """Certificates that stand for themselves, such as roots. :returns: one per PEM block."""
        found = certificates_in(text)
        if not found:
            return [self.wrong(kind, where, part, "no-certificate", "holds no PEM certificate")]
        entries = []
        for number, block in enumerate(found, 1):
            name = part if len(found) == 1 else f"{part} {number}"
            if block.certificate is None:
                entries.append(self._unreadable(kind, where, name, block))
            else:
                entries.append(self.entry(kind, where, name, facts_of(block.certificate)))
        return entries

    @staticmethod
    def _unreadable(kind: str, where: str, part: str, block: CertificateBlock) -> TrustEntry:
        reasons = (block.fault,) if block.fault else ()
        return TrustEntry(kind, where, part, FAIL, reasons)


def _link_faults(
    certificate: x509.Certificate,
    above: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> list[CertificateFault]:
    """Whether it leads upwards, and whether it outlives what it stands on."""
    if certificate in anchors:
        return []
    signers = [issuer for issuer in above or anchors if issued_by(certificate, issuer)]
    if not signers:
        if above:
            return [CertificateFault("path", "is not issued by the certificate that follows it")]
        return [CertificateFault("path", "is not issued by a root that is trusted here")] if anchors else []
    end = max(issuer.not_valid_after_utc for issuer in signers)
    if certificate.not_valid_after_utc > end:
        text = (
            f"is valid until {rfc3339(certificate.not_valid_after_utc)}, its issuer until {rfc3339(end)} only"
        )
        return [CertificateFault("outlives", text)]
    return []


def _name_faults(leaf: CertificateFacts, hosts: Sequence[str]) -> list[CertificateFault]:
    names = leaf.dns_names
    missing = [host for host in hosts if not any(covers(name, host) for name in names)]
    if not missing:
        return []
    return [
        CertificateFault(
            "san", f"does not cover {', '.join(missing)} (its names: {', '.join(names) or 'none'})"
        )
    ]


def same_certificates(one: bytes, other: bytes) -> bool:
    """Whether two bundles hold the same certificates, in any order and however they are wrapped."""
    return fingerprints(one) == fingerprints(other)


def fingerprints(text: bytes) -> frozenset[str]:
    """SHA-256 of the readable certificates of a bundle. :returns: hexadecimal; empty when there is none."""
    certificates = [block.certificate for block in certificates_in(text) if block.certificate is not None]
    return frozenset(certificate.fingerprint(hashes.SHA256()).hex() for certificate in certificates)
