"""``make unit``: the unit tests in the main environment, and which lines of the collection they run."""

from __future__ import annotations

import sys
from pathlib import Path

from . import line_coverage
from .pytest_run import pytest
from .screen import say
from .stages import Stage, report, run_stages


def measured_units(part: str = "1/1") -> int:
    """Run them once, and print the table. ``part``: of what the environments of ``make test`` divide."""
    passed = pytest(
        Path(sys.executable),
        "unit-main",
        "tests/unit",
        by=line_coverage.command(),
        environment={"UNIT_PART": part},
    )
    for line in line_coverage.table(line_coverage.measured()):
        say(line)
    return passed


def main() -> int:
    """Run them."""
    return report(run_stages([Stage("unit tests", measured_units)]))


if __name__ == "__main__":
    sys.exit(main())
