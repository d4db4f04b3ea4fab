# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of cert-manager: it is told to renew and waited for. Its Secrets are never written.

What is set is what ``cmctl renew`` sets: the condition Issuing in the Certificate's status, with the reason
ManuallyTriggered (cmctl, pkg/renew/renew.go). cert-manager takes the condition away when the Secret holds the
new pair (``status.revision`` counts up), and sets it to False with the reason when the CA did not issue
(pkg/controller/certificates/issuing). While it is True nothing more is to be set, so a run that was killed is
followed by one that waits.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, RefusedError, WaitTimeout
from ...fields import integer_at, list_at, mappings_at, name_of, text_at
from ...kube.wait import wait_until
from ...model.certificates.credentials import Credential, covers, renewal_due
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import Assessment, leaf_facts
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import check_pair, public_key_of, read_chain, rfc3339
from ...verdicts import FAIL
from .proof import ServingProof

if TYPE_CHECKING:
    from ...kube.client import KubeClient
    from .renewal import ManagedCredential, Renewal

API, KIND = "cert-manager.io/v1", "Certificate"
ISSUING, READY = "Issuing", "Ready"
LATE = datetime.timedelta(minutes=5)
"""How long after its own time of renewal cert-manager is left alone."""


def certificates_in(client: KubeClient, namespace: str) -> list[dict[str, Any]]:
    """The Certificates of a namespace. :returns: API objects.

    :raises RefusedError: cert-manager is not installed.
    """
    found = client.list(API, KIND, namespace)
    if found.missing:
        text = "certificates_cert_manager names credentials, and the cluster serves no cert-manager.io/v1"
        raise RefusedError(text, rule="cert-manager")
    return found.items


