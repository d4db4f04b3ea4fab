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
    :param burst: how many bad requests come in one burst, in the mean and at least: slow requests are not
        independent, one stalled proxy or CPU delays many. What stable shows counts where it is more.
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


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """Where a run stands when its gates are judged.

    :param phases: number of phases in the plan. :param phase: the current one. :param live: the first one
        that sends users to the canary. :param minimum_requests: canary requests that the current one needs.
    :param promotion: the run's evidence must be complete for a pass (last phase with a live stable, and any
        after it). :param ended: the phase has lasted as long as it must.
    """

    phases: int
    phase: int
    minimum_requests: int
    promotion: bool
    live: int = 1
    ended: bool = True


def judge_share(
    gate: ShareGate,
    windows: Sequence[Counts],
    look: Look,
    *,
    policy: Policy,
    gates: Sequence[ShareGate],
    before: Sequence[tuple[int, int]] = (),
) -> Judgement:
    """The verdict of a share gate at this look.

    :param windows: all windows of the run so far, in time order.
    :param gates: all share gates of the run (they share alpha).
    :param before: (requests, bad ones) of stable in successive spans before the run.
    """
    figures = _figures(gate, windows, look.phase, policy)
    if policy.mode == "fixed":
        return _judge_fixed(gate, figures, look)
    spans = [*before, *_without_outages(gate, windows)]
    burst = max(gate.burst, statistics.estimated_burst(spans))
    level = harm_level(policy, gates)
    figures |= {"stop_at": round(level, 3), "burst": round(burst, 2)}
    harm = _harm(gate, windows, look, policy, burst, level, figures)
    if harm is not None:
        return harm
    if figures["phase_canary_total"] < look.minimum_requests:
        have = figures["phase_canary_total"]
        return Judgement(
            gate.name,
            GateVerdict.NOT_ENOUGH_DATA,
            f"{have} of {look.minimum_requests} requests in this phase",
            figures,
        )
    if look.promotion and (missing := _missing_evidence(gate, windows, look, policy, burst, figures)):
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, missing, figures)
    return Judgement(gate.name, GateVerdict.PASS, _pass_reason(gate, figures), figures)


def _without_outages(gate: ShareGate, windows: Sequence[Counts]) -> list[tuple[int, int]]:
    """Stable's (requests, bad ones), without the windows of a lasting failure: one long failure is no burst,
    and must not keep a healthy canary from being proved."""
    sick = [_share(window.stable_bad, window.stable_total) > gate.limit for window in windows]
    lasting = [
        now and ((index > 0 and sick[index - 1]) or sick[index + 1 : index + 2] == [True])
        for index, now in enumerate(sick)
    ]
    return [
        (window.stable_total, window.stable_bad)
        for window, out in zip(windows, lasting, strict=True)
        if not out
    ]


def _harm(
    gate: ShareGate,
    windows: Sequence[Counts],
    look: Look,
    policy: Policy,
    burst: float,
    level: float,
    figures: dict[str, Any],
) -> Judgement | None:
    """What speaks against the canary; None for nothing.

    A share that is acceptable is no harm, however much better the stable version is. What fails both versions
    alike has another cause: it neither condemns the canary nor lets the run go on.
    """
    worse = False
    if gate.compare:
        relative = statistics.relative_harm(windows, phases=look.phases, burst=burst)
        figures["worse_than_stable_evidence"] = round(relative, 3)
        worse = relative >= level
        # the comparison holds alpha already: this only keeps what is acceptable out of it
        floor = min(0.2, 10 * policy.alpha)
        if worse and _exceeds_acceptable(gate, windows, look.phase, burst, floor):
            reason = _harm_reason(gate, figures, against="stable")
            return Judgement(gate.name, GateVerdict.FAIL, reason, figures)
    if not gate.absolute:
        return None
    own = [window for window in windows if not _is_common(gate, window)]
    harm = statistics.absolute_harm(
        own, acceptable=gate.acceptable, limit=gate.limit, phases=look.phases, burst=burst
    )
    figures["harm_evidence"] = round(harm, 3)
    if harm >= level and (worse or not _are_alike(gate, windows, look.phase, burst, policy.alpha)):
        reason = _harm_reason(gate, figures, against="the acceptable share")
        return Judgement(gate.name, GateVerdict.FAIL, reason, figures)
    if (windows and _is_common(gate, windows[-1])) or harm >= level:
        figures["alike"] = True
        reason = _harm_reason(gate, figures, against="the acceptable share").replace(
            "worse than", "both versions fail alike: worse than"
        )
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, reason, figures)
    return None


