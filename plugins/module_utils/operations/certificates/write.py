# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the pairs of a certificates run and writes them, each by one conditional request."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import MeshError, RefusedError
from ...fields import annotations_of, mapping_at, text_at
from ...labels import APPLIED_BY_ANNOTATION, COLLECTION, MANAGED_BY_LABEL
from ...model.certificates.secret import secret_object
from ...model.certificates.served import AUTHORITY_KEY, CERTIFICATE_KEY, PRIVATE_KEY, decode
from ...model.certificates.x509 import check_pair
from .authority import write_authority
from .cert_manager import renew
from .clients import write_clients
from .issue import KeyPair, new_leaf
from .renewal import ManagedCredential, Renewal
from .request import drop_request, write_request


def issue(renewal: Renewal) -> None:
    """Gives every item that is to be written its pair, judged as if a stranger had brought it."""
    renewal.for_each(lambda item: _issue(renewal, item))


def _issue(renewal: Renewal, item: ManagedCredential) -> None:
    if not item.assessment.writes:
        return
    item.pair = _pair_for(renewal, item)
    faults = check_pair(
        item.pair.chain, item.pair.key, hosts=item.credential.hosts, roots=item.roots, now=renewal.now
    )
    if faults:
        text = f"{item.credential}: {'; '.join(fault.message for fault in faults)}"
        raise RefusedError(text, rule="pair")


def _pair_for(renewal: Renewal, item: ManagedCredential) -> KeyPair:
    given = renewal.options.provided.get(item.credential)
    if given is not None:
        return given.pair
    if item.answer is not None:
        return item.answer
    if item.assessment.action == "repair" and item.live is not None:
        return KeyPair(decode(item.live, CERTIFICATE_KEY), decode(item.live, PRIVATE_KEY))
    if renewal.authority is None:
        raise MeshError(f"{item.credential}: there is no CA to issue it")
    lifetimes = renewal.options.lifetimes
    authority, key_type = renewal.authority.authority, renewal.options.key_type
    return new_leaf(authority, item.credential.hosts, renewal.now, lifetimes, key_type)


def write_new_authority(renewal: Renewal) -> None:
    """Writes a CA that was made in this run, before any leaf: a leaf without its CA could never be renewed.

    In check mode it is a dry-run, but for a namespace that does not exist yet: there the server cannot judge.
    """
    dry_run = renewal.context.check_mode
    authority = renewal.authority
    if authority is None or authority.action != "create":
        return
    if authority.namespace in renewal.absent:
        renewal.client.apply(_namespace(authority.namespace), dry_run=dry_run)
    if not (dry_run and authority.namespace in renewal.absent):
        write_authority(renewal.client, authority, mesh=renewal.options.mesh, dry_run=dry_run)


def write_requests(renewal: Renewal) -> None:
    """Writes the requests for certificates with their keys, and takes away those that have their answers."""
    renewal.for_each(lambda item: _write_request(renewal, item))


def _write_request(renewal: Renewal, item: ManagedCredential) -> None:
    if item.credential.namespace in renewal.absent:
        return
    if item.ask is not None:
        ask, item.ask = item.ask, None  # it counts once it is there
        dry_run, mesh = renewal.context.check_mode, renewal.options.mesh
        write_request(renewal.client, item.credential, ask, mesh, dry_run=dry_run)
        item.ask = ask
    elif item.spent and not renewal.context.check_mode:
        drop_request(renewal.client, item.credential)


def try_credentials(renewal: Renewal) -> None:
    """Sends every write as a dry-run: what the server would refuse is known before the real run."""
    write_requests(renewal)
    renewal.for_each(lambda item: _try(renewal, item))


def _try(renewal: Renewal, item: ManagedCredential) -> None:
    if item.pair is not None and item.credential.namespace not in renewal.absent:
        if fault := write_credential(renewal, item, item.pair):
            raise RefusedError(f"{item.credential}: {fault}", rule="changed")
    else:
        renew(renewal, item, renewal.context.stop)  # where cert-manager has to be told
    plan = item.clients
    if plan is not None and plan.writes and item.credential.namespace not in renewal.absent:
        write_clients(renewal, item, plan, text_at(plan.live, "metadata", "resourceVersion"))


def _namespace(name: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {MANAGED_BY_LABEL: COLLECTION}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def write_credential(renewal: Renewal, item: ManagedCredential, pair: KeyPair) -> str:
    """Writes a pair to the item's Secret, if that is still the one that was read or written last.

    Keys that istiod would take before the pair go in the same write: between two, it would serve what lies
    under them.

    :returns: why what is stored must not serve, as a sentence; ``""`` when it is what was written.
    """
    credential, live, dry_run = item.credential, item.current or item.live, renewal.context.check_mode
    data = {CERTIFICATE_KEY: pair.chain, PRIVATE_KEY: pair.key}
    if renewal.options.authority_beside_key:
        data[AUTHORITY_KEY] = item.roots_pem.encode()
    version, surplus = "", []
    if live is not None:
        version = live["metadata"]["resourceVersion"]
        surplus = sorted(set(mapping_at(live, "data")) - set(data))
        if surplus:
            encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
            patch = {
                "metadata": {"resourceVersion": version},
                "data": {**dict.fromkeys(surplus), **encoded},
            }
            changed = renewal.client.patch(
                "v1", "Secret", credential.name, credential.namespace, patch, dry_run=dry_run
            )
            version = version if dry_run else changed["metadata"]["resourceVersion"]
    obj = secret_object(
        credential.namespace, credential.name, data, mesh=renewal.options.mesh, resource_version=version
    )
    holder = renewal.options.inventory.holder_after(annotations_of(live).get(APPLIED_BY_ANNOTATION, ""))
    if holder:
        obj["metadata"]["annotations"] = {APPLIED_BY_ANNOTATION: holder}
    # Its owners were judged: a person's edit may be overruled, a controller's may not.
    written = renewal.client.apply(obj, force=live is not None, dry_run=dry_run)
    if not dry_run:
        item.current = written
    return _changed_on_the_way(renewal, item, obj["data"], written, surplus if dry_run else ())


def _changed_on_the_way(
    renewal: Renewal,
    item: ManagedCredential,
    sent: Mapping[str, str],
    stored: Mapping[str, Any],
    known: Collection[str],
) -> str:
    """What an admission webhook has made of a write: another pair is a fault, a key beside it a warning.

    :param known: keys that a dry-run has not really taken away.
    """
    found = mapping_at(stored, "data")
    differ = sorted(key for key in {*sent, *found} if sent.get(key) != found.get(key) and key not in known)
    pair = [key for key in differ if key in (CERTIFICATE_KEY, PRIVATE_KEY)]
    if pair:
        return f"an admission webhook changes {' and '.join(pair)} of what is written"
    if differ:
        text = (
            f"an admission webhook adds or changes {', '.join(differ)}, and the next run takes it away again"
        )
        renewal.context.warn(f"{item.credential}: {text}")
    return ""
