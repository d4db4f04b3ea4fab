# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans restarts: how a workload whose pods carry the wrong proxy, or none, may be restarted.

A pure function of what was read. The same plan is shown in check mode and executed otherwise. A rollout
ignores PodDisruptionBudgets (only the Eviction API asks them), so it is used only where the strategy itself
stays within them; https://kubernetes.io/docs/concepts/workloads/pods/disruptions/.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from ..workloads import Budget, Owner, Pod, Workload
from .judge import NamespaceState, PodVerdict, judge, pinned_images
from .webhooks import Injector, InjectorSettings, matches

ROLLOUT, EVICT, WAIT, LISTED = "rollout", "evict", "wait", "listed"
ROLLING_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """What happens to one workload.

    :param why: what is wrong with its pods. :param how: why this action, or why it is only listed.
    :param takes: pods that the action may take away at once. :param batch: 1-based; 0 for listed workloads.
    """

    owner: Owner
    action: str
    why: str
    how: str
    pods: tuple[Pod, ...]
    total: int
    takes: int = 0
    budgets: tuple[str, ...] = ()
    gateway: bool = False
    batch: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class RestartPlan:
    """All steps in order, and the verdict on every pod."""

    steps: tuple[Restart, ...]
    verdicts: tuple[PodVerdict, ...]

    @property
    def batches(self) -> list[list[Restart]]:
        """The steps that act, by batch. :returns: one list per batch, the first to be carried out first."""
        numbers = sorted({step.batch for step in self.steps if step.batch})
        return [[step for step in self.steps if step.batch == number] for number in numbers]

    @property
    def listed(self) -> list[Restart]:
        """Workloads that carry the wrong proxy and are left alone.

        :returns: those with action ``listed``, in the plan's order.
        """
        return [step for step in self.steps if step.action == LISTED]

    def pods(self, state: str) -> list[PodVerdict]:
        """The verdicts with this state. :returns: one per pod, in the order in which they were read."""
        return [verdict for verdict in self.verdicts if verdict.state == state]


def plan_restarts(
    namespaces: Iterable[NamespaceState],
    injectors: Sequence[Injector],
    settings: Mapping[str, InjectorSettings],
    *,
    batch: int,
    anyway: Sequence[str] = (),
) -> RestartPlan:
    """The plan for all namespaces.

    :param settings: injector settings by revision.
    :param batch: workloads restarted at the same time, >= 1.
    :param anyway: patterns such as ``StatefulSet shop/*`` of workloads that are restarted although they would
        only be listed.
    """
    verdicts: list[PodVerdict] = []
    steps: list[Restart] = []
    homes = list(namespaces)
    pinned = pinned_images(homes, injectors, settings)
    for home in homes:
        judged = [judge(pod, home, injectors, settings, pinned) for pod in home.pods]
        relevant = [verdict for verdict in judged if not (home.keep and _is_foreign(verdict))]
        verdicts += relevant
        for owner in sorted({verdict.owner for verdict in relevant}):
            of_owner = [verdict for verdict in relevant if verdict.owner == owner]
            if any(verdict.state == "stale" for verdict in of_owner):
                steps.append(decide(owner, of_owner, home, anyway))
    return RestartPlan(steps=tuple(in_batches(steps, batch)), verdicts=tuple(verdicts))


def _is_foreign(verdict: PodVerdict) -> bool:
    return verdict.state == "skipped" and (verdict.pod.proxy is None or not verdict.pod.proxy.injected)


def decide(
    owner: Owner, verdicts: Sequence[PodVerdict], home: NamespaceState, anyway: Sequence[str]
) -> Restart:
    """How the workload ``owner`` may be restarted; ``verdicts`` are those of its pods, one of them stale."""
    stale = tuple(verdict.pod for verdict in verdicts if verdict.state == "stale")
    healthy = any(verdict.state == "ok" for verdict in verdicts)
    why = "; ".join(sorted({verdict.reason for verdict in verdicts if verdict.state == "stale"}))
    workload = home.workloads.get((owner.kind, owner.name))
    budgets = [budget for budget in home.budgets if _covers(budget, stale)]
    forced = any(fnmatch.fnmatchcase(str(owner), pattern) for pattern in anyway)
    action, how, takes = _choose(owner, workload, budgets, healthy=healthy, forced=forced)
    return Restart(
        owner=owner,
        action=action,
        why=why,
        how=how,
        pods=stale,
        total=sum(verdict.state in ("ok", "stale") for verdict in verdicts),
        takes=takes,
        budgets=tuple(sorted(budget.name for budget in budgets)),
        gateway=workload is not None and workload.is_gateway,
    )


def _covers(budget: Budget, pods: Sequence[Pod]) -> bool:
    # A PodDisruptionBudget without a selector selects nothing, an empty one everything (policy/v1).
    return budget.selector is not None and any(matches(budget.selector, pod.labels) for pod in pods)


