# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates: from counted requests to a verdict. Pure, so that verdicts can be recomputed from the evidence.

A *share gate* judges the share of bad requests: errors, or requests slower than a bound. It holds two tests
against harm (absolute limit, and canary against the concurrent stable version) and the evidence for
promotion. A *query gate* judges one value of the user's own PromQL.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ... import verdicts
from . import statistics
from .statistics import Counts


class GateVerdict(enum.StrEnum):
    """What a gate says: the three verdicts, with "cannot tell" divided into what more traffic may cure and
    what it cannot. Only PASS opens the gate."""

    PASS = verdicts.PASS
    FAIL = verdicts.FAIL
    NOT_ENOUGH_DATA = "not enough data"
    CANNOT_MEASURE = "cannot measure"


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason and the figures it rests on."""

    gate: str
    verdict: GateVerdict
    reason: str
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """``gate: reason``."""
        return f"{self.gate}: {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for journal and evidence.

        :returns: ``gate``, ``verdict``, ``reason`` and ``figures`` (name -> number).
        """
        return {
            "gate": self.gate,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "figures": dict(self.figures),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class ShareGate:
    """Share of bad requests.

    :param name: ``errors`` or ``latency``. :param acceptable: share that a healthy version may have.
    :param limit: share from which on a version is sick; the declared effect is ``limit - acceptable``.
    :param odds_ratio: relative effect: how many times the stable version's odds are too many.
    :param compare: judge against the concurrent stable version too.
    :param absolute: judge against the fixed shares. Off where the bound itself was read from the stable
        version before the run: a slow minute of the whole cluster would look like a sick canary.
    :param burst: how many bad requests come in one burst. Slow requests are not independent (one stalled
        proxy or CPU delays many), so evidence is taken to the power ``1/burst``, which keeps it valid.
    """

    name: str
    acceptable: float
    limit: float
    odds_ratio: float = 3.0
    compare: bool = True
    absolute: bool = True
    burst: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class QueryGate:
    """One number from PromQL, allowed between ``minimum`` and ``maximum`` (either may be ``None``).

    :param failures: so many violations in a row are a fail; a single one is only not a pass.
    """

    name: str
    query: str
    minimum: float | None = None
    maximum: float | None = None
    failures: int = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Error rates of the whole run.

    :param alpha: probability that a healthy version is stopped, over all phases, looks and share gates.
    :param power: probability that a sick version is not promoted.
    :param mode: ``sequential``, or ``fixed``: compare the phase's share with the limit at its end.
    """

    alpha: float = 0.01
    power: float = 0.95
    mode: str = "sequential"

    @property
    def beta(self) -> float:
        """Probability that a sick version is promoted."""
        return 1 - self.power


def harm_level(policy: Policy, gates: Sequence[ShareGate]) -> float:
    """Log e-value at which one harm test stops the run: alpha is shared by all tests of all gates."""
    tests = sum(gate.compare + gate.absolute for gate in gates)
    return math.log(max(1, tests) / policy.alpha)


def judge_share(
    gate: ShareGate,
    windows: Sequence[Counts],
    *,
    policy: Policy,
    gates: Sequence[ShareGate],
    phases: int,
    phase: int,
    minimum_requests: int,
    promotion: bool,
) -> Judgement:
    """The verdict of a share gate at this look.

    :param windows: all windows of the run so far, in time order.
    :param gates: all share gates of the run (they share alpha). :param phases: number of phases in the plan.
    :param phase: current phase. :param minimum_requests: canary requests that this phase needs.
    :param promotion: the run's evidence must be complete for a pass (last phase with a live stable).
    """
    figures = _figures(gate, windows, phase, policy)
    if policy.mode == "fixed":
        return _judge_fixed(gate, figures, minimum_requests)
    level = harm_level(policy, gates)
    figures["stop_at"] = round(level, 3)
    if gate.absolute:
        harm = statistics.absolute_harm(windows, acceptable=gate.acceptable, limit=gate.limit, phases=phases)
        figures["harm_evidence"] = round(harm / gate.burst, 3)
        if harm / gate.burst >= level:
            reason = _harm_reason(gate, figures, against="the acceptable share")
            return Judgement(gate.name, GateVerdict.FAIL, reason, figures)
    if gate.compare:
        relative = statistics.relative_harm(windows, phases=phases) / gate.burst
        figures["worse_than_stable_evidence"] = round(relative, 3)
        if relative >= level:
            return Judgement(
                gate.name, GateVerdict.FAIL, _harm_reason(gate, figures, against="stable"), figures
            )
    if figures["phase_canary_total"] < minimum_requests:
        have = figures["phase_canary_total"]
        return Judgement(
            gate.name,
            GateVerdict.NOT_ENOUGH_DATA,
            f"{have} of {minimum_requests} requests in this phase",
            figures,
        )
    if promotion and (missing := _missing_evidence(gate, windows, policy, figures)):
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, missing, figures)
    return Judgement(gate.name, GateVerdict.PASS, _pass_reason(gate, figures), figures)


def _missing_evidence(
    gate: ShareGate, windows: Sequence[Counts], policy: Policy, figures: dict[str, Any]
) -> str:
    if gate.absolute:
        need = -math.log(policy.beta)
        health = (
            statistics.absolute_health(windows, acceptable=gate.acceptable, limit=gate.limit) / gate.burst
        )
        figures["health_evidence"] = round(health, 3)
        figures["promote_at"] = round(need, 3)
        if health < need:
            return f"evidence below the limit of {gate.limit:.2%} is {health:.2f} of {need:.2f}"
    if not gate.compare:
        return ""
    # "sick against stable" = worse by the odds ratio AND by the absolute effect. Either may be refuted,
    # each with half of the error rate.
    half = policy.beta / 2
    relative = statistics.relative_health(windows, odds_ratio=gate.odds_ratio) / gate.burst
    figures["not_worse_evidence"] = round(relative, 3)
    if relative >= -math.log(half):
        return ""
    stable_total = sum(w.stable_total for w in windows)
    stable_bad, canary_bad = sum(w.stable_bad for w in windows), sum(w.canary_bad for w in windows)
    canary_total = sum(w.canary_total for w in windows)
    stable_low = statistics.interval(stable_bad / gate.burst, stable_total / gate.burst, half / 2)[0]
    canary_high = statistics.interval(canary_bad / gate.burst, canary_total / gate.burst, half / 2)[1]
    effect = gate.limit - gate.acceptable
    figures["difference_at_most"] = round(canary_high - stable_low, 5)
    if canary_high - stable_low < max(effect, 0) or stable_total == 0:
        return ""
    return f"may still be worse than stable by {canary_high - stable_low:.2%}, the effect is {effect:.2%}"


def _judge_fixed(gate: ShareGate, figures: dict[str, Any], minimum_requests: int) -> Judgement:
    total, share = figures["phase_canary_total"], figures["phase_canary_share"]
    if total == 0 or total < minimum_requests:
        reason = f"{total} of {max(1, minimum_requests)} requests in this phase"
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, reason, figures)
    if share > gate.limit:
        return Judgement(
            gate.name, GateVerdict.FAIL, _harm_reason(gate, figures, against="the fixed limit"), figures
        )
    return Judgement(gate.name, GateVerdict.PASS, _pass_reason(gate, figures), figures)


def _figures(gate: ShareGate, windows: Sequence[Counts], phase: int, policy: Policy) -> dict[str, Any]:
    here = [window for window in windows if window.phase == phase]
    total, bad = sum(w.canary_total for w in here), sum(w.canary_bad for w in here)
    run_total, run_bad = sum(w.canary_total for w in windows), sum(w.canary_bad for w in windows)
    stable_total, stable_bad = sum(w.stable_total for w in windows), sum(w.stable_bad for w in windows)
    return {
        "phase_canary_total": total,
        "phase_canary_bad": bad,
        "phase_canary_share": round(bad / total, 6) if total else 0.0,
        "canary_total": run_total,
        "canary_bad": run_bad,
        "canary_interval": [round(b, 6) for b in statistics.interval(run_bad, run_total, policy.alpha)],
        "stable_total": stable_total,
        "stable_bad": stable_bad,
        "stable_interval": [round(b, 6) for b in statistics.interval(stable_bad, stable_total, policy.alpha)],
        "acceptable": gate.acceptable,
        "limit": gate.limit,
    }


def _harm_reason(gate: ShareGate, figures: Mapping[str, Any], *, against: str) -> str:
    what = "failed" if gate.name == "errors" else "were too slow"
    canary = f"{figures['canary_bad']} of {figures['canary_total']} canary requests {what}"
    stable = f"stable {figures['stable_bad']} of {figures['stable_total']}"
    return f"{canary} ({stable}): worse than {against}"


def _pass_reason(gate: ShareGate, figures: Mapping[str, Any]) -> str:
    what = "failed" if gate.name == "errors" else "too slow"
    return f"{figures['phase_canary_bad']} of {figures['phase_canary_total']} requests {what} in this phase"


def judge_query(gate: QueryGate, values: Sequence[float | None]) -> Judgement:
    """The verdict of a query gate.

    :param values: one value per look of this phase; ``None`` where nothing usable was answered.
    """
    figures: dict[str, Any] = {"values": list(values)[-5:], "minimum": gate.minimum, "maximum": gate.maximum}
    if not values:
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, "not asked yet in this phase", figures)
    if values[-1] is None or not math.isfinite(values[-1]):
        return Judgement(
            gate.name, GateVerdict.CANNOT_MEASURE, "the query gave no single finite number", figures
        )
    run = 0
    for value in reversed(values):
        if value is None or _allowed(gate, value):
            break
        run += 1
    if run >= gate.failures:
        reason = f"{values[-1]:g} is outside {_range(gate)} for {run} looks"
        return Judgement(gate.name, GateVerdict.FAIL, reason, figures)
    if run:
        return Judgement(
            gate.name, GateVerdict.NOT_ENOUGH_DATA, f"{values[-1]:g} is outside {_range(gate)} once", figures
        )
    return Judgement(gate.name, GateVerdict.PASS, f"{values[-1]:g} is inside {_range(gate)}", figures)


def _allowed(gate: QueryGate, value: float) -> bool:
    if not math.isfinite(value):
        return False
    above = gate.minimum is None or value >= gate.minimum
    return above and (gate.maximum is None or value <= gate.maximum)


def _range(gate: QueryGate) -> str:
    low = "-inf" if gate.minimum is None else f"{gate.minimum:g}"
    high = "inf" if gate.maximum is None else f"{gate.maximum:g}"
    return f"[{low}, {high}]"


_ORDER = (GateVerdict.FAIL, GateVerdict.CANNOT_MEASURE, GateVerdict.NOT_ENOUGH_DATA, GateVerdict.PASS)


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The judgement that decides: a fail before anything unknown, and a pass only if all pass."""
    if not judgements:
        return Judgement("gates", GateVerdict.CANNOT_MEASURE, "no gate was judged")
    return min(judgements, key=lambda judgement: _ORDER.index(judgement.verdict))
