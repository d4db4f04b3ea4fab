"""``make promises``, by the command line that make gives it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

from tools import promises
from tools.__main__ import COMMANDS
from tools.paths import ROOT


def test_rows_that_are_asked_for_are_simulated_and_no_others() -> None:
    command = [sys.executable, "-m", COMMANDS["promises"].module, "promises", "--runs", "1", "--only"]
    ended = subprocess.run(
        [*command, "at the limit, 2/s"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    head, row = ended.stdout.splitlines()
    assert head.split() == ["traffic", "wrong", "end", "ours", "late", "fixed", "promised"]
    assert row.split()[:8] == ["at", "the", "limit,", "2/s", "promoted", "0.0%", "0.0%", "0.0%"]


def test_a_run_that_knows_too_little_at_the_deadline_is_neither_stopped_nor_promoted() -> None:
    """Both are just below twice what is acceptable, at little traffic: told apart from what a gate stops."""
    case = next(case for case in promises.cases() if case.name == "both 0.90%, 10/s")
    little = dataclasses.replace(case, rate=2)
    stopped, late = promises.shares_of(little, 5)
    assert (stopped, late > 0) == (0.0, True)
