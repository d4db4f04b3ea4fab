# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials of the gateways: what their Secrets hold, and what their pods serve."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....errors import ApiError
from ....fields import annotations_of, labels_of, mapping_at, mappings_at, name_of, namespace_of, text_at
from ....kube.pods import is_active
from ....labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from ....model.certificates.credentials import Credential
from ....model.certificates.pem import UnreadablePemError
from ....model.certificates.secret import PREVIOUS_OF, TLS_TYPE
from ....model.certificates.served import (
    AUTHORITY_KEY,
    CERTIFICATE_KEY,
    authority_names,
    decode,
    presented,
    served_authority,
    served_pair,
    server_hosts,
)
from ....model.certificates.trust import CLIENT_CA, DUE, GATEWAY, TrustEntry, certificates_in
from ....model.certificates.x509 import CertificateFault, facts_of, read_key, same_key
from ....model.security.pods import is_for
from ....verdicts import CANNOT_TELL, FAIL
from ...certificates.endpoints import endpoints_of
from ...certificates.proof import look as look_at_pods
from ..look import TrustLook


@dataclasses.dataclass(slots=True)
class _Named:
    """A Secret that gateways name: for which hosts, and where the CAs are of clients who are asked for a
    certificate."""

    hosts: dict[str, None] = dataclasses.field(default_factory=dict)
    authorities: dict[tuple[str, tuple[str, ...]], None] = dataclasses.field(default_factory=dict)
    gateways: dict[str, None] = dataclasses.field(default_factory=dict)


def gateway_credentials(look: TrustLook) -> Iterator[TrustEntry]:
    """Every Secret that a Gateway or the catalogue names, and those of ours that nobody names."""
    named, told = _named(look), set()
    for (namespace, name), use in sorted(named.items()):
        where = f"Secret {namespace}/{name}"
        try:
            secret = look.secret(namespace, name)
        except ApiError as error:
            yield look.judge.unknown(GATEWAY, where, error.message)
            continue
        if secret is None:
            by = ", ".join(use.gateways) or "the catalogue"
            yield look.judge.wrong(GATEWAY, where, "leaf", "missing", f"does not exist; {by} names it")
            continue
        yield from _pair(look, where, secret, tuple(use.hosts))
        yield from _served(look, Credential(namespace, name, tuple(use.hosts)), secret)
        for place in use.authorities:
            if place not in told:
                told.add(place)
                yield from _clients(look, *place)
    yield from _orphans(look, named)
    for gateway in look.gateways:
        for server in mappings_at(gateway, "spec", "servers"):
            where = f"Gateway {namespace_of(gateway)}/{name_of(gateway)}"
            yield from unread_authority(look, CLIENT_CA, where, mapping_at(server, "tls"))


def unread_authority(look: TrustLook, kind: str, where: str, tls: Mapping[str, Any]) -> Iterator[TrustEntry]:
    """A CA that is a file of the pods, out of reach; what an operating system trusts is its business."""
    path = text_at(tls, "caCertificates")
    if path and path != "system" and not text_at(tls, "credentialName"):
        text = f"its CA {path} is a file in the pods, which nobody looks at from here: look at it there"
        yield look.judge.unknown(kind, where, text)


def _named(look: TrustLook) -> dict[tuple[str, str], _Named]:
    """Namespace and name of each credential -> who names it."""
    found: dict[tuple[str, str], _Named] = {}
    for credential in look.credentials:
        use = found.setdefault((credential.namespace, credential.name), _Named())
        use.hosts.update(dict.fromkeys(credential.hosts))
    for gateway in look.gateways:
        homes = _homes(look, gateway)
        for server in mappings_at(gateway, "spec", "servers"):
            authorities = tuple(authority_names(server))
            for key in ((home, name) for home in homes for name in presented(server)[1]):
                use = found.setdefault(key, _Named())
                # "*" asks for no name of its own.
                use.hosts.update(dict.fromkeys(host for host in server_hosts(server) if host != "*"))
                if authorities:
                    use.authorities[(key[0], authorities)] = None
                use.gateways[f"Gateway {namespace_of(gateway)}/{name_of(gateway)}"] = None
    return found


def _homes(look: TrustLook, gateway: Mapping[str, Any]) -> list[str]:
    """The namespaces of the pods that a Gateway selects: there istiod looks for its credentials."""
    return sorted({namespace_of(pod) for pod in look.pods if is_active(pod) and is_for(gateway, pod)})


