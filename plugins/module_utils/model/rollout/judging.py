# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the windows of a run to the verdicts of its share gates. A runner judges by it, and so can everybody
who has the evidence: nothing else is needed than what is kept there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .gates import Judgement, Look, Policy, ShareGate, judge_share
from .journal import Window
from .phases import Phase, RolloutPlan
from .statistics import Counts


def first_live(plan: RolloutPlan) -> int:
    """Number of the first phase that sends users to the canary."""
    return sum(phase.kind != "weight" for phase in plan.phases) + 1


def look_at(plan: RolloutPlan, phase: Phase, *, ended: bool = True) -> Look:
    """Where a run stands in a phase. One with a weight needs a request at least, whatever is declared.

    :param ended: the phase has lasted as long as it must.
    """
    early = phase.kind != "weight"
    return Look(
        phases=len(plan.phases),
        phase=phase.number,
        minimum_requests=phase.minimum_requests if early else max(1, phase.minimum_requests),
        promotion=not early and phase.number >= plan.evidence_phase,
        live=first_live(plan),
        ended=ended,
    )


def judge_shares(
    windows: Sequence[Window],
    look: Look,
    *,
    policy: Policy,
    gates: Sequence[ShareGate],
    spread: Mapping[str, Sequence[tuple[int, int]]],
) -> list[Judgement]:
    """All share gates at one look.

    :param spread: gate -> (requests, bad ones) of stable in successive spans before the run.
    :returns: one per gate, in the gates' order.
    """
    return [
        judge_share(
            gate,
            counts_of(windows, gate.name),
            look,
            policy=policy,
            gates=gates,
            before=spread.get(gate.name, ()),
        )
        for gate in gates
    ]


def counts_of(windows: Sequence[Window], gate: str) -> list[Counts]:
    """The windows of one gate as counts. :returns: one per window, the oldest first."""
    return [Counts(window.phase, *window.counts[gate]) for window in windows if gate in window.counts]
