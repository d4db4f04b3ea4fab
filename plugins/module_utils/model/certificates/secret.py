# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A credential's Secret: whose it is, what is wrong with it, and how it looks when it is right."""

from __future__ import annotations

import base64
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...fields import annotations_of, labels_of, mapping_at, mappings_at, text_at
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from .credentials import CERT_MANAGER, EXISTING, ISSUE, REQUESTED, Credential, renewal_due
from .pem import UnreadablePemError
from .served import AUTHORITY_KEY, CERTIFICATE_KEY, PRIVATE_KEY, SHADOW_KEYS, decode, served_pair
from .x509 import CertificateFacts, CertificateFault, check_pair, facts_of, kind_of_key, read_chain

if TYPE_CHECKING:
    from cryptography import x509

TLS_TYPE, OPAQUE = "kubernetes.io/tls", "Opaque"
PREVIOUS_OF = "servicemesh.istio/previous-of"
"""Annotation of a Secret that keeps the pair before: the credential that it belongs to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Assessment:
    """What a Secret needs.

    :param action: ``create``, ``renew``, ``repair`` (foreign keys go, the pair stays), ``keep``, ``refuse``;
        where a company's CA issues, ``ask`` (a request is to be made) and ``wait`` (one waits for its
        answer); where cert-manager does, ``trigger`` and ``await`` (it is at work).
    :param reasons: why; sentences without full stop. :param facts: of the leaf that is there now.
    :param surplus: data keys to remove. :param faults: why the pair that is there must not be served on.
    """

    action: str
    reasons: tuple[str, ...] = ()
    facts: CertificateFacts | None = None
    surplus: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the Secret is to be written."""
        return self.action in ("create", "renew", "repair")


_UNMARKED = (
    f"it has no label {MANAGED_BY_LABEL}={COLLECTION}: somebody else made it, or replaced ours by hand; "
    "delete it to have it issued anew, or name it in certificates_existing"
)


def foreign_owner(secret: Mapping[str, Any], mesh: str) -> str:
    """Why ``secret`` is not ours to write, or ``""``."""
    labels = labels_of(secret)
    issuer = annotations_of(secret).get("cert-manager.io/certificate-name")
    if issuer or any(key.startswith("controller.cert-manager.io/") for key in labels):
        return f"it belongs to cert-manager (Certificate {issuer or 'unknown'})"
    references = mappings_at(secret, "metadata", "ownerReferences")
    owners = [f"{owner.get('kind')} {owner.get('name')}" for owner in references]
    if owners:
        return f"it belongs to {', '.join(owners)}"
    if labels.get(MANAGED_BY_LABEL) != COLLECTION:
        by = labels.get(MANAGED_BY_LABEL)
        return f"it is managed by {by}" if by else _UNMARKED
    if labels.get(PART_OF_LABEL, mesh) != mesh:
        return f"it belongs to the mesh {labels[PART_OF_LABEL]}"
    return ""


def assess(
    credential: Credential,
    secret: Mapping[str, Any] | None,
    *,
    mesh: str,
    roots: Sequence[x509.Certificate],
    now: datetime.datetime,
    renew_at: float,
    with_authority: bool = False,
    wanted: tuple[bytes, bytes] | None = None,
    key_type: str = "",
) -> Assessment:
    """What ``secret`` (the live object, None when missing) needs to serve ``credential``.

    :param roots: what the leaf must lead to; empty when nobody said.
    :param with_authority: whether ``ca.crt`` beside the key is wanted.
    :param key_type: ``ecdsa`` or ``rsa``, of keys that are made by us; empty: any.
    :param wanted: for provided pairs, certificate and key that must be there.
    """
    if secret is None:
        action = "refuse" if credential.source == EXISTING else "create"
        return Assessment(action, ("it does not exist",))
    facts = _leaf_facts(judged_pair(credential, secret)[0])
    if credential.source in (EXISTING, CERT_MANAGER):
        said = _sentences(_faults(credential, secret, roots, now))
        return Assessment("refuse" if said else "keep", said, facts, faults=said)
    refusal = _write_block(secret, mesh)
    if refusal:
        return Assessment("refuse", (refusal,), facts)
    faults = _faults(credential, secret, roots, now)
    if wanted and wanted != (decode(secret, CERTIFICATE_KEY), decode(secret, PRIVATE_KEY)):
        return Assessment("renew", ("it differs from the provided certificate",), facts)
    if faults:
        said = _sentences(faults)
        return Assessment("renew", said, facts, faults=said)
    ours = credential.source in (ISSUE, REQUESTED)
    if facts and ours and renewal_due(facts.not_before, facts.not_after, now, renew_at):
        return Assessment("renew", (f"it ends on {facts.not_after:%Y-%m-%d %H:%M} UTC",), facts)
    if ours and key_type and key_type != (kind := kind_of_key(decode(secret, PRIVATE_KEY))):
        return Assessment("renew", (f"its key is {kind}, and certificates_key_type {key_type}",), facts)
    unwanted = (*SHADOW_KEYS, *(() if with_authority else (AUTHORITY_KEY,)))
    surplus = tuple(key for key in unwanted if key in mapping_at(secret, "data"))
    if surplus:
        return Assessment("repair", (f"{', '.join(surplus)} must not lie beside the key",), facts, surplus)
    return Assessment("keep", (), facts)


def _write_block(secret: Mapping[str, Any], mesh: str) -> str:
    foreign = foreign_owner(secret, mesh)
    if foreign:
        return f"{foreign}; name it under certificates_existing to use it as it is"
    if secret.get("type") != TLS_TYPE:
        return f"its type is {secret.get('type')}, which cannot be changed to {TLS_TYPE}: delete it first"
    if secret.get("immutable"):
        return "it is immutable: delete it first"
    if text_at(secret, "metadata", "deletionTimestamp"):
        return "it is being deleted"
    return ""


def _faults(
    credential: Credential,
    secret: Mapping[str, Any],
    roots: Sequence[x509.Certificate],
    now: datetime.datetime,
) -> list[CertificateFault]:
    certificate, key = judged_pair(credential, secret)
    return check_pair(certificate, key, hosts=credential.hosts, roots=roots, now=now)


def judged_pair(credential: Credential, secret: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Certificate and key by which a Secret is judged: what we write into it, else what istiod serves of it.

    :returns: both in PEM; of a pair that is none, what is there.
    """
    if credential.source in (ISSUE, REQUESTED):
        return decode(secret, CERTIFICATE_KEY), decode(secret, PRIVATE_KEY)
    return served_pair(secret)


def _sentences(faults: Sequence[CertificateFault]) -> tuple[str, ...]:
    return tuple(fault.message for fault in faults)


def leaf_facts(secret: Mapping[str, Any]) -> CertificateFacts | None:
    """Facts of the leaf in ``tls.crt``, or None when there is none that can be read."""
    return _leaf_facts(decode(secret, CERTIFICATE_KEY))


def _leaf_facts(chain: bytes) -> CertificateFacts | None:
    try:
        return facts_of(read_chain(chain)[0])
    except UnreadablePemError:
        return None


def secret_object(
    namespace: str,
    name: str,
    data: Mapping[str, bytes],
    *,
    mesh: str,
    resource_version: str = "",
    secret_type: str = TLS_TYPE,
) -> dict[str, Any]:
    """The Secret to apply. ``resource_version`` makes the write conditional on the object that was judged.

    :returns: a Secret, of type ``kubernetes.io/tls`` where no other is named, with the mesh's labels.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {MANAGED_BY_LABEL: COLLECTION, PART_OF_LABEL: mesh},
    }
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret_type,
        "metadata": metadata,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
