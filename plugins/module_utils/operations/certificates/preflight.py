# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a certificates run, before its first write."""

from __future__ import annotations

from ...errors import RefusedError
from ...fields import annotations_of
from ...inventory import refusal
from ...labels import APPLIED_BY_ANNOTATION
from ...model.certificates.credentials import EXISTING, ISSUE, PROVIDED
from .authority import readers_of
from .clients import id_of_clients
from .renewal import ManagedCredential, Renewal


def refuse(renewal: Renewal) -> None:
    """Leaves what must not be written: a Secret of others, a missing namespace, a CA that would lie open."""
    renewal.for_each(lambda item: _refuse_what_is_not_ours(renewal, item))
    homeless = sorted({item.credential.namespace for item in renewal.items} & renewal.absent)
    if homeless and not renewal.context.check_mode:
        error = RefusedError(
            f"these namespaces do not exist: {', '.join(homeless)}; install the gateway first",
            rule="namespace-missing",
        )
        for item in tuple(renewal.items):
            if item.credential.namespace in homeless:
                renewal.leave(item, error)
    renewal.for_each(lambda item: _refuse_another_inventory(renewal, item))
    _refuse_an_open_authority(renewal)
    forget_authority(renewal)


def forget_authority(renewal: Renewal) -> None:
    """Makes no CA where nobody is left to issue for."""
    if all(item.credential.source != ISSUE for item in renewal.items):
        renewal.authority = None


def _refuse_what_is_not_ours(renewal: Renewal, item: ManagedCredential) -> None:
    texts = []
    if item.assessment.action == "refuse" and not _too_early(renewal, item):
        texts.append(f"{item.credential}: {'; '.join(item.assessment.reasons)}")
    if item.clients is not None and item.clients.action == "refuse":
        texts.append(f"{id_of_clients(item.credential)}: {'; '.join(item.clients.reasons)}")
    if texts:
        raise RefusedError("; ".join(texts), rule="credential")


def _refuse_another_inventory(renewal: Renewal, item: ManagedCredential) -> None:
    """Two inventories with other hosts for one credential would issue it anew in turn.

    A renewal that is due, or that a person asks for, is nobody's quarrel: whoever comes first makes it.
    """
    asker = renewal.options.inventory
    holder = annotations_of(item.live).get(APPLIED_BY_ANNOTATION, "")
    if not item.assessment.writes or not asker.must_leave(holder) or _is_due(renewal, item):
        return
    reasons = "; ".join(item.assessment.reasons)
    raise refusal(
        f"{item.credential} is kept",
        holder,
        asker,
        [f"{item.assessment.action} it, because {reasons}"],
        annotation=APPLIED_BY_ANNOTATION,
        instead="give the credential the same hosts and source in both, or another name in one",
        option="certificates_take_over",
    )


def _is_due(renewal: Renewal, item: ManagedCredential) -> bool:
    options = renewal.options
    return item.credential in options.force or item.is_due(renewal.now, options.renew_at)


def _too_early(renewal: Renewal, item: ManagedCredential) -> bool:
    """In check mode, a Secret that should exist in a namespace that does not exist yet is no mistake."""
    early = renewal.context.check_mode and item.credential.namespace in renewal.absent
    if early:
        renewal.context.warn(f"{item.credential}: namespace {item.credential.namespace} does not exist yet")
    return early


def _refuse_an_open_authority(renewal: Renewal) -> None:
    if renewal.authority is None:
        return
    namespace = renewal.authority.namespace
    exposed, asked = readers_of(renewal.client, namespace, [item.credential for item in renewal.items])
    if exposed:
        error = RefusedError(
            f"the gateways' ServiceAccounts {', '.join(exposed)} may read Secrets in namespace {namespace}: "
            f"the CA's key would be theirs",
            rule="ca-exposed",
        )
        for item in tuple(renewal.items):
            if item.credential.source == ISSUE:
                renewal.leave(item, error)
    if not asked:
        renewal.context.warn(
            f"cannot tell whether a gateway may read Secrets in namespace {namespace}: "
            "no right to create localsubjectaccessreviews there"
        )


def warn(renewal: Renewal) -> None:
    """Says what will need a person soon."""
    lifetimes = renewal.options.lifetimes
    if renewal.authority is not None:
        ends = min(link.not_valid_after_utc for link in renewal.authority.authority.chain)
        if ends - renewal.now < 2 * lifetimes.leaf:
            renewal.context.warn(
                f"the CA ends on {ends:%Y-%m-%d}: plan its replacement, new certificates end with it"
            )
    for item in renewal.items:
        facts = item.assessment.facts
        if item.waits and facts is not None and not renewal.context.check_mode:
            text = (
                f"{item.credential} ends on {facts.not_after:%Y-%m-%d}: its request waits for a certificate"
            )
            renewal.context.warn(text)
        _warn_of_its_end(renewal, item)


def _warn_of_its_end(renewal: Renewal, item: ManagedCredential) -> None:
    """Of a pair that comes from elsewhere, or whose chain ends before it."""
    facts, ends = item.assessment.facts, item.ends
    if item.credential.source == ISSUE or facts is None or ends is None:
        return
    if not item.is_due(renewal.now, renewal.options.renew_at):
        return
    if ends < facts.not_after:
        renewal.context.warn(
            f"{item.credential}: a CA of its chain ends on {ends:%Y-%m-%d}, before the certificate: "
            "clients refuse it from then on"
        )
    elif item.credential.source in (PROVIDED, EXISTING):
        renewal.context.warn(f"{item.credential} ends on {ends:%Y-%m-%d} and is not renewed from here")
