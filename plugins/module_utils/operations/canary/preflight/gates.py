# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known of the gates outside of the mesh before anything moves. Nobody is asked."""

from __future__ import annotations

import shutil

from ....kube.clock import timestamp
from ....model.rollout.outside_gates import GateKind, Moment, OnFail, OutsideGate
from ....verdicts import PASS
from ..assembly import RolloutBuilder
from ..outside.asking import ask_calendar, opens_at
from ..outside.command import USUAL_PATH
from .findings import Preflight


def gates_outside(builder: RolloutBuilder, found: Preflight) -> None:
    """A freeze that lies ahead, and programs that are not there."""
    for gate in builder.options.outside:
        if gate.kind is GateKind.TIME:
            _calendar(builder, gate, found)
        elif gate.kind is GateKind.COMMAND:
            _program(builder, gate, found)


def _calendar(builder: RolloutBuilder, gate: OutsideGate, found: Preflight) -> None:
    if Moment.PRE_ROLLOUT not in gate.when:
        return
    now = builder.clock.now()
    said = ask_calendar(gate, now)
    if said.verdict == PASS:
        return
    waits = gate.deadline if gate.on_fail is OnFail.WAIT else 0.0
    opens = opens_at(gate, now, waits)
    if opens is None:
        within = f" and does not open in {waits:.0f} s" if waits else ""
        found.problems.append(f"gate {gate.name} is closed{within}: {said.reason}")
    else:
        found.warnings.append(
            f"gate {gate.name} is closed until {timestamp(opens)[:16]}Z, and the rollout waits: {said.reason}"
        )


def _program(builder: RolloutBuilder, gate: OutsideGate, found: Preflight) -> None:
    asking = builder.options.askings[gate.name]
    path = asking.given.get("PATH") or builder.context.environment.get("PATH") or USUAL_PATH
    if shutil.which(asking.command[0], path=path) is None:
        found.problems.append(f"gate {gate.name}: there is no program of this name where the task runs")
