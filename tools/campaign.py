"""``make campaign``: long runs, for a quiet machine: integration suites, rollouts, broken meshes."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from . import demo, integration, lab, scenarios
from .processes import one_at_a_time
from .pytest_run import pytest
from .stages import Stage, report, run_stages


def suites(cluster: str) -> int:
    """tests/integration on a finished mesh."""
    lab.down(cluster)
    demo.build(cluster)
    return integration.integration(cluster)


def faults(cluster: str) -> int:
    """Rollouts on a finished mesh whose releases, metrics and runners fail."""
    demo.build(cluster)
    environment = {"CANARY_LAB": cluster, "LAB_CLUSTER": cluster}
    return pytest(Path(sys.executable), "faults", "tests/faults", environment=environment)


def main() -> int:
    """Run everything, also after a failure."""
    cluster = os.environ.get("LAB_CLUSTER") or "t"
    os.environ["LAB_CLUSTER"] = cluster
    with one_at_a_time(lab.lock_file(cluster), f"cluster {cluster!r}"):
        stages = [
            Stage("integration: the lab itself", integration.lab_suite),
            Stage("integration", partial(suites, cluster)),
        ]
        stages += [
            Stage(f"molecule: {name}", partial(scenarios.scenario, name, cluster))
            for name in scenarios.CAMPAIGNS
        ]
        stages.append(Stage("faults", partial(faults, cluster)))
        return report(run_stages(stages, keep_going=True))


if __name__ == "__main__":
    sys.exit(main())
