# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that proxies use now: identity, root, dates, and how far apart their ends lie."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator

from ....errors import ApiError
from ....istio.proxy.admin import admin_get
from ....istio.proxy.certificates import judge_certificates, lives, serial_numbers
from ....istio.proxy.running import RunningProxy, sample
from ....model.certificates.trust import WORKLOAD, TrustEntry
from ....model.certificates.x509 import CertificateFacts, CertificateFault
from ....verdicts import CANNOT_TELL, PASS
from ..look import TrustLook


def workloads(look: TrustLook) -> Iterator[TrustEntry]:
    """Per workload the one of its good proxies that ends first; every proxy that is not well."""
    chosen = sample(look.proxies, look.max_proxies)
    roots = serial_numbers((look.roots + look.rotated_roots).decode("ascii", "replace"))
    entries = look.client.in_parallel(lambda proxy: _entry(look, proxy, roots), chosen)
    good: dict[str, list[TrustEntry]] = {}
    for proxy, entry in zip(chosen, entries, strict=True):
        if entry.verdict == PASS:
            good.setdefault(f"{proxy.namespace}/{proxy.workload}", []).append(entry)
        else:
            yield entry
    for workload, alike in sorted(good.items()):
        yield _first_to_end(workload, alike)
    if len(chosen) < len(look.proxies):
        missed = len(look.proxies) - len(chosen)
        yield look.judge.unknown(
            WORKLOAD, "proxies", f"{missed} of {len(look.proxies)} proxies were not asked"
        )


def _first_to_end(workload: str, alike: list[TrustEntry]) -> TrustEntry:
    ends = [(entry.life.not_after, entry) for entry in alike if entry.life is not None]
    _end, first = min(ends, key=lambda pair: pair[0])
    count = f"{len(alike)} proxies" if len(alike) > 1 else "1 proxy"
    return dataclasses.replace(first, where=workload, part=f"{count}, the first to end")


def _entry(look: TrustLook, proxy: RunningProxy, roots: frozenset[str]) -> TrustEntry:
    where = f"proxy {proxy}"
    try:
        text = admin_get(look.client, proxy, "certs")
    except ApiError as error:
        return look.judge.unknown(WORKLOAD, where, error.message)
    look.certs.append((proxy, text))
    identity = f"/ns/{proxy.namespace}/sa/{proxy.service_account}"
    judged = judge_certificates(text, identity=identity, roots=roots, now=look.judge.now.timestamp())
    if judged.verdict == CANNOT_TELL:
        return look.judge.unknown(WORKLOAD, where, judged.reason)
    own = min(lives(text), key=lambda life: life[1], default=None)
    if own is None:
        return look.judge.wrong(WORKLOAD, where, "leaf", "no-certificate", judged.reason)
    begin, end, identity_seen = own
    life = CertificateFacts("", "", _moment(begin), _moment(end), (), subject=identity_seen, issuer="")
    faults = [CertificateFault("identity", judged.reason)] if judged.verdict != PASS else []
    return look.judge.entry(WORKLOAD, where, "leaf", life, *faults)


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
