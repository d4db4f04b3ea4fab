"""``make unit``: the unit tests in the main environment, without anything else."""

from __future__ import annotations

import sys
from pathlib import Path

from .pytest_run import pytest
from .stages import Stage, report, run_stages


def main() -> int:
    """Run them once."""
    return report(
        run_stages([Stage("unit tests", lambda: pytest(Path(sys.executable), "unit", "tests/unit"))])
    )


if __name__ == "__main__":
    sys.exit(main())
