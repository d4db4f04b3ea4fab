"""Runs that are killed at random moments leave probes behind; none of them is there after the next run."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..finished_mesh import ROOT
from ..waiting import until
from . import runs
from .conftest import sized

KILLS = int(os.environ.get("PROOF_KILLS") or sized(2, 100))
PROBES = "app.kubernetes.io/component=verify-probe"
KINDS = (("v1", "Pod"), ("networking.istio.io/v1", "Sidecar"))
PROGRAM = """
import json, sys
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
print(verify.run(json.load(sys.stdin), Context())["status"])
"""
A_RUN = 5.0
"""Seconds that a run takes about; measured only where there are many."""
PLAYBOOK = 10
"""One in so many kills hits the whole playbook, with everything that it has started."""


def left(client: KubeClient) -> list[str]:
    """What probes left behind, wherever it is."""
    return [
        f"{kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for api_version, kind in KINDS
        for item in client.list(api_version, kind, label_selector=PROBES).items
        if "deletionTimestamp" not in item["metadata"]
    ]


def module(parameters: dict[str, Any]) -> subprocess.Popen[str]:
    """The module's backend in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    command = [sys.executable, "-c", PROGRAM]
    running = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert running.stdin is not None
    running.stdin.write(json.dumps(parameters))
    running.stdin.close()
    return running


def playbook() -> subprocess.Popen[str]:
    """The playbook as the lab's operator runs it."""
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [program, ROOT / "playbooks" / "verify.yml", "-i", ROOT / "inventories" / "lab"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **quiet)


def test_no_probe_is_left_after_the_run_that_follows_a_kill(client, kubeconfig, raw, options, seed, capsys):
    dice = random.Random(seed)
    checks = {**options, "checks": ["plaintext", "authorization"]}
    begun = time.monotonic()
    longest = A_RUN
    if KILLS > 10:
        assert module(runs.parameters(kubeconfig, raw, **checks)).wait() == 0
        longest = time.monotonic() - begun
    counted: collections.Counter[str] = collections.Counter()
    for number in range(KILLS):
        of_all = number % PLAYBOOK == PLAYBOOK - 1
        running = playbook() if of_all else module(runs.parameters(kubeconfig, raw, **checks))
        if number:
            time.sleep(dice.uniform(0.2, longest))
        else:  # one that leaves something for certain
            until(lambda: bool(left(client)), "a probe", pause=0.05)
        counted["too late"] += running.poll() is not None
        if of_all:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
        running.wait()
        counted["with probes left"] += bool(left(client))
        runs.verified(kubeconfig, raw, **{**options, "checks": ["plaintext"]})
        assert left(client) == [], f"after kill {number}"
        if number % 10 == 9:
            with capsys.disabled():
                print(f"\n{number + 1} kills: {dict(counted)}", flush=True)
    with capsys.disabled():
        print(f"\n{KILLS} kills in runs of up to {longest:.1f} s: {dict(counted)}; nothing left")
    assert counted["with probes left"] >= max(1, KILLS // 4)
