# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that a certificates run needs for what it found to do, asked before its first write.

Who may write a pair and not take its predecessor away would leave that in the cluster after every rotation.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...fields import text_at
from ...kube.access import AccessNeed
from ...model.certificates.credentials import ISSUE
from ..rights.asking import find_missing, forbidden
from ..rights.needs import lease_needs
from .cert_manager import API
from .clients import name_of_clients
from .previous import name_of_previous
from .renewal import ManagedCredential, Renewal
from .request import name_of_request


def leave_without_rights(renewal: Renewal, lease: str) -> None:
    """Leaves what the run has no rights for, and names every one that is missing. Before the first write.

    :param lease: name of the Lease that is held where something is written.
    """
    if not any(item.has_work for item in renewal.items) and (
        renewal.context.check_mode or not renewal.options.record
    ):
        return
    for_authority = list(_of_authority(renewal))
    needs = {
        id(item): [
            *lease_needs(item.credential.namespace, lease),
            *(_of_item(item) if item.has_work else ()),
            *(for_authority if item.credential.source == ISSUE else ()),
        ]
        for item in renewal.items
    }
    spaces = sorted({item.credential.namespace for item in renewal.items})
    leases = [need for space in spaces for need in lease_needs(space, lease)]
    others = [need for item in renewal.items for need in needs[id(item)] if need not in leases]
    missing = find_missing(renewal.client, [*leases, *others], each=True)
    if not missing:
        return
    lacking = [item for item in renewal.items if set(missing) & set(needs[id(item)])]
    named = "" if len(lacking) == len(renewal.items) else ", ".join(str(item.credential) for item in lacking)
    error = forbidden(missing, of=named)
    for item in lacking:
        renewal.leave(item, error)


def _of_authority(renewal: Renewal) -> Iterator[AccessNeed]:
    authority = renewal.authority
    if authority is None or authority.action != "create":
        return
    if authority.namespace in renewal.absent:
        yield from _applied("namespaces", "", authority.namespace, exists=False)
    if authority.resource_version:
        yield from _applied("secrets", authority.namespace, authority.name, exists=True)
    else:
        yield AccessNeed("create", "", "secrets", authority.namespace)


def _applied(resource: str, namespace: str, name: str, *, exists: bool) -> Iterator[AccessNeed]:
    """A server-side apply is authorized by name, also when it creates (apiserver, handlers/patch.go)."""
    for verb in ("patch",) if exists else ("patch", "create"):
        yield AccessNeed(verb, "", resource, namespace, name)


def _of_item(item: ManagedCredential) -> Iterator[AccessNeed]:
    credential = item.credential
    home, kept, asked = credential.namespace, name_of_previous(credential), name_of_request(credential)
    if item.assessment.writes:
        yield from _applied("secrets", home, credential.name, exists=item.live is not None)
    if item.assessment.action == "renew" and not item.revoked:
        yield from _applied("secrets", home, kept, exists=False)
    if item.assessment.action == "renew" or item.previous is not None:
        yield AccessNeed("delete", "", "secrets", home, kept)
    if item.ask is not None and not item.ask.resource_version:
        yield AccessNeed("create", "", "secrets", home)
    elif item.ask is not None:
        yield from _applied("secrets", home, asked, exists=True)
    if item.spent or (item.answer is not None and item.waiting is not None):
        yield AccessNeed("delete", "", "secrets", home, asked)
    if item.assessment.action == "trigger":
        name = text_at(item.manager or {}, "metadata", "name")
        yield AccessNeed("patch", API.partition("/")[0], "certificates", home, name, "status")
    plan = item.clients
    if plan is not None and plan.writes:
        yield from _applied("secrets", home, name_of_clients(credential), exists=plan.live is not None)
