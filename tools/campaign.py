"""``make campaign``: what takes too long for every change: the lab's own suite, rollouts, kills."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from . import demo, integration, lab, scenarios
from .processes import one_at_a_time
from .pytest_run import pytest
from .stages import Stage, report, run_stages


def faults(cluster: str) -> int:
    """Rollouts on a finished mesh whose releases, metrics and runners fail; then the demo, killed."""
    lab.down(cluster)
    demo.build(cluster)
    # Demos take the lock of their own cluster, so it cannot be this one.
    environment = {"CANARY_LAB": cluster, "LAB_CLUSTER": cluster, "DEMO_CLUSTER": f"{cluster}d"}
    return pytest(Path(sys.executable), "faults", "tests/faults", environment=environment)


def rollout_matrix() -> int:
    """Every fault at every call of every rollout, in memory."""
    return pytest(
        Path(sys.executable),
        "rollout-matrix",
        "tests/unit/operations/canary/test_matrix.py",
        environment={"ROLLOUT_MATRIX": "all"},
    )


def main() -> int:
    """Run everything, also after a failure."""
    cluster = os.environ.get("LAB_CLUSTER") or "t"
    os.environ["LAB_CLUSTER"] = cluster
    with one_at_a_time(lab.lock_file(cluster), f"cluster {cluster!r}"):
        stages = [Stage("integration: the lab itself", integration.lab_suite)]
        stages += [
            Stage(f"molecule: {name}", partial(scenarios.scenario_alone, name, cluster))
            for name in scenarios.CAMPAIGNS
        ]
        stages.append(Stage("faults", partial(faults, cluster)))
        stages.append(Stage("faults of rollouts in memory", rollout_matrix))
        return report(run_stages(stages, keep_going=True))


if __name__ == "__main__":
    sys.exit(main())
