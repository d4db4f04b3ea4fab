# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA of the gateways' certificates: found, judged, made once, and kept out of the gateways' reach."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, RefusedError
from ...kube.access import AccessNeed, missing_rights_of
from ...kube.create_once import create_once
from ...model.certificates.credentials import ISSUE, Credential, Lifetimes
from ...model.certificates.secret import foreign_owner, leaf_facts, secret_object
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import check_authority, facts_of
from .issue import Authority, KeyPair, load_authority, new_authority

if TYPE_CHECKING:
    from ...kube.client import KubeClient


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class AuthorityState:
    """The CA to issue with.

    :param action: ``keep`` or ``create`` (it is new and not written yet).
    :param pair: what to write when it is new.
    """

    namespace: str
    name: str
    authority: Authority
    action: str = "keep"
    pair: KeyPair | None = None
    resource_version: str = ""

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"

    def as_result(self) -> dict[str, Any]:
        """What may be told about the CA: its certificate, never its key.

        :returns: ``id``, ``action``, ``fingerprint_sha256``, ``serial``, ``not_after``, ``subject``,
            ``certificate`` (PEM).
        """
        facts = facts_of(self.authority.issuer)
        return {
            "id": str(self),
            "action": "created" if self.action == "create" else "unchanged",
            "fingerprint_sha256": facts.fingerprint,
            "serial": facts.serial,
            "not_after": facts.as_result()["not_after"],
            "subject": facts.subject,
            "certificate": self.authority.roots_pem,
        }


def decide_authority(
    live: Mapping[str, Any] | None,
    credentials: Sequence[tuple[Credential, Mapping[str, Any] | None]],
    *,
    home: tuple[str, str],
    mesh: str,
    now: datetime.datetime,
    lifetimes: Lifetimes,
    replace_lost: bool,
) -> AuthorityState:
    """The CA in ``live``, or a new one.

    A new CA cuts off every client that trusts the old one, so it is made only where no certificate of an
    earlier one is in use, or on request.

    :param home: namespace and name of the CA's Secret. :param credentials: with their live Secrets.
    :raises RefusedError: when the CA is lost or cannot issue, and ``replace_lost`` is not set.
    """
    namespace, name = home
    trouble = _trouble(live, credentials, mesh, now)
    if live is not None and not trouble:
        pair = KeyPair(decode(live, CERTIFICATE_KEY), decode(live, PRIVATE_KEY))
        return AuthorityState(namespace, name, load_authority(pair))
    if trouble and not replace_lost:
        raise RefusedError(
            f"Secret {namespace}/{name}: {trouble}; restore it, or set certificates_replace_lost_ca to make "
            f"a new CA that every client must then trust",
            rule="ca-lost",
        )
    if live is not None and foreign_owner(live, mesh):
        raise RefusedError(
            f"Secret {namespace}/{name}: {trouble}, and {foreign_owner(live, mesh)}", rule="foreign-owner"
        )
    pair = new_authority(f"{mesh} gateway CA", now, lifetimes)
    version = live["metadata"]["resourceVersion"] if live is not None else ""
    return AuthorityState(namespace, name, load_authority(pair), "create", pair, version)


def _trouble(
    live: Mapping[str, Any] | None,
    credentials: Sequence[tuple[Credential, Mapping[str, Any] | None]],
    mesh: str,
    now: datetime.datetime,
) -> str:
    if live is not None:
        faults = check_authority(decode(live, CERTIFICATE_KEY), decode(live, PRIVATE_KEY), now)
        return "; ".join(fault.message for fault in faults)
    orphans = [
        str(credential)
        for credential, secret in credentials
        if credential.source == ISSUE
        and secret is not None
        and not foreign_owner(secret, mesh)
        and leaf_facts(secret) is not None
    ]
    return f"the CA is gone while its certificates are in use ({', '.join(orphans)})" if orphans else ""


def write_authority(client: KubeClient, state: AuthorityState, *, mesh: str, dry_run: bool) -> None:
    """Writes a new CA. Never over one that another run made meanwhile."""
    if state.pair is None:
        return
    obj = secret_object(
        state.namespace,
        state.name,
        {CERTIFICATE_KEY: state.pair.chain, PRIVATE_KEY: state.pair.key},
        mesh=mesh,
        resource_version=state.resource_version,
    )
    if state.resource_version:
        client.apply(obj, force=True, dry_run=dry_run)
        return
    create_once(client, obj, str(state), "a CA", dry_run=dry_run)


def readers_of(
    client: KubeClient, namespace: str, credentials: Sequence[Credential]
) -> tuple[list[str], bool]:
    """Which gateways may read the Secrets of ``namespace``.

    :returns: their ServiceAccounts as ``namespace/name``, and whether we were allowed to ask.
    """
    accounts = sorted({(c.namespace, account) for c in credentials for account in c.service_accounts})
    reading = [AccessNeed(verb, "", "secrets", namespace) for verb in ("get", "list")]
    try:
        exposed = [
            f"{home}/{account}"
            for home, account in accounts
            if len(missing_rights_of(client, reading, (home, account))) < len(reading)
        ]
    except ApiError as error:
        if not error.not_allowed:
            raise
        return [], False
    return exposed, True
