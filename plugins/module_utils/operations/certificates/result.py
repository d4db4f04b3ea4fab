# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a certificates run: fingerprints, serials, dates and names. Never a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...fields import mapping_at, name_of
from ...model.certificates.credentials import Credential
from ...model.certificates.x509 import CertificateFacts, facts_of, read_chain
from ...verdicts import CANNOT_TELL, FAIL
from .clients import ClientPlan, clients_result, id_of_clients
from .proof import NOT_ASKED
from .request import name_of_request

if TYPE_CHECKING:
    from ...context import Context
    from .authority import AuthorityState
    from .renewal import ManagedCredential, Renewal

ACTIONS = {
    "create": "created",
    "renew": "updated",
    "repair": "updated",
    "keep": "unchanged",
    "refuse": "refused",
    "ask": "requested",
    "wait": "waiting",
    "trigger": "updated",
    "await": "updated",
}
RESTORED = "restored"
# How a run ended, for whoever schedules it.
FRESH, RENEWED, DUE, FAILED = "fresh", "renewed", "due", "failed"
HIDDEN = "(hidden)"
ORDER = ("fail", "cannot tell", "pass")


def build_result(renewal: Renewal) -> dict[str, Any]:
    """What module ``gateway_certificates`` returns.

    :returns: ``changed``, ``status``, ``reason``, ``outcome``, ``counts``, ``objects``, ``ca``,
        ``certificates``, ``summary``, and ``diff`` with ``diff_mode``.
    """
    items, authority, context = [*renewal.items, *renewal.left], renewal.authority, renewal.context
    written = [item for item in items if item.pair is not None]
    asked = [item for item in items if item.ask is not None]
    told = [item for item in items if item.told or item.renewed]
    new_ca = authority is not None and authority.action == "create"
    objects = [{"id": str(item.credential), "action": _action(item)} for item in written]
    if authority is not None and new_ca:
        objects.insert(0, {"id": str(authority), "action": "created"})
        if authority.namespace in renewal.absent:
            objects.insert(0, {"id": f"Namespace {authority.namespace}", "action": "created"})
    objects += [{"id": request_id(item.credential), "action": "created"} for item in asked]
    objects += [
        {"id": found["id"], "action": found["action"]}
        for item in items
        if item.clients is not None and item.clients.writes
        for found in [clients_result(item, item.clients)]
    ]
    objects += [{"id": _manager(item), "action": "updated"} for item in told]
    status, reason = _verdict(renewal)
    result: dict[str, Any] = {
        "changed": bool(objects),
        "status": status,
        "reason": reason,
        "outcome": _outcome(renewal, status, changed=bool(objects)),
        "counts": {
            "credentials": len(items),
            "created": sum(item.assessment.action == "create" for item in written),
            "updated": sum(item.assessment.action in ("renew", "repair") for item in written) + len(told),
            "requested": sum(item.waits for item in items),
            "unchanged": sum(not (item.replaced or item.told or item.waits) for item in items),
        },
        "objects": objects,
        "ca": _authority(authority, context),
        "certificates": [_certificate(item, context) for item in items],
    }
    result["summary"] = _summary(result)
    if context.diff_mode:
        result["diff"] = [
            *_authority_diff(renewal),
            *(_diff(item, context) for item in written),
            *(_request_diff(item) for item in asked),
            *(_manager_diff(item) for item in told),
            *(
                _clients_diff(item, item.clients)
                for item in items
                if item.clients is not None and item.clients.writes
            ),
        ]
    return result


def _action(item: ManagedCredential) -> str:
    if item.restored:
        return RESTORED
    if item.manager is not None and not (item.told or item.renewed):
        return ACTIONS["refuse" if item.assessment.action == "refuse" else "keep"]
    return ACTIONS[item.assessment.action]


def _outcome(renewal: Renewal, status: str, *, changed: bool) -> str:
    """One word for a scheduler: nothing to do, done, somebody else has to act, or look at it."""
    if status == FAIL:
        return FAILED
    if any(item.waits for item in renewal.items):
        return DUE
    if changed:
        return RENEWED
    due = any(item.is_due(renewal.now, renewal.options.renew_at) for item in renewal.items)
    return DUE if due else FRESH


def _summary(result: Mapping[str, Any]) -> list[str]:
    """Lines for the person who watches: the verdict, then one per credential."""
    counts = result["counts"]
    verdict = (
        f"{result['status']}: {counts['credentials']} credentials, {counts['created']} created, "
        f"{counts['updated']} updated, {counts['unchanged']} unchanged"
    )
    if counts["requested"]:
        verdict += f", {counts['requested']} requested"
    return [
        f"{verdict} - {result['reason']}" if result["reason"] else verdict,
        *(
            f"{entry['id']} {entry['action']}: {', '.join(entry['hosts'])}, "
            f"until {entry.get('not_after', 'its end')}"
            for entry in result["certificates"]
        ),
        *(line for entry in result["certificates"] for line in _request_lines(entry)),
    ]


