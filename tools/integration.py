"""tests/integration against a cluster with the finished mesh on it."""

from __future__ import annotations

import sys
from pathlib import Path

from . import lab
from .paths import ROOT
from .pytest_run import pytest

OWN_CLUSTER = "tests/integration/lab"  # starts, kills and removes clusters of its own


def directories() -> list[str]:
    """The suites that share the cluster."""
    found = sorted({path.parent.relative_to(ROOT) for path in ROOT.glob("tests/integration/*/test_*.py")})
    return [str(path) for path in found if str(path) != OWN_CLUSTER]


def integration(cluster: str) -> int:
    """All suites that work on a mesh, with the administrator's kubeconfig; they name other users.

    What kills, restarts and floods an API server does so with one of its own.
    """
    beside = f"{cluster}k"
    lab.down(beside)
    environment = {
        "LAB_CLUSTER": cluster,
        "LAB_API_CLUSTER": beside,
        "KUBECONFIG": str(lab.kubeconfig(cluster, "admin")),
    }
    try:
        return pytest(Path(sys.executable), "integration", *directories(), environment=environment)
    finally:
        lab.down(beside)


def rollouts(cluster: str) -> int:
    """A fair sample of tests/faults: a healthy and a sick version, and a killed controller."""
    environment = {"CANARY_LAB": cluster, "LAB_CLUSTER": cluster}
    return pytest(Path(sys.executable), "rollouts", "tests/faults", "-m", "sample", environment=environment)


def lab_suite() -> int:
    """The suite of the lab itself."""
    return pytest(Path(sys.executable), "integration-lab", OWN_CLUSTER)
