# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the windows of a run say: verdicts of the gates, which version is the worse one, which is proved."""

from __future__ import annotations

from collections.abc import Sequence

from ...kube.clock import seconds_of
from ...model.rollout import statistics
from ...model.rollout.gates import (
    GateVerdict,
    Judgement,
    Look,
    harm_level,
    judge_query,
)
from ...model.rollout.journal import Window
from ...model.rollout.judging import counts_of, first_live, judge_shares, look_at
from ...model.rollout.outside_gates import Moment, OnFail
from ...model.rollout.phases import Phase
from ...model.rollout.statistics import Counts
from ...verdicts import FAIL
from .rollout import Rollout


def judge_windows(
    rollout: Rollout, phase: Phase, windows: Sequence[Window], *, ended: bool = True
) -> list[Judgement]:
    """All share gates over the windows of a run.

    :param ended: the phase has lasted as long as it must.
    :returns: one per share gate, in the gates' order.
    """
    return _judged(rollout, windows, look_at(rollout.plan, phase, ended=ended))


def _judged(rollout: Rollout, windows: Sequence[Window], look: Look) -> list[Judgement]:
    options, baseline = rollout.options, rollout.journal.baseline
    spread = baseline.spread if baseline else {}
    return judge_shares(windows, look, policy=options.policy, gates=options.gates, spread=spread)


def is_proved(rollout: Rollout) -> bool:
    """Whether the evidence of the run would do for a promotion: then the canary may take over from a stable
    version that is down, and not before."""
    journal, options = rollout.journal, rollout.options
    if not journal.windows or not options.gates:
        return False
    look = Look(
        phases=len(rollout.plan.phases),
        phase=journal.phase,
        minimum_requests=0,
        promotion=True,
        live=first_live(rollout.plan),
    )
    judged = _judged(rollout, journal.windows, look)
    judged += [judge_query(gate, journal.values.get(gate.name, ())) for gate in options.queries]
    outside = rollout.outside
    if outside and not all(
        outside.have_passed(moment, journal.phase) for moment in (Moment.ROLLOUT, Moment.PROMOTION)
    ):
        return False
    return all(judgement.verdict is GateVerdict.PASS for judgement in judged)


NEWEST = 3  # windows, which say how large the load is now


def load_growth(rollout: Rollout) -> float:
    """All requests a second now, over those before the run; 1 where nobody knows."""
    journal = rollout.journal
    newest = journal.windows[-NEWEST:]
    if not newest or not journal.baseline or journal.baseline.rate <= 0:
        return 1.0
    # between two of them nobody may have counted, while the run waited for a person
    spans = [(seconds_of(window.begin), seconds_of(window.end)) for window in newest]
    seconds = sum(end - begin for begin, end in spans if begin is not None and end is not None)
    requests = sum(w.canary_total + w.stable_total for w in counts_of(newest, "errors"))
    return requests / seconds / journal.baseline.rate if seconds > 0 else 1.0


def share_now(rollout: Rollout) -> int:
    """The canary's percent by what the proxies said last, or by what the run found."""
    journal, canary = rollout.journal, rollout.plan.canary
    held = [proof.weights.get(canary, 0) for proof in journal.proofs if proof.status != FAIL]
    return held[-1] if held else journal.before.get(canary, 0)


def has_failed(rollout: Rollout) -> bool:
    """Whether a gate failed at the last look, or a gate outside of the mesh condemned the version."""
    journal = rollout.journal
    condemning = {
        gate.name: gate.retries for gate in rollout.options.outside if gate.on_fail is OnFail.ROLLBACK
    }
    return any(judgement.verdict is GateVerdict.FAIL for judgement in journal.verdicts) or any(
        answer.attempt == journal.restarts and answer.fails > condemning[answer.gate]
        for answer in journal.answers
        if answer.gate in condemning
    )


def fail_alike(rollout: Rollout) -> bool:
    """Whether both versions failed too many requests at the last look, the canary not more than stable."""
    return any(judgement.figures.get("alike") for judgement in rollout.journal.verdicts)


def stable_is_worse(rollout: Rollout, windows: Sequence[Window]) -> bool:
    """Whether the windows say that the stable version is the worse one: then a rollback would hurt more
    people."""
    swapped = [
        Counts(w.phase, w.stable_total, w.stable_bad, w.canary_total, w.canary_bad)
        for w in counts_of(windows, "errors")
    ]
    level = harm_level(rollout.options.policy, rollout.options.gates)
    return bool(swapped) and statistics.relative_harm(swapped, phases=len(rollout.plan.phases)) >= level


def stable_is_sick(rollout: Rollout, windows: Sequence[Window]) -> bool:
    """Whether the stable version is surely the worse one, and fails more than any gate allows by now."""
    gates = [gate for gate in rollout.options.gates if gate.name == "errors"]
    counts = counts_of(windows, "errors")[-3:]
    total, bad = sum(w.stable_total for w in counts), sum(w.stable_bad for w in counts)
    return bool(gates and total and bad > gates[0].limit * total and stable_is_worse(rollout, windows))


def worse_share(windows: Sequence[Window]) -> str:
    """Which version failed the larger share of its requests in these windows.

    :returns: ``stable``, ``canary`` (also when both are alike), or an empty string where nobody can tell.
    """
    counts = counts_of(windows, "errors")
    canary_total, stable_total = sum(w.canary_total for w in counts), sum(w.stable_total for w in counts)
    if not canary_total or not stable_total:
        return ""
    canary, stable = sum(w.canary_bad for w in counts), sum(w.stable_bad for w in counts)
    return "stable" if stable / stable_total > canary / canary_total else "canary"
