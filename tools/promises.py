"""``make promises``: how often simulated rollouts end wrongly, beside what the guide promises. Seeded.

The streams are made here, and judged by the functions that judge a rollout. Beside them stands what a gate
with a fixed threshold does on the same traffic: a check passes when at least 99 % of its requests did well.
A run that knows too little at a phase's deadline is withdrawn: column ``late``, which nothing is
promised of.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import sys
from collections.abc import Iterator, Sequence

from .paths import COLLECTIONS

sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import (
    GateVerdict,
    Look,
    Policy,
    ShareGate,
    judge_share,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.statistics import Counts
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.spec import (
    CANARY_SPEC,
)

STEPS = (10, 25, 50, 75, 100)
LOOK, PHASE = 15.0, 60.0  # seconds
DEADLINE = float(CANARY_SPEC["phase_deadline"]["default"])
BASELINE, BASELINE_SPANS = 60.0, 20  # seconds of stable before the run, and how often they are looked at
LATE = "deadline"
ATOL = 1e-9


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of traffic. Shares of bad requests; ``burst`` is the mean size of their bursts.

    :param sick_from: the canary has its share from this weight on, and stable's below. :param mirror: seconds
        of clean copies before the first step. :param most: promised share of wrong ends, None for no promise.
    """

    name: str
    canary: float
    stable: float
    rate: float
    wrong: str
    most: float | None
    burst: float = 1.0
    sick_from: int = 0
    mirror: float = 0.0
    compare: bool = True
    common: float = 0.0  # of both, in every fourth look while both have requests


def cases() -> Iterator[Case]:
    """The rows of the table."""
    for rate in (5, 100, 1000):
        yield Case(f"both 0.5 %, {rate}/s", 0.005, 0.005, rate, "stopped", 0.01)
    for rate in (2, 10, 100):
        yield Case(f"at the limit, {rate}/s", 0.02, 0.0005, rate, "promoted", 0.05)
    for rate in (2, 5, 10, 20, 50):
        yield Case(
            f"at the limit from 100 % on, {rate}/s", 0.02, 0.0005, rate, "promoted", 0.05, sick_from=100
        )
    for rate in (5, 20):
        name = f"the same, not compared, {rate}/s"
        yield Case(name, 0.02, 0.0005, rate, "promoted", 0.05, sick_from=100, compare=False)
    for rate in (2, 5, 10):
        name = f"10 min of clean copies, then the limit, {rate}/s"
        yield Case(name, 0.02, 0.0005, rate, "promoted", 0.05, mirror=600.0)
    for burst, most in ((3.0, 0.01), (5.0, 0.01), (10.0, None), (20.0, None)):
        yield Case(
            f"both 0.5 % in bursts of {burst:g}, 100/s", 0.005, 0.005, 100, "stopped", most, burst=burst
        )
    for rate in (100, 1000):
        yield Case(f"canary 0.5 %, stable 0.05 %, {rate}/s", 0.005, 0.0005, rate, "stopped", 0.01)
        yield Case(f"canary 0.4 %, stable 0.2 %, {rate}/s", 0.004, 0.002, rate, "stopped", 0.01)
        yield Case(f"canary 0.1 %, stable 0.03 %, {rate}/s", 0.001, 0.0003, rate, "stopped", 0.01)
    for share, rate in ((0.008, 100), (0.009, 10), (0.009, 100), (0.0105, 10), (0.0105, 100), (0.015, 30)):
        yield Case(f"both {share:.2%}, {rate}/s", share, share, rate, "stopped", 0.01)
    yield Case("a dependency of both fails now and then", 0.002, 0.002, 100, "stopped", 0.01, common=0.3)


