# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``canary_info``: what is known about the rollouts of a mesh. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MalformedError, Problem
from ...kube.clock import Clock
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.lookup import look_up
from ...model.catalogue.parse import parse_catalogue
from ...model.objects.names import delegate_name
from ...model.rollout.evidence import evidence_of, totals
from ...model.rollout.journal import Journal, JournalError
from ...model.rollout.record import RecordError, read_record, release_name
from ...model.rollout.split import Split
from .left_behind import WAY_OUT, key_of, left_behind
from .objects.journal import JournalStore
from .objects.lease import RolloutLease
from .objects.routes import ISTIO_API

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ...model.catalogue.mesh import Catalogue
    from ...model.catalogue.services import Service

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "services": {"type": "list", "elements": "str", "default": []},
}
_UNKNOWN: Mapping[str, Any] = {
    **{"stable": "", "recorded": False, "previous": "", "split": {}, "active": False},
    **{"finished_at": "", "recorded_run": "", "held_by": ""},
}
VARIABLES = {"catalogue": "canary_catalogue", "services": "canary_service"}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """One entry per service that has versions, and per open run of one that has left the catalogue: record,
    live split, journal, holder.

    A record or journal that cannot be read is told in its entry, and hides no other.

    :returns: ``services`` (one mapping each), ``active`` (their names), and ``lines`` for people.
    """
    catalogue = parse_catalogue(params["catalogue"])
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        return {"changed": False, **rollouts(client, context.clock, catalogue, params["services"])}


def rollouts(
    client: KubeClient, clock: Clock, catalogue: Catalogue, names: Collection[str] = ()
) -> dict[str, Any]:
    """The rollouts of a mesh.

    :param names: of the services to look at, with or without their namespaces; none means all.
    :returns: ``services`` (one mapping each), ``active`` (their names), and ``lines`` for people.
    :raises InputError: the catalogue has no service of such a name.
    """
    wanted = _named(catalogue, names)
    services = [item for item in catalogue.services if item.versions and (not names or item.key in wanted)]
    entries = client.in_parallel(lambda service: _told_entry(client, clock, catalogue, service), services)
    if not names:
        runs = left_behind(client, catalogue, {service.key for service in services})
        entries = [*entries, *map(_left_entry, runs)]
    return {
        "services": entries,
        "active": [e["service"] for e in entries if e["active"]],
        "lines": [_line(entry) for entry in entries],
    }


def _named(catalogue: Catalogue, names: Collection[str]) -> set[str]:
    """The services that are meant; a mere name means those of all namespaces. :returns: their keys."""
    wanted: set[str] = set()
    problems = []
    for name in names:
        found = {item.key for item in catalogue.services if name in (item.name, item.key)}
        if not found:
            problems.append(Problem("canary_service", look_up(catalogue, name)[1], "service"))
        wanted |= found
    if problems:
        raise InputError(problems)
    return wanted


def _told_entry(client: KubeClient, clock: Clock, catalogue: Catalogue, service: Service) -> dict[str, Any]:
    try:
        return _entry(client, clock, catalogue, service)
    except (JournalError, RecordError, MalformedError) as error:
        found = {**_newest_run(None), "state": "unreadable", "reason": str(error)}
        return {"service": service.key, **_UNKNOWN, **found}


def _left_entry(journal: Journal) -> dict[str, Any]:
    """A run whose service has left the catalogue."""
    known = {"stable": journal.stable, "active": journal.state.active}
    return {"service": key_of(journal), **_UNKNOWN, **known, **_newest_run(journal), "reason": WAY_OUT}


def _line(entry: Mapping[str, Any]) -> str:
    """One service in one line: ``shop/api: v1 stable; v1 90 %, v2 10 %; v2 awaiting_approval in phase 2``."""
    if entry["state"] == "unreadable":
        return f"{entry['service']}: {entry['reason']}"
    parts = [f"{entry['service']}: {entry['stable'] or 'no version'} stable"]
    split = ", ".join(f"{name} {share:g} %" for name, share in sorted(entry["split"].items()) if share)
    if split:
        parts.append(split)
    if entry["state"] != "none":
        run = f"{entry['canary']} {entry['outcome'] or entry['state']}"
        parts.append(run if entry["outcome"] else f"{run} in phase {entry['phase']} of {entry['phases']}")
        counts = entry["counts"]
        if counts["canary_requests"]:
            parts.append(f"{counts['canary_failed']} of {counts['canary_requests']} canary requests failed")
    if entry["held_by"]:
        parts.append(f"held by {entry['held_by']}")
    if entry["reason"]:
        parts.append(entry["reason"])
    return "; ".join(parts)


def _entry(client: KubeClient, clock: Clock, catalogue: Catalogue, service: Service) -> dict[str, Any]:
    names: dict[str, Any] = {"service": service.name, "namespace": service.namespace, "mesh": catalogue.name}
    store = JournalStore(client, clock, **names)
    journal = store.read()
    lease = RolloutLease(client, clock, identity="", duration=0, **names)
    record = read_record(client.get("v1", "ConfigMap", release_name(service.name), service.namespace))
    split = _live_split(client, catalogue, service, journal)
    return {
        "service": service.key,
        "stable": record.stable if record else service.initial_version,
        "recorded": record is not None,
        "previous": record.previous if record else "",
        "finished_at": record.finished_at if record else "",
        "recorded_run": record.run if record else "",
        "split": split,
        "active": store.active,
        "held_by": lease.holder(lease.read()),
        **_newest_run(journal),
    }


def _live_split(
    client: KubeClient, catalogue: Catalogue, service: Service, journal: Journal | None
) -> dict[str, float]:
    """The split where the newest run has its routes: the service's own, or an object of somebody else, in
    which the route counts that gives the run's version most of stable's. :returns: version -> percent."""
    foreign = journal.settings.routes if journal and journal.settings else None
    name = foreign.name if foreign else delegate_name(service.name)
    live = client.get(ISTIO_API, "VirtualService", name, foreign.namespace if foreign else service.namespace)
    if live is None:
        return {}
    reader = Split(service.name, service.namespace, "", "", domain=catalogue.cluster_domain)
    splits = [found for found in reversed(reader.splits(live)) if "" not in found]
    if foreign and journal:
        splits.sort(key=lambda found: (journal.stable not in found, -found.get(journal.canary, 0.0)))
    return splits[0] if splits else {}


def _newest_run(journal: Journal | None) -> dict[str, Any]:
    """What the journal says. :returns: the same fields when there was no rollout yet."""
    return {
        "state": journal.state.value if journal else "none",
        "outcome": journal.outcome.value if journal else "",
        "reason": journal.reason if journal else "",
        "canary": journal.canary if journal else "",
        "phase": journal.phase if journal else 0,
        "phases": len(journal.plan.phases) if journal else 0,
        "run": journal.run if journal else "",
        "began_at": journal.timeline[0].at if journal and journal.timeline else "",
        "at": journal.at if journal else "",
        "counts": totals(evidence_of(journal.as_dict()) if journal else {}),
        "plan": journal.plan.as_dict() if journal else {},
    }
