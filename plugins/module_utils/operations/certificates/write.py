# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the pairs of a certificates run and writes them, each by one conditional request."""

from __future__ import annotations

from typing import Any

from ...errors import MeshError
from ...labels import COLLECTION, MANAGED_BY_LABEL
from ...model.certificates.secret import AUTHORITY_KEY, CERTIFICATE_KEY, PRIVATE_KEY, decode, secret_object
from ...model.certificates.x509 import check_pair
from .authority import write_authority
from .issue import Pair, new_leaf
from .job import Item, Job


def issue(job: Job) -> None:
    """Gives every item that is to be written its pair, judged as if a stranger had brought it."""
    for item in job.items:
        if not item.assessment.writes:
            continue
        item.pair = _pair_for(job, item)
        faults = check_pair(
            item.pair.chain, item.pair.key, hosts=item.credential.hosts, roots=item.roots, now=job.now
        )
        if faults:
            raise MeshError(f"{item.credential}: {'; '.join(fault.message for fault in faults)}")


def _pair_for(job: Job, item: Item) -> Pair:
    given = job.wanted.provided.get(item.credential)
    if given is not None:
        return given.pair
    if item.assessment.action == "repair" and item.live is not None:
        return Pair(decode(item.live, CERTIFICATE_KEY), decode(item.live, PRIVATE_KEY))
    if job.authority is None:
        raise MeshError(f"{item.credential}: there is no CA to issue it")
    return new_leaf(job.authority.authority, item.credential.hosts, job.now, job.wanted.lifetimes)


def write(job: Job) -> None:
    """Writes the CA, then the credentials: a leaf without its CA could never be renewed.

    In check mode everything is a dry-run, but for namespaces that do not exist yet: there the server cannot
    judge anything.
    """
    dry_run = job.context.check_mode
    authority = job.authority
    if authority is not None and authority.action == "create":
        if authority.namespace in job.absent:
            job.client.apply(_namespace(authority.namespace), dry_run=dry_run)
        if not (dry_run and authority.namespace in job.absent):
            write_authority(job.client, authority, mesh=job.params["mesh"], dry_run=dry_run)
    for item in job.items:
        if item.pair is None or (dry_run and item.credential.namespace in job.absent):
            continue
        if job.context.stop():
            raise MeshError("interrupted between two credentials; the next run completes them")
        reasons = "; ".join(item.assessment.reasons)
        job.context.progress(f"{item.credential}: {item.assessment.action}, {reasons}")
        _write_secret(job, item, item.pair)


def _namespace(name: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {MANAGED_BY_LABEL: COLLECTION}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _write_secret(job: Job, item: Item, pair: Pair) -> None:
    credential, live, dry_run = item.credential, item.live, job.context.check_mode
    data = {CERTIFICATE_KEY: pair.chain, PRIVATE_KEY: pair.key}
    if job.params["authority_beside_key"]:
        data[AUTHORITY_KEY] = item.roots_pem.encode()
    version = ""
    if live is not None:
        version = live["metadata"]["resourceVersion"]
        surplus = sorted(set(live.get("data") or {}) - set(data))
        if surplus:
            patch = {"metadata": {"resourceVersion": version}, "data": dict.fromkeys(surplus)}
            changed = job.client.patch(
                "v1", "Secret", credential.name, credential.namespace, patch, dry_run=dry_run
            )
            version = version if dry_run else changed["metadata"]["resourceVersion"]
    obj = secret_object(
        credential.namespace, credential.name, data, mesh=job.params["mesh"], resource_version=version
    )
    # Its owners were judged: a person's edit may be overruled, a controller's may not.
    job.client.apply(obj, force=live is not None, dry_run=dry_run)
