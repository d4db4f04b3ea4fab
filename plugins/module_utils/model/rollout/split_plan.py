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
from ...labels import FENCE_ANNOTATION
from ..catalogue.mesh import Catalogue
from ..catalogue.services import Service
from ..objects.base import Obj
from ..objects.virtual_service_delegates import SPLIT, delegate_name
from ..objects.weights import initial_weights


@dataclasses.dataclass(frozen=True, slots=True)
class LiveState:
    """What the cluster knows about releases, all by ``namespace/service``.

    :param records: release records, decoded. :param held: the run that holds a service, where one does.
    :param routes: live objects that hold a split (``split_object_id``). :param ready: versions with at least
        one ready pod; a service that was not looked at is missing.
    """

    records: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
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
    name = delegate_name(service.name) if service.http_port else service.name
    return f"VirtualService {service.namespace}/{name}"


def live_split(obj: Obj | None) -> dict[str, int]:
    """Percentages by subset in a live object, ``{}`` when it splits nothing (or into unnamed parts)."""
    spec = (obj or {}).get("spec") or {}
    named = [route for route in spec.get("http") or () if route.get("name") == SPLIT]
    entries = named or (spec.get("http") or [])[-1:] or spec.get("tcp") or spec.get("tls") or []
    shares = (entries[0].get("route") or []) if entries else []
    found: dict[str, int] = {}
    for share in shares:
        subset = str((share.get("destination") or {}).get("subset") or "")
        if not subset:
            return {}
        found[subset] = int(share.get("weight", 100 if len(shares) == 1 else 0))
    return {subset: weight for subset, weight in found.items() if weight}


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
        if service.key in live.held:
            _check_versions(service, live_split(live.routes.get(service.key)), "live routes")
            keep.add(split_object_id(service))
            notes.append(f"{service.key}: held by {live.held[service.key]}, its routes are left alone")
            continue
        weights, note = _weights(service, live, repair)
        releases[service.key] = {"weights": weights, "fence": _fence(service, live)}
        if note:
            notes.append(f"{service.key}: {note}")
    return SplitPlan(releases, frozenset(keep), tuple(notes))


def _weights(service: Service, live: LiveState, repair: bool) -> tuple[dict[str, int], str]:
    record, now = live.records.get(service.key), live_split(live.routes.get(service.key))
    if record is None:
        return _without_record(service, live, now)
    wanted = dict(record.get("weights") or {str(record.get("stable")): 100})
    wanted = {version: weight for version, weight in wanted.items() if weight}
    _check_versions(service, wanted, "release record")
    if not now or now == wanted:
        return wanted, ""
    difference = f"live {_text(now)}, release record {_text(wanted)}"
    if repair:
        return wanted, f"drift repaired: {difference}"
    _check_versions(service, now, "live routes")
    return now, f"drift: {difference}; mesh_repair_split: true restores the record"


def _without_record(service: Service, live: LiveState, now: dict[str, int]) -> tuple[dict[str, int], str]:
    initial = initial_weights(service)
    if now and now != initial:
        _check_versions(service, now, "live routes")
        return now, f"adopted the live split {_text(now)}; there is no release record"
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


def _check_versions(service: Service, weights: Mapping[str, int], where: str) -> None:
    unknown = sorted(version for version in weights if version not in service.versions)
    if unknown:
        raise RefusedError(
            f"{service.key}: the {where} send traffic to {', '.join(unknown)}, which {service.where} "
            "lacks; dropping that subset would lose requests",
            rule="unknown-version",
            service=service.key,
        )


def _fence(service: Service, live: LiveState) -> int:
    """The highest fence that was ever written: it must not fall, or a dead run could write again."""
    metadata = (live.routes.get(service.key) or {}).get("metadata") or {}
    stamped = str((metadata.get("annotations") or {}).get(FENCE_ANNOTATION) or "0")
    recorded = int((live.records.get(service.key) or {}).get("fence") or 0)
    return max(recorded, int(stamped) if stamped.isdigit() else 0)


def _text(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{version} {weight} %" for version, weight in sorted(weights.items()))
