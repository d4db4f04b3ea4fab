# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other meshes on the same cluster: one host, and one object, belongs to one mesh.

All meshes write with one field manager, so that the server sees no conflict when one takes an object of
another. Each would take it back at its next run, and pruning would then remove what the other still needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, Problem
from ...fields import labels_of, list_at, mappings_at, namespace_of
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from ...model.catalogue.mesh import Catalogue
from ...model.objects.base import API_VERSIONS
from ...object_id import object_id
from ...words import some_of

if TYPE_CHECKING:
    from ...kube.client import KubeClient
    from ..apply.plan import Plan

_WITH_HOSTS = ("Gateway", "VirtualService")
_RULE = "two-meshes"


def refuse_shared(client: KubeClient, catalogue: Catalogue, plan: Plan) -> None:
    """To be called before the first write of a run that changes something.

    :raises InputError: objects that another mesh owns, or hosts that it serves, by the catalogue's path.
    """
    others = _of_other_meshes(client, catalogue, plan)
    problems = list(_objects(catalogue, plan, others)) or list(_hosts(catalogue, others))
    if problems:
        raise InputError(problems)


def _mesh_of(obj: Mapping[str, Any] | None) -> str:
    """The mesh that owns an object of ours; ``""`` for anything else."""
    labels = labels_of(obj)
    return labels.get(PART_OF_LABEL, "") if labels.get(MANAGED_BY_LABEL) == COLLECTION else ""


def _of_other_meshes(client: KubeClient, catalogue: Catalogue, plan: Plan) -> list[dict[str, Any]]:
    selector = f"{MANAGED_BY_LABEL}={COLLECTION},{PART_OF_LABEL}!={catalogue.name}"
    namespaces = sorted({namespace_of(item.desired) for item in plan.items} - {""})

    def read(kind: str) -> list[dict[str, Any]]:
        version = API_VERSIONS[kind]
        try:
            return list(client.list(version, kind, label_selector=selector).items)
        except ApiError as error:
            if not error.not_allowed:
                raise
        return [obj for name in namespaces for obj in read_in(kind, name)]

    def read_in(kind: str, namespace: str) -> Sequence[dict[str, Any]]:
        """Where the caller may not look, a mesh that it may not see stays unseen."""
        try:
            return client.list(API_VERSIONS[kind], kind, namespace, label_selector=selector).items
        except ApiError as error:
            if not error.not_allowed:
                raise
            return ()

    lists = client.in_parallel(read, _WITH_HOSTS)
    return [obj for found in lists for obj in found if _mesh_of(obj) not in {"", catalogue.name}]


def _objects(catalogue: Catalogue, plan: Plan, others: list[dict[str, Any]]) -> Iterator[Problem]:
    known = {object_id(obj): _mesh_of(obj) for obj in others}
    shared: dict[str, list[str]] = {}
    for item in plan.items:
        owner = _mesh_of(item.before) or known.get(item.id, "")
        if item.changes and owner not in {"", catalogue.name}:
            shared.setdefault(owner, []).append(item.id)
    for owner, objects in sorted(shared.items()):
        yield Problem(
            "mesh_name",
            f"{some_of(objects)} of mesh '{catalogue.name}' would be taken from mesh '{owner}';"
            " docs/guides/mesh.md, Several meshes on one cluster, says what to do",
            _RULE,
        )


def _hosts(catalogue: Catalogue, others: list[dict[str, Any]]) -> Iterator[Problem]:
    taken: dict[str, dict[str, Any]] = {}
    for obj in others:
        for host in _hosts_of(obj):
            taken.setdefault(host, obj)
    wanted = [
        *(
            (f"{server.where}.host", server.host, item.name)
            for item in catalogue.gateways
            for server in item.servers
        ),
        *((f"{service.where}.name", service.fqdn, service.name) for service in catalogue.services),
    ]
    for where, host, entry in wanted:
        if holder := taken.get(host):
            yield Problem(
                where,
                f"host '{host}' is already in mesh '{_mesh_of(holder)}' ({object_id(holder)})",
                _RULE,
                entry,
            )


def _hosts_of(obj: Mapping[str, Any]) -> Iterator[str]:
    lists = [list_at(obj, "spec", "hosts")] if obj["kind"] == "VirtualService" else []
    lists += [list_at(server, "hosts") for server in mappings_at(obj, "spec", "servers")]
    for hosts in lists:
        # A Gateway may name the namespace whose routes may use the host: `./api.example.com`.
        yield from (str(host).rpartition("/")[2] for host in hosts)
