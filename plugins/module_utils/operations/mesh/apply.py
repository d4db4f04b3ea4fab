# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies a mesh's catalogue: computed here, checked as a whole, proved in the proxies step by step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem, RefusedError
from ...kube.access import AccessNeed
from ...model.catalogue.hints import shared_accounts
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import parse_catalogue
from ...model.objects.drains import Drain, told
from ...model.objects.render import render
from ...model.rollout.journal import JournalError, open_run
from ...model.rollout.split_plan import LiveState, SplitPlan, plan_splits, split_object_id
from ...object_id import object_id, object_key
from ..apply.engine import Plan, apply_plan
from ..apply.input import with_scope
from ..apply.live import Live, read_live
from ..apply.owned import (
    Pruning,
    labelled,
    prunable_kinds,
    selector,
    summary,
    to_prune,
    warn_confined,
)
from ..apply.plan import Item, is_istio
from ..rights.asking import forbidden
from .access import AccessChange, access_changes, as_results
from .analysis import before_write
from .barrier import PropagationBarrier
from .cluster_guard import ClusterGuard
from .neighbours import refuse_shared
from .one_inventory import marked, refuse_other_inventory
from .release_state import read_live_state, rollout_holders
from .removal import namespaces_of, remove_mesh
from .rights import proof_namespaces
from .streams import ended_streams

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from .options import MeshOptions


def apply_mesh(
    client: KubeClient,
    raw: Mapping[str, Any],
    extra: Sequence[tuple[dict[str, Any], str]],
    options: MeshOptions,
    context: Context,
) -> dict[str, Any]:
    """Make the cluster hold the mesh.

    :param raw: the ``mesh_*`` variables. :param extra: a team's own objects, checked for form, each with its
        place such as ``istio/a.yml:3``.
    :returns: what ``apply_plan`` returns, and ``notes``, ``findings`` (one mapping per check before the
        write), ``summary`` (lines), ``propagation`` (the proof, when there was one).
    :raises InputError: every problem of the catalogue at once, before any request.
    """
    catalogue = parse_catalogue(raw)
    _check_name(catalogue, options)
    for hint in () if options.absent else shared_accounts(catalogue):
        context.warn(str(hint))
    if options.absent:
        return remove_mesh(client, catalogue, [obj for obj, _unused in extra], options, context)
    namespace = options.apply.namespace or catalogue.namespace
    scoped = with_scope(
        client, [obj for obj, _unused in extra], namespace, [where for _unused, where in extra]
    )
    own = labelled(scoped, catalogue.name)
    places = {object_id(obj): where for obj, (_unused, where) in zip(own, extra, strict=True)}
    draft = render(catalogue)
    _check_overlap(draft, own, places)
    wanted = [*draft, *own]
    # Everything the mesh owns, by its label: one LIST per kind, release records included.
    live = read_live(
        client,
        wanted,
        owned_kinds=prunable_kinds(wanted),
        selector=selector(catalogue.name),
        namespaces=namespaces_of(catalogue),
    )
    _refuse_unseen_records(catalogue, live)
    if options.prune:
        _refuse_left_rollouts(catalogue, live)
    state = read_live_state(client, catalogue, list(live.objects.values()))
    splits = plan_splits(catalogue, state, repair=options.repair_split)
    rendered = render(catalogue, splits.releases) if splits.releases else draft
    objects = [obj for obj in rendered if object_id(obj) not in splits.keep]
    desired = marked([*objects, *own], live, options.inventory)
    to_delete: list[dict[str, Any]] = []
    if options.prune:
        pruning = Pruning(
            catalogue.name,
            everything=options.prune_all,
            keep=splits.keep,
            field_manager=options.apply.field_manager,
        )
        to_delete = to_prune(live, desired, pruning, context)
        warn_confined(live, catalogue.name, context)
    guard = ClusterGuard(client, catalogue, own, options, context)
    barrier = PropagationBarrier(client, catalogue, options, context, guard)
    findings: list[dict[str, Any]] = []
    streams: list[Drain] = []
    access: list[AccessChange] = []

    def check(plan: Plan) -> None:
        _leave_routes_of_rollouts(client, catalogue, plan, context)
        refuse_other_inventory(catalogue.name, plan, options.inventory)
        streams.extend(ended_streams(catalogue, plan, context))
        if any(item.changes and is_istio(item.desired) for item in plan.items):
            barrier.namespaces = proof_namespaces(client, catalogue, context)
        refuse_shared(client, catalogue, plan)
        access.extend(access_changes(client, catalogue, plan, context, options.access_guard))
        guard(_weights(catalogue, splits))
        findings.append(guard.as_result())
        findings.extend(before_write(plan, client, context, options, catalogue.root_namespace))

    write = dataclasses.replace(
        options.apply,
        barrier=barrier,
        before_write=check,
        validate_first=options.check != "off",
        whole=True,
        places=places,
        force_option="mesh_force (option force)",
    )
    held = _items_of_rollouts(catalogue, state, splits, live)
    applied = apply_plan(client, desired, live, to_delete, context=context, options=write, held=held)
    return {**_result(applied, splits, findings, barrier, streams), "access": as_results(access)}


