# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials towards others: remote Secrets, the run's own kubeconfig, and TLS that proxies begin."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ....documents.read import read_document
from ....errors import ApiError, MeshError
from ....fields import mapping_at, mappings_at, name_of, namespace_of, text_at
from ....model.certificates.served import CERTIFICATE_KEY, decode, served_authority, served_pair
from ....model.certificates.trust import CONNECTION, ORIGINATION, REMOTE, TrustEntry
from ....model.reading.values import CA_SUFFIX
from ....words import told_path
from ..look import GATEWAY_API, TrustLook
from .gateways import unread_authority

# istiod reads the kubeconfigs of other clusters from Secrets with this label (pkg/kube/multicluster).
REMOTE_SELECTOR = "istio/multiCluster=true"
_ORIGINATING = ("SIMPLE", "MUTUAL")


def remote_clusters(look: TrustLook) -> Iterator[TrustEntry]:
    """The client certificates and CAs in the kubeconfigs by which istiod reads other clusters."""
    for secret in look.listed("v1", "Secret", look.istio_namespace, label_selector=REMOTE_SELECTOR):
        for key in mapping_at(secret, "data"):
            where = f"Secret {look.istio_namespace}/{name_of(secret)}, cluster {key}"
            try:
                content = read_document(decode(secret, key).decode("utf-8"), where)
            except (MeshError, UnicodeDecodeError):
                yield look.judge.wrong(REMOTE, where, "kubeconfig", "unreadable", "holds no kubeconfig")
                continue
            if not isinstance(content, Mapping):
                yield look.judge.wrong(REMOTE, where, "kubeconfig", "unreadable", "holds no kubeconfig")
                continue
            for entry in mappings_at(content, "clusters"):
                yield from _inline(look, REMOTE, where, "CA", entry, "cluster", "certificate-authority-data")
            for entry in mappings_at(content, "users"):
                yield from _inline(look, REMOTE, where, "client", entry, "user", "client-certificate-data")


def connection(look: TrustLook) -> Iterator[TrustEntry]:
    """The certificate of whoever runs this, and the CA by which the API server is known."""
    where = look.target.where
    for part, holder, name in (
        ("client certificate", look.target.user, "client-certificate"),
        ("CA of the API server", look.target.cluster, "certificate-authority"),
    ):
        if text_at(holder, f"{name}-data"):
            yield from _inline(look, CONNECTION, where, part, {"it": holder}, "it", f"{name}-data")
        elif text_at(holder, name):
            try:
                pem = Path(text_at(holder, name)).read_bytes()
            except OSError as error:
                message = f"{part} {told_path(text_at(holder, name))} cannot be read: {error.strerror}"
                yield look.judge.unknown(CONNECTION, where, message)
                continue
            yield from look.judge.bundle(CONNECTION, where, pem, part)


def _inline(
    look: TrustLook, kind: str, where: str, part: str, entry: Mapping[str, Any], holder: str, key: str
) -> Iterator[TrustEntry]:
    text = text_at(entry, holder, key)
    if not text:
        return
    try:
        pem = base64.b64decode(text, validate=True)
    except ValueError:
        yield look.judge.wrong(kind, where, part, "unreadable", f"{key} is not base64")
        return
    yield from look.judge.bundle(kind, where, pem, part)


def originations(look: TrustLook) -> Iterator[TrustEntry]:
    """Secrets with which proxies begin TLS towards others: ``credentialName`` of DestinationRules."""
    homes = sorted({proxy.namespace for proxy in look.proxies if proxy.gateway})
    for rule in sorted(
        look.listed(GATEWAY_API, "DestinationRule"), key=lambda o: (namespace_of(o), name_of(o))
    ):
        where = f"DestinationRule {namespace_of(rule)}/{name_of(rule)}"
        for settings in _originating(rule):
            yield from unread_authority(look, ORIGINATION, where, settings)
        for name in dict.fromkeys(text_at(settings, "credentialName") for settings in _originating(rule)):
            if not name:
                continue
            # It lies where the proxy is: beside a selected workload, or with an egress gateway.
            places = list(dict.fromkeys([namespace_of(rule), *homes]))
            yield from _origination(look, where, name, places)


def _originating(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    policy = mapping_at(rule, "spec", "trafficPolicy")
    subsets = [mapping_at(subset, "trafficPolicy") for subset in mappings_at(rule, "spec", "subsets")]
    for holder in (policy, *subsets):
        for settings in (
            mapping_at(holder, "tls"),
            *(mapping_at(p, "tls") for p in mappings_at(holder, "portLevelSettings")),
        ):
            if text_at(settings, "mode") in _ORIGINATING:
                yield settings


def _origination(look: TrustLook, rule: str, name: str, places: list[str]) -> Iterator[TrustEntry]:
    for namespace in places:
        where = f"Secret {namespace}/{name}"
        try:
            secret, beside = look.secret(namespace, name), look.secret(namespace, f"{name}{CA_SUFFIX}")
        except ApiError as error:
            yield look.judge.unknown(ORIGINATION, where, error.message)
            return
        if secret is None and beside is None:
            continue
        if authority := served_authority(secret if beside is None else beside):
            home = where if beside is None else f"{where}{CA_SUFFIX}"
            yield from look.judge.bundle(ORIGINATION, home, authority, "CA")
        if certificate := served_pair(secret or {})[0] or decode(secret, CERTIFICATE_KEY):
            yield from look.judge.chain(ORIGINATION, where, certificate)
        return
    message = f"{rule} names it, and neither {' nor '.join(places)} has it"
    yield look.judge.wrong(ORIGINATION, f"Secret {name}", "CA", "missing", message)
