# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a certificate in every gateway credential: issued by its own CA, checked, written, proved."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, RefusedError
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.owners import owners_of, steady_owners
from ...labels import COLLECTION
from ...model.certificates.credentials import ISSUE, Credential
from ...model.certificates.secret import CERTIFICATE_KEY, assess
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...verdicts import CANNOT_TELL
from .authority import decide_authority
from .guard import refuse, warn
from .input import Input, read_input
from .job import Item, Job
from .proof import GATEWAY_API, Endpoint, Proof, endpoints_of, look, prove, settle
from .result import build_result
from .write import issue, write

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "mesh": {"type": "str", "required": True},
    "gateways": {"type": "list", "elements": "dict", "required": True},
    "installed_gateways": {"type": "list", "elements": "dict", "default": []},
    "ca_namespace": {"type": "str", "default": "servicemesh-system"},
    "ca_secret": {"type": "str", "default": "servicemesh-ca", "no_log": False},
    "ca_days": {"type": "int", "default": 3650},
    "replace_lost_ca": {"type": "bool", "default": False},
    "days": {"type": "int", "default": 90},
    "renew_at": {"type": "float", "default": 0.34},
    "authority_beside_key": {"type": "bool", "default": False, "no_log": False},
    "provided": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str"},
            "certificate": {"type": "str", "required": True},
            "private_key": {"type": "str", "required": True, "no_log": True},
            "ca": {"type": "str"},
        },
    },
    "existing": {"type": "list", "elements": "str", "default": []},
    "prove": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 120},
    "fail_on": {"type": "list", "elements": "str", "default": ["fail"], "choices": ["fail", "cannot tell"]},
}
MAX_SKEW = datetime.timedelta(seconds=60)
NOT_NAMED = "no running gateway pod is told by a Gateway to serve it yet"


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``gateway_certificates``.

    :raises InputError: for bad gateways or a provided pair that must not be served.
    :raises RefusedError: when a Secret is not ours, the CA is lost or exposed, or the clocks disagree.
    :raises MeshError: when the verdict is one of ``fail_on``; its details are the whole result.
    """
    if not HAS_CRYPTOGRAPHY:
        raise MeshError("gateway certificates need the Python package cryptography where the task runs")
    wanted = read_input(params)
    options = ConnectionOptions.from_params(params, context.environment)
    with context.client(options) as client:
        now = server_time(client)
        wanted.check(now)
        job = _read(client, params, context, wanted, now)
        refuse(job)
        warn(job)
        issue(job)
        write(job)
        if params["prove"]:
            for item in job.items:
                item.proof = _proof_of(job, item)
        result = build_result(job)
    if result["status"] in params["fail_on"]:
        raise MeshError(f"{result['status']}: {result['reason']}", **result)
    return result


def server_time(client: KubeClient) -> datetime.datetime:
    """The time now, once the API server agrees. A certificate dated by a wrong clock is a later outage.

    :raises RefusedError: when this machine's clock and the server's differ by more than a minute.
    """
    headers = {str(key).lower(): value for key, value in client.request("GET", "/version").headers.items()}
    local = datetime.datetime.now(datetime.UTC)
    try:
        server = email.utils.parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return local
    if abs(server - local) > MAX_SKEW:
        raise RefusedError(
            f"the clock here says {local:%Y-%m-%d %H:%M:%S} UTC, the server's {server:%Y-%m-%d %H:%M:%S}: "
            f"certificates would be dated wrongly",
            rule="clock-skew",
        )
    return local


def _read(
    client: KubeClient, params: Mapping[str, Any], context: Context, wanted: Input, now: datetime.datetime
) -> Job:
    credentials = wanted.credentials
    home = (params["ca_namespace"], params["ca_secret"])
    names = [home, *((credential.namespace, credential.name) for credential in credentials)]
    ca_secret, *secrets = client.in_parallel(lambda key: client.get("v1", "Secret", key[1], key[0]), names)
    pairs = list(zip(credentials, secrets, strict=True))
    authority = None
    if any(credential.source == ISSUE for credential in credentials):
        authority = decide_authority(
            ca_secret,
            pairs,
            home=home,
            mesh=params["mesh"],
            now=now,
            lifetimes=wanted.lifetimes,
            replace_lost=params["replace_lost_ca"],
        )
    job = Job(
        client,
        params,
        context,
        now,
        wanted,
        authority,
        [],
        _absent(client, [namespace for namespace, _name in names]),
    )
    job.items = [_item(job, credential, live) for credential, live in pairs]
    return job


def _absent(client: KubeClient, names: Sequence[str]) -> frozenset[str]:
    unique = list(dict.fromkeys(names))
    found = client.in_parallel(lambda name: client.get("v1", "Namespace", name), unique)
    return frozenset(name for name, namespace in zip(unique, found, strict=True) if namespace is None)


def _item(job: Job, credential: Credential, live: Mapping[str, Any] | None) -> Item:
    given = job.wanted.provided.get(credential)
    roots, roots_pem = (given.roots, given.roots_pem) if given else ((), "")
    if credential.source == ISSUE and job.authority is not None:
        roots, roots_pem = tuple(job.authority.authority.roots), job.authority.authority.roots_pem
    assessment = assess(
        credential,
        live,
        mesh=job.params["mesh"],
        roots=roots,
        now=job.now,
        renew_at=job.params["renew_at"],
        with_authority=job.params["authority_beside_key"],
        wanted=(given.pair.chain, given.pair.key) if given else None,
    )
    if live is not None and assessment.writes:
        steady = steady_owners(owners_of(live, ("data", CERTIFICATE_KEY)), COLLECTION)
        if steady:
            reason = f"{', '.join(steady)} writes its {CERTIFICATE_KEY} and would put it back"
            assessment = dataclasses.replace(assessment, action="refuse", reasons=(reason,))
    return Item(credential, live, assessment, roots, roots_pem)


def _proof_of(job: Job, item: Item) -> Proof:
    if job.context.check_mode and item.pair is not None:
        return Proof(CANNOT_TELL, "none", "it is not written in check mode")
    if not item.fingerprint:
        return Proof(CANNOT_TELL, "none", "there is no certificate yet")
    expected: dict[str, Any] = {"fingerprint": item.fingerprint, "roots_pem": item.roots_pem}
    try:
        endpoints = _endpoints(job.client, item.credential)
        if not endpoints:
            return Proof(CANNOT_TELL, "none", NOT_NAMED)
        if job.context.check_mode:
            seen = look(job.client, item.credential, endpoints, **expected)
            if seen.status != "fail":
                return seen
            return settle(job.client, item.credential, endpoints, seen, fingerprint=item.fingerprint)
        return prove(
            job.client,
            item.credential,
            lambda: _endpoints(job.client, item.credential),
            timeout=job.params["timeout"],
            stop=job.context.stop,
            clock=job.context.clock,
            **expected,
        )
    except ApiError as error:
        if error.status != 403:
            raise
        return Proof(CANNOT_TELL, "none", f"the gateways cannot be looked at: {error.message}")


def _endpoints(client: KubeClient, credential: Credential) -> list[Endpoint]:
    home = credential.namespace
    kinds = [(GATEWAY_API, "Gateway", None), ("v1", "Pod", home), ("v1", "Service", home)]
    gateways, pods, services = client.in_parallel(lambda kind: client.list(*kind).items, kinds)
    return endpoints_of(credential, gateways, pods, services)