def _refuse_unseen_records(catalogue: Catalogue, live: Live) -> None:
    """A release record that cannot be seen must not look like one that does not exist: traffic would move.

    :raises ApiError: with status 403.
    """
    seen = live.confined.get(("v1", "ConfigMap"))
    unseen = [] if seen is None else [name for name in catalogue.namespaces if name not in seen]
    if unseen:
        needs = [AccessNeed("list", "", "configmaps", name) for name in unseen]
        raise forbidden(needs, "to see which version of a service is released")


def _refuse_left_rollouts(catalogue: Catalogue, live: Live) -> None:
    """A service that left the catalogue in mid-run: without its routes every version would get requests.

    A journal that nobody can read holds nothing here: its service may have gone long ago.
    :raises RefusedError: there is one.
    """
    known = {service.key for service in catalogue.services}
    held = []
    for obj in live.of_kind("ConfigMap"):
        with contextlib.suppress(JournalError):
            run = open_run(obj)
            if run is not None and f"{run.namespace}/{run.service}" not in known:
                held.append(f"{run.namespace}/{run.service} (run {run.run})")
    if held:
        raise RefusedError(
            f"services left the catalogue whose rollouts have not ended: {', '.join(held)}; put them back"
            " until they are promoted or rolled back",
            rule="rollout",
        )


def _check_name(catalogue: Catalogue, options: MeshOptions) -> None:
    if options.mesh_name not in ("", catalogue.name):
        message = f"is '{options.mesh_name}', but the catalogue's mesh_name is '{catalogue.name}'"
        raise InputError([Problem("mesh_name", message, "mesh-name")])


def _weights(catalogue: Catalogue, splits: SplitPlan) -> dict[str, Mapping[str, int]]:
    """What each service's split will be; the routes of a rollout are its own, so nothing is said of them."""
    return {
        service.key: splits.releases[service.key]["weights"]
        for service in catalogue.services
        if service.key in splits.releases and split_object_id(service) not in splits.keep
    }


def _check_overlap(
    computed: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]], places: Mapping[str, str]
) -> None:
    """A team's file must not describe an object that the catalogue computes."""
    keys = {object_key(obj) for obj in computed}
    message = "is computed by the catalogue and also described here"
    problems = [
        Problem(places[object_id(obj)], message, "duplicate-object", object_id(obj))
        for obj in own
        if object_key(obj) in keys
    ]
    if problems:
        raise InputError(problems)


def _items_of_rollouts(catalogue: Catalogue, state: LiveState, splits: SplitPlan, live: Live) -> list[Item]:
    """Routes that a running rollout holds: reported, neither written nor pruned."""
    holders = {split_object_id(service): state.held.get(service.key) for service in catalogue.services}
    return [
        Item(obj, obj, obj, action=f"held by {holders[object_id(obj)]}")
        for obj in live.objects.values()
        if object_id(obj) in splits.keep
    ]


def _leave_routes_of_rollouts(client: KubeClient, catalogue: Catalogue, plan: Plan, context: Context) -> None:
    """A last look, right before the write: a rollout that began meanwhile keeps its routes."""
    services = {split_object_id(service): service.key for service in catalogue.services}
    about = {
        services[item.id]: item
        for item in plan.items
        if item.id in services and item.changes and item.before is not None
    }
    if not about:
        return
    for key, holder in rollout_holders(client, catalogue, list(about), now=context.clock.now()).items():
        about[key].action = f"held by {holder}"


def _result(
    applied: dict[str, Any],
    splits: SplitPlan,
    findings: Sequence[dict[str, Any]],
    barrier: PropagationBarrier,
    streams: Sequence[Drain],
) -> dict[str, Any]:
    """What ``apply_plan`` tells, with the notes on splits, the checks before the write, the streams that end,
    and the proof."""
    lines = [summary(applied["counts"]), *splits.notes]
    lines += [told(streams)] if streams else []
    propagation = barrier.result()
    if propagation:
        lines.append(str(propagation["headline"]))
    result = {
        **applied,
        "notes": list(splits.notes),
        "findings": list(findings),
        "streams": [drain.as_dict() for drain in streams],
        "summary": lines,
    }
    return {**result, "propagation": propagation} if propagation else result
