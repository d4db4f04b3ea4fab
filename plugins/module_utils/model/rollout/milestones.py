# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people want to hear of a run, derived from two states of its journal. Pure functions."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from .journal import Journal, Outcome, State


class Milestone(enum.StrEnum):
    """Something that happened to a run. The values are names of events, and stay as they are."""

    STARTED = "started"
    RESUMED = "resumed"  # another runner goes on
    PHASE_PASSED = "phase_passed"
    WAITING = "waiting"  # for somebody's approval
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    SPLIT = "split"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    DEADMAN = "deadman"  # the Job in the cluster gave the routes back

    @property
    def bad(self) -> bool:
        """Whether somebody should look at it."""
        return self in (Milestone.ROLLING_BACK, Milestone.ROLLED_BACK, Milestone.HELD, Milestone.DEADMAN)

    @property
    def last(self) -> bool:
        """Whether the run ends with it, or waits for somebody."""
        return self not in (
            Milestone.STARTED,
            Milestone.RESUMED,
            Milestone.PHASE_PASSED,
            Milestone.ROLLING_BACK,
        )


_ENDS: Mapping[Outcome, Milestone] = {
    Outcome.PROMOTED: Milestone.PROMOTED,
    Outcome.SPLIT: Milestone.SPLIT,
    Outcome.ROLLED_BACK: Milestone.ROLLED_BACK,
    Outcome.HELD_ON_CANARY: Milestone.HELD,
    Outcome.HELD_AT_SPLIT: Milestone.HELD,
}
_STATES: Mapping[State, Milestone] = {
    State.AWAITING_APPROVAL: Milestone.WAITING,
    State.PAUSED: Milestone.PAUSED,
    State.ROLLING_BACK: Milestone.ROLLING_BACK,
}


def milestone_of(before: Journal | None, after: Journal) -> Milestone | None:
    """What a write of the journal means to people; ``None`` for nothing.

    :param before: the journal until then; of an earlier run, or None, when a run begins.
    """
    if before is None or before.run != after.run:
        return _STATES.get(after.state, Milestone.STARTED)
    if after.state is not before.state:
        if after.state is State.FINISHED:
            return _ENDS.get(after.outcome)
        if after.state in _STATES:
            return _STATES[after.state]
    if after.runner != before.runner:
        return Milestone.RESUMED
    return Milestone.PHASE_PASSED if after.passed > before.passed else None


def told(milestone: Milestone, journal: Journal) -> str:
    """One sentence for people, with the names of everything."""
    service = f"{journal.namespace}/{journal.service}"
    stable, canary = journal.stable, journal.canary
    change = f"{service} {stable} to {canary}"
    why = f": {journal.reason}" if journal.reason else ""
    if milestone is Milestone.STARTED:
        by = f" by {journal.by}" if journal.by else ""
        return f"{change}: rollout {journal.run} has begun{by}"
    if milestone is Milestone.RESUMED:
        return f"{change}: {journal.runner} goes on with rollout {journal.run}"
    if milestone is Milestone.PHASE_PASSED:
        phases = journal.plan.phases
        label = phases[journal.passed - 1].label() if journal.passed <= len(phases) else "all phases"
        return f"{change}: phase {label} of {len(phases)} passed"
    return {
        Milestone.WAITING: f"{change}: waits{why}",
        Milestone.PAUSED: f"{change}: paused{why}",
        Milestone.ROLLING_BACK: f"{change}: is rolled back{why}",
        Milestone.PROMOTED: f"{change}: promoted, {canary} is stable",
        Milestone.SPLIT: f"{change}: ended{why}",
        Milestone.ROLLED_BACK: f"{change}: rolled back, {stable} has all requests{why}",
        Milestone.HELD: f"{change}: held{why}",
        Milestone.DEADMAN: f"{change}: the runner died, and the deadman gave the routes back",
    }[milestone]


def notice(milestone: Milestone, journal: Journal, mesh: str) -> dict[str, object]:
    """What a notification says. The names of its fields stay as they are.

    :param mesh: name of the mesh. :returns: JSON data; ``text`` is a sentence, which Slack and others show.
    """
    weight = journal.intended_share
    return {
        "schema": 1,
        "event": milestone.value,
        "text": told(milestone, journal),
        "id": f"{journal.run}.{milestone}.{journal.fence}.{journal.passed}",
        "at": journal.at,
        "service": journal.service,
        "namespace": journal.namespace,
        "mesh": mesh,
        "cluster": journal.cluster,
        "run": journal.run,
        "by": journal.by,
        "stable": journal.stable,
        "canary": journal.canary,
        "step": journal.phase,
        "steps": len(journal.plan.phases),
        "weight": weight,
        "outcome": journal.outcome.value,
        "reason": journal.reason,
    }