def _request_lines(entry: Mapping[str, Any]) -> list[str]:
    """A request as a person copies it."""
    if "request" not in entry:
        return []
    head = f"{entry['id']}: give this request to your CA, and its answer to certificates_requested"
    return [head, *entry["request"].splitlines()]


def _verdict(renewal: Renewal) -> tuple[str, str]:
    """What was left is a fail, and does not hide what else was seen."""
    status, reason = _seen(renewal.items)
    error = renewal.failure()
    if error is None:
        return status, reason
    return FAIL, f"{error.message}; {reason}" if status == FAIL else error.message


def _seen(items: Sequence[ManagedCredential]) -> tuple[str, str]:
    proofs = [(item, item.proof) for item in items if item.proof is not None]
    proofs += [(item, item.clients_proof) for item in items if item.clients_proof is not None]
    for status in ORDER[:2]:
        for item, proof in proofs:
            if proof.status == status:
                return status, f"{item.credential}: {proof.evidence}"
    if any(item.proof is None for item in items):
        return CANNOT_TELL, NOT_ASKED
    return "pass", ""


def _authority(authority: AuthorityState | None, context: Context) -> dict[str, Any]:
    if authority is None:
        return {}
    if authority.action == "create" and context.check_mode:
        # The CA of this check is thrown away: its certificate must not reach anybody's trust store.
        return {"id": str(authority), "action": "created"}
    return authority.as_result()


def _certificate(item: ManagedCredential, context: Context) -> dict[str, Any]:
    result: dict[str, Any] = {
        "id": str(item.credential),
        "action": _action(item),
        "reasons": list(item.assessment.reasons),
        "hosts": list(item.credential.hosts),
        "source": item.credential.source,
    }
    facts = None if context.check_mode else _new_facts(item)
    facts = facts or item.assessment.facts
    if facts is not None:
        result.update(facts.as_result())
    open_request = item.waiting if item.answer is None else None
    if item.ask is not None and not context.check_mode:
        open_request = item.ask
    if open_request is not None:
        result["request"] = open_request.text
        result["request_id"] = request_id(item.credential)
    if item.clients is not None:
        result["clients"] = clients_result(item, item.clients)
    elif item.clients_proof is not None:
        result["clients"] = {"proof": item.clients_proof.as_result()}
    if item.proof is not None:
        result["proof"] = item.proof.as_result()
    return result


def request_id(credential: Credential) -> str:
    """The Secret that keeps a request."""
    return f"Secret {credential.namespace}/{name_of_request(credential)}"


def _manager(item: ManagedCredential) -> str:
    return f"Certificate {item.credential.namespace}/{name_of(item.manager or {})}"


def _diff_of(header: str, before: Any, after: Any) -> dict[str, Any]:
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _request_diff(item: ManagedCredential) -> dict[str, Any]:
    after = {"data": {"tls.csr": HIDDEN, "tls.key": HIDDEN}, "dns_names": list(item.credential.hosts)}
    return _diff_of(request_id(item.credential), {}, after)


def _clients_diff(item: ManagedCredential, plan: ClientPlan) -> dict[str, Any]:
    before, after = (
        {"authorities": [facts_of(one).as_result()["fingerprint_sha256"] for one in some]}
        for some in (plan.before, plan.bundle)
    )
    return _diff_of(id_of_clients(item.credential), before, after)


def _manager_diff(item: ManagedCredential) -> dict[str, Any]:
    after = {"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered"}]}}
    return _diff_of(_manager(item), {}, after)


def _new_facts(item: ManagedCredential) -> CertificateFacts | None:
    return facts_of(read_chain(item.pair.chain)[0]) if item.pair and not item.restored else None


def _authority_diff(renewal: Renewal) -> list[dict[str, Any]]:
    authority = renewal.authority
    if authority is None or authority.action != "create":
        return []
    diffs: list[dict[str, Any]] = []
    if authority.namespace in renewal.absent:
        diffs.append(_diff_of(f"Namespace {authority.namespace}", {}, {"action": "created"}))
    after: dict[str, Any] = {"data": {"tls.crt": HIDDEN, "tls.key": HIDDEN}}
    if not renewal.context.check_mode:
        after["certificate"] = facts_of(authority.authority.issuer).as_result()
    before = {"data": {"tls.crt": HIDDEN, "tls.key": HIDDEN}} if authority.resource_version else {}
    return [*diffs, _diff_of(str(authority), before, after)]


def _diff(item: ManagedCredential, context: Context) -> dict[str, Any]:
    before: Any = {}
    if item.live is not None:
        before = {"data": dict.fromkeys(sorted(mapping_at(item.live, "data")), HIDDEN)}
        if item.assessment.facts is not None:
            before["certificate"] = item.assessment.facts.as_result()
    after: dict[str, Any] = {"data": {"tls.crt": HIDDEN, "tls.key": HIDDEN}}
    facts = _new_facts(item)
    if facts is not None and (not context.check_mode or item.assessment.action == "repair"):
        after["certificate"] = facts.as_result()
    else:
        # In check mode the pair is thrown away, the next run makes another one.
        after["certificate"] = {"dns_names": list(item.credential.hosts), "fingerprint_sha256": "(new)"}
    return _diff_of(str(item.credential), before, after)
