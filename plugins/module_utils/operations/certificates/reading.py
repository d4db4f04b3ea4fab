# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a certificates run works on, and judges it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import ApiError, MeshError, RefusedError
from ...kube.owners import owners_of, steady_owners
from ...kube.server_time import server_time
from ...labels import COLLECTION
from ...model.certificates.credentials import CERT_MANAGER, ISSUE, REQUESTED, Credential
from ...model.certificates.secret import assess
from ...model.certificates.served import CERTIFICATE_KEY
from .authority import AuthorityState, decide_authority
from .cert_manager import certificate_of, certificates_in, judge
from .clients import name_of_clients, plan_clients
from .options import CertificateOptions
from .previous import name_of_previous, read_previous
from .renewal import NO_ANSWER, ManagedCredential, Renewal
from .request import name_of_request, plan, read_waiting

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...kube.clock import Clock

MAX_SKEW = datetime.timedelta(seconds=60)
_Live: TypeAlias = "Mapping[str, Any] | None"


def agreed_time(client: KubeClient, clock: Clock) -> datetime.datetime:
    """The time now, once the API server agrees. A certificate dated by a wrong clock is a later outage.

    :raises RefusedError: when this machine's clock and the server's differ by more than a minute.
    """
    local, server = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC), server_time(client)
    if server is not None and abs(server - local) > MAX_SKEW:
        raise RefusedError(
            f"the clock here says {local:%Y-%m-%d %H:%M:%S} UTC, the server's {server:%Y-%m-%d %H:%M:%S}: "
            f"certificates would be dated wrongly",
            rule="clock-skew",
        )
    return local


def read(
    client: KubeClient, options: CertificateOptions, context: Context, now: datetime.datetime
) -> Renewal:
    """A run on what the cluster holds now.

    A credential is left when what is given for it must not be served, a Secret that a run keeps its own
    things in is somebody else's, the CA is lost, no Certificate writes it, or it may not be looked at.
    """
    credentials = options.credentials
    count = len(credentials)
    asked = [credential for credential in credentials if credential.source == REQUESTED]
    mutual = list(options.clients)
    names = [
        options.authority_home,
        *((found.namespace, found.name) for found in credentials),
        *((found.namespace, name_of_previous(found)) for found in credentials),
        *((found.namespace, name_of_request(found)) for found in asked),
        *((found.namespace, name_of_clients(found)) for found in mutual),
    ]
    forbidden: dict[str, ApiError] = {}
    ca_secret, *rest = _all(client, "Secret", [(name, namespace) for namespace, name in names], forbidden)
    secrets, kept = rest[:count], rest[count : 2 * count]
    beside = rest[2 * count :]
    requests = dict(zip(asked, beside[: len(asked)], strict=True))
    client_secrets = dict(zip(mutual, beside[len(asked) :], strict=True))
    pairs = list(zip(credentials, secrets, strict=True))
    spaces = list(dict.fromkeys(namespace for namespace, _name in names))
    found = _all(client, "Namespace", [(name, None) for name in spaces], forbidden)
    absent = frozenset(name for name, live in zip(spaces, found, strict=True) if live is None) - set(
        forbidden
    )
    authority, lost = _authority(options, ca_secret, pairs, now, forbidden)
    renewal = Renewal(client, options, context, now, authority, absent)
    renewal.items += [_item(renewal, credential, live) for credential, live in pairs]
    previous = dict(zip(credentials, kept, strict=True))

    def judge_item(item: ManagedCredential) -> None:
        credential = item.credential
        options.check(credential, now)
        if credential.namespace in forbidden:
            raise forbidden[credential.namespace]
        if lost is not None and credential.source == ISSUE:
            raise lost
        item.previous = read_previous(previous[credential], credential, options.mesh)
        if credential.source == REQUESTED:
            _plan_request(renewal, item, requests[credential])
        _leave_to_controllers(item)
        if credential in client_secrets:
            item.clients = plan_clients(
                options.clients[credential].authorities,
                client_secrets[credential],
                mesh=options.mesh,
                now=now,
                overlap=options.client_overlap,
            )

    renewal.for_each(judge_item)
    _ask_cert_manager(renewal)
    return renewal


