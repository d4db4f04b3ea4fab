"""How fast verify judges a large mesh: CPU seconds and memory, without the cluster's and the proxies' own time."""

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
    [(200, 3, 1.0, 0.5, 5.0, 150), (1000, 10, 5.0, 0.5, 25.0, 300)],
)
def test_a_large_mesh_is_judged_in_seconds(
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
    assert found["seconds"]["objects"] < objects
    assert found["seconds"]["plan"] < plan
    assert sum(found["seconds"].values()) < whole
    assert found["peak MiB"] < peak
