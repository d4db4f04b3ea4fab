"""Real clusters of the lab, under names of their own; needs root."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

UP_TIMEOUT = 300  # seconds; a loaded machine is slow, a hanging start must still end the test


@dataclass
class Lab:
    """The command line for one cluster."""

    name: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "lab", *arguments, "--name", self.name]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=REPOSITORY, text=True, **pipes)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, error = process.communicate(timeout=UP_TIMEOUT)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def up(self, *arguments: str) -> str:
        """Bring it up; returns what was said."""
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def pid(self, program: str) -> int:
        """The id on the host of one program, from `status`."""
        for line in self.run("status").stdout.splitlines():
            words = line.split()
            if words[:1] == [program]:
                return int(words[words.index("pid") + 1])
        raise AssertionError(f"{program} is not running")

    def kubectl(self, *arguments: str, user: str = "admin") -> subprocess.CompletedProcess[str]:
        from lab.cluster import read_cluster
        from lab.places import cache_root

        kubeconfig = read_cluster(self.name).kubeconfig(user)
        command = [str(cache_root() / "bin" / "kubectl"), f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def wait_for_complaint(self, text: str) -> None:
        """Until `status` notices."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            done = self.run("status")
            if text in done.stdout:
                assert done.returncode == 1
                return
            time.sleep(0.1)
        raise AssertionError(done.stdout)


@pytest.fixture(scope="session", autouse=True)
def built():
    """Programs and images, so that the time-outs below are about starting, not about building."""
    assert os.geteuid() == 0, "these tests start real clusters: run them as root"
    subprocess.run([sys.executable, "-m", "lab", "build"], cwd=REPOSITORY, check=True, timeout=3600)


def _cluster(name: str):
    lab = Lab(name)
    lab.run("down")
    yield lab
    lab.run("down")


@pytest.fixture(scope="session")
def b():
    """One cluster that all tests share; each brings it up itself, which costs nothing when it is."""
    yield from _cluster("b")


@pytest.fixture
def second():
    yield from _cluster("b2")
