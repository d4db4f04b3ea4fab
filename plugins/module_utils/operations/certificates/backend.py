# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a certificate in every gateway credential: issued by its own CA, checked, written, proved."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError, RefusedError
from ...kube.clock import timestamp
from ...kube.lease import Lease, new_identity
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.owners import owners_of, steady_owners
from ...kube.server_time import server_time
from ...labels import COLLECTION
from ...model.certificates.credentials import ISSUE, Credential
from ...model.certificates.secret import CERTIFICATE_KEY, assess
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...model.installation.gateways import DEFAULT_NAMESPACE
from ...model.reading.typed import variables_of
from ...verdicts import CANNOT_TELL
from .authority import decide_authority
from .options import CertificateOptions, read_options
from .preflight import refuse, warn
from .previous import name_of_previous, read_previous
from .proof import GATEWAY_API, NOT_ASKED, Endpoint, ServingProof, endpoints_of, look, prove, settle
from .renewal import ManagedCredential, Renewal
from .result import build_result
from .revoked import find_revoked
from .rotation import Rotation
from .write import issue, try_credentials, write_new_authority

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...kube.clock import Clock

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "mesh": {"type": "str", "required": True},
    "gateways": {"type": "list", "elements": "dict", "required": True},
    "installed_gateways": {"type": "list", "elements": "dict"},
    "istio_namespace": {"type": "str", "default": DEFAULT_NAMESPACE},
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
    "timeout": {"type": "raw", "default": 120},
    "overlap": {"type": "raw", "default": 10},
    "force": {"type": "list", "elements": "str", "default": []},
    "revoke": {"type": "list", "elements": "str", "default": []},
    "record": {"type": "bool", "default": False},
    "fail_on": {"type": "list", "elements": "str", "default": ["fail"], "choices": ["fail", "cannot tell"]},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "certificates_",
    mesh="mesh_name",
    gateways="mesh_gateways",
    installed_gateways="istio_gateways",
    istio_namespace="istio_namespace",
)
LEASE, LEASE_SECONDS = "servicemesh-certificates", 30
LAST_SUCCESS = "servicemesh.istio/last-success"
"""Annotation of the Lease: when a run last ended well. It is what a dead man's alarm looks at."""
MAX_SKEW = datetime.timedelta(seconds=60)
NOT_NAMED = "no running gateway pod is told by a Gateway to serve it yet"


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``gateway_certificates``.

    :returns: the module's result; see :func:`result.build_result`.
    :raises InputError: for bad gateways or a provided pair that must not be served.
    :raises RefusedError: when a Secret is not ours, the CA is lost or exposed, or the clocks disagree.
    :raises MeshError: when the verdict is one of ``fail_on``; its details are the whole result.
    """
    if not HAS_CRYPTOGRAPHY:
        raise MeshError("gateway certificates need the Python package cryptography where the task runs")
    options = read_options(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        now = agreed_time(client, context.clock)
        options.check(now)
        renewal = _read(client, options, context, now)
        refuse(renewal)
        warn(renewal)
        if context.check_mode:
            issue(renewal)
            write_new_authority(renewal)
            try_credentials(renewal)
        elif options.record or any(item.assessment.writes or item.previous for item in renewal.items):
            return _outcome(_hold_and_rotate(renewal), options)
        _prove_the_rest(renewal)
        result = build_result(renewal)
    return _outcome(result, options)


def _outcome(result: dict[str, Any], options: CertificateOptions) -> dict[str, Any]:
    if result["status"] in options.fail_on:
        raise MeshError(f"{result['status']}: {result['reason']}", **result)
    return result


def _hold_and_rotate(renewal: Renewal) -> dict[str, Any]:
    """The run that writes: one at a time in every namespace that has a credential of the mesh."""
    context, options = renewal.context, renewal.options
    leases = [
        Lease(
            renewal.client,
            context.clock,
            name=LEASE,
            namespace=namespace,
            mesh=options.mesh,
            what=f"the rotation of certificates in namespace {namespace}",
            identity=new_identity(),
            duration=LEASE_SECONDS,
        )
        for namespace in sorted({item.credential.namespace for item in renewal.items} - renewal.absent)
    ]
    held: list[Lease] = []
    notes: dict[str, str] = {}
    try:
        for lease in leases:
            lease.acquire(observe=True)
            held.append(lease)
        # What was read before the Lease was ours may be another run's work by now.
        renewal = _again(renewal)
        rotation = Rotation(renewal, leases, _prove_fingerprint)
        if [item for item in renewal.items if rotation.resume(item)]:
            renewal = _again(renewal)
            rotation = Rotation(renewal, leases, _prove_fingerprint)
        issue(renewal)
        write_new_authority(renewal)
        for item in renewal.items:
            if item.pair is None:
                continue
            if context.stop():
                raise MeshError("interrupted between two credentials; the next run completes them")
            reasons = "; ".join(item.assessment.reasons)
            context.progress(f"{item.credential}: {item.assessment.action}, {reasons}")
            rotation.rotate(item)
        _prove_the_rest(renewal)
        find_revoked(renewal)
        result = build_result(renewal)
        if result["status"] not in options.fail_on:
            notes = {LAST_SUCCESS: timestamp(context.clock.now())}
        return result
    finally:
        for lease in held:
            lease.release(notes)


def _again(renewal: Renewal) -> Renewal:
    """The same run on what the cluster holds now."""
    found = _read(renewal.client, renewal.options, renewal.context, renewal.now)
    refuse(found)
    return found


def _prove_the_rest(renewal: Renewal) -> None:
    """Looks at what no rotation has proved already."""
    if renewal.options.prove:
        for item in renewal.items:
            if item.proof is None:
                item.proof = _proof_of(renewal, item)


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


def _read(
    client: KubeClient, options: CertificateOptions, context: Context, now: datetime.datetime
) -> Renewal:
    credentials = options.credentials
    names = [
        options.authority_home,
        *((found.namespace, found.name) for found in credentials),
        *((found.namespace, name_of_previous(found)) for found in credentials),
    ]
    ca_secret, *rest = client.in_parallel(lambda key: client.get("v1", "Secret", key[1], key[0]), names)
    secrets, kept = rest[: len(credentials)], rest[len(credentials) :]
    pairs = list(zip(credentials, secrets, strict=True))
    authority = None
    if any(credential.source == ISSUE for credential in options.credentials):
        authority = decide_authority(
            ca_secret,
            pairs,
            home=options.authority_home,
            mesh=options.mesh,
            now=now,
            lifetimes=options.lifetimes,
            replace_lost=options.replace_lost_authority,
        )
    absent = _absent(client, [namespace for namespace, _name in names])
    renewal = Renewal(client, options, context, now, authority, absent)
    renewal.items += [
        _item(renewal, credential, live, previous)
        for (credential, live), previous in zip(pairs, kept, strict=True)
    ]
    return renewal


def _absent(client: KubeClient, names: Sequence[str]) -> frozenset[str]:
    unique = list(dict.fromkeys(names))
    found = client.in_parallel(lambda name: client.get("v1", "Namespace", name), unique)
    return frozenset(name for name, namespace in zip(unique, found, strict=True) if namespace is None)


def _item(
    renewal: Renewal,
    credential: Credential,
    live: Mapping[str, Any] | None,
    kept: Mapping[str, Any] | None,
) -> ManagedCredential:
    given = renewal.options.provided.get(credential)
    roots, roots_pem = (given.roots, given.roots_pem) if given else ((), "")
    if credential.source == ISSUE and renewal.authority is not None:
        roots, roots_pem = tuple(renewal.authority.authority.roots), renewal.authority.authority.roots_pem
    assessment = assess(
        credential,
        live,
        mesh=renewal.options.mesh,
        roots=roots,
        now=renewal.now,
        renew_at=renewal.options.renew_at,
        with_authority=renewal.options.authority_beside_key,
        wanted=(given.pair.chain, given.pair.key) if given else None,
    )
    if credential in renewal.options.force and assessment.action in ("keep", "repair"):
        reason = "its key has leaked" if credential in renewal.options.revoke else "a new one is asked for"
        assessment = dataclasses.replace(assessment, action="renew", reasons=(reason,))
    if live is not None and assessment.writes:
        steady = steady_owners(owners_of(live, ("data", CERTIFICATE_KEY)), COLLECTION)
        if steady:
            reason = f"{', '.join(steady)} writes its {CERTIFICATE_KEY} and would put it back"
            assessment = dataclasses.replace(assessment, action="refuse", reasons=(reason,))
    return ManagedCredential(
        credential,
        live,
        assessment,
        roots,
        roots_pem,
        previous=read_previous(kept, credential, renewal.options.mesh),
        revoked=credential in renewal.options.revoke,
    )


def _proof_of(renewal: Renewal, item: ManagedCredential) -> ServingProof:
    if renewal.context.check_mode and item.pair is not None:
        return ServingProof(CANNOT_TELL, "none", "it is not written in check mode")
    if not item.fingerprint:
        return ServingProof(CANNOT_TELL, "none", "there is no certificate yet")
    return _prove_fingerprint(renewal, item, item.fingerprint, 1, renewal.context.stop)


def _prove_fingerprint(
    renewal: Renewal, item: ManagedCredential, fingerprint: str, good: int, stop: Callable[[], bool]
) -> ServingProof:
    """Whether the gateways serve a fingerprint; "cannot tell" where they cannot be looked at.

    :param good: how many good looks in a row are wanted. :param stop: asked while it waits.
    """
    client, credential = renewal.client, item.credential
    if not renewal.options.prove:
        return ServingProof(CANNOT_TELL, "none", NOT_ASKED)
    try:
        endpoints = _endpoints(client, credential)
        if not endpoints:
            return ServingProof(CANNOT_TELL, "none", NOT_NAMED)
        if renewal.context.check_mode:
            expected = {"fingerprint": fingerprint, "roots_pem": item.roots_pem}
            seen = look(client, credential, endpoints, **expected)
            if seen.status != "fail":
                return seen
            return settle(client, credential, endpoints, seen, fingerprint=fingerprint)
        return prove(
            client,
            credential,
            lambda: _endpoints(client, credential),
            fingerprint=fingerprint,
            roots_pem=item.roots_pem,
            timeout=renewal.options.timeout,
            good=good,
            stop=stop,
            clock=renewal.context.clock,
        )
    except ApiError as error:
        if error.status != 403:
            raise
        return ServingProof(CANNOT_TELL, "none", f"the gateways cannot be looked at: {error.message}")


def _endpoints(client: KubeClient, credential: Credential) -> list[Endpoint]:
    home = credential.namespace
    kinds = [(GATEWAY_API, "Gateway", None), ("v1", "Pod", home), ("v1", "Service", home)]
    gateways, pods, services = client.in_parallel(lambda kind: client.list(*kind).items, kinds)
    return endpoints_of(credential, gateways, pods, services)