def _certificate(secret: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Certificate and key as istiod takes them out of the Secret; a certificate that has no key, too."""
    certificate, key = served_pair(secret)
    return certificate or decode(secret, CERTIFICATE_KEY), key


def _pair(
    look: TrustLook, where: str, secret: Mapping[str, Any], hosts: tuple[str, ...]
) -> Iterator[TrustEntry]:
    certificate, key = _certificate(secret)
    entries = look.judge.chain(GATEWAY, where, certificate, hosts=hosts)
    fault = _key_fault(certificate, key)
    for position, entry in enumerate(entries):
        if position == 0 and fault is not None:
            yield dataclasses.replace(entry, verdict=FAIL, reasons=(fault, *entry.reasons))
        else:
            yield entry


def _key_fault(certificate: bytes, key: bytes) -> CertificateFault | None:
    blocks = certificates_in(certificate)
    if not blocks or blocks[0].certificate is None:
        return None
    try:
        if same_key(blocks[0].certificate, read_key(key)):
            return None
    except UnreadablePemError as error:
        return CertificateFault("key", f"its private key {error}")
    return CertificateFault(
        "key-mismatch", "its private key does not belong to it: gateways go on with the one before"
    )


def _served(look: TrustLook, credential: Credential, secret: Mapping[str, Any]) -> Iterator[TrustEntry]:
    """Whether the pods serve what the Secret holds."""
    blocks = certificates_in(_certificate(secret)[0])
    if not blocks or blocks[0].certificate is None:
        return
    pods = [pod for pod in look.pods if namespace_of(pod) == credential.namespace]
    services = look.listed("v1", "Service", credential.namespace)
    endpoints = endpoints_of(credential, look.gateways, pods, services)
    if not endpoints:
        return
    fingerprint = facts_of(blocks[0].certificate).fingerprint
    proof = look_at_pods(look.client, credential, endpoints, fingerprint=fingerprint, roots_pem="")
    if proof.status == FAIL:
        yield look.judge.wrong(GATEWAY, str(credential), "served", "not-served", proof.evidence)
    elif proof.status == CANNOT_TELL:
        yield look.judge.unknown(GATEWAY, str(credential), proof.evidence)


def _clients(look: TrustLook, namespace: str, names: Sequence[str]) -> Iterator[TrustEntry]:
    """The CA by which a gateway knows its clients.

    :param names: of Secrets, the first that is there counts.
    """
    found = ((name, look.secret(namespace, name)) for name in names)
    name, secret = next((one for one in found if one[1] is not None), (names[-1], None))
    where = f"Secret {namespace}/{name}"
    if pem := served_authority(secret):
        yield from look.judge.bundle(CLIENT_CA, where, pem, "client CA")
        return
    message = f"holds no CA for client certificates (cacert or {AUTHORITY_KEY})"
    if secret is None:
        message = "does not exist: it is to hold the CA of client certificates"
    elif name != names[-1]:
        message += f", which counts instead of {names[-1]}"
    elif name != names[0]:
        message += f", and there is no {names[0]}"
    yield look.judge.wrong(CLIENT_CA, where, "client CA", "missing", message)


def _orphans(look: TrustLook, named: Mapping[tuple[str, str], _Named]) -> Iterator[TrustEntry]:
    """Pairs of ours that no Gateway names any more: a key that lies about, and an expiry that alarms."""
    selector = f"{MANAGED_BY_LABEL}={COLLECTION}"
    for namespace in sorted({namespace for namespace, _name in named}):
        for secret in look.listed("v1", "Secret", namespace, label_selector=selector):
            key = (namespace, name_of(secret))
            foreign = labels_of(secret).get(PART_OF_LABEL, look.mesh) != look.mesh
            if key in named or foreign or secret.get("type") != TLS_TYPE or key == look.authority_home:
                continue
            where = f"Secret {namespace}/{key[1]}"
            fault = CertificateFault(
                "orphan", "no Gateway and no server of the catalogue names it: delete it"
            )
            if of := annotations_of(secret).get(PREVIOUS_OF):
                text = f"the rotation of {of} was not finished: run playbook certificates again"
                fault = CertificateFault("unfinished", text)
            for entry in look.judge.chain(GATEWAY, where, _certificate(secret)[0])[:1]:
                yield dataclasses.replace(entry, verdict=DUE, reasons=(fault,))
