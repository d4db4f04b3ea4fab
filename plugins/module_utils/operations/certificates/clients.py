# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CAs by which a gateway in mode MUTUAL knows its clients: kept, rotated with both valid, and proved.

They lie in a Secret of their own, ``NAME-cacert``, which istiod takes before the ``ca.crt`` beside the key
(pilot/pkg/credentials/kube/secrets.go, GetCaCert): so whoever may change a client's CA needs no key.

A new CA is added at once, and the one that it replaces is accepted until the overlap is over: that moment
stands in the Secret, and the first run after it takes the old CA away. Every state is a whole one, so a run
that is killed leaves nothing to undo.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, WaitTimeout
from ...fields import annotations_of, mapping_at, text_at
from ...kube.wait import wait_until
from ...model.certificates.credentials import Credential
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import OPAQUE, foreign_owner, secret_object
from ...model.certificates.served import AUTHORITY_KEY, served_authority
from ...model.certificates.x509 import facts_of, is_authority, read_chain, rfc3339, to_pem
from ...model.reading.values import CA_SUFFIX
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .client_look import look_at_clients
from .proof import ServingProof, among_the_ready

if TYPE_CHECKING:
    from cryptography import x509

    from ...kube.client import KubeClient
    from .endpoints import ServingEndpoint
    from .renewal import ManagedCredential, Renewal

RETIRE_AT = "servicemesh.istio/retire-at"
"""Annotation: when the CAs that are not wanted any more are taken away."""
GOOD_IN_A_ROW = 3


@dataclasses.dataclass(frozen=True, slots=True)
class ClientPlan:
    """What becomes of the clients' CAs of a credential.

    :param action: ``keep``, ``create``, ``renew`` or ``refuse``. :param wanted: those of the options.
    :param bundle: those that are accepted after this run. :param before: those that were accepted.
    :param retire_at: when the surplus ones of the bundle go; None when there are none.
    """

    action: str
    wanted: tuple[x509.Certificate, ...]
    bundle: tuple[x509.Certificate, ...]
    before: tuple[x509.Certificate, ...] = ()
    reasons: tuple[str, ...] = ()
    retire_at: datetime.datetime | None = None
    live: Mapping[str, Any] | None = None

    @property
    def writes(self) -> bool:
        """Whether the Secret is to be written."""
        return self.action in ("create", "renew")


def name_of_clients(credential: Credential) -> str:
    """The Secret that istiod reads the clients' CAs from."""
    return f"{credential.name}{CA_SUFFIX}"


def id_of_clients(credential: Credential) -> str:
    """That Secret, for people."""
    return f"Secret {credential.namespace}/{name_of_clients(credential)}"


def authority_faults(authorities: Sequence[x509.Certificate], now: datetime.datetime) -> list[str]:
    """Why no client could be known by them. :returns: sentences without full stop."""
    faults = []
    for one in authorities:
        name = one.subject.rfc4514_string() or "a certificate without a name"
        if not is_authority(one):
            faults.append(f"{name} is no CA: it cannot certify a client")
        elif one.not_valid_after_utc <= now:
            faults.append(f"{name} is valid until {rfc3339(one.not_valid_after_utc)} only")
        elif one.not_valid_before_utc > now:
            faults.append(f"{name} is valid from {rfc3339(one.not_valid_before_utc)} only")
    return faults


def plan_clients(
    wanted: Sequence[x509.Certificate],
    live: Mapping[str, Any] | None,
    *,
    mesh: str,
    now: datetime.datetime,
    overlap: float,
) -> ClientPlan:
    """What is next on the way from the live CAs to the wanted ones."""
    goal = tuple(dict.fromkeys(wanted))
    if live is None:
        return ClientPlan("create", goal, goal, reasons=("it does not exist",))
    if foreign := foreign_owner(live, mesh):
        return ClientPlan("refuse", goal, goal, reasons=(foreign,), live=live)
    held = tuple(_held(live))
    old = tuple(one for one in held if one not in goal and one.not_valid_after_utc > now)
    ready = set(goal) <= set(held)
    retire = _retire_at(live)
    if not old:
        same = ready and set(held) == set(goal) and set(mapping_at(live, "data")) == {AUTHORITY_KEY}
        action = "keep" if same and retire is None else "renew"
        return ClientPlan(action, goal, goal, held, () if same else ("its CAs are others",), None, live)
    if ready and retire is not None and now >= retire:
        reasons = ("the overlap with the CA before is over",)
        return ClientPlan("renew", goal, goal, held, reasons, None, live)
    both = (*goal, *old)
    if ready and retire is not None:
        return ClientPlan("keep", goal, both, held, (), retire, live)
    if overlap <= 0:
        return ClientPlan("renew", goal, goal, held, ("its CAs are others",), None, live)
    until = now + datetime.timedelta(seconds=overlap)
    reasons = (f"a CA is replaced: both are accepted until {rfc3339(until)}",)
    return ClientPlan("renew", goal, both, held, reasons, until, live)


def _held(live: Mapping[str, Any] | None) -> list[x509.Certificate]:
    try:
        return read_chain(served_authority(live))
    except UnreadablePemError:
        return []


