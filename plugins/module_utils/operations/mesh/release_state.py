# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the cluster knows about releases: records, running rollouts, live routes, ready versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...fields import integer_at, text_at
from ...kube.clock import seconds_of
from ...kube.objects import Key, key_of
from ...kube.pods import has_labels, takes_requests
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service
from ...model.rollout.journal import parse_journal
from ...model.rollout.record import ReleaseRecord, journal_name, read_record, release_name
from ...model.rollout.split_plan import LiveState, live_split, split_object_id

if TYPE_CHECKING:
    from ...kube.client import KubeClient

_ISTIO = "networking.istio.io/v1"
_LEASE = "coordination.k8s.io/v1"
_CONFIG_MAP = ("v1", "ConfigMap")


def read_live_state(client: KubeClient, catalogue: Catalogue, live: Iterable[dict[str, Any]]) -> LiveState:
    """The state that decides every service's split.

    :param live: objects out of the lists that were read anyway. ConfigMaps of rollouts and VirtualServices of
        the mesh carry its label, so they are among them.
    :raises RecordError, JournalError: one is there but unreadable. Guessing would move traffic.

    Only for services that were never routed, pods are asked for: where the first split goes, some must be.
    """
    find = {key_of(obj): obj for obj in live}.get
    records: dict[str, ReleaseRecord] = {}
    held: dict[str, str] = {}
    routes: dict[str, dict[str, Any]] = {}
    for service in catalogue.services:
        record = find(("v1", "ConfigMap", service.namespace, release_name(service.name)))
        parsed = read_record(record)
        if parsed is not None:
            records[service.key] = parsed
        run = _holder(find(_journal_key(service)), service)
        if run:
            held[service.key] = run
        found = find(
            (_ISTIO, "VirtualService", service.namespace, split_object_id(service).rpartition("/")[2])
        )
        if found is not None:
            routes[service.key] = found
    fresh = [
        service
        for service in catalogue.services
        if len(service.versions) > 1
        and service.key not in records
        and not live_split(routes.get(service.key), service, catalogue.cluster_domain)
    ]
    return LiveState(records, held, routes, _ready_versions(client, fresh))


def rollout_holders(
    client: KubeClient, catalogue: Catalogue, services: Sequence[str], *, now: float
) -> dict[str, str]:
    """Who holds these services at this moment, asked of the cluster again: for the last look before a write.

    :param services: ``namespace/name``. :param now: seconds since the epoch.
    :returns: the run or the Lease's holder, of those that are held, by ``namespace/name``.
    """
    wanted = [service for service in catalogue.services if service.key in services]

    def ask(service: Service) -> str:
        run = _holder(client.get(*_CONFIG_MAP, journal_name(service.name), service.namespace), service)
        if run:
            return run
        lease = client.get(_LEASE, "Lease", journal_name(service.name), service.namespace)
        return _lease_holder(lease, now)

    holders = client.in_parallel(ask, wanted)
    return {service.key: holder for service, holder in zip(wanted, holders, strict=True) if holder}


def _journal_key(service: Service) -> Key:
    return (*_CONFIG_MAP, service.namespace, journal_name(service.name))


def _lease_holder(lease: Mapping[str, Any] | None, now: float) -> str:
    """The holder of a Lease that is not over. An unreadable time counts as alive, the safe error."""
    holder = text_at(lease, "spec", "holderIdentity")
    renewed = seconds_of(text_at(lease, "spec", "renewTime"))
    if not holder or renewed is None:
        return holder
    return holder if now - renewed < integer_at(lease, "spec", "leaseDurationSeconds") else ""


def _holder(journal: Mapping[str, Any] | None, service: Service) -> str:
    """The run that has begun and not ended, whether its runner lives or not; ``""`` for none."""
    text = text_at(journal, "data", "journal")
    if not text:
        return ""
    run = parse_journal(text, service.name, service.namespace)
    return run.run if run.state.open else ""


def _ready_versions(client: KubeClient, services: list[Service]) -> dict[str, frozenset[str]]:
    namespaces = sorted({service.namespace for service in services})
    pods = dict(
        zip(
            namespaces,
            client.in_parallel(lambda name: client.list("v1", "Pod", name).items, namespaces),
            strict=True,
        )
    )
    return {
        service.key: frozenset(
            name
            for name, version in service.versions.items()
            if any(
                takes_requests(pod) and has_labels(pod, {**service.labels, **version.labels})
                for pod in pods[service.namespace]
            )
        )
        for service in services
    }
