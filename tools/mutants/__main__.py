"""``make mutants``: changes the code in single places and asks whether a unit test notices.

A sample of 200 by default. ``make mutants ARGS="--package model/catalogue --sample 60 --seed 3"``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..processes import one_at_a_time
from ..screen import SetupError, duration, say
from . import report
from .operators import Mutant
from .pool import Pool
from .run import CACHE, Run
from .sample import package_of

REQUIRED = (
    "model", "istio", "kube", "operations/canary", "operations/certificates", "operations/cluster_check",
    "operations/diagnose", "operations/mesh", "operations/mesh_ca", "operations/preflight",
    "operations/propagation", "operations/trust", "operations/verify",
)  # fmt: skip


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "--package", action="append", help="only this package, such as model/catalogue or kube"
    )
    parser.add_argument(
        "--tests",
        action="append",
        help="ask only the tests below this directory of tests/unit: quicker, and never more than all notice",
    )
    parser.add_argument(
        "--without",
        action="append",
        help="do not ask these tests, such as operations/canary/test_matrix: the long ones, which tell last",
    )
    parser.add_argument(
        "--near",
        action="store_true",
        help="ask the nearest test files by imports, without learning first what they run: quick, and less",
    )
    parser.add_argument("--sample", type=int, default=200, help="how many mutants (200)")
    parser.add_argument("--seed", default="1", help="draws another sample (1)")
    parser.add_argument("--all", action="store_true", help="every mutant there is")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    parser.add_argument("--threshold", type=float, default=90.0, help="percent that must be noticed (90)")
    parser.add_argument(
        "--require", action="append", help=f"packages that the threshold holds for ({', '.join(REQUIRED)})"
    )
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> int:
    """Everything, in order. :returns: the exit code."""
    steps = _Steps()
    trees = [CACHE / f"tree-{number}" for number in range(options.jobs)]
    work = Run(options, trees)
    mutants = work.mutants()
    steps.done(f"{len(mutants)} mutants drawn, {len(trees)} copies of the tree")
    required = options.require or REQUIRED
    verdicts = _tried(work, mutants, trees, steps)
    further = work.further(verdicts, required)
    if further:
        names = dict.fromkeys(package_of(mutant.path) for mutant in further)
        say(f"==> {len(further)} more, for so few say little yet of {', '.join(names)}")
        verdicts += _tried(work, further, trees, steps)
    for line in report.lines(verdicts, required, options.threshold):
        say(line)
    for test in sorted(set(work.failing)):
        say(f"left out, it fails or is skipped without any change: {test}")
    few = report.below(report.counts(verdicts), required, options.threshold)
    untold = any(verdict.untold for verdict in verdicts)
    return 1 if few or untold or work.failing else 0


def _tried(
    work: Run, mutants: Sequence[Mutant], trees: Sequence[Path], steps: _Steps
) -> list[report.Verdict]:
    """What became of these. :returns: a verdict each."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary, Pool(trees, Path(temporary)) as pool:
        work.record(pool, {mutant.path for mutant in mutants})
        steps.done("tests known")
        verdicts = work.judge(pool, mutants)
        steps.done("mutants tried")
    verdicts = work.check_types(verdicts, trees)
    steps.done("types checked")
    return verdicts


class _Steps:
    """Says how long each step took."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def done(self, what: str) -> None:
        now = time.monotonic()
        say(f"    {what}: {duration(now - self._last)}")
        self._last = now


def main(given: Sequence[str]) -> int:
    """Run under the clone's lock. The first word is the make target."""
    options = arguments(given[1:])
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        with one_at_a_time(CACHE / "lock", "mutants of this clone"):
            return run(options)
    except SetupError as problem:
        say(str(problem))
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
