# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing: hosts that the caller's proxy is not told about: its Sidecar, or ``exportTo`` of the target."""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import annotations_of, list_at, mappings_at, namespace_of
from ....istio.proxy.running import RunningProxy
from ....istio.proxy.sidecar_scope import imports
from ....object_id import object_id
from ..case import Case, Obj
from ..cause import EGRESS, ROUTING, SURE, Cause
from .route_conflicts import exported
from .words import edit

EXPORT = "networking.istio.io/exportTo"


def find(case: Case) -> Iterator[Cause]:
    """What keeps the callers of the symptom from knowing its hosts. :returns: one cause per object."""
    told: set[str] = set()
    for proxy in _callers(case):
        for cause in (*_services(case, proxy), *_entries(case, proxy), *_routes(case, proxy)):
            if cause.object not in told:
                told.add(cause.object)
                yield cause


def _callers(case: Case) -> list[RunningProxy]:
    return [proxy for proxy in case.running_of(case.callers) if not proxy.gateway]


def _services(case: Case, proxy: RunningProxy) -> Iterator[Cause]:
    for service in case.services:
        place, host, subject = namespace_of(service), case.fqdn(service), object_id(service)
        export = [word.strip() for word in annotations_of(service).get(EXPORT, "*").split(",")]
        if not ("*" in export or proxy.namespace in export or ("." in export and place == proxy.namespace)):
            said = (
                f"is not shown to namespace {proxy.namespace} by its annotation {EXPORT}: {','.join(export)}"
            )
            yield Cause(ROUTING, subject, said, edit(subject), SURE)
        else:
            yield from _scope(case, proxy, host, place, ROUTING)


def _scope(case: Case, proxy: RunningProxy, host: str, owner: str, family: str) -> Iterator[Cause]:
    sidecar = case.scopes.of(proxy)
    if sidecar is None or imports(sidecar, proxy.namespace, case.root, host, owner):
        return
    name = object_id(sidecar)
    asked = ", ".join(
        str(entry) for item in mappings_at(sidecar, "spec", "egress") for entry in list_at(item, "hosts")
    )
    said = f"decides for Pod {proxy} and does not import {owner}/{host}: its proxy has no route there"
    remedy = f"callers: of the service in mesh_services, or egress.hosts: [{owner}/{host}] in {name}"
    yield Cause(family, name, said, remedy, SURE, (f"it imports {asked}",))


def _entries(case: Case, proxy: RunningProxy) -> Iterator[Cause]:
    for host in sorted(case.hosts):
        if case.service(host) is not None:
            continue
        entries = case.entries(host)
        shown = [item for item in entries if exported(item, proxy.namespace)]
        if entries and not shown:
            name = object_id(entries[0])
            said = f"is not shown to namespace {proxy.namespace} (exportTo): its proxy does not know {host}"
            yield Cause(EGRESS, name, said, edit(name), SURE)
        for item in shown[:1]:
            yield from _scope(case, proxy, host, namespace_of(item), EGRESS)


def _routes(case: Case, proxy: RunningProxy) -> Iterator[Cause]:
    """A VirtualService, or a DestinationRule, that the caller's proxy is not shown."""
    for kind in ("VirtualService", "DestinationRule"):
        for item in case.of(kind):
            if not _about(case, item) or exported(item, proxy.namespace):
                continue
            if kind == "VirtualService" and not list_at(item, "spec", "hosts"):
                continue
            name = object_id(item)
            said = (
                f"is not shown to namespace {proxy.namespace} (exportTo), so it does nothing for Pod {proxy}"
            )
            yield Cause(ROUTING, name, said, edit(name), SURE - 5)


def _about(case: Case, item: Obj) -> bool:
    if item["kind"] == "VirtualService":
        read = next((one.read for one in case.routes if one.raw is item), None)
        return read is not None and any(host in case.hosts for host in read.hosts)
    return any(rule is item for service in case.services for rule in case.rules_for(case.fqdn(service)))
