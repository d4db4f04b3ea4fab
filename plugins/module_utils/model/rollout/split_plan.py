# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which split each service gets when the catalogue is applied: never another one than it has.

Applying a mesh must not move traffic. The release record decides; a running rollout keeps its routes; a live
split without a record is adopted; a difference between record and live object is reported, not repaired,
unless that is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import RefusedError
from ...fields import annotations_of
from ...labels import FENCE_ANNOTATION
from ..catalogue.mesh import Catalogue
from ..catalogue.services import Service
from ..objects.base import Obj
from ..objects.names import delegate_name, mesh_root_name
from ..objects.virtual_service_delegates import SPLIT
from ..objects.weights import initial_weights
from ..reading.values import is_number
from ..virtual_services import HTTP, read_virtual_service
from .record import ReleaseRecord


@dataclasses.dataclass(frozen=True, slots=True)
class LiveState:
    """What the cluster knows about releases, all by ``namespace/service``.

    :param records: release records. :param held: the run that holds a service, where one does.
    :param routes: live objects that hold a split (``split_object_id``). :param ready: versions with at least
        one ready pod; a service that was not looked at is missing.
    """

    records: Mapping[str, ReleaseRecord] = dataclasses.field(default_factory=dict)
    held: Mapping[str, str] = dataclasses.field(default_factory=dict)
    routes: Mapping[str, Obj] = dataclasses.field(default_factory=dict)
    ready: Mapping[str, Collection[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class SplitPlan:
    """What to render, and what to leave.

    :param releases: to be rendered, by ``namespace/service``. :param keep: ids of objects that must neither
        be written nor pruned. :param notes: one line per service about which there is something to say.
    """

    releases: Mapping[str, Mapping[str, Any]]
    keep: frozenset[str]
    notes: tuple[str, ...]


def split_object_id(service: Service) -> str:
    """The object that holds the split of a service: its delegate, or the plain object of a TCP service."""
    name = delegate_name(service.name) if service.http_port else mesh_root_name(service.name)
    return f"VirtualService {service.namespace}/{name}"


def live_split(obj: Obj | None, service: Service, domain: str) -> dict[str, float]:
    """How a live object splits the service: its route ``split``, else its last HTTP route, else its first
    TCP or TLS route.

    :returns: subset -> percent, none of 0; ``{}`` when it splits nothing, or into unnamed parts.
    """
    if obj is None:
        return {}
    read = read_virtual_service(obj, domain)
    named = [route for route in read.http if route.name == SPLIT]
    streams = [route for route in read.routes if route.protocol != HTTP]
    for route in (*named, *read.http[-1:], *streams)[:1]:
        shares = route.shares(service.fqdn)
        return {} if "" in shares else {subset: share for subset, share in shares.items() if share}
    return {}


def plan_splits(catalogue: Catalogue, live: LiveState, *, repair: bool = False) -> SplitPlan:
    """Decides the split of every service with versions.

    :param repair: give the live object the record's split where they differ and no run is active.
    :raises RefusedError: traffic would go to a version that the catalogue lacks or that has no ready pod.
    """
    releases: dict[str, Mapping[str, Any]] = {}
    keep: set[str] = set()
    notes: list[str] = []
    for service in catalogue.services:
        if not service.versions:
            continue
        now = live_split(live.routes.get(service.key), service, catalogue.cluster_domain)
        if service.key in live.held:
            _check_versions(service, now, "live routes")
            keep.add(split_object_id(service))
            notes.append(f"{service.key}: held by {live.held[service.key]}, its routes are left alone")
            continue
        weights, note = _weights(service, live, now, repair=repair)
        releases[service.key] = {"weights": weights, "fence": _fence(service, live)}
        if note:
            notes.append(f"{service.key}: {note}")
    return SplitPlan(releases, frozenset(keep), tuple(notes))


def _weights(
    service: Service, live: LiveState, now: Mapping[str, float], *, repair: bool
) -> tuple[dict[str, int], str]:
    record = live.records.get(service.key)
    if record is None:
        return _without_record(service, live, now, repair=repair)
    wanted = {version: weight for version, weight in record.weights.items() if weight}
    _check_versions(service, wanted, "release record")
    if not now or now == wanted:
        return wanted, ""
    difference = f"live {_text(now)}, release record {_text(wanted)}"
    if repair:
        return wanted, f"drift repaired: {difference}"
    _check_versions(service, now, "live routes", instead=_text(wanted))
    return _whole(service, now), f"drift: {difference}; mesh_repair_split: true restores the record"


def _whole(service: Service, shares: Mapping[str, float]) -> dict[str, int]:
    """:raises RefusedError: a rendered object could not give what the live one gives."""
    weights = {version: int(share) for version, share in shares.items()}
    if weights != shares or sum(weights.values()) != 100:
        raise RefusedError(
            f"{service.key}: the live routes give {_text(shares)}: no whole percentages of the service that"
            " sum to 100, so rendering them would move traffic; change their weights first",
            rule="weights-sum",
            service=service.key,
        )
    return weights


def _without_record(
    service: Service, live: LiveState, now: Mapping[str, float], *, repair: bool
) -> tuple[dict[str, int], str]:
    initial = initial_weights(service)
    if now and now != initial:
        # Without a record nobody knows that another split is wrong, but one that leads nowhere is.
        if repair and not set(now) <= set(service.versions):
            return initial, f"drift repaired: live {_text(now)}, initial_version {_text(initial)}"
        _check_versions(service, now, "live routes", instead=_text(initial))
        return _whole(service, now), f"adopted the live split {_text(now)}; there is no release record"
    ready = live.ready.get(service.key)
    target = service.initial_version or ""
    if not now and ready and target not in ready:
        raise RefusedError(
            f"{service.key}: initial_version {target} has no ready pod while {', '.join(sorted(ready))} has; "
            "there is no release record to say otherwise",
            rule="no-endpoints",
            service=service.key,
        )
    return initial, ""


def _check_versions(service: Service, weights: Mapping[str, float], where: str, *, instead: str = "") -> None:
    """:param instead: the split that ``mesh_repair_split`` would give, where it can."""
    unknown = sorted(version for version in weights if version not in service.versions)
    if unknown:
        way_out = f" (mesh_repair_split: true gives {instead} all the same)" if instead else ""
        raise RefusedError(
            f"{service.key}: the {where} send traffic to {', '.join(unknown)}, which {service.where} "
            f"lacks; dropping that subset would lose requests that it still answers{way_out}",
            rule="unknown-version",
            service=service.key,
        )


def _fence(service: Service, live: LiveState) -> int:
    """The highest fence that was ever written: it must not fall, or a dead run could write again."""
    written = annotations_of(live.routes.get(service.key)).get(FENCE_ANNOTATION, "0")
    record = live.records.get(service.key)
    return max(record.fence if record else 0, int(written) if is_number(written) else 0)


def _text(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{version} {weight:g} %" for version, weight in sorted(weights.items()))
