# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a run that has no runner: one that waits for a person, or was held."""

from __future__ import annotations

import contextlib

from ...errors import MeshError, WaitTimeout
from ...kube.clock import seconds_of, timestamp
from ...kube.wait import wait_until
from ...model.rollout.gates import GateVerdict
from ...model.rollout.journal import Journal, Window
from ...model.rollout.requests import LabelError
from .assembly import RolloutBuilder
from .evidence import judge_windows
from .watch import by_gate

LOOK_AGAIN = 15.0  # seconds that a version without endpoints has, before it counts as down
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
    share = journal.intent.weights.get(journal.canary, 0) if journal.intent else 0
    if not share:
        return ""
    of_run.check_known(journal.stable, journal.canary)
    if is_down(of_run, journal, journal.canary):
        return of_run.endpoints(journal.stable, journal.canary).read()[journal.canary].describe()
    if of_run.options.prometheus is None or not journal.gates:
        return ""
    try:
        return _failed_gate(of_run, journal, share)
    except (MeshError, LabelError) as error:
        builder.context.progress(f"{builder.service.key}: the waiting run cannot be measured: {error}")
        return ""


def _failed_gate(builder: RolloutBuilder, journal: Journal, share: int) -> str:
    now = builder.clock.now()
    since = seconds_of(journal.at) or now
    seconds = min(now - since, LONGEST_LOOK)
    if seconds <= builder.options.scrape_interval:
        return ""
    measured = builder.metrics_of(journal).past(seconds)
    rollout = builder.journalled(journal)
    phase = journal.plan.phases[max(journal.passed, 1) - 1]
    window = Window(
        phase=phase.number,
        begin=timestamp(now - seconds),
        end=timestamp(now),
        weight=share,
        counts=by_gate(measured),
    )
    judgements = judge_windows(rollout, phase, [*journal.windows, window])
    failed = next((found for found in judgements if found.verdict is GateVerdict.FAIL), None)
    return str(failed) if failed else ""
