# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``mtls``: the certificates that the proxies of a service serve, and whose they accept."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from ....istio.proxy.certificates import CertificateJudgement, judge_certificates
from ....model.catalogue.services import Service
from ....verdicts import CANNOT_TELL, FAIL, PASS, overall
from ..findings import Finding, passed, unknown


@dataclasses.dataclass(frozen=True, slots=True)
class HeldCertificates:
    """What a proxy works with. :param certificates: Envoy's ``/certs``. :param trusted: its roots, in DER."""

    certificates: str
    trusted: frozenset[bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class MeshRoots:
    """The roots that istiod publishes. :param serials: their numbers. :param bodies: they, in DER."""

    serials: frozenset[str]
    bodies: frozenset[bytes]


def check_certificates(
    service: Service,
    pods: Sequence[str],
    served: Mapping[str, HeldCertificates],
    *,
    roots: MeshRoots,
    now: float,
) -> list[Finding]:
    """Judges the certificates of a service's proxies.

    :param pods: ``namespace/pod`` of the pods behind the service that get requests. :param served: by pod.
    :param now: seconds since the epoch.
    :returns: one finding, no pass while one of the proxies was not read; ``[]`` where none was.
    """
    read = [name for name in pods if name in served]
    judged = [_judge(served[name], service.principal, roots, now) for name in read]
    if not judged:
        return []
    verdict = overall(item.verdict for item in judged)
    unread = [name for name in pods if name not in served]
    if verdict == PASS and unread:
        more = f" and {len(unread) - 1} more" if unread[1:] else ""
        reason = f"the certificates of pod {unread[0]}{more} were not read"
        return [unknown("mtls", service.key, reason, late=True)]
    if verdict == PASS:
        what = f"certificates of {service.principal} alone, in time, under the mesh's root"
        return [passed("mtls", service.key, f"{what}, in {len(read)} proxies")]
    name, reason = next(
        (name, item.reason) for name, item in zip(read, judged, strict=True) if item.verdict == verdict
    )
    return [Finding("mtls", service.key, verdict, f"the proxy of pod {name} {reason}", late=True)]


def _judge(served: HeldCertificates, identity: str, roots: MeshRoots, now: float) -> CertificateJudgement:
    """Whoever has the key of one root too many is any identity that he wants to be."""
    found = judge_certificates(served.certificates, identity=identity, roots=roots.serials, now=now)
    if found.verdict != PASS:
        return found
    if not served.trusted:
        return CertificateJudgement(CANNOT_TELL, "does not show all the roots that it trusts")
    strange = sorted(hashlib.sha256(der).hexdigest() for der in served.trusted - roots.bodies)
    if strange:
        what = f"trusts a root (SHA-256 {strange[0]}) that istiod does not publish"
        return CertificateJudgement(FAIL, f"{what}: whoever has its key can be any identity")
    return found
