"""``make demo``, killed with SIGKILL at several moments: the same command afterwards succeeds.

``DEMO_CLUSTER`` names the cluster, which is removed before and after (`make campaign` runs this).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = os.environ.get("DEMO_CLUSTER")
# What the demo has just printed when it is killed, and whether its children die with it or are orphaned.
MOMENTS = {
    "while the cluster starts": (r"etcd is ready", True),
    "while the shop is deployed": (r"TASK \[Wait until every workload is rolled out\]", False),
    "while Istio is installed": (r"objects differ", True),
    "while workloads are restarted": (r"waiting for the restarted workloads", False),
    "while the mesh is applied": (r"lab: switch: ", True),
}


def make(target: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["make", target],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "LAB_CLUSTER": str(CLUSTER), "ANSIBLE_NOCOLOR": "1"},
    )


def finished(target: str) -> str:
    """Run a target to its end."""
    running = make(target)
    output, _none = running.communicate(timeout=900)
    assert running.returncode == 0, output
    return output


@pytest.fixture(autouse=True)
def no_cluster():
    assert CLUSTER, "set DEMO_CLUSTER to the name of a cluster that may be removed"
    finished("lab-down")
    yield
    finished("lab-down")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_demo_is_simply_run_again(moment):
    pattern, with_children = MOMENTS[moment]
    killed = make("demo")
    deadline = time.monotonic() + 600
    for line in killed.stdout:
        if re.search(pattern, line):
            break
        assert time.monotonic() < deadline
    else:
        pytest.fail(f"the demo ended before {pattern!r}")
    if with_children:
        os.killpg(killed.pid, signal.SIGKILL)
    else:
        os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    output = finished("demo")
    assert "frontend just answered through the gateway" in output
    again = finished("demo")
    recaps = re.findall(r"^lab +: ok=\d+ +changed=(\d+) ", again, re.MULTILINE)
    assert recaps == ["0", "0"], again
