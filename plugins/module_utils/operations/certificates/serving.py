# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateways serve of the credentials of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...errors import ApiError
from ...model.certificates.credentials import Credential
from ...model.certificates.served import ASKING_MODES
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .clients import live_authorities, prove_clients
from .endpoints import GATEWAY_API, ServingEndpoint, endpoints_of, is_awaited, unserved_hosts
from .proof import NOBODY, NOT_ASKED, ServingProof, among_the_ready, look, prove, settle
from .renewal import ManagedCredential, Renewal

if TYPE_CHECKING:
    from ...kube.client import KubeClient

NOT_NAMED = f"{NOBODY} yet"


def prove_the_rest(renewal: Renewal) -> None:
    """Looks at what no rotation has proved already."""
    if renewal.options.prove:
        for item in renewal.items:
            if item.proof is None:
                item.proof = _proof_of(renewal, item)
            if item.clients_proof is None:
                item.clients_proof = _clients_of(renewal, item)


def _clients_of(renewal: Renewal, item: ManagedCredential) -> ServingProof | None:
    """Whether the gateways know their clients; None where none is asked for a certificate."""
    client, plan = renewal.client, item.clients
    if renewal.context.check_mode and plan is not None and plan.writes:
        return ServingProof(CANNOT_TELL, "none", "the clients' CA is not written in check mode")
    if plan is None and not item.asks_clients:
        return None
    try:
        authorities = list(plan.bundle) if plan is not None else live_authorities(client, item)
        if authorities is None:
            text = "a Gateway asks clients for a certificate (tls.mode MUTUAL), and has no CA for them"
            return ServingProof(FAIL, "none", text)
        return prove_clients(
            renewal,
            authorities,
            lambda: read_endpoints(client, item.credential),
            1,
            renewal.context.stop,
        )
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ServingProof(CANNOT_TELL, "none", f"the gateways cannot be looked at: {error.message}")


def _proof_of(renewal: Renewal, item: ManagedCredential) -> ServingProof:
    will_change = item.pair is not None or item.told
    if renewal.context.check_mode and will_change:
        return ServingProof(CANNOT_TELL, "none", "it is not written in check mode")
    if item.waits and (item.assessment.faults or item.revoked):
        why = "its key has leaked" if item.revoked else item.assessment.faults[0]
        return ServingProof(FAIL, "none", f"{why}, and a new certificate has only been asked for")
    if not item.fingerprint:
        later = ": it has only been asked for" if item.waits else ""
        return ServingProof(CANNOT_TELL, "none", f"there is no certificate yet{later}")
    return prove_fingerprint(renewal, item, item.fingerprint, 1, renewal.context.stop)


def prove_fingerprint(
    renewal: Renewal, item: ManagedCredential, fingerprint: str, good: int, stop: Callable[[], bool]
) -> ServingProof:
    """Whether the gateways serve a fingerprint; "cannot tell" where they cannot be looked at.

    :param good: how many good looks in a row are wanted. :param stop: asked while it waits.
    """
    client, credential = renewal.client, item.credential
    if not renewal.options.prove:
        return ServingProof(CANNOT_TELL, "none", NOT_ASKED)
    try:
        reading = _Reading(client, credential)
        if not reading.latest and (renewal.context.check_mode or not reading.awaited):
            return ServingProof(CANNOT_TELL, "none", NOT_NAMED)
        if renewal.context.check_mode:
            seen = _one_look(renewal, item, reading.latest, fingerprint)
        else:
            seen = prove(
                client,
                credential,
                reading.next,
                awaited=lambda: reading.awaited,
                fingerprint=fingerprint,
                roots_pem=item.roots_pem,
                timeout=renewal.options.timeout,
                good=good,
                stop=stop,
                clock=renewal.context.clock,
            )
        item.asks_clients = any(endpoint.mode in ASKING_MODES for endpoint in reading.latest)
        return _of_all_hosts(credential, reading.latest, seen)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ServingProof(CANNOT_TELL, "none", f"the gateways cannot be looked at: {error.message}")


class _Reading:
    """The endpoints of one look after the other; what was read already is what the first look is at.

    :ivar latest: those of the last look. :ivar awaited: whether pods are starting that will be others.
    """

    def __init__(self, client: KubeClient, credential: Credential) -> None:
        self._client, self._credential = client, credential
        self.latest, self.awaited = _places(client, credential)
        self._fresh = True

    def next(self) -> list[ServingEndpoint]:
        """:returns: where it must be served now."""
        if not self._fresh:
            self.latest, self.awaited = _places(self._client, self._credential)
        self._fresh = False
        return self.latest


def _one_look(
    renewal: Renewal, item: ManagedCredential, endpoints: Sequence[ServingEndpoint], fingerprint: str
) -> ServingProof:
    client, credential = renewal.client, item.credential

    def look_at(some: Sequence[ServingEndpoint]) -> ServingProof:
        return look(client, credential, some, fingerprint=fingerprint, roots_pem=item.roots_pem)

    seen = look_at(endpoints)
    if seen.status == FAIL:
        seen = settle(client, credential, endpoints, seen, fingerprint=fingerprint)
    return among_the_ready(endpoints, seen, look_at)


def _of_all_hosts(
    credential: Credential, endpoints: Sequence[ServingEndpoint], seen: ServingProof
) -> ServingProof:
    """A pass is one about every host: nobody has looked at those that no Gateway names yet."""
    unserved = unserved_hosts(credential, endpoints)
    if seen.status != PASS or not unserved:
        return seen
    text = f"{seen.evidence}, but no Gateway serves {', '.join(unserved)} with it yet"
    return dataclasses.replace(seen, status=CANNOT_TELL, evidence=text)


def read_endpoints(client: KubeClient, credential: Credential) -> list[ServingEndpoint]:
    """Where a credential must be served now. :returns: see :func:`endpoints.endpoints_of`."""
    return _places(client, credential)[0]


def _places(client: KubeClient, credential: Credential) -> tuple[list[ServingEndpoint], bool]:
    """The endpoints, and whether pods are on their way."""
    home = credential.namespace
    kinds = [(GATEWAY_API, "Gateway", None), ("v1", "Pod", home), ("v1", "Service", home)]
    gateways, pods, services = client.in_parallel(lambda kind: client.list(*kind).items, kinds)
    return endpoints_of(credential, gateways, pods, services), is_awaited(credential, gateways, pods)
