# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a rollout: phases with weights, durations and request needs. Pure functions.

A phase is one change of the routes and the time it is watched. Kinds: ``dark`` (the version is deployed and
routed nowhere), ``mirror`` (copies of requests, answers thrown away), ``testers`` (only requests with a
header), ``weight`` (a share of all requests).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from .phases_input import PlanReader
from .typed_json import encode

DEFAULT_STEPS = (10, 25, 50, 75, 100)
DEFAULT_DURATION = 60.0
DEFAULT_REQUESTS = 100
MAX_PHASES = 100


@dataclasses.dataclass(frozen=True, slots=True)
class TrafficState:
    """What the routes shall do: the split, and the temporary routes of early phases.

    :param weights: version -> percent. :param kind: ``weight``, ``mirror``, ``testers`` or ``dark``.
    :param percent: copies in percent of a ``mirror`` phase. :param earlier: the canary's percentages in the
        live phases before this one. :param epoch: what tells the cookies of this attempt from older ones.
    """

    weights: Mapping[str, int]
    kind: str = "weight"
    percent: int = 0
    earlier: tuple[int, ...] = ()
    epoch: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """One step of a rollout.

    :param number: position from 1. :param kind: ``dark``, ``mirror``, ``testers`` or ``weight``.
    :param canary: the canary's share of requests in percent (of copies for ``mirror``).
    :param weights: version -> percent of the live split; sums to 100.
    :param duration: least seconds to watch. :param minimum_requests: least canary requests in this phase.
    :param expected_seconds: time it takes at the given traffic; the duration when no traffic is known.
    :param expected_requests: canary requests in that time; ``None`` when no traffic is known.
    """

    number: int
    kind: str
    canary: int
    weights: Mapping[str, int]
    duration: float
    minimum_requests: int
    expected_seconds: float
    expected_requests: int | None

    def label(self) -> str:
        """Short name for progress lines: ``2/weight 25 %``."""
        return f"{self.number}/{self.kind} {self.canary} %"

    @property
    def traffic(self) -> TrafficState:
        """What the routes do in this phase."""
        return TrafficState(weights=dict(self.weights), kind=self.kind, percent=self.canary)


