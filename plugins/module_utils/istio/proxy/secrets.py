# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload certificate and the roots that a proxy works with, as Envoy holds them.

Source: ``config_dump?resource=dynamic_active_secrets`` (envoy/admin/v3/config_dump.proto, SecretsConfigDump).
``/certs`` names only the first root of several; here all of them stand. Envoy blanks private keys.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import MalformedError
from ...fields import mapping_at, text_at
from ...model.certificates.pem import blocks_of

SECRETS = "dynamic_active_secrets"
WORKLOAD, ROOTS = "default", "ROOTCA"
"""Names of the secrets that pilot-agent serves (pkg/security: WorkloadKeyCertResourceName, ...)."""


@dataclasses.dataclass(frozen=True, slots=True)
class HeldSecrets:
    """Certificates in DER. :param chain: leaf first. :param roots: every trusted one."""

    chain: tuple[bytes, ...]
    roots: tuple[bytes, ...]


def parse_secrets(configs: Iterable[Mapping[str, Any]]) -> HeldSecrets:
    """What a proxy holds.

    :param configs: the entries of the dump. :raises MalformedError: it shows no certificate, or no root.
    """
    chain: tuple[bytes, ...] = ()
    roots: tuple[bytes, ...] = ()
    for entry in configs:
        secret = mapping_at(entry, "secret")
        if text_at(entry, "name") == WORKLOAD:
            chain = _certificates(text_at(secret, "tls_certificate", "certificate_chain", "inline_bytes"))
        if text_at(entry, "name") == ROOTS:
            roots = _certificates(text_at(secret, "validation_context", "trusted_ca", "inline_bytes"))
    if not chain or not roots:
        raise MalformedError(f"shows no {'root' if chain else 'workload certificate'}")
    return HeldSecrets(chain, roots)


def certificates_of(pem: str) -> frozenset[bytes]:
    """The certificates of a PEM text, in DER. :returns: empty when there is none."""
    return frozenset(_blocks(pem.encode()))


def _certificates(text: str) -> tuple[bytes, ...]:
    try:
        return _blocks(base64.b64decode(text, validate=True))
    except ValueError:
        return ()


def _blocks(pem: bytes) -> tuple[bytes, ...]:
    return tuple(block.content for block in blocks_of(pem) if block.label == "CERTIFICATE")