def _authority(
    options: CertificateOptions,
    secret: Mapping[str, Any] | None,
    pairs: Sequence[tuple[Credential, Mapping[str, Any] | None]],
    now: datetime.datetime,
    forbidden: Mapping[str, ApiError],
) -> tuple[AuthorityState | None, MeshError | None]:
    """The CA to issue with, where anything is issued; or why there is none.

    :param forbidden: namespace -> why it was not looked into.
    """
    issued = [credential for credential in options.credentials if credential.source == ISSUE]
    if not issued:
        return None, None
    namespace, name = options.authority_home
    if namespace in forbidden:
        return None, forbidden[namespace]
    unseen = [forbidden[one.namespace].message for one in issued if one.namespace in forbidden]
    if secret is None and unseen and not options.replace_lost_authority:
        text = "there is none, and whether certificates of an earlier one are in use cannot be told"
        return None, RefusedError(f"Secret {namespace}/{name}: {text}: {unseen[0]}", rule="ca-lost")
    try:
        found = decide_authority(
            secret,
            pairs,
            home=options.authority_home,
            mesh=options.mesh,
            now=now,
            lifetimes=options.lifetimes,
            replace_lost=options.replace_lost_authority,
        )
    except RefusedError as error:
        return None, error
    return found, None


def _all(
    client: KubeClient,
    kind: str,
    keys: Sequence[tuple[str, str | None]],
    forbidden: dict[str, ApiError],
) -> list[_Live]:
    """Objects by name and namespace; one that the server does not show is as one that is not there.

    :param forbidden: gets the namespaces of those, and what the server said of the first one.
    """

    def read_one(key: tuple[str, str | None]) -> _Live | ApiError:
        try:
            return client.get("v1", kind, *key)
        except ApiError as error:
            if error.status in NO_ANSWER:
                raise
            return error

    shown: list[_Live] = []
    for (name, namespace), answer in zip(keys, client.in_parallel(read_one, keys), strict=True):
        if isinstance(answer, ApiError):
            forbidden.setdefault(namespace or name, answer)
        shown.append(None if isinstance(answer, ApiError) else answer)
    return shown


def _item(renewal: Renewal, credential: Credential, live: Mapping[str, Any] | None) -> ManagedCredential:
    options = renewal.options
    given = options.provided.get(credential)
    source = given or options.requested.get(credential)
    roots, roots_pem = (source.roots, source.roots_pem) if source else ((), "")
    if credential.source == ISSUE and renewal.authority is not None:
        roots, roots_pem = tuple(renewal.authority.authority.roots), renewal.authority.authority.roots_pem
    assessment = assess(
        credential,
        live,
        mesh=options.mesh,
        roots=roots,
        now=renewal.now,
        renew_at=options.renew_at,
        with_authority=options.authority_beside_key,
        wanted=(given.pair.chain, given.pair.key) if given else None,
        key_type=options.key_type,
    )
    revoked = credential in options.revoke
    forced = credential in options.force and credential.source != CERT_MANAGER
    if forced and assessment.action in ("keep", "repair"):
        assessment = dataclasses.replace(assessment, action="renew", reasons=(_why_forced(revoked),))
    item = ManagedCredential(credential, live, assessment, roots, roots_pem, revoked=revoked)
    item.began_with = item.served_now
    return item


def _leave_to_controllers(item: ManagedCredential) -> None:
    """A pair that a controller would write back is not written."""
    if item.live is None or not item.assessment.writes:
        return
    steady = steady_owners(owners_of(item.live, ("data", CERTIFICATE_KEY)), COLLECTION)
    if steady:
        reason = f"{', '.join(steady)} writes its {CERTIFICATE_KEY} and would put it back"
        item.assessment = dataclasses.replace(item.assessment, action="refuse", reasons=(reason,))


def _why_forced(revoked: bool) -> str:
    return "its key has leaked" if revoked else "a new one is asked for"


def _plan_request(renewal: Renewal, item: ManagedCredential, secret: Mapping[str, Any] | None) -> None:
    credential, options = item.credential, renewal.options
    lost = None if item.served_now or item.revoked else item.previous
    found = plan(
        credential,
        options.requested[credential],
        item.assessment,
        item.live,
        read_waiting(secret, credential, options.mesh),
        kept=lost.pair.key if lost is not None else b"",
        forced=credential in options.force,
        key_type=options.key_type,
        now=renewal.now,
    )
    item.assessment, item.answer, item.ask = found.assessment, found.pair, found.ask
    item.waiting, item.spent = found.waiting, found.spent


def _ask_cert_manager(renewal: Renewal) -> None:
    """Finds the Certificates of the credentials that cert-manager writes."""
    found: dict[str, list[dict[str, Any]]] = {}

    def ask(item: ManagedCredential) -> None:
        space = item.credential.namespace
        if item.credential.source != CERT_MANAGER or space in renewal.absent:
            return
        if space not in found:
            found[space] = certificates_in(renewal.client, space)
        item.manager = certificate_of(item.credential, found[space])
        forced = item.credential in renewal.options.force
        item.assessment = judge(
            item.credential,
            item.manager,
            item.assessment,
            forced=_why_forced(item.revoked) if forced else "",
            leaked=item.revoked,
            now=renewal.now,
            renew_at=renewal.options.renew_at,
        )

    renewal.for_each(ask)