@dataclasses.dataclass(frozen=True, slots=True)
class RolloutPlan:
    """All phases, in order.

    :param evidence_phase: number of the phase that must not end before the evidence for promotion is
        complete: the last one that still sends requests to the stable version.
    :param evidence_requests: canary requests that this evidence is expected to need.
    """

    stable: str
    canary: str
    phases: tuple[Phase, ...]
    evidence_phase: int
    evidence_requests: int
    requests_per_second: float | None

    @property
    def minimum_seconds(self) -> float:
        """Sum of the phases' durations."""
        return sum(phase.duration for phase in self.phases)

    @property
    def expected_seconds(self) -> float:
        """Total time at the given traffic."""
        return sum(phase.expected_seconds for phase in self.phases)

    def traffic(self, phase: Phase, epoch: str) -> TrafficState:
        """What the routes do in a phase of this plan. :param epoch: of the attempt."""
        earlier = tuple(
            item.canary for item in self.phases if item.kind == "weight" and item.number < phase.number
        )
        return dataclasses.replace(phase.traffic, earlier=earlier, epoch=epoch)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON data. :returns: its fields, and ``minimum_seconds`` and ``expected_seconds``."""
        return {
            "stable": self.stable,
            "canary": self.canary,
            "phases": [encode(phase) for phase in self.phases],
            "evidence_phase": self.evidence_phase,
            "evidence_requests": self.evidence_requests,
            "requests_per_second": self.requests_per_second,
            "minimum_seconds": self.minimum_seconds,
            "expected_seconds": self.expected_seconds,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class PhaseOptions:
    """One phase as the user asks for it; see `Phase`."""

    kind: str
    canary: int
    duration: float
    minimum_requests: int


def plan_phases(
    *,
    stable: Any,
    canary: Any,
    steps: Any = None,
    step_weight: Any = None,
    duration: Any = DEFAULT_DURATION,
    min_requests: Any = DEFAULT_REQUESTS,
    requests_per_second: Any = None,
    evidence_requests: Any = 0,
    promote: Any = True,
    dark: Any = None,
    mirror: Any = None,
    testers: Any = None,
    prefix: str = "",
) -> RolloutPlan:
    """Computes and checks a rollout plan.

    :param stable: version that serves now. :param canary: version that shall serve.
    :param steps: shares in percent, ascending, such as ``[10, 25, 50, 75, 100]``; an item may be a mapping
        ``{weight, duration, min_requests}``. Default `DEFAULT_STEPS` unless ``step_weight`` is given.
    :param prefix: what the names of the arguments begin with where the user wrote them, such as ``canary_``.
    :param step_weight: size of equal steps up to 100, instead of ``steps``.
    :param duration: seconds, or ``30s``/``5m``/``1h``, per phase; a list gives one per step.
    :param min_requests: canary requests that each phase needs; a list gives one per step.
    :param requests_per_second: requests of the whole service, to compute times.
    :param evidence_requests: canary requests that the gates need in all before the last step.
    :param promote: ``False`` allows a last step below 100.
    :param dark: seconds of a phase without any request to the canary, before all others.
    :param mirror: ``{percent, duration}`` of a phase of copied requests.
    :param testers: ``{duration, min_requests}`` of a phase in which only requests with a header are served.
    :raises InputError: with every problem found.
    """
    read = PlanReader(prefix)
    stable_name = read.name("stable", stable)
    canary_name = read.name("canary", canary)
    if stable_name and stable_name == canary_name:
        read.problem("canary", f"is {canary_name!r}, which is already the stable version", "canary-is-stable")
    rate = None if requests_per_second is None else read.rate("requests_per_second", requests_per_second)
    needed = read.requests("evidence_requests", evidence_requests)
    phases = read_phases(
        read,
        steps=steps,
        step_weight=step_weight,
        duration=duration,
        min_requests=min_requests,
        promote=promote,
        dark=dark,
        mirror=mirror,
        testers=testers,
    )
    if read.problems:
        raise InputError(read.problems)
    return timed_plan(stable_name, canary_name, phases, rate, needed)


def read_phases(
    read: PlanReader,
    *,
    steps: Any,
    step_weight: Any,
    duration: Any,
    min_requests: Any,
    promote: Any,
    dark: Any,
    mirror: Any,
    testers: Any,
) -> tuple[PhaseOptions, ...]:
    """The phases of a rollout, early ones first. The arguments are those of `plan_phases`.

    :param read: takes every problem. :returns: them in order; no plan when there was a problem.
    """
    items = _step_items(read, steps, step_weight)
    durations = read.per_step("duration", duration, len(items), read.seconds)
    requests = read.per_step("min_requests", min_requests, len(items), read.requests)
    weights = [read.weight(f"steps[{index}]", item.get("weight")) for index, item in enumerate(items)]
    for index, item in enumerate(items):
        if "duration" in item:
            durations[index] = read.seconds(f"steps[{index}].duration", item["duration"])
        if "min_requests" in item:
            requests[index] = read.requests(f"steps[{index}].min_requests", item["min_requests"])
    _check_order(read, weights, promote)
    early = _early_phases(read, dark=dark, mirror=mirror, testers=testers)
    steps_read = zip(weights, durations, requests, strict=True)
    return (*early, *(PhaseOptions("weight", share, length, least) for share, length, least in steps_read))


def _step_items(read: PlanReader, steps: Any, step_weight: Any) -> list[Mapping[str, Any]]:
    if steps is not None and step_weight is not None:
        read.problem("step_weight", "give either steps or step_weight, not both", "phases-ambiguous")
        return []
    if step_weight is not None:
        size = read.weight("step_weight", step_weight)
        return [{"weight": min(weight, 100)} for weight in range(size, 100 + size, size)] if size else []
    if steps is None:
        return [{"weight": weight} for weight in DEFAULT_STEPS]
    if isinstance(steps, str | bytes | Mapping) or not isinstance(steps, Sequence):
        read.problem("steps", f"is {read.shown(steps)}, not a list of percentages", "phases-list")
        return []
    if not 1 <= len(steps) <= MAX_PHASES:
        read.problem("steps", f"has {len(steps)} items; 1 to {MAX_PHASES} are allowed", "phases-count")
        return []
    items: list[Mapping[str, Any]] = []
    for index, step in enumerate(steps):
        if not isinstance(step, Mapping):
            items.append({"weight": step})
            continue
        for field in sorted(set(map(str, step)) - {"weight", "duration", "min_requests"}):
            read.problem(f"steps[{index}].{field}", "is not a field of a step", "unknown-field")
        items.append(step)
    return items


def _check_order(read: PlanReader, weights: Sequence[int], promote: Any) -> None:
    if not isinstance(promote, bool):
        read.problem("promote", f"is {read.shown(promote)}, not true or false", "boolean")
    if not weights or 0 in weights:  # 0 marks a weight that was already refused
        return
    for index, (before, after) in enumerate(itertools.pairwise(weights), start=1):
        if after == before:
            read.problem(f"steps[{index}]", f"repeats {after}", "phases-duplicate")
        elif after < before:
            read.problem(f"steps[{index}]", f"{after} comes after {before}: steps must rise", "phases-order")
    if weights[-1] != 100 and promote is not False:
        read.problem(
            f"steps[{len(weights) - 1}]",
            f"the last step is {weights[-1]}, not 100, and promote is not false",
            "phases-end",
        )


def _early_phases(read: PlanReader, *, dark: Any, mirror: Any, testers: Any) -> list[PhaseOptions]:
    early: list[PhaseOptions] = []
    if dark is not None:
        early.append(PhaseOptions("dark", 0, read.seconds("dark", dark), 0))
    if mirror is not None:
        fields = read.mapping("mirror", mirror, {"percent", "duration", "min_requests"})
        percent = read.weight("mirror.percent", fields.get("percent", 100))
        seconds = read.seconds("mirror.duration", fields.get("duration", DEFAULT_DURATION))
        least = read.requests("mirror.min_requests", fields.get("min_requests", 0))
        early.append(PhaseOptions("mirror", percent, seconds, least))
    if testers is not None:
        fields = read.mapping("testers", testers, {"header", "value", "duration", "min_requests"})
        seconds = read.seconds("testers.duration", fields.get("duration", DEFAULT_DURATION))
        read.header("testers.header", fields.get("header"))
        least = read.requests("testers.min_requests", fields.get("min_requests", 0))
        early.append(PhaseOptions("testers", 0, seconds, least))
    return early


def timed_plan(
    stable: str,
    canary: str,
    options: Sequence[PhaseOptions],
    rate: float | None,
    evidence_requests: int,
) -> RolloutPlan:
    """The plan of checked phases.

    :param rate: requests per second of the whole service, None when not known.
    :param evidence_requests: canary requests that the gates need in all before the last step.
    """
    mixed = [number for number, item in enumerate(options, 1) if item.kind == "weight" and item.canary < 100]
    evidence_phase = mixed[-1] if mixed else len(options)
    phases: list[Phase] = []
    seen = 0.0
    for number, item in enumerate(options, start=1):
        live = item.canary if item.kind == "weight" else 0
        per_second = None if rate is None else rate * item.canary / 100
        seconds = item.duration
        if per_second and item.kind != "testers":
            missing = evidence_requests - seen if number == evidence_phase else 0
            seconds = max(seconds, item.minimum_requests / per_second, missing / per_second)
        expected = None if per_second is None else round(per_second * seconds)
        if item.kind == "weight":
            seen += expected or 0
        phases.append(
            Phase(
                number=number,
                kind=item.kind,
                canary=item.canary,
                weights={stable: 100 - live, canary: live},
                duration=item.duration,
                minimum_requests=item.minimum_requests,
                expected_seconds=round(seconds, 1),
                expected_requests=expected,
            )
        )
    return RolloutPlan(stable, canary, tuple(phases), evidence_phase, evidence_requests, rate)
