# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a run that has no runner: one that waits for a person, or was held."""

from __future__ import annotations

import contextlib
import dataclasses

from ...errors import MeshError, WaitTimeout
from ...kube.clock import seconds_of, timestamp
from ...kube.wait import wait_until
from ...model.rollout.gates import GateVerdict, Judgement
from ...model.rollout.journal import Journal, Window
from ...model.rollout.requests import LabelError
from .assembly import RolloutBuilder
from .evidence import judge_windows
from .watch import by_gate

LOOK_AGAIN = 15.0  # seconds that a version without endpoints has, before it counts as down
FEWEST_REQUESTS = 100  # of a stable version, before it counts as well again
LONGEST_LOOK = 6 * 3600.0  # seconds of metrics that one look asks for


def is_down(builder: RolloutBuilder, journal: Journal, version: str) -> bool:
    """Whether a version of the run has no ready endpoint, also when it is looked at again."""

    def check() -> tuple[bool, str]:
        found = builder.endpoints(journal.stable, journal.canary).read()[version]
        return bool(found.ready), found.describe()

    with contextlib.suppress(WaitTimeout):
        wait_until(check, awaited=version, timeout=LOOK_AGAIN, interval=1.0, clock=builder.clock)
        return False
    return True


def trouble_of(builder: RolloutBuilder, journal: Journal) -> str:
    """Why a waiting run must be withdrawn; empty for no reason.

    Its version has requests, but no pods any more; or its gates fail by what was measured since it began to
    wait. What cannot be measured is no reason: the run has passed its phases.
    """
    of_run = builder.of_run(journal)
    share = journal.intended_share
    if not share and not (journal.intent and journal.intent.kind in ("testers", "mirror")):
        return ""
    of_run.check_known(journal.stable, journal.canary)
    if is_down(of_run, journal, journal.canary):
        return of_run.endpoints(journal.stable, journal.canary).read()[journal.canary].describe()
    seen = look_back(builder, journal, share)
    return str(seen.failed[0]) if seen and seen.failed else ""


@dataclasses.dataclass(frozen=True, slots=True)
class SeenMeanwhile:
    """What was measured since a run was left. :param failed: judgements of the gates that failed."""

    window: Window
    failed: tuple[Judgement, ...]


def look_back(builder: RolloutBuilder, journal: Journal, share: int) -> SeenMeanwhile | None:
    """The gates over what was measured since the journal was written; None where nothing can be measured.

    :param share: percent that the canary has had since then.
    """
    of_run = builder.of_run(journal)
    now = builder.clock.now()
    seconds = min(now - (seconds_of(journal.at) or now), LONGEST_LOOK)
    if of_run.options.prometheus is None or not journal.gates or seconds <= of_run.options.scrape_interval:
        return None
    try:
        measured = of_run.metrics_of(journal).past(seconds, share)
    except (MeshError, LabelError) as error:
        builder.context.progress(f"{builder.service.key}: run {journal.run} cannot be measured: {error}")
        return None
    phase = journal.plan.phases[max(journal.passed, 1) - 1]
    window = Window(
        phase=phase.number,
        begin=timestamp(now - seconds),
        end=timestamp(now),
        weight=share,
        counts=by_gate(measured),
    )
    judgements = judge_windows(of_run.journalled(journal), phase, [*journal.windows, window])
    return SeenMeanwhile(window, tuple(found for found in judgements if found.verdict is GateVerdict.FAIL))


def stable_is_well(builder: RolloutBuilder, journal: Journal) -> bool:
    """Whether a stable version that failed too many requests does so no longer, by enough of them."""
    of_run = builder.of_run(journal)
    if of_run.options.prometheus is None or not journal.gates:
        return False
    try:
        measured = of_run.metrics_of(journal).past(of_run.options.baseline)
    except (MeshError, LabelError) as error:
        builder.context.progress(f"{builder.service.key}: {journal.stable} cannot be measured: {error}")
        return False
    for gate in journal.gates:
        _canary, _bad, total, bad = measured.counts.get(gate.name, (0, 0, 0, 0))
        if total < FEWEST_REQUESTS or bad > gate.acceptable * total:
            return False
    return True
