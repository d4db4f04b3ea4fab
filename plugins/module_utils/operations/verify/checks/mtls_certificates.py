# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``mtls``: the certificates that the proxies of a service serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....istio.proxy.certificates import judge_certificates
from ....model.catalogue.services import Service
from ....verdicts import PASS, overall
from ..findings import Finding, passed, unknown


def check_certificates(
    service: Service, pods: Sequence[str], served: Mapping[str, str], *, roots: frozenset[str], now: float
) -> list[Finding]:
    """Judges the certificates of a service's proxies.

    :param pods: ``namespace/pod`` of the pods behind the service that get requests. :param served: by pod,
        Envoy's ``/certs``.
    :param roots: serial numbers of the mesh's roots. :param now: seconds since the epoch.
    :returns: one finding, no pass while one of the proxies was not read; ``[]`` where none was.
    """
    read = [name for name in pods if name in served]
    judged = [
        judge_certificates(served[name], identity=service.principal, roots=roots, now=now) for name in read
    ]
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
