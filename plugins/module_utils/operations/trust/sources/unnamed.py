# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that proxies use and that lie in no Secret which was looked at.

Files of a pod, credentials of the Kubernetes Gateway API, what an EnvoyFilter brings: proxies show all.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from ....istio.proxy.certificates import Shown, foreign_certificates
from ....model.certificates.trust import GATEWAY, ORIGINATION, TrustEntry
from ....model.certificates.x509 import CertificateFacts
from ..look import TrustLook


def unnamed(look: TrustLook) -> Iterator[TrustEntry]:
    """Each of them once for every workload that uses it; to be asked last."""
    found: dict[tuple[str, str, Shown], int] = {}
    for proxy, text in look.certs:
        kind = GATEWAY if proxy.gateway else ORIGINATION
        for shown in foreign_certificates(text):
            if shown.serial not in look.told:
                key = kind, f"{proxy.namespace}/{proxy.workload}", shown
                found[key] = found.get(key, 0) + 1
    for (kind, workload, shown), count in sorted(found.items()):
        where = f"{workload} ({count} {'proxy' if count == 1 else 'proxies'}), in no Secret looked at"
        begin, end = _moment(shown.begin), _moment(shown.end)
        life = CertificateFacts("", shown.serial, begin, end, shown.names, subject="", issuer="")
        yield look.judge.entry(kind, where, ", ".join(shown.names) or shown.path or shown.serial, life)


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
