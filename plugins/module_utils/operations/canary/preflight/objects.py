# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes and subsets before the first write of a rollout: who else decides where its requests go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ....errors import RefusedError
from ....fields import list_at, mappings_at, name_of, namespace_of
from ....model.rollout.phases import PhaseOptions
from ....model.rollout.split import is_request_host
from ....model.virtual_services import MESH, bound_gateways
from ..assembly import RolloutBuilder
from ..objects.routes import ISTIO_API, ForeignRoutes, OwnRoutes
from ..options.rollout import RolloutOptions
from ..rendering import split_of
from ..subsets import missing_subsets


def objects(builder: RolloutBuilder, stable: str, canary: str) -> list[str]:
    """What is wrong with routes and subsets. :returns: one line for each problem."""
    problems: list[str] = []
    routes = builder.routes(stable, canary)
    live = routes.read()
    if live is None:
        problems.append(
            f"VirtualService {routes.namespace}/{routes.name} does not exist: apply the mesh first"
        )
    else:
        share = split_of(builder.options, stable, canary).canary_share(live)
        if share != share_on_record(builder, canary):
            problems.append(
                f"VirtualService {routes.name} already gives {canary} {share:g} percent, while {stable} is on"
                " record as stable: canary_rollback gives it back"
            )
        problems += _past_the_split(builder, live, stable, canary)
        problems += _kept_in_sync(routes, live)
    problems += _beside(builder, stable, canary)
    problems += missing_subsets(builder, stable, canary)
    problems += _other_routes(builder, routes.name)
    return problems


def share_on_record(builder: RolloutBuilder, canary: str) -> int:
    """The canary's percent that an earlier run has left, by the release record."""
    record = builder.records.read()
    return record.weights.get(canary, 0) if record and record.stable != canary else 0


def continued(options: RolloutOptions, share: int) -> RolloutOptions:
    """The options of a run whose version has a share already: no phase may take requests from it.

    Phases are counted from the first one that is left, and what is asked for by number stays with its phase:
    an approval before the last step is one before the last step.

    :raises RefusedError: no phase is left.
    """
    left = _left(options.phases, share)
    gone = len(options.phases) - len(left)
    outside = tuple(
        dataclasses.replace(gate, phases=tuple(number - gone for number in gate.phases))
        for gate in options.outside
    )
    approvals = tuple(number - gone for number in options.approvals)
    return dataclasses.replace(options, phases=left, approvals=approvals, outside=outside)


def _left(phases: tuple[PhaseOptions, ...], share: int) -> tuple[PhaseOptions, ...]:
    if not share:
        return phases
    left = tuple(phase for phase in phases if phase.kind == "weight" and phase.canary >= share)
    if not left:
        raise RefusedError(
            f"nothing was written: the version has {share} percent already, and no step goes beyond it"
            " (canary_steps)",
            rule="steps",
        )
    return left


def _past_the_split(builder: RolloutBuilder, live: Mapping[str, Any], stable: str, canary: str) -> list[str]:
    """Routes that name no subset send requests to the pods of all versions, whatever the split says."""
    shares = split_of(builder.options, stable, canary).splits(live)
    loose = max((share.get("", 0) for share in shares), default=0)
    if not loose:
        return []
    return [
        f"VirtualService {namespace_of(live)}/{name_of(live)} sends {loose:g} percent of a route to all"
        f" versions of {builder.service.name} (no subset): name subset {stable} there"
    ]


def _kept_in_sync(routes: OwnRoutes | ForeignRoutes, live: Mapping[str, Any]) -> list[str]:
    """A controller that would take back what a phase writes into somebody else's routes."""
    if isinstance(routes, ForeignRoutes):
        try:
            routes.refuse_gitops(live)
        except RefusedError as refused:
            return [f"{refused} (canary_gitops)"]
    return []


def _beside(builder: RolloutBuilder, stable: str, canary: str) -> list[str]:
    """A third version that holds a share would lose it to both others at the first write."""
    record = builder.records.read()
    return [
        f"{name} holds {weight} percent beside {stable}: give them back (canary_rollback), or carry {name} on"
        f" (canary_promote, or a rollout of {name}), before {canary} is rolled out"
        for name, weight in (record.weights.items() if record else ())
        if weight and name not in (stable, canary)
    ]


def _other_routes(builder: RolloutBuilder, own: str) -> list[str]:
    """VirtualServices that send requests to the host past the split."""
    service, domain = builder.service, builder.options.catalogue.cluster_domain
    found = []
    for item in builder.client.list(ISTIO_API, "VirtualService", service.namespace).items:
        names = MESH in bound_gateways(item) and any(
            is_request_host(
                host, service.name, service.namespace, object_namespace=namespace_of(item), domain=domain
            )
            for host in list_at(item, "spec", "hosts")
        )
        delegates = any("delegate" in route for route in mappings_at(item, "spec", "http"))
        if names and not delegates and name_of(item) != own:
            found.append(
                f"VirtualService {namespace_of(item)}/{name_of(item)} also routes {service.fqdn}:"
                " only one of them counts"
            )
    return found
