# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh's own CA and its roots, the collection's CA, and what every namespace was told about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ....fields import namespace_of, text_at
from ....istio.proxy.certificates import ROOT_CONFIG_MAP, ROOT_KEY
from ....model.certificates.mesh_ca import PLUGGED, SELF_SIGNED, Bundle, bundle_of
from ....model.certificates.served import CERTIFICATE_KEY, decode
from ....model.certificates.trust import (
    GATEWAY_CA,
    MESH_CA,
    MESH_ROOT,
    TrustEntry,
    fingerprints,
    same_certificates,
)
from ....model.certificates.x509 import CertificateFault, check_authority
from ....verdicts import FAIL
from ..look import TrustLook


def mesh_roots(look: TrustLook) -> Iterator[TrustEntry]:
    """Every block of the published roots, and namespaces that hold others."""
    where = f"ConfigMap {look.istio_namespace}/{ROOT_CONFIG_MAP}"
    published = look.roots
    if not published:
        yield look.judge.unknown(MESH_ROOT, where, "does not exist, or holds no root")
        return
    yield from look.judge.bundle(MESH_ROOT, where, published)
    named = f"metadata.name={ROOT_CONFIG_MAP}"
    for copy in look.listed("v1", "ConfigMap", field_selector=named):
        held = text_at(copy, "data", ROOT_KEY).encode()
        # istiod writes them one after the other: in mid-rotation they differ for a moment.
        rotating = fingerprints(held) and fingerprints(held) <= fingerprints(look.rotated_roots)
        if not rotating and not same_certificates(held, published):
            other = f"ConfigMap {namespace_of(copy)}/{ROOT_CONFIG_MAP}"
            message = f"holds other roots than {where}: proxies that start there trust nobody else"
            yield look.judge.wrong(MESH_ROOT, other, "root", "other-roots", message)


def mesh_authority(look: TrustLook) -> Iterator[TrustEntry]:
    """What istiod signs with."""
    for name in (PLUGGED, SELF_SIGNED):
        secret = look.secret(look.istio_namespace, name)
        if secret is not None:
            yield from _signer(look, f"Secret {look.istio_namespace}/{name}", secret)
            return
    where = f"namespace {look.istio_namespace}"
    message = f"holds neither Secret {PLUGGED} nor {SELF_SIGNED}: another CA signs, which is not looked at"
    yield look.judge.unknown(MESH_CA, where, message)


def _signer(look: TrustLook, where: str, secret: Mapping[str, Any]) -> Iterator[TrustEntry]:
    held = bundle_of(secret) or Bundle(b"", b"", b"", b"")
    certificate, key, chain, roots = held.certificate, held.key, held.chain, held.roots
    whole = (
        chain if fingerprints(certificate) <= fingerprints(chain) and chain else certificate + b"\n" + chain
    )
    entries = look.judge.chain(MESH_CA, where, whole, roots=roots, first="signer")
    faults = [
        CertificateFault(fault.rule, fault.message)
        for fault in check_authority(certificate, key, look.judge.now)
        if fault.rule not in ("expired", "path")  # the entries say these, with their dates
    ]
    for position, entry in enumerate(entries):
        if position == 0 and faults:
            yield dataclasses.replace(entry, verdict=FAIL, reasons=(*faults, *entry.reasons))
        else:
            yield entry
    yield from look.judge.bundle(MESH_ROOT, where, roots)
    published = look.roots
    if published and look.rotation is None and not fingerprints(roots) <= fingerprints(published):
        message = (
            f"holds a root that ConfigMap {look.istio_namespace}/{ROOT_CONFIG_MAP} does not: istiod did not"
            " take it over (ISTIO_MULTIROOT_MESH), or has not started again"
        )
        yield look.judge.wrong(MESH_ROOT, where, "root", "not-published", message)


def gateway_authority(look: TrustLook) -> Iterator[TrustEntry]:
    """The CA that issues the gateways' certificates, where there is one of ours."""
    namespace, name = look.authority_home
    secret = look.secret(namespace, name)
    if secret is not None:
        pem = decode(secret, CERTIFICATE_KEY)
        yield from look.judge.chain(GATEWAY_CA, f"Secret {namespace}/{name}", pem, first="signer")