def _share(bad: int, total: int) -> float:
    return bad / total if total else 0.0


FEWEST_OF_STABLE = 20  # requests, before a share of the stable version says anything


def _is_common(gate: ShareGate, window: Counts) -> bool:
    """Whether stable was sick in this window, and the canary not sicker: it tells nothing of the canary."""
    if not gate.compare or window.stable_total < FEWEST_OF_STABLE:
        return False
    stable, canary = (
        _share(window.stable_bad, window.stable_total),
        _share(window.canary_bad, window.canary_total),
    )
    return stable > gate.limit and canary > gate.acceptable and stable >= canary / 2


def _are_alike(gate: ShareGate, windows: Sequence[Counts], phase: int, burst: float, error: float) -> bool:
    """Whether stable fails about as many of its requests, or may do so: in the run, or in this phase."""
    return gate.compare and (
        _may_be_alike(gate, windows, phase, burst, error)
        or any(
            _shares_are_alike(gate, part)
            for part in (windows, [window for window in windows if window.phase == phase])
        )
    )


def _may_be_alike(gate: ShareGate, windows: Sequence[Counts], phase: int, burst: float, error: float) -> bool:
    """Whether both versions may well fail the same share, more than is acceptable: of few requests the shares
    that were seen say little."""
    total, bad = sum(w.stable_total for w in windows), sum(w.stable_bad for w in windows)
    if total < FEWEST_OF_STABLE:
        return False
    spread = 2 * burst - 1  # variance of geometric bursts over that of single ones
    stable = statistics.interval(bad / spread, total / spread, error)[1]
    for part in (windows, [window for window in windows if window.phase == phase]):
        total, bad = sum(w.canary_total for w in part), sum(w.canary_bad for w in part)
        if statistics.interval(bad / spread, total / spread, error)[0] > 2 * stable:
            return False  # good phases before do not hide that it has fallen ill
    return stable > gate.acceptable


def _shares_are_alike(gate: ShareGate, windows: Sequence[Counts]) -> bool:
    stable_total = sum(window.stable_total for window in windows)
    canary = _share(sum(w.canary_bad for w in windows), sum(w.canary_total for w in windows))
    stable = _share(sum(w.stable_bad for w in windows), stable_total)
    return stable_total >= FEWEST_OF_STABLE and stable > gate.acceptable and stable >= canary / 2


def _exceeds_acceptable(
    gate: ShareGate, windows: Sequence[Counts], phase: int, burst: float, error: float
) -> bool:
    """Whether the canary's share is surely more than acceptable, in the run or in this phase."""
    spread = 2 * burst - 1  # variance of geometric bursts over that of single ones
    for part in (windows, [window for window in windows if window.phase == phase]):
        total, bad = sum(w.canary_total for w in part), sum(w.canary_bad for w in part)
        if statistics.interval(bad / spread, total / spread, error)[0] > gate.acceptable:
            return True
    return False


