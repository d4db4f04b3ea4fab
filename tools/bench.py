"""``make bench``: the measurements of tests/bench; each prints its figures and asserts its bound."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import lab
from .paths import ROOT
from .processes import one_at_a_time
from .pytest_run import pytest
from .stages import Stage, StageError, report, run_stages


def bench(cluster: str) -> int:
    """Run every file of tests/bench with its output on the screen."""
    if not list(ROOT.glob("tests/bench/**/test_*.py")):
        raise StageError("tests/bench holds no measurement")
    environment = {"LAB_CLUSTER": cluster, "KUBECONFIG": str(lab.kubeconfig(cluster, "admin"))}
    return pytest(Path(sys.executable), "bench", "-s", "tests/bench", environment=environment)


def prepare(cluster: str) -> int:
    """A cluster that did not exist before."""
    lab.down(cluster)
    lab.up(cluster)
    return 1


def main() -> int:
    """Prepare, measure, remove."""
    cluster = os.environ.get("LAB_CLUSTER") or "bench"
    with one_at_a_time(lab.lock_file(cluster), f"cluster {cluster!r}"):
        outcome = run_stages(
            [
                Stage(f"cluster {cluster!r}", lambda: prepare(cluster)),
                Stage("measurements", lambda: bench(cluster)),
            ]
        )
        lab.down(cluster)
    return report(outcome)


if __name__ == "__main__":
    sys.exit(main())
