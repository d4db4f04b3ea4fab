# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``canary_info``: what is known about the rollouts of a mesh. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...kube.clock import SystemClock
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.catalogue.parse import parse_catalogue
from ...model.objects.virtual_service_delegates import delegate_name
from ...model.rollout.evidence import evidence_of, totals
from ...model.rollout.record import read_record, release_name
from ...model.rollout.split import Split
from .journal import Journal
from .lease import Lease
from .routes import ISTIO_API

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


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """One entry per service that has versions: record, live split, journal, holder.

    :raises MeshError: a record or journal is there but cannot be read.
    """
    catalogue = parse_catalogue(params["catalogue"])
    wanted = set(params["services"])
    services = [item for item in catalogue.services if item.versions and (not wanted or item.name in wanted)]
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        entries = client.in_parallel(lambda service: _entry(client, catalogue, service), services)
    return {"changed": False, "services": entries, "active": [e["service"] for e in entries if e["active"]]}


def _entry(client: KubeClient, catalogue: Catalogue, service: Service) -> dict[str, Any]:
    names: dict[str, Any] = {"service": service.name, "namespace": service.namespace, "mesh": catalogue.name}
    clock = SystemClock()
    journal = Journal(client, clock, **names)
    state = journal.read()
    lease = Lease(client, clock, identity="", duration=0, **names)
    record = read_record(client.get("v1", "ConfigMap", release_name(service.name), service.namespace))
    live = client.get(ISTIO_API, "VirtualService", delegate_name(service.name), service.namespace)
    split: dict[str, int] = {}
    if live is not None:
        reader = Split(service.name, service.namespace, "", "", domain=catalogue.cluster_domain)
        split = next((found for found in reversed(reader.splits(live)) if "" not in found), {})
    return {
        "service": service.key,
        "stable": record.stable if record else service.initial_version,
        "recorded": record is not None,
        "previous": record.previous if record else "",
        "split": split,
        "active": journal.active,
        "state": state.get("state", "none"),
        "outcome": state.get("outcome", ""),
        "reason": state.get("reason", ""),
        "canary": state.get("canary", ""),
        "phase": state.get("phase", 0),
        "run": state.get("run", ""),
        "held_by": lease.holder(lease.read()),
        "counts": totals(evidence_of(state)),
        "plan": state.get("plan", {}),
    }