def _missing_evidence(
    gate: ShareGate,
    windows: Sequence[Counts],
    look: Look,
    policy: Policy,
    burst: float,
    figures: dict[str, Any],
) -> str:
    """What a promotion lacks; empty for nothing.

    Copies and testers prove nothing about users, so early phases do not count; and the last phase, which has
    everybody, must show by itself that the version bears it.
    """
    live = [window for window in windows if window.phase >= look.live]
    if gate.absolute:
        need = -math.log(policy.beta)
        last = look.phase == look.phases
        own = [w for w in live if not _is_common(gate, w) and (w.phase == look.phase or not last)]
        health = statistics.absolute_health(own, acceptable=gate.acceptable, limit=gate.limit, burst=burst)
        figures["health_evidence"] = round(health, 3)
        figures["promote_at"] = round(need, 3)
        if health < need:
            return f"evidence below the limit of {gate.limit:.2%} is {health:.2f} of {need:.2f}"
    if not gate.compare:
        return ""
    # "sick against stable" = worse by the odds ratio AND by the absolute effect. Either may be refuted,
    # each with half of the error rate.
    half = policy.beta / 2
    relative = statistics.relative_health(live, odds_ratio=gate.odds_ratio, burst=burst)
    figures["not_worse_evidence"] = round(relative, 3)
    if relative >= -math.log(half):
        return ""
    stable_total, canary_total = sum(w.stable_total for w in live), sum(w.canary_total for w in live)
    stable_bad, canary_bad = sum(w.stable_bad for w in live), sum(w.canary_bad for w in live)
    spread = 2 * burst - 1  # variance of geometric bursts over that of single ones
    stable_low = statistics.interval(stable_bad / spread, stable_total / spread, half / 2)[0]
    canary_high = statistics.interval(canary_bad / spread, canary_total / spread, half / 2)[1]
    effect = gate.limit - gate.acceptable
    figures["difference_at_most"] = round(canary_high - stable_low, 5)
    if canary_high - stable_low < max(effect, 0) or stable_total == 0:
        return ""
    return f"may still be worse than stable by {canary_high - stable_low:.2%}, the effect is {effect:.2%}"


def _judge_fixed(gate: ShareGate, figures: dict[str, Any], look: Look) -> Judgement:
    """The share of the phase against the limit, at its end and not before."""
    total, share = figures["phase_canary_total"], figures["phase_canary_share"]
    if total == 0 or total < look.minimum_requests:
        reason = f"{total} of {max(1, look.minimum_requests)} requests in this phase"
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, reason, figures)
    if not look.ended:
        return Judgement(gate.name, GateVerdict.NOT_ENOUGH_DATA, "judged at the end of the phase", figures)
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


SHARE_GATE = "share"
SHARE_SIGMAS = 5.0  # by which the measured share may exceed the split by chance


def judge_split(windows: Sequence[Counts], phase: int, weight: int) -> Judgement:
    """Whether the canary gets about the share that the routes give it.

    Twice as much, beyond chance, means that requests reach it past the routes: clients without a proxy, or
    another VirtualService. Then no split is what it says, and neither is a rollback. A share below the weight
    is told by the lack of requests.

    :param windows: of the errors gate. :param weight: percent of the live split in this phase.
    """
    here = [window for window in windows if window.phase == phase]
    canary = sum(window.canary_total for window in here)
    total = canary + sum(window.stable_total for window in here)
    wanted = weight / 100
    figures = {"measured_share": round(_share(canary, total), 4), "weight": weight}
    allowed = 2 * wanted * total + SHARE_SIGMAS * math.sqrt(total * wanted * (1 - wanted))
    if not total:
        return Judgement(SHARE_GATE, GateVerdict.NOT_ENOUGH_DATA, "no request in this phase yet", figures)
    if canary > allowed:
        reason = (
            f"the canary gets {100 * _share(canary, total):.0f} % of the requests, the routes give it"
            f" {weight} %: others reach it past them"
        )
        return Judgement(SHARE_GATE, GateVerdict.FAIL, reason, figures)
    got = f"{100 * _share(canary, total):.0f} % at {weight} %"
    return Judgement(SHARE_GATE, GateVerdict.PASS, got, figures)


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
