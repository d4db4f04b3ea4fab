# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate in two steps: a request for a company's CA, whose key waits in the cluster, and its answer.

The Secret that waits is the journal: as long as it is there, no second request is made. It goes when the
answer is served. A run that is killed between the two finds a waiting key that is the served one already.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem, RefusedError
from ...fields import text_at
from ...kube.create_once import create_once
from ...model.certificates.chain import ordered
from ...model.certificates.credentials import Credential
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import OPAQUE, Assessment, secret_object
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import (
    check_pair,
    facts_of,
    lifetime_faults,
    public_key_of,
    read_chain,
    read_key,
    read_request,
    request_names,
)
from .companions import refuse_another
from .issue import KeyPair, new_request

if TYPE_CHECKING:
    import datetime

    from ...kube.client import KubeClient
    from .sources import Requested

SUFFIX = "-request"
REQUEST_KEY = "tls.csr"
REQUEST_OF = "servicemesh.istio/request-of"
"""Annotation of a Secret that keeps the key of a request: the credential that it is for."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Waiting:
    """A request and its key. No ``repr``: it holds a private key.

    :param pair: the request in the place of the chain. :param hosts: names that it asks for.
    :param resource_version: of its Secret; empty when it is not written yet.
    """

    pair: KeyPair
    hosts: tuple[str, ...]
    resource_version: str = ""

    @property
    def text(self) -> str:
        """The request as PEM; public."""
        return self.pair.chain.decode()

    @property
    def public_key(self) -> bytes:
        """Of its key (DER)."""
        return public_key_of(read_key(self.pair.key))


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class RequestPlan:
    """What becomes of a requested credential in this run.

    :param pair: the answer with its key, to be written. :param ask: the request to write.
    :param waiting: the one that waits. :param spent: the Secret that waits has its answer: it goes.
    """

    assessment: Assessment
    pair: KeyPair | None = None
    ask: Waiting | None = None
    waiting: Waiting | None = None
    spent: bool = False


def name_of_request(credential: Credential) -> str:
    """The Secret that keeps a request and its key; no Gateway names it, so istiod never serves it."""
    return f"{credential.name}{SUFFIX}"


def _id(credential: Credential) -> str:
    return f"Secret {credential.namespace}/{name_of_request(credential)}"


def read_waiting(secret: Mapping[str, Any] | None, credential: Credential, mesh: str) -> Waiting | None:
    """The request that waits for its certificate.

    :raises RefusedError: a Secret of that name is somebody else's, or cannot be read any more.
    """
    if secret is None:
        return None
    refuse_another(secret, credential, mesh, mark=REQUEST_OF, told=_id(credential), purpose="the request")
    pair = KeyPair(decode(secret, REQUEST_KEY), decode(secret, PRIVATE_KEY))
    try:
        request, key = read_request(pair.chain), read_key(pair.key)
    except UnreadablePemError as error:
        raise _unusable(credential, f"cannot be read (it or its key {error})") from error
    if public_key_of(request) != public_key_of(key):
        raise _unusable(credential, "is not of the key beside it")
    return Waiting(pair, request_names(request), text_at(secret, "metadata", "resourceVersion"))


def _unusable(credential: Credential, what: str) -> RefusedError:
    text = f"{_id(credential)}: the request {what}: delete it to have a new one made"
    return RefusedError(text, rule="request-unusable")


def plan(
    credential: Credential,
    given: Requested,
    assessment: Assessment,
    live: Mapping[str, Any] | None,
    waiting: Waiting | None,
    *,
    kept: bytes = b"",
    forced: bool,
    key_type: str,
    now: datetime.datetime,
) -> RequestPlan:
    """What is next: write the answer, wait for it, or ask.

    :param assessment: of the live Secret. :param live: that Secret. :param waiting: the request, if any.
    :param kept: key of the pair that an unfinished rotation left, where the live Secret has none any more.
    :param forced: whether a new certificate is asked for whatever the dates say.
    :raises InputError: the answer is of another key, or must not be served.
    """
    spent = waiting is not None and live is not None and _key_of(live) == waiting.public_key
    open_request = None if spent else waiting
    pair = _answer(credential, given, live, open_request, kept, now)
    if assessment.action == "refuse" or (assessment.action == "repair" and pair is None):
        return RequestPlan(assessment, waiting=open_request, spent=spent)
    if pair is not None:
        action = "create" if live is None else "renew"
        reasons = ("the certificate that was asked for is here",)
        return RequestPlan(
            dataclasses.replace(assessment, action=action, reasons=reasons), pair, None, open_request
        )
    fits = open_request is not None and set(open_request.hosts) == set(credential.hosts)
    if open_request is not None and (fits or not forced):
        reasons = (f"its request waits for the certificate ({_id(credential)})",)
        if not fits:
            asked = f"{_id(credential)} asks for {', '.join(open_request.hosts)}"
            reasons = (f"{asked}: delete it to have a request for the hosts of now",)
        found = dataclasses.replace(assessment, action="wait", reasons=(*reasons, *assessment.reasons))
        return RequestPlan(found, waiting=open_request)
    if assessment.action == "keep":
        return RequestPlan(assessment, spent=spent)
    made = new_request(credential.hosts, given.subject, key_type)
    version = waiting.resource_version if waiting is not None else ""
    ask = Waiting(made, credential.hosts, version)
    return RequestPlan(dataclasses.replace(assessment, action="ask"), ask=ask)


def _key_of(live: Mapping[str, Any]) -> bytes:
    try:
        return public_key_of(read_key(decode(live, PRIVATE_KEY)))
    except UnreadablePemError:
        return b""


def _answer(
    credential: Credential,
    given: Requested,
    live: Mapping[str, Any] | None,
    waiting: Waiting | None,
    kept: bytes,
    now: datetime.datetime,
) -> KeyPair | None:
    """The answer with the key that it is of: that of the request, or the one that is served.

    :returns: ``None`` when there is none, or when it is what the credential holds already.
    """
    if not given.answer:
        return None
    where = f"{given.where}.certificate"
    try:
        links = read_chain(given.answer)
    except UnreadablePemError as error:
        raise InputError([Problem(where, str(error), "pem")]) from error
    held = [kept] if waiting is None else [waiting.pair.key, kept]
    if live is not None:
        if _leaf(live) in [facts_of(link).fingerprint for link in links] and not _has_key(links, held):
            return None
        held.append(decode(live, PRIVATE_KEY))
    key = next((key for key in held if _has_key(links, [key])), None)
    if key is None:
        text = f"is not of the key of the request that waits ({_id(credential)})"
        if waiting is None:
            text = f"answers no request: none waits ({_id(credential)}); take it out to have one made"
        raise InputError([Problem(where, text, "foreign-answer")])
    try:
        pair = KeyPair(ordered(given.answer, read_key(key)), key)
    except UnreadablePemError as error:
        raise InputError([Problem(where, str(error), "chain")]) from error
    faults = check_pair(pair.chain, pair.key, hosts=credential.hosts, roots=given.roots, now=now)
    faults += lifetime_faults(pair.chain)
    if faults:
        raise InputError([Problem(where, fault.message, fault.rule) for fault in faults])
    return pair


def _leaf(live: Mapping[str, Any]) -> str:
    try:
        return facts_of(read_chain(decode(live, CERTIFICATE_KEY))[0]).fingerprint
    except UnreadablePemError:
        return ""


def _has_key(links: list[Any], keys: list[bytes]) -> bool:
    held = []
    for key in keys:
        with contextlib.suppress(UnreadablePemError):
            held.append(public_key_of(read_key(key)))
    return any(public_key_of(link) in held for link in links)


def write_request(
    client: KubeClient, credential: Credential, ask: Waiting, mesh: str, *, dry_run: bool
) -> None:
    """Writes the request with its key. Never over one that another run made meanwhile.

    :raises RefusedError: another run did.
    """
    obj = secret_object(
        credential.namespace,
        name_of_request(credential),
        {REQUEST_KEY: ask.pair.chain, PRIVATE_KEY: ask.pair.key},
        mesh=mesh,
        resource_version=ask.resource_version,
        secret_type=OPAQUE,
    )
    obj["metadata"]["annotations"] = {REQUEST_OF: credential.name}
    if ask.resource_version:
        client.apply(obj, force=True, dry_run=dry_run)
        return
    create_once(client, obj, _id(credential), "a request", dry_run=dry_run)


def drop_request(client: KubeClient, credential: Credential) -> None:
    """Its certificate is served: the key stands in the credential now."""
    client.delete("v1", "Secret", name_of_request(credential), credential.namespace)
