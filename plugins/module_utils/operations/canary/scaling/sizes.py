# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides how many pods each version has: Deployments, autoscalers, PodDisruptionBudgets. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....errors import ApiError
from ....fields import annotations_of, field, integer_at, mapping_at, mappings_at, name_of, text_at
from ....istio.injection.webhooks import matches
from ....model.rollout.capacity import Autoscaler, Size, least_available, read_held
from ....model.rollout.split import gitops_owner
from ..options.rollout import RolloutOptions
from ..protocols import Objects

APPS, AUTOSCALING, POLICY = "apps/v1", "autoscaling/v2", "policy/v1"
HPA, PDB = "HorizontalPodAutoscaler", "PodDisruptionBudget"
HELD_ANNOTATION = "servicemesh.istio/min-replicas"


def read_sizes(
    client: Objects, namespace: str, workloads: Mapping[str, str], *, gitops: str = "refuse"
) -> dict[str, Size]:
    """The sizes of some versions.

    :param workloads: version -> name of its Deployment.
    :param gitops: ``ignore``: what a GitOps controller would put back is changed all the same.
    :returns: version -> its size. One without a Deployment has none; without the rights to look, no version
        has one: an autoscaler that nobody sees is not an absent one.
    """
    try:
        scalers = client.list(AUTOSCALING, HPA, namespace).items
        found = {name: client.get(APPS, "Deployment", name, namespace) for name in workloads.values()}
    except ApiError as error:
        if not error.not_allowed:
            raise
        return {}
    sizes = {}
    for version, name in workloads.items():
        deployment = found[name]
        if deployment is None:
            continue
        sizes[version] = Size(
            workload=name,
            replicas=integer_at(deployment, "spec", "replicas", default=1),
            ready=integer_at(deployment, "status", "readyReplicas"),
            autoscaler=_autoscaler([item for item in scalers if scales(item, name)], gitops),
        )
    return sizes


def scales(autoscaler: Mapping[str, Any], workload: str) -> bool:
    """Whether a HorizontalPodAutoscaler scales this Deployment."""
    target = mapping_at(autoscaler, "spec", "scaleTargetRef")
    return (text_at(target, "kind"), text_at(target, "name")) == ("Deployment", workload)


def _autoscaler(found: Sequence[Mapping[str, Any]], gitops: str) -> Autoscaler | None:
    if not found:
        return None
    first = found[0]
    held = read_held(annotations_of(first).get(HELD_ANNOTATION, ""))
    live = integer_at(first, "spec", "minReplicas", default=1)
    owner = _owner(first, gitops)
    if len(found) > 1:  # Kubernetes lets none of them act (AmbiguousSelector)
        owner = f"nobody: {', '.join(sorted(map(name_of, found)))} are about the same pods"
    return Autoscaler(
        name=name_of(first),
        # a run whose journal is gone may have left its own bound there
        minimum=held[0] if held and held[1] == live else live,
        maximum=integer_at(first, "spec", "maxReplicas", default=1),
        owner=owner,
        controlled=bool(_controller(first)),
    )


def _owner(autoscaler: Mapping[str, Any], gitops: str) -> str:
    """Whoever would put back a ``minReplicas`` of ours, such as KEDA; empty for nobody."""
    return _controller(autoscaler) or (gitops_owner(autoscaler) if gitops == "refuse" else "")


def _controller(autoscaler: Mapping[str, Any]) -> str:
    for owner in mappings_at(autoscaler, "metadata", "ownerReferences"):
        if field(owner, "controller"):
            return f"{text_at(owner, 'kind')} {text_at(owner, 'name')}"
    return ""


def findings(
    sizes: Mapping[str, Size], options: RolloutOptions, stable: str, canary: str
) -> tuple[list[str], list[str]]:
    """What the sizes say of a rollout. :returns: what forbids it, and what a person should know."""
    problems, warnings = [], []
    scale = options.scale
    up = scale.up if scale and scale.up else 0
    old, new = sizes.get(stable), sizes.get(canary)
    if new and new.autoscaler and up > new.autoscaler.maximum:
        problems.append(
            f"canary_scale.up is {up}, but HorizontalPodAutoscaler {new.autoscaler.name} allows"
            f" {new.workload} no more than {new.autoscaler.maximum} pods"
        )
    if new and new.autoscaler and new.autoscaler.owner and up > new.autoscaler.minimum:
        problems.append(
            f"canary_scale.up is {up}, but {new.autoscaler.owner} would put minReplicas"
            f" {new.autoscaler.minimum} of HorizontalPodAutoscaler {new.autoscaler.name} back"
        )
    if old and (shrinks := may_shrink(old, options.capacity)):
        warnings.append(f"{shrinks} while {canary} has its requests, and a rollback brings them all back")
    if old and new and max(new.largest, up) < old.ready:
        warnings.append(
            f"{canary} can have {max(new.largest, up)} of the {old.ready} pods that {stable} has, and is to"
            " take all of its requests: canary_scale.up, or an autoscaler"
        )
    return problems, warnings


def may_shrink(size: Size, capacity: str) -> str:
    """Why a version may lose pods during the run that it needs after a rollback; empty when it will not."""
    scaler = size.autoscaler
    if scaler is None or scaler.minimum >= size.ready:
        return ""
    shrinks = f"may shrink {size.workload} from {size.ready} to {scaler.minimum}"
    text = f"HorizontalPodAutoscaler {scaler.name} {shrinks}"
    if scaler.owner:
        return f"{text} (its minReplicas belongs to {scaler.owner})"
    return f"{text} (canary_capacity is ignore)" if capacity == "ignore" else ""


def budget_findings(
    client: Objects, namespace: str, labels: Mapping[str, str], version: str, left: int
) -> list[str]:
    """PodDisruptionBudgets that the scale-down after a promotion leaves no pod to spare: then no node can be
    drained any more.

    :param labels: of the pods of ``version``, which stays with ``left`` pods. :returns: one warning each.
    """
    try:
        budgets = client.list(POLICY, PDB, namespace).items
    except ApiError as error:
        if not error.not_allowed:
            raise
        return []
    warnings = []
    for budget in budgets:
        spec = mapping_at(budget, "spec")
        selector = field(spec, "selector")
        # one without a selector selects nothing, an empty one everything (policy/v1)
        if selector is None or not matches(selector, labels):
            continue
        least = least_available(spec, left)
        if least >= left:
            warnings.append(
                f"PodDisruptionBudget {name_of(budget)} wants {least} pods, and {version} has {left}:"
                " once the old version is at 0, no node with one of them can be drained"
            )
    return warnings