def _choose(
    owner: Owner, workload: Workload | None, budgets: Sequence[Budget], *, healthy: bool, forced: bool
) -> tuple[str, str, int]:
    if owner.kind == "Pod":
        return LISTED, "bare pod: nothing would create it again", 0
    if owner.kind in ("Job", "CronJob"):
        return _or_forced(
            forced, "Job: its work would start over", "evicted on request: its work starts over"
        )
    if workload is None or owner.kind not in ROLLING_KINDS:
        return _or_forced(forced, f"{owner.kind}: not a kind whose restart is known", "evicted on request")
    if workload.paused:
        return _or_forced(forced, "paused: a rollout would not begin", "paused: evicted on request")
    if workload.strategy == "OnDelete":
        return _or_forced(
            forced, "OnDelete: its operator decides when pods go", "OnDelete: evicted on request"
        )
    # With a partition or OnDelete the status says "rolling" for as long as the operator likes.
    if workload.rolling and healthy and not workload.partition:
        return WAIT, f"a rollout is under way: {workload.rolling}", 0
    if workload.strategy == "Recreate":
        if forced:
            return ROLLOUT, "Recreate: all pods go at once, on request", workload.replicas
        return LISTED, "Recreate: a restart stops all its pods at once", 0
    if workload.replicas <= 1 and not workload.max_surge and owner.kind != "DaemonSet":
        return _single_replica(workload, forced=forced)
    if not workload.partition:
        return _within_budgets(workload, budgets, forced=forced)
    blocked = _eviction_block(budgets)
    if blocked:
        return _or_forced(forced, blocked, f"{blocked}; tried on request")
    return EVICT, f"its update partition {workload.partition} shields pods from a rollout", 1


def _single_replica(workload: Workload, *, forced: bool) -> tuple[str, str, int]:
    if not forced:
        return LISTED, "single replica without surge: a restart is an outage", 0
    action = EVICT if workload.partition else ROLLOUT
    return action, "single replica without surge: it is gone for a moment, on request", 1


def _or_forced(forced: bool, listed: str, evicted: str) -> tuple[str, str, int]:
    return (EVICT, evicted, 1) if forced else (LISTED, listed, 0)


def _within_budgets(workload: Workload, budgets: Sequence[Budget], *, forced: bool) -> tuple[str, str, int]:
    takes = workload.max_unavailable
    if not takes:
        return ROLLOUT, f"adds {workload.max_surge} before it takes one away", 0
    names = ", ".join(budget.name for budget in budgets)
    allowed = min((budget.allowed for budget in budgets), default=takes)
    if takes <= allowed:
        within = f", within PodDisruptionBudget {names} ({allowed} allowed)" if budgets else ""
        return ROLLOUT, f"takes {takes} at once{within}", takes
    blocked = _eviction_block(budgets)
    if not blocked:
        return EVICT, f"a rollout takes {takes} at once, PodDisruptionBudget {names} allows {allowed}", 1
    if forced:
        return ROLLOUT, f"{blocked}; rolled out on request", takes
    return LISTED, blocked, 0


def _eviction_block(budgets: Sequence[Budget]) -> str:
    if len(budgets) > 1:
        names = ", ".join(budget.name for budget in budgets)
        return f"several PodDisruptionBudgets ({names}): the Eviction API refuses such pods"
    if budgets and budgets[0].exhausted:
        return f"PodDisruptionBudget {budgets[0].name} never allows a disruption"
    return ""


def in_batches(steps: Sequence[Restart], size: int) -> list[Restart]:
    """Numbers the steps. Workloads that share a budget never go together; gateways go last, one at a time.

    :param size: workloads of one batch at most. :returns: all steps, by batch; those only listed come last.
    """
    placed = [step for step in steps if step.action == LISTED]
    batches: list[list[Restart]] = []
    for step in sorted(
        (step for step in steps if step.action != LISTED and not step.gateway), key=lambda step: step.owner
    ):
        room = next((entry for entry in batches if len(entry) < size and not _clash(step, entry)), None)
        if room is None:
            batches.append([step])
        else:
            room.append(step)
    batches += [
        [step] for step in sorted(steps, key=lambda s: s.owner) if step.gateway and step.action != LISTED
    ]
    for number, entry in enumerate(batches, start=1):
        placed += [dataclasses.replace(step, batch=number) for step in entry]
    return sorted(placed, key=lambda step: (step.batch or len(batches) + 1, step.owner))


def _clash(step: Restart, others: Sequence[Restart]) -> bool:
    return bool(step.takes) and any(
        other.takes
        and other.owner.namespace == step.owner.namespace
        and set(other.budgets) & set(step.budgets)
        for other in others
    )
