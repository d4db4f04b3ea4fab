# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a leaked key was replaced: no Secret beside the gateways may hold the old pair any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError
from ...fields import mapping_at, name_of, namespace_of
from ...model.certificates.served import decode
from ...model.certificates.trust import fingerprints
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .proof import NOT_ASKED, ServingProof

if TYPE_CHECKING:
    from .renewal import Renewal


def find_revoked(renewal: Renewal) -> None:
    """Turns the proof of a revoked credential into a fail where its old certificate lies on."""
    for item in renewal.items:
        if not item.revoked or not item.replaced or (item.proof and item.proof.status == FAIL):
            continue
        seen = item.proof or ServingProof(CANNOT_TELL, "none", NOT_ASKED)
        try:
            secrets = renewal.client.list("v1", "Secret", item.credential.namespace).items
        except ApiError as error:
            text = f"{seen.evidence}; whether another Secret holds the old certificate: {error.message}"
            item.proof = ServingProof(CANNOT_TELL, seen.method, text, seen.pods)
            continue
        holders = sorted(
            f"{namespace_of(secret)}/{name_of(secret)}"
            for secret in secrets
            if item.began_with and item.began_with in _fingerprints(secret)
        )
        if holders:
            text = f"the leaked certificate is still held by Secret {', '.join(holders)}: delete it"
            item.proof = ServingProof(FAIL, seen.method, text, seen.pods)
        elif seen.status == PASS:
            text = f"{seen.evidence}; no Secret of {item.credential.namespace} holds the old one"
            item.proof = ServingProof(PASS, seen.method, text, seen.pods)


def _fingerprints(secret: Mapping[str, Any]) -> frozenset[str]:
    found = [fingerprints(decode(secret, key)) for key in mapping_at(secret, "data")]
    return frozenset().union(*found)