def _retire_at(live: Mapping[str, Any]) -> datetime.datetime | None:
    text = annotations_of(live).get(RETIRE_AT, "")
    try:
        return datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def write_clients(renewal: Renewal, item: ManagedCredential, plan: ClientPlan, version: str) -> str:
    """Writes the bundle of a plan, if the Secret is still the one that was judged.

    :returns: the resourceVersion after it.
    """
    credential, dry_run = item.credential, renewal.context.check_mode
    obj = secret_object(
        credential.namespace,
        name_of_clients(credential),
        {AUTHORITY_KEY: to_pem(plan.bundle)},
        mesh=renewal.options.mesh,
        resource_version=version,
        secret_type=text_at(plan.live, "type") or OPAQUE,
    )
    if plan.retire_at is not None:
        obj["metadata"]["annotations"] = {RETIRE_AT: rfc3339(plan.retire_at)}
    surplus = sorted(set(mapping_at(plan.live, "data")) - {AUTHORITY_KEY})
    stale = plan.retire_at is None and RETIRE_AT in annotations_of(plan.live)
    if (surplus or stale) and version:
        # Keys that istiod would take before it, and a date that a person may own: an apply leaves it there.
        metadata = {"resourceVersion": version, "annotations": {RETIRE_AT: None}}
        patch = {"metadata": metadata, "data": dict.fromkeys(surplus)}
        name, namespace = name_of_clients(credential), credential.namespace
        changed = renewal.client.patch("v1", "Secret", name, namespace, patch, dry_run=dry_run)
        obj["metadata"]["resourceVersion"] = changed["metadata"]["resourceVersion"]
    written = renewal.client.apply(obj, force=plan.live is not None, dry_run=dry_run)
    return text_at(written, "metadata", "resourceVersion")


def put_clients(renewal: Renewal, item: ManagedCredential) -> None:
    """Writes the item's plan. A listener that asks for certificates serves nobody before it has their CA."""
    plan = item.clients
    if plan is None or not plan.writes:
        return
    renewal.context.progress(f"{id_of_clients(item.credential)}: {plan.action}, {'; '.join(plan.reasons)}")
    version = text_at(plan.live, "metadata", "resourceVersion")
    item.clients_version = write_clients(renewal, item, plan, version)


def settle_clients(
    renewal: Renewal,
    item: ManagedCredential,
    read_endpoints: Callable[[], Sequence[ServingEndpoint]],
    stop: Callable[[], bool],
) -> None:
    """Proves what was written; what the gateways do not take is taken back."""
    plan = item.clients
    if plan is None or not plan.writes or not renewal.options.prove:
        return
    item.clients_proof = prove_clients(renewal, plan.bundle, read_endpoints, GOOD_IN_A_ROW, stop)
    if item.clients_proof.status != FAIL or not plan.before:
        return
    renewal.context.progress(f"{id_of_clients(item.credential)}: the CAs before are put back")
    back = dataclasses.replace(plan, bundle=plan.before, retire_at=_retire_at(plan.live or {}))
    write_clients(renewal, item, back, item.clients_version)
    item.clients_restored = True
    proof = prove_clients(renewal, plan.before, read_endpoints, GOOD_IN_A_ROW, stop)
    end = "and accepted" if proof.status == PASS else f"but {proof.evidence}"
    text = f"{item.clients_proof.evidence}; the CAs before are back, {end}"
    item.clients_proof = dataclasses.replace(item.clients_proof, evidence=text)


def prove_clients(
    renewal: Renewal,
    authorities: Sequence[x509.Certificate],
    read_endpoints: Callable[[], Sequence[ServingEndpoint]],
    good: int,
    stop: Callable[[], bool],
) -> ServingProof:
    """Waits until every pod accepts these CAs and no others. :param good: good looks in a row."""
    seen, row = ServingProof(FAIL, "none", "nobody has looked"), 0
    endpoints: Sequence[ServingEndpoint] = ()

    def look_at(some: Sequence[ServingEndpoint]) -> ServingProof:
        return look_at_clients(renewal.client, some, authorities)

    def check() -> tuple[bool, str]:
        nonlocal seen, row, endpoints
        endpoints = read_endpoints()
        seen = look_at(endpoints)
        row = row + 1 if seen.status == PASS else 0
        return row >= good or seen.status not in (PASS, FAIL), seen.evidence

    timeout = 0.0 if renewal.context.check_mode else renewal.options.timeout
    try:
        wait_until(check, awaited="the clients' CAs", timeout=timeout, stop=stop, clock=renewal.context.clock)
    except WaitTimeout:
        return among_the_ready(endpoints, seen, look_at)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ServingProof(CANNOT_TELL, "none", f"the gateways cannot be looked at: {error.message}")
    return seen


def live_authorities(client: KubeClient, item: ManagedCredential) -> list[x509.Certificate] | None:
    """The CAs that a credential without a plan is to accept: in NAME-cacert, or beside its key.

    :returns: None when there are none that can be read.
    """
    beside = client.get("v1", "Secret", name_of_clients(item.credential), item.credential.namespace)
    return _held((item.current or item.live) if beside is None else beside) or None


def clients_result(item: ManagedCredential, plan: ClientPlan) -> dict[str, Any]:
    """The clients' CAs as a module returns them.

    :returns: ``id``, ``action``, ``reasons``, ``authorities`` (``subject``, ``fingerprint_sha256``,
        ``not_after``, ``retires_at``), ``proof``.
    """
    actions = {"create": "created", "renew": "updated", "keep": "unchanged", "refuse": "refused"}
    shown = plan.before if item.clients_restored else plan.bundle
    found: dict[str, Any] = {
        "id": id_of_clients(item.credential),
        "action": "restored" if item.clients_restored else actions[plan.action],
        "reasons": list(plan.reasons),
        "authorities": [
            {
                "subject": facts_of(one).subject,
                "fingerprint_sha256": facts_of(one).fingerprint,
                "not_after": rfc3339(one.not_valid_after_utc),
                "retires_at": rfc3339(plan.retire_at) if plan.retire_at and one not in plan.wanted else "",
            }
            for one in shown
        ],
    }
    if item.clients_proof is not None:
        found["proof"] = item.clients_proof.as_result()
    return found
