# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a whole mesh away: everything that was written for it, in an order in which callers go on working."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import RefusedError
from ...model.catalogue.mesh import Catalogue
from ...model.objects.drains import Drain, told
from ...model.rollout.journal import open_run
from ..apply.engine import Plan, apply_plan
from ..apply.live import Live, read_live
from ..apply.owned import Pruning, prunable_kinds, selector, summary, to_prune, warn_confined
from ..apply.plan import is_istio
from .barrier import PropagationBarrier
from .cluster_guard import ClusterGuard
from .one_inventory import refuse_other_inventory
from .rights import proof_namespaces
from .streams import ended_streams

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from .options import MeshOptions


def namespaces_of(catalogue: Catalogue) -> tuple[str, ...]:
    """Where objects of the mesh lie. :returns: each once."""
    limits = [catalogue.rate_limit_service.namespace] if catalogue.rate_limit_service else []
    return tuple(dict.fromkeys([*catalogue.object_namespaces, *catalogue.gateway_namespaces, *limits]))


def remove_mesh(
    client: KubeClient,
    catalogue: Catalogue,
    extra: Sequence[Mapping[str, Any]],
    options: MeshOptions,
    context: Context,
) -> dict[str, Any]:
    """Delete what the mesh owns, whether the catalogue still describes it or not.

    First what closes (default deny, policies, STRICT, scopes, limits), then the routes, then the rest; the
    proxies hold each step before the next. Callers inside then reach every version of a service; what comes
    through a gateway has no way left. Release records stay: a mesh that comes back begins where it was.

    :param extra: a team's own objects, for their kinds.
    :returns: as ``apply_mesh``.
    :raises RefusedError: a rollout holds a service of the mesh, or another inventory applies it.
    """
    kinds = prunable_kinds(extra)
    live = read_live(
        client,
        [],
        owned_kinds=kinds,
        selector=selector(catalogue.name),
        namespaces=namespaces_of(catalogue),
    )
    _refuse_rollouts(live)
    warn_confined(live, catalogue.name, context)
    guard = ClusterGuard(client, catalogue, [], options, context)
    barrier = PropagationBarrier(client, catalogue, options, context, guard)

    streams: list[Drain] = []

    def check(plan: Plan) -> None:
        refuse_other_inventory(catalogue.name, plan, options.inventory)
        streams.extend(ended_streams(catalogue, plan, context))
        if any(is_istio(item.desired) for item in plan.items):
            barrier.namespaces = proof_namespaces(client, catalogue, context)

    write = dataclasses.replace(options.apply, barrier=barrier, before_write=check, removal=True)
    pruning = Pruning(catalogue.name, everything=True, field_manager=options.apply.field_manager)
    to_delete = to_prune(live, [], pruning, context)
    applied = apply_plan(client, [], live, to_delete, context=context, options=write)
    lines = [summary(applied["counts"]), *([told(streams)] if streams else [])]
    propagation = barrier.result()
    if propagation:
        lines.append(str(propagation["headline"]))
    result = {**applied, "notes": [], "findings": [], "summary": lines}
    result["streams"] = [drain.as_dict() for drain in streams]
    return {**result, "propagation": propagation} if propagation else result


def _refuse_rollouts(live: Live) -> None:
    runs = filter(None, map(open_run, live.of_kind("ConfigMap")))
    held = [f"{run.namespace}/{run.service} (run {run.run})" for run in runs]
    if held:
        raise RefusedError(
            f"rollouts have not ended: {', '.join(held)}; promote them or roll them back first",
            rule="rollout",
        )
