"""``make promises``, by the command line that make gives it."""

from __future__ import annotations

import subprocess
import sys

from tools.__main__ import COMMANDS
from tools.paths import ROOT


def test_rows_that_are_asked_for_are_simulated_and_no_others() -> None:
    command = [sys.executable, "-m", COMMANDS["promises"].module, "promises", "--runs", "1", "--only"]
    ended = subprocess.run(
        [*command, "at the limit, 2/s"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    head, row = ended.stdout.splitlines()
    assert head.split() == ["traffic", "wrong", "end", "ours", "fixed", "promised"]
    assert row.split()[:7] == ["at", "the", "limit,", "2/s", "promoted", "0.0%", "0.0%"]
