# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until every proxy has arrived at a stage, and restarts workloads whose proxies do not by themselves.

A proxy follows by itself when istiod pushes it other roots (PCDS), or when its certificate is renewed, at
half of its life. A restart comes sooner: by the same rules as for a new proxy image, within
PodDisruptionBudgets, gateways last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import WaitTimeout
from ...istio.injection.judge import PodVerdict, owner_of
from ...istio.injection.plan import Restart, RestartPlan, decide, in_batches
from ...istio.injection.read import read_namespace
from ...kube.wait import wait_until
from ...model.certificates.mesh_ca import Stage
from ..injection.restart import Restarter
from .options import MeshCaOptions
from .proxies import ProxyState, Survey, refuse_unread, survey

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

ROUNDS = 3
"""What was rolled out is looked at again: a pod of before may have come in meanwhile."""


def arrive(
    client: KubeClient, context: Context, options: MeshCaOptions, stage: Stage, asked: frozenset[str]
) -> Survey:
    """The last look. Whoever is late then is late because nothing may be done about it.

    :raises MeshError: somebody cannot be asked. :raises WaitTimeout: a restart that does not end.
    """
    found = survey(client, options.namespace, stage, asked)
    if not found.done and not (options.restart and _all_need_a_restart(found)):
        found = _wait(client, context, options, stage, asked, options.patience)
    for _round in range(ROUNDS):
        late = [state for state in found.late if not state.leaving]
        if not options.restart or not late:
            break
        plan = plan_restarts(client, options, late)
        if not plan.batches:
            break
        _wait_for_connections(client, context, options, stage)
        restarter = Restarter(client, context, timeout=options.timeout)
        for batch in plan.batches:
            restarter.run_batch(batch)
        found = _wait(client, context, options, stage, asked, options.patience)
    missing = [*found.late, *found.unread]
    if missing and all(state.leaving for state in missing):
        found = _wait(client, context, options, stage, asked, options.timeout)
    refuse_unread(found, stage)
    return found


def _all_need_a_restart(found: Survey) -> bool:
    return not found.unread and bool(found.late) and not any(s.live or s.leaving for s in found.late)


def _wait(
    client: KubeClient,
    context: Context,
    options: MeshCaOptions,
    stage: Stage,
    asked: frozenset[str],
    seconds: float,
) -> Survey:
    """Looks until all have arrived, those are left that only a restart brings on, or the time is up."""
    last = Survey(())

    def look() -> tuple[bool, str]:
        nonlocal last
        last = survey(client, options.namespace, stage, asked)
        return last.done or (options.restart and _all_need_a_restart(last)), last.told()

    with contextlib.suppress(WaitTimeout):
        wait_until(
            look,
            awaited=f"the proxies to be at stage {stage.name}",
            timeout=seconds,
            stop=context.stop,
            progress=context.progress,
            clock=context.clock,
        )
    return last


def _wait_for_connections(client: KubeClient, context: Context, options: MeshCaOptions, stage: Stage) -> None:
    """A proxy looks for another istiod only some seconds after its own was restarted. Until then it sends
    requests to pods that a restart takes away.

    :raises WaitTimeout: naming one that does not come back.
    """

    def look() -> tuple[bool, str]:
        apart = survey(client, options.namespace, stage, frozenset()).apart
        return not apart, f"{apart[0]} is not connected ({len(apart)} in all)" if apart else ""

    wait_until(
        look,
        awaited="all proxies to be connected to istiod",
        timeout=options.timeout,
        stop=context.stop,
        progress=context.progress,
        clock=context.clock,
    )


def plan_restarts(client: KubeClient, options: MeshCaOptions, late: Sequence[ProxyState]) -> RestartPlan:
    """How the workloads of these proxies may be restarted. :raises ApiError: no right to read them."""
    steps: list[Restart] = []
    for namespace in sorted({state.namespace for state in late}):
        home = read_namespace(client, namespace, {}, keep=True)
        reasons = {state.pod: state.late for state in late if state.namespace == namespace}
        verdicts = [
            PodVerdict(
                pod,
                owner_of(pod, home),
                "leaving" if pod.terminating else "stale" if pod.name in reasons else "ok",
                reasons.get(pod.name, ""),
            )
            for pod in home.pods
        ]
        for owner in sorted({verdict.owner for verdict in verdicts if verdict.state == "stale"}):
            of_owner = [verdict for verdict in verdicts if verdict.owner == owner]
            steps.append(decide(owner, of_owner, home, options.restart_anyway))
    return RestartPlan(steps=tuple(in_batches(steps, options.batch)), verdicts=())
