# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a certificate in every gateway credential: issued by its own CA, checked, written, proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import inventory
from ...errors import ApiError, MeshError, RefusedError
from ...kube.clock import timestamp
from ...kube.lease import Lease, new_identity
from ...kube.lease_watch import watch_all
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...model.installation.gateways import DEFAULT_NAMESPACE
from ...model.reading.typed import variables_of
from .issue import ECDSA, RSA
from .options import read_options
from .preflight import forget_authority, refuse, warn
from .reading import agreed_time, read
from .renewal import NO_ANSWER, ManagedCredential, Renewal
from .result import build_result
from .revoked import find_revoked
from .rights import leave_without_rights
from .rotation import Rotation
from .serving import prove_fingerprint, prove_the_rest
from .write import issue, try_credentials, write_new_authority, write_requests

if TYPE_CHECKING:
    from ...context import Context

_CREDENTIAL: dict[str, Any] = {"name": {"type": "str", "required": True}, "namespace": {"type": "str"}}
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
            **_CREDENTIAL,
            "certificate": {"type": "str", "required": True},
            "private_key": {"type": "str", "required": True, "no_log": True},
            "ca": {"type": "str"},
        },
    },
    "requested": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **_CREDENTIAL,
            "subject": {"type": "str"},
            "certificate": {"type": "str"},
            "ca": {"type": "str"},
        },
    },
    "client_cas": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **_CREDENTIAL,
            "ca": {"type": "str", "required": True},
        },
    },
    "client_ca_overlap": {"type": "raw", "default": 604800},
    "key_type": {"type": "str", "default": ECDSA, "choices": [ECDSA, RSA], "no_log": False},
    "cert_manager": {"type": "list", "elements": "str", "default": []},
    "existing": {"type": "list", "elements": "str", "default": []},
    "prove": {"type": "bool", "default": True},
    "timeout": {"type": "raw", "default": 120},
    "overlap": {"type": "raw", "default": 10},
    "force": {"type": "list", "elements": "str", "default": []},
    "revoke": {"type": "list", "elements": "str", "default": []},
    **inventory.SPEC,
    "record": {"type": "bool", "default": False},
    "fail_on": {"type": "list", "elements": "str", "default": ["fail"], "choices": ["fail", "cannot tell"]},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "certificates_",
    mesh="mesh_name",
    owner="istio_owner",
    gateways="mesh_gateways",
    installed_gateways="istio_gateways",
    istio_namespace="istio_namespace",
)
LEASE, LEASE_SECONDS = "servicemesh-certificates", 30
LAST_SUCCESS = "servicemesh.istio/last-success"
"""Annotation of the Lease: when a run last ended well. It is what a dead man's alarm looks at."""


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``gateway_certificates``.

    :returns: the module's result; see :func:`result.build_result`.
    :raises InputError: for bad gateways or a provided pair that must not be served.
    :raises RefusedError: when a Secret is not ours or another inventory's, the CA is lost or exposed, or the
        clocks disagree.
    :raises MeshError: when the verdict is one of ``fail_on``; its details are the whole result.
    """
    if not HAS_CRYPTOGRAPHY:
        raise MeshError("gateway certificates need the Python package cryptography where the task runs")
    options = read_options(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        now = agreed_time(client, context.clock)
        renewal = read(client, options, context, now)
        refuse(renewal)
        leave_without_rights(renewal, LEASE)
        forget_authority(renewal)
        warn(renewal)
        if context.check_mode:
            issue(renewal)
            write_new_authority(renewal)
            try_credentials(renewal)
        elif renewal.items and (options.record or any(item.has_work for item in renewal.items)):
            return _outcome(*_hold_and_rotate(renewal))
        prove_the_rest(renewal)
        result = build_result(renewal)
    return _outcome(renewal, result)


def _outcome(renewal: Renewal, result: dict[str, Any]) -> dict[str, Any]:
    """The result, unless something was left to a person or the verdict makes the run fail."""
    error = renewal.failure()
    if error is not None:
        error.message = result["reason"]
        error.details.update(result)
        raise error
    if result["status"] in renewal.options.fail_on:
        raise MeshError(f"{result['status']}: {result['reason']}", **result)
    return result


def _hold_and_rotate(renewal: Renewal) -> tuple[Renewal, dict[str, Any]]:
    """The run that writes: one at a time in every namespace that has a credential of the mesh.

    :returns: what it ended with, and its result.
    """
    context, options = renewal.context, renewal.options
    namespaces = sorted({item.credential.namespace for item in renewal.items} - renewal.absent)
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
        for namespace in namespaces
    ]
    held: list[Lease] = []
    notes: dict[str, str] = {}
    try:
        watch_all(leases, context.clock)
        for lease in leases:
            if _acquired(renewal, lease):
                held.append(lease)
        namespaces = [lease.namespace for lease in held]
        # What was read before the Lease was ours may be another run's work by now.
        renewal = _again(renewal, namespaces)
        rotation = Rotation(renewal, held, prove_fingerprint)
        renewal.for_each(rotation.resume)
        if rotation.resumed:
            renewal = _go_on(renewal, namespaces)
            rotation = Rotation(renewal, held, prove_fingerprint)
        issue(renewal)
        write_new_authority(renewal)
        write_requests(renewal)
        renewal.for_each(rotation.put_clients)
        renewal.for_each(rotation.rotate)
        renewal.for_each(rotation.settle_clients)
        prove_the_rest(renewal)
        find_revoked(renewal)
        result = build_result(renewal)
        if not renewal.left and result["status"] not in options.fail_on:
            notes = {LAST_SUCCESS: timestamp(context.clock.now())}
        return renewal, result
    finally:
        for lease in held:
            lease.give_back(context.warn, notes)


def _acquired(renewal: Renewal, lease: Lease) -> bool:
    """Takes a Lease. Where the server does not let us have it, nothing is done: its credentials are left.

    :raises RefusedError: another run holds it. Two runs that each went on where they came first would both
        do a part, and both fail.
    """
    try:
        lease.acquire(observe=True)
    except ApiError as error:
        if error.status in NO_ANSWER:
            raise
        for item in tuple(renewal.items):
            if item.credential.namespace == lease.namespace:
                renewal.leave(item, error)
        return False
    return True


def _again(renewal: Renewal, namespaces: Sequence[str]) -> Renewal:
    """The same run on what the cluster holds now. :param namespaces: where nobody else writes now.

    What the server refuses is not tried twice in one run.
    """
    found = read(renewal.client, renewal.options, renewal.context, renewal.now)
    _leave_again(found, [item for item in renewal.left if isinstance(item.failure, ApiError)])
    refuse(found)
    for item in tuple(found.items):
        if item.credential.namespace not in namespaces:
            text = f"{item.credential}: what was in its way has gone meanwhile; the next run takes it"
            found.leave(item, RefusedError(text, rule="race"))
    return found


def _go_on(renewal: Renewal, namespaces: Sequence[str]) -> Renewal:
    """The same after something was put back; what was left meanwhile stays left."""
    found = _again(renewal, namespaces)
    _leave_again(found, renewal.left)
    return found


def _leave_again(renewal: Renewal, left: Sequence[ManagedCredential]) -> None:
    reasons = {item.credential: item.failure for item in left}
    for item in tuple(renewal.items):
        if error := reasons.get(item.credential):
            renewal.leave(item, error)
