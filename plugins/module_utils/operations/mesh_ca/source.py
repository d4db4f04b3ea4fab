# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CA istiod is to have: the provided one, or an intermediate below a root of our own."""

from __future__ import annotations

import base64
import dataclasses
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem, RefusedError
from ...kube.create_once import create_once
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from ...model.certificates.credentials import renewal_due
from ...model.certificates.mesh_ca import Bundle, check_bundle
from ...model.certificates.pem import UnreadablePemError
from ...model.certificates.secret import TLS_TYPE, foreign_owner
from ...model.certificates.served import CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import issued_by
from ..rights.places import NEXT
from .make import Root, check_root, new_bundle, new_root, read_root_file, write_root_file
from .options import ROOT, MeshCaOptions

if TYPE_CHECKING:
    from ...kube.client import KubeClient


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class WantedCa:
    """The CA that is wanted. No ``repr``: keys are in it.

    :param why: why it is another one than that of now; ``""`` when it is not.
    :param due: whether the one of now is ours and would go on serving for a while.
    :param root: a root that was made for it in this run, and has to be kept before anything else is written.
    """

    bundle: Bundle
    why: str
    root: Root | None = None
    due: bool = False


def wanted_ca(
    client: KubeClient, options: MeshCaOptions, now: datetime.datetime, live: Bundle | None
) -> WantedCa:
    """Decides, makes what is missing, and judges it.

    :param live: what istiod has now.
    :raises InputError: the provided CA must not be used. :raises MeshError: the root's file is unreadable.
    :raises RefusedError: our own root is not ours, or cannot issue.
    """
    if options.provided is not None:
        faults = check_bundle(options.provided, now)
        if faults:
            raise InputError([Problem("istio_ca_certificate", fault.message, fault.rule) for fault in faults])
        return WantedCa(options.provided, "" if is_same(live, options.provided) else "it is provided")
    root, next_root = _kept_roots(client, options)
    if next_root is not None:
        root = next_root
    where = options.root_file or "/".join(options.root_home)
    if root is not None:
        check_root(root, where, now)
    why, due = _why(live, root, options, now)
    if not why and live is not None:
        return WantedCa(live, "")
    made = None
    if root is None or _is_root_due(root, options, now) or (options.renew == ROOT and next_root is None):
        if root is not None and options.root_file:
            raise RefusedError(
                f"a new root is due, and istio_ca_root_file {where} holds the one of now: name another file",
                rule="root-file",
            )
        root = made = new_root(options.mesh, now, options.root_life)
    bundle = new_bundle(root, options.mesh, now, options.life)
    faults = check_bundle(bundle, now)
    if faults:
        raise RefusedError(f"the mesh's root in {where}: {faults[0].message}", rule=faults[0].rule)
    return WantedCa(bundle, why or "there is none yet", made, due)


def is_same(live: Bundle | None, wanted: Bundle) -> bool:
    """Whether istiod has this CA already: the same signer, and the same roots."""
    try:
        return live is not None and live.signer == wanted.signer and set(live.trusted) == set(wanted.trusted)
    except UnreadablePemError:
        return False


def _why(
    live: Bundle | None, root: Root | None, options: MeshCaOptions, now: datetime.datetime
) -> tuple[str, bool]:
    """Why an own CA is to be made anew.

    :returns: half a sentence, ``""`` when the one of now stays; whether that one is ours and due.
    """
    if live is None:
        return "there is none yet", False
    if root is None:
        return "its root is not one of ours", False
    try:
        signer = live.signer
        ours = issued_by(signer, root.x509) and set(live.trusted) == {root.x509}
    except UnreadablePemError:
        return "the one of now cannot be read", False
    if not ours:
        return "its root is not the one that is kept", False
    if options.renew:
        return f"a new {options.renew} is asked for", True
    if _is_root_due(root, options, now):
        return "its root would not outlive a new intermediate", True
    if renewal_due(signer.not_valid_before_utc, signer.not_valid_after_utc, now, options.renew_at):
        return f"it ends on {signer.not_valid_after_utc:%Y-%m-%d}", True
    return "", False


def _is_root_due(root: Root, options: MeshCaOptions, now: datetime.datetime) -> bool:
    """A root lives on as long as an intermediate of full life fits below it."""
    return root.x509.not_valid_after_utc - now < options.life


def _kept_roots(client: KubeClient, options: MeshCaOptions) -> tuple[Root | None, Root | None]:
    """:returns: the root that is in use, and one that was made for a rotation that has not ended."""
    if options.root_file:
        return read_root_file(options.root_file), None
    namespace, name = options.root_home
    found = [client.get("v1", "Secret", each, namespace) for each in (name, f"{name}{NEXT}")]
    for secret, each in zip(found, (name, f"{name}{NEXT}"), strict=True):
        if secret is not None and (foreign := foreign_owner(secret, options.mesh)):
            raise RefusedError(
                f"Secret {namespace}/{each} is to hold the mesh's root: {foreign}", rule="root"
            )
    current, following = (
        Root(decode(one, CERTIFICATE_KEY), decode(one, PRIVATE_KEY)) if one else None for one in found
    )
    return current, following


def keep_root(client: KubeClient, options: MeshCaOptions, root: Root, *, rotation: bool) -> None:
    """Keeps a new root before anything it has signed is written.

    :param rotation: another one is in use: this one waits beside it until the rotation has ended.
    :raises RefusedError: another run made one at the same moment.
    """
    if options.root_file:
        write_root_file(options.root_file, root)
        return
    namespace, name = options.root_home
    if client.get("v1", "Namespace", namespace) is None:
        metadata = {"name": namespace, "labels": {MANAGED_BY_LABEL: COLLECTION}}
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    exists = rotation and client.get("v1", "Secret", name, namespace) is not None
    obj = _root_object(namespace, f"{name}{NEXT}" if exists else name, root, options.mesh)
    create_once(client, obj, f"Secret {namespace}/{name}", "a root")


def settle_root(client: KubeClient, options: MeshCaOptions, *, back: bool) -> None:
    """The rotation has ended: the new root takes the place of the old one, or goes."""
    namespace, name = options.root_home
    following = client.get("v1", "Secret", f"{name}{NEXT}", namespace)
    if following is None:
        return
    if not back:
        current = client.get("v1", "Secret", name, namespace)
        root = Root(decode(following, CERTIFICATE_KEY), decode(following, PRIVATE_KEY))
        obj = _root_object(namespace, name, root, options.mesh)
        if current is None:
            client.create(obj)
        else:
            client.replace({"apiVersion": "v1", "kind": "Secret", **current, "data": obj["data"]})
    client.delete("v1", "Secret", f"{name}{NEXT}", namespace)


def _root_object(namespace: str, name: str, root: Root, mesh: str) -> dict[str, Any]:
    labels: Mapping[str, str] = {MANAGED_BY_LABEL: COLLECTION, **({PART_OF_LABEL: mesh} if mesh else {})}
    plain = {CERTIFICATE_KEY: root.certificate, PRIVATE_KEY: root.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TLS_TYPE,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "data": {key: base64.b64encode(value).decode() for key, value in plain.items()},
    }