def certificate_of(credential: Credential, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The Certificate that writes the credential's Secret. :returns: the API object.

    :raises RefusedError: there is none, or several fight about the Secret.
    """
    writing = [one for one in found if text_at(one, "spec", "secretName") == credential.name]
    if len(writing) == 1:
        return writing[0]
    names = ", ".join(sorted(name_of(one) for one in writing))
    text = f"Certificates {names} all write it: one has to go" if names else "no Certificate writes it"
    raise RefusedError(f"{credential}: {text} (spec.secretName)", rule="cert-manager")


def judge(
    credential: Credential,
    certificate: Mapping[str, Any],
    assessment: Assessment,
    *,
    forced: str,
    leaked: bool,
    now: datetime.datetime,
    renew_at: float,
) -> Assessment:
    """Whether cert-manager has to be told, is at work, or left alone.

    :param assessment: of the Secret, as of one that somebody else writes.
    :param forced: why a new pair is asked for whatever the dates say. :param leaked: its key has leaked.
    """
    where = f"Certificate {credential.namespace}/{name_of(certificate)}"
    names = [str(name) for name in list_at(certificate, "spec", "dnsNames")]
    names += [text_at(certificate, "spec", "commonName")]
    missing = [host for host in credential.hosts if not any(covers(name, host) for name in names)]
    if missing:
        text = f"{where} does not ask for {', '.join(missing)}: add it to its spec.dnsNames"
        return dataclasses.replace(assessment, action="refuse", reasons=(text,))
    if leaked and text_at(certificate, "spec", "privateKey", "rotationPolicy") == "Never":
        text = f"{where} keeps its key, which has leaked: set spec.privateKey.rotationPolicy to Always"
        return dataclasses.replace(assessment, action="refuse", reasons=(text,))
    if text_at(_condition(certificate, ISSUING), "status") == "True":
        reasons = (f"{where} is being issued", *assessment.reasons)
        return dataclasses.replace(assessment, action="await", reasons=reasons)
    if assessment.facts is None and not assessment.faults:
        return dataclasses.replace(assessment, action="await", reasons=(f"{where} has not issued it yet",))
    reasons = assessment.faults or ((forced,) if forced else _overdue(certificate, assessment, now, renew_at))
    return dataclasses.replace(assessment, action="trigger" if reasons else "keep", reasons=tuple(reasons))


def _overdue(
    certificate: Mapping[str, Any], assessment: Assessment, now: datetime.datetime, renew_at: float
) -> tuple[str, ...]:
    """Why cert-manager should have acted by its own schedule; without one by that of the run."""
    planned = text_at(certificate, "status", "renewalTime")
    if planned:
        moment = datetime.datetime.fromisoformat(planned)
        if now <= moment + LATE:
            return ()
        return (f"cert-manager wanted to renew it on {rfc3339(moment)}, and has not",)
    facts = assessment.facts
    if facts is None or not renewal_due(facts.not_before, facts.not_after, now, renew_at):
        return ()
    return (f"it ends on {facts.not_after:%Y-%m-%d %H:%M} UTC",)


def renew(renewal: Renewal, item: ManagedCredential, stop: Callable[[], bool]) -> None:
    """Tells cert-manager where that is needed, waits for it, and judges what it wrote.

    Afterwards the item holds the new Secret; when there is none, its proof says why.

    :param stop: asked while it waits; it also keeps the Leases alive.
    """
    begun = item.manager
    if begun is None:
        return
    where = f"Certificate {item.credential.namespace}/{name_of(begun)}"
    if item.assessment.action == "trigger":
        renewal.context.progress(f"{item.credential}: {where} is told to renew")
        begun = trigger(renewal.client, begun, renewal.now, dry_run=renewal.context.check_mode)
        item.told = True
    if renewal.context.check_mode:
        return
    before = integer_at(item.manager, "status", "revision")
    seen = ""

    def check() -> tuple[bool, str]:
        nonlocal seen
        now = renewal.client.get(API, KIND, name_of(begun), item.credential.namespace)
        seen = _state(now)
        issued = integer_at(now, "status", "revision") > before or item.live is None
        failed = text_at(_condition(now, ISSUING), "status") == "False" and not issued
        secret = renewal.client.get("v1", "Secret", item.credential.name, item.credential.namespace)
        at_work = text_at(_condition(now, ISSUING), "status") == "True"
        if secret is not None and issued and not at_work:
            _take(renewal, item, secret)
            return True, seen
        return failed or now is None, seen

    timeout = renewal.options.timeout
    try:
        wait_until(check, awaited=where, timeout=timeout, stop=stop, clock=renewal.context.clock)
    except WaitTimeout:
        item.proof = _failed(f"{where} was not issued within {timeout:g} s: {seen}")
        return
    if not item.renewed and item.proof is None:
        item.proof = _failed(f"{where} was not issued: {seen}")


def trigger(
    client: KubeClient, certificate: Mapping[str, Any], now: datetime.datetime, *, dry_run: bool
) -> Mapping[str, Any]:
    """Sets the condition, if the Certificate is still the one that was read.

    :returns: the Certificate after it. :raises RefusedError: somebody changed it meanwhile.
    """
    condition = {
        "type": ISSUING,
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": rfc3339(now),
        "observedGeneration": integer_at(certificate, "metadata", "generation"),
    }
    others = [one for one in mappings_at(certificate, "status", "conditions") if one.get("type") != ISSUING]
    patch = {
        "metadata": {"resourceVersion": text_at(certificate, "metadata", "resourceVersion")},
        "status": {"conditions": [*others, condition]},
    }
    name, namespace = name_of(certificate), text_at(certificate, "metadata", "namespace")
    try:
        return client.patch(API, KIND, name, namespace, patch, subresource="status", dry_run=dry_run)
    except ApiError as error:
        if error.status != 409:
            raise
        text = f"Certificate {namespace}/{name} was changed at the same moment; run again"
        raise RefusedError(text, rule="race") from error


def _take(renewal: Renewal, item: ManagedCredential, secret: Mapping[str, Any]) -> None:
    """The new pair, judged as if a stranger had brought it: cert-manager has written it already."""
    chain, key = decode(secret, CERTIFICATE_KEY), decode(secret, PRIVATE_KEY)
    faults = check_pair(chain, key, hosts=item.credential.hosts, roots=item.roots, now=renewal.now)
    same = item.revoked and item.live is not None and _public_key(secret) == _public_key(item.live)
    item.live = secret
    item.assessment = dataclasses.replace(item.assessment, facts=leaf_facts(secret))
    item.renewed = True
    if faults:
        item.proof = _failed(f"cert-manager wrote a pair that must not be served: {faults[0].message}")
    elif same:
        text = "cert-manager issued a new certificate for the leaked key"
        item.proof = _failed(f"{text}: set spec.privateKey.rotationPolicy to Always")


def _public_key(secret: Mapping[str, Any]) -> bytes:
    try:
        return public_key_of(read_chain(decode(secret, CERTIFICATE_KEY))[0])
    except UnreadablePemError:
        return b""


def _failed(text: str) -> ServingProof:
    return ServingProof(FAIL, "none", text)


def _condition(certificate: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any]:
    found = [one for one in mappings_at(certificate, "status", "conditions") if one.get("type") == kind]
    return found[0] if found else {}


def _state(certificate: Mapping[str, Any] | None) -> str:
    """What cert-manager says of it, for people."""
    if certificate is None:
        return "it is gone"
    told = []
    for kind in (ISSUING, READY):
        if one := _condition(certificate, kind):
            why = text_at(one, "message") or text_at(one, "reason") or "no reason"
            told.append(f"{kind} is {text_at(one, 'status')}: {why}")
    return "; ".join(told) or "cert-manager has not looked at it"
