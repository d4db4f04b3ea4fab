# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of an injection run: small, and the same in check mode but for what was not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...istio.injection.judge import PodVerdict
from ...istio.injection.labels import LabelDecision
from ...istio.injection.plan import WAIT, Restart, RestartPlan
from ...istio.injection.webhooks import Injector
from ...labels import INJECTED_BY_ANNOTATION

if TYPE_CHECKING:
    from ...context import Context

# A missing namespace gets this far in check mode only: an earlier step would create it, this one label it.
LABEL_ACTIONS = {
    "claim": "updated",
    "label": "updated",
    "relabel": "updated",
    "create": "created",
    "missing": "updated",
}
RESTART_ACTIONS = {"rollout": "restarted", "evict": "evicted", "wait": "waited", "listed": "left alone"}


def build_result(
    decisions: Sequence[LabelDecision],
    injectors: Sequence[Injector],
    before: RestartPlan,
    after: RestartPlan,
    *,
    context: Context,
    restart: bool,
    silent: Sequence[str] = (),
) -> dict[str, Any]:
    """What module ``injection`` returns.

    :param silent: namespaces whose label no injector answers to yet, as sentences; in check mode only.
    :param before: the plan as it was found. :param after: the plan after the work; in check mode the same.
    :returns: ``changed``, ``status``, ``reason``, ``counts``, ``objects``, ``plan``, ``left_alone``,
        ``skipped_pods``, ``not_proved``, ``summary``, and ``diff`` with ``diff_mode``.
    """
    acting = [step for step in before.steps if step.batch and restart]
    relabelled = [decision for decision in decisions if decision.changed or _to_come(decision)]
    status, reason = _status(
        injectors, before if context.check_mode else after, restart=restart, silent=silent
    )
    result: dict[str, Any] = {
        # A rollout that was under way anyway is waited for, not changed.
        "changed": bool(relabelled) or any(step.action != WAIT for step in acting),
        "status": status,
        "reason": reason,
        "counts": _counts(decisions, before, after, acting),
        "objects": [
            *({"id": f"Namespace {d.request.name}", "action": LABEL_ACTIONS[d.action]} for d in relabelled),
            *({"id": str(step.owner), "action": RESTART_ACTIONS[step.action]} for step in acting),
        ],
        "plan": [_step(step, restart=restart) for step in before.steps],
        "left_alone": [{"id": str(step.owner), "why": step.why, "reason": step.how} for step in after.listed],
        "skipped_pods": [_pod(verdict) for verdict in after.pods("skipped")],
        "not_proved": [_pod(verdict) for verdict in after.pods("stale")],
    }
    result["summary"] = _summary(result, check_mode=context.check_mode)
    if context.diff_mode:
        result["diff"] = [*map(_label_diff, relabelled), *map(_step_diff, acting)]
    return result


def _to_come(decision: LabelDecision) -> bool:
    return decision.action == "missing" and decision.request.mode != "keep"


def _status(
    injectors: Sequence[Injector], plan: RestartPlan, *, restart: bool, silent: Sequence[str]
) -> tuple[str, str]:
    if not injectors:
        return "cannot tell", "not installed: no injector in this cluster"
    if silent:
        return "cannot tell", f"not installed: {'; '.join(silent)}"
    if all(verdict.state == "leaving" for verdict in plan.verdicts):
        return "cannot tell", "the namespaces hold no pods"
    stale = plan.pods("stale")
    if not stale:
        return "pass", ""
    listed = {step.owner for step in plan.listed}
    left = sum(verdict.owner in listed for verdict in stale)
    if left == len(stale) or not restart:
        return "fail", f"{len(stale)} pods carry the wrong proxy or none and are left alone"
    return "fail", f"{len(stale)} pods carry the wrong proxy or none"


def _counts(
    decisions: Sequence[LabelDecision], before: RestartPlan, after: RestartPlan, acting: Sequence[Restart]
) -> dict[str, int]:
    proved = [verdict.pod for verdict in after.pods("ok")]
    return {
        "namespaces": len(decisions),
        "labelled": sum(decision.labels_change or _to_come(decision) for decision in decisions),
        "restarts": sum(step.action != WAIT for step in acting),
        "left_alone": len(after.listed),
        "pods": sum(verdict.state != "leaving" for verdict in after.verdicts),
        "injected": len(proved),
        "native_sidecars": sum(pod.proxy is not None and pod.proxy.native for pod in proved),
        "stale_before": len(before.pods("stale")),
        "stale": len(after.pods("stale")),
        "skipped": len(after.pods("skipped")),
    }


def _summary(result: Mapping[str, Any], *, check_mode: bool) -> list[str]:
    """Lines for the person who watches: the verdict, then whatever was not brought into order."""
    counts = result["counts"]
    verdict = (
        f"{result['status']}: {counts['injected']} pods with the right proxy "
        f"({counts['native_sidecars']} native sidecars), {counts['stale']} with a wrong one or none, "
        f"{counts['skipped']} skipped; {counts['restarts']} workloads "
        f"{'to restart' if check_mode else 'restarted'}"
    )
    return [
        f"{verdict} - {result['reason']}" if result["reason"] else verdict,
        *(
            f"{entry['id']} is left alone ({entry['why']}): {entry['reason']}"
            for entry in result["left_alone"]
        ),
        *(f"{entry['id']} is skipped: {entry['reason']}" for entry in result["skipped_pods"]),
    ]


def _step(step: Restart, *, restart: bool) -> dict[str, Any]:
    return {
        "id": str(step.owner),
        "action": step.action if restart else "listed",
        "why": step.why,
        "how": step.how if restart else "restarts are switched off",
        "pods": [pod.name for pod in step.pods],
        "of": step.total,
        "batch": step.batch,
    }


def _pod(verdict: PodVerdict) -> dict[str, str]:
    return {"id": f"Pod {verdict.pod.namespace}/{verdict.pod.name}", "reason": verdict.reason}


def _label_diff(decision: LabelDecision) -> dict[str, Any]:
    name = f"Namespace {decision.request.name}"
    before: Any = {"labels": dict(decision.before), **_holder(decision.held_by)}
    unseen = decision.action in ("create", "missing")
    if unseen:
        before = {}
    return {
        "before_header": name,
        "after_header": f"{name} (not validated by the server)" if unseen else name,
        "before": before,
        "after": {"labels": dict(decision.after), **_holder(decision.holder)},
    }


def _holder(name: str) -> dict[str, Any]:
    return {"annotations": {INJECTED_BY_ANNOTATION: name}} if name else {}


def _step_diff(step: Restart) -> dict[str, Any]:
    before = {pod.name: step.why for pod in step.pods}
    return {
        "before_header": str(step.owner),
        "after_header": f"{step.owner} ({step.action}, batch {step.batch}: {step.how})",
        "before": before,
        "after": {},
    }
