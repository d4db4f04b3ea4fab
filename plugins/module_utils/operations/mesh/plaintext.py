# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether somebody who called without mTLS would do it again.

A counter never forgets: a caller that got its sidecar a minute ago stands in the metrics of the last hour
like one that still has none. So the samples are read for when it called, and the pods for when they joined.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...fields import annotations_of, mappings_at, namespace_of, text_at
from ...istio.injection.labels import FIELD_MANAGER
from ...istio.workloads import parse_pod
from ...kube.clock import seconds_of

CALLS, CALLED, UNSETTLED, OVER = "calls", "called", "unsettled", "over"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_ROLLOUT = 1800.0
"""Seconds after a restart in which a pod still belongs to it."""
_LEAVING = 30.0
"""Seconds that a pod without sidecar may still call after its successor is ready (termination grace)."""
_RECENT = 120.0
_RHYTHM = (5, 3.0, 180.0)
"""So many calls show a rhythm; so many of its longest pauses, and at least so many seconds, end it."""
_SPACING = (5.0, 15.0, 60.0)
"""Seconds between two samples: at least, when one cannot tell, at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Join:
    """When workloads got their sidecars: from the first restart to the last ready pod, in seconds."""

    start: float
    end: float


@dataclasses.dataclass(frozen=True, slots=True)
class Flow:
    """One series of calls without mTLS.

    :param calls: times of the samples that counted new calls. :param seen: time of the last sample.
    :param spacing: seconds between two samples.
    """

    calls: tuple[float, ...]
    seen: float
    spacing: float


def flow_of(points: Sequence[tuple[float, float]], since: float) -> Flow:
    """When a counter counted something after ``since``.

    A series whose first sample is later began at 0; a counter that fell was reset and began at 0 again.

    :param points: (time, value) in time order, at least one, from well before ``since`` on.
    """
    at, value = points[0]
    calls = [at] if at > since and value > 0 else []
    calls += [
        after_at
        for (_unused, before), (after_at, after) in itertools.pairwise(points)
        if after_at > since and after > 0 and after != before
    ]
    gaps = [after - before for (before, _x), (after, _y) in itertools.pairwise(points) if after > before]
    spacing = statistics.median(gaps) if gaps else _SPACING[1]
    return Flow(tuple(calls), points[-1][0], min(max(spacing, _SPACING[0]), _SPACING[2]))


def judge_flow(flow: Flow, joins: Iterable[Join], *, now: float, born: float) -> str:
    """What a flow means for the moment when mTLS becomes obligatory.

    :param born: when the namespace was made: what was counted before is about another one of its name.
    :returns: ``calls`` (it goes on), ``called`` (it stopped and may come back), ``over`` (it will not), or
        ``unsettled``: it seems to be over, and the next samples have to show it.
    """
    if not flow.calls or flow.calls[-1] <= born:
        return OVER
    last = flow.calls[-1]
    silent = now - last
    for join in joins:
        if join.start - 2 * flow.spacing <= last <= join.end + _LEAVING + flow.spacing:
            settled = max(last, join.end + _LEAVING) + flow.spacing
            return OVER if flow.seen >= settled or now >= settled + 2 * flow.spacing else UNSETTLED
    few, pauses, least = _RHYTHM
    gaps = [later - earlier for earlier, later in itertools.pairwise(flow.calls)]
    if len(flow.calls) >= few and silent > max(least, pauses * max(*gaps, flow.spacing)):
        return OVER
    return CALLS if silent <= max(_RECENT, 2 * flow.spacing) else CALLED


def joins_of(pods: Iterable[Mapping[str, Any]], namespaces: Iterable[Mapping[str, Any]]) -> list[Join]:
    """When workloads were taken into the mesh, as restarts and labels of namespaces tell.

    :param pods: of all namespaces whose workloads may call. :param namespaces: those that may have joined.
    :returns: one per restart and per label.
    """
    injected = [pod for pod in pods if (proxy := parse_pod(pod).proxy) is not None and proxy.injected]
    found = []
    for text in sorted({_restart(pod) for pod in injected}):
        if start := seconds_of(text):
            found.append(Join(start, _end(start, (pod for pod in injected if _restart(pod) == text))))
    for namespace in namespaces:
        if start := _labelled(namespace):
            name = text_at(namespace, "metadata", "name")
            found.append(Join(start, _end(start, (pod for pod in injected if namespace_of(pod) == name))))
    return found


def _restart(pod: Mapping[str, Any]) -> str:
    return annotations_of(pod).get(RESTARTED_AT, "")


def _end(start: float, pods: Iterable[Mapping[str, Any]]) -> float:
    """When the last of the pods of a restart became ready; later changes of their readiness do not count."""
    ready = [_ready_at(pod) for pod in pods if start - _LEAVING <= _made_at(pod) <= start + _ROLLOUT]
    return min(max([start, *ready]), start + _ROLLOUT)


def _made_at(pod: Mapping[str, Any]) -> float:
    return seconds_of(text_at(pod, "metadata", "creationTimestamp")) or 0.0


def _ready_at(pod: Mapping[str, Any]) -> float:
    for condition in mappings_at(pod, "status", "conditions"):
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            at = seconds_of(text_at(condition, "lastTransitionTime"))
            if at is not None:
                return at
    return _made_at(pod)


def _labelled(namespace: Mapping[str, Any]) -> float | None:
    """When a namespace got its label for injection from us."""
    times = [
        seconds_of(text_at(entry, "time"))
        for entry in mappings_at(namespace, "metadata", "managedFields")
        if entry.get("manager") == FIELD_MANAGER
    ]
    return max((at for at in times if at is not None), default=None)
