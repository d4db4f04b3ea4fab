"""How fast verify judges a large mesh, beside reading it as JSON, without the cluster's and the proxies' own time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("services", "replicas", "objects", "plan", "whole", "peak"),
    [(200, 3, 60, 10, 160, 150), (1000, 10, 45, 6, 120, 300)],
)
def test_judging_a_large_mesh_costs_some_readings_of_it(
    services: int, replicas: int, objects: float, plan: float, whole: float, peak: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("verify_mesh.py")), str(services), str(replicas)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        timeout=600,
    )
    found = json.loads(done.stdout)
    print(f"{services} services, {services * replicas} pods: {found}")
    assert found["ratios"]["objects"] < objects
    assert found["ratios"]["plan"] < plan
    assert sum(found["ratios"].values()) < whole
    assert found["peak MiB"] < peak