class Run:
    """One simulated rollout."""

    def __init__(self, case: Case, seed: str) -> None:
        self.case = case
        self.source = random.Random(seed)  # noqa: S311  # a simulation, no secret
        self.gate = ShareGate("errors", acceptable=0.005, limit=0.02, compare=case.compare)
        self.windows: list[Counts] = []
        self.carried = 0.0

    def bad(self, total: int, share: float) -> int:
        """Bad ones of so many requests: bursts of geometric size arrive independently."""
        burst = self.case.burst
        if burst <= 1:
            return self.source.binomialvariate(total, share)
        found = 0
        time = self.source.expovariate(1.0)
        while time < total * share / burst:
            size = 1
            while self.source.random() > 1 / burst:
                size += 1
            found += size
            time += self.source.expovariate(1.0)
        return min(found, total)

    def window(self, phase: int, weight: int, *, copies: bool = False) -> Counts:
        """One look at both arms."""
        case = self.case
        self.carried += case.rate * LOOK
        total = int(self.carried)
        self.carried -= total
        ours = total if copies else self.source.binomialvariate(total, weight / 100)
        theirs = total if copies else total - ours
        both = case.common if weight < 100 and self.source.random() < 0.25 else 0.0
        sick = case.stable if copies or weight < case.sick_from else case.canary
        ours_bad, theirs_bad = (
            self.bad(ours, min(1.0, sick + both)),
            self.bad(theirs, min(1.0, case.stable + both)),
        )
        return Counts(phase, ours, ours_bad, theirs, theirs_bad)

    def end(self) -> str:
        """``promoted``, ``stopped`` (a gate failed) or ``LATE`` (withdrawn for lack of evidence)."""
        case = self.case
        early = 1 if case.mirror else 0
        phases = len(STEPS) + early
        spans = [self.window(1, 0) for _turn in range(BASELINE_SPANS)]
        before = [
            (window.stable_total // 5, self.bad(window.stable_total // 5, case.stable)) for window in spans
        ]
        if early:
            self.windows += [self.window(1, 0, copies=True) for _turn in range(int(case.mirror / LOOK))]
        for number, weight in enumerate(STEPS, start=1 + early):
            looks = 0
            while True:
                looks += 1
                self.windows.append(self.window(number, weight))
                look = Look(
                    phases=phases,
                    phase=number,
                    minimum_requests=20,
                    promotion=number >= phases - 1,
                    live=1 + early,
                )
                verdict = judge_share(
                    self.gate, self.windows, look, policy=Policy(), gates=[self.gate], before=before
                ).verdict
                if verdict is GateVerdict.FAIL:
                    return "stopped"
                if verdict is GateVerdict.PASS and looks * LOOK >= PHASE - ATOL:
                    break
                if looks * LOOK >= DEADLINE:
                    return LATE
        return "promoted"

    def fixed_threshold(self) -> str:
        """The same traffic, by a gate that asks of each check whether 99 % did well."""
        for number, weight in enumerate(STEPS, start=1):
            for _look in range(int(PHASE / LOOK)):
                window = self.window(number, weight)
                if window.canary_total and window.canary_bad / window.canary_total > 0.01:
                    return "stopped"
        return "promoted"


def shares_of(case: Case, runs: int, *, fixed: bool = False) -> tuple[float, float]:
    """How often the wrong end is reached, and how often none: too little is known at a phase's deadline.

    :returns: shares of the runs.
    """
    runners = (Run(case, f"{case.name} {seed}") for seed in range(runs))
    ends = [runner.fixed_threshold() if fixed else runner.end() for runner in runners]
    return ends.count(case.wrong) / runs, ends.count(LATE) / runs


def tolerance(most: float, runs: int) -> float:
    """Three standard errors of a share that is exactly as promised."""
    return 3 * math.sqrt(most * (1 - most) / runs)


def main(arguments: Sequence[str]) -> int:
    """Prints the table. :returns: 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="make promises", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulated rollouts of each row")
    parser.add_argument("--only", default="", help="part of the names of the rows, such as bursts")
    options = parser.parse_args(arguments)
    runs, broken = options.runs, 0
    rows = [case for case in cases() if options.only in case.name]
    if not rows:
        parser.error(f"no row is named like {options.only!r}")
    sys.stdout.write(f"{'traffic':48} {'wrong end':10} {'ours':>7} {'late':>7} {'fixed':>7}  promised\n")
    for case in rows:
        ours, late = shares_of(case, runs)
        fixed, _never = shares_of(case, runs, fixed=True)
        kept = case.most is None or ours <= case.most + tolerance(case.most, runs)
        broken += not kept
        promised = (
            "nothing" if case.most is None else f"at most {case.most:.0%}" + ("" if kept else "  BROKEN")
        )
        sys.stdout.write(f"{case.name:48} {case.wrong:10} {ours:7.1%} {late:7.1%} {fixed:7.1%}  {promised}\n")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
