"""Late is not wrong: whole verifications while everything is restarted, Jobs come and go, and istiod too."""

from __future__ import annotations

import collections
import datetime
import itertools
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..waiting import until
from . import runs, servers
from .conftest import sized

SHOP = "ecommerce"
WHOLE = sized(0, 1)
RUNS = int(os.environ.get("PROOF_RUNS") or sized(1, 100))
PAUSE = float(os.environ.get("PROOF_PAUSE") or sized(60, 7))
"""Seconds from one restart to the next: in the whole campaign about as long as one takes, so one is always
under way."""


class Unrest(threading.Thread):
    """Restarts one Deployment of the shop after another, and starts Jobs that end after seconds."""

    def __init__(self, client: KubeClient) -> None:
        super().__init__(daemon=True)
        self._client, self.over = client, threading.Event()
        self.restarts = 0
        found = client.list("apps/v1", "Deployment", SHOP).items
        self.names = sorted(item["metadata"]["name"] for item in found)

    def run(self) -> None:
        for number, name in enumerate(itertools.cycle(self.names)):
            restart(self._client, name, SHOP)
            self.restarts += 1
            if number % 2:
                self._client.create(job(f"proof-job-{number}"))
            if self.over.wait(PAUSE):
                return


def restart(client: KubeClient, name: str, namespace: str) -> None:
    """What `kubectl rollout restart` writes."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}
    body = {"spec": {"template": template}}
    client.patch("apps/v1", "Deployment", name, namespace, body, field_manager="kubectl-rollout")


def pods(seconds: int) -> dict[str, Any]:
    """A pod of a Job: it works for some seconds and is done."""
    command = ["sleep", str(seconds)]
    container = {"name": "job", "image": servers.IMAGE, "imagePullPolicy": "IfNotPresent", "command": command}
    return {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}


def job(name: str) -> dict[str, Any]:
    """A Job that is gone soon after its end."""
    metadata = {"name": name, "namespace": SHOP, "labels": {"proof": "restarts"}}
    spec = {**pods(5), "ttlSecondsAfterFinished": 20}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def cron_job() -> dict[str, Any]:
    """Starts such a pod each minute."""
    metadata = {"name": "proof-cron", "namespace": SHOP, "labels": {"proof": "restarts"}}
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": pods(6)}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


@pytest.fixture
def unrest(client: KubeClient) -> Iterator[Unrest]:
    client.create(cron_job())
    found = Unrest(client)
    found.start()
    yield found
    found.over.set()
    found.join()
    for kind in ("CronJob", "Job"):
        for item in client.list("batch/v1", kind, SHOP).items:
            if kind == "CronJob" or "proof" in item["metadata"]["name"]:
                client.delete("batch/v1", kind, item["metadata"]["name"], SHOP)
    until(lambda: settled(client, SHOP), "the shop as it was")


def settled(client: KubeClient, namespace: str) -> bool:
    """Whether every Deployment runs what it was told last, and nothing else."""
    for item in client.list("apps/v1", "Deployment", namespace).items:
        status, wanted = item.get("status", {}), item["spec"]["replicas"]
        seen = status.get("observedGeneration", 0) >= item["metadata"]["generation"]
        counts = (status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas"))
        if not seen or any(count != wanted for count in counts):
            return False
    return True


def test_nothing_is_wrong_that_is_only_late(client, kubeconfig, raw, options, unrest, capsys):
    ends: collections.Counter[str] = collections.Counter()
    told: list[str] = []
    slowest, istiods = 0.0, 0
    for number in range(RUNS):
        if WHOLE and number == RUNS // 3:
            restart(client, "istiod", "istio-system")
            istiods += 1
        begun = time.monotonic()
        result = runs.verified(kubeconfig, raw, **options)
        slowest = max(slowest, time.monotonic() - begun)
        ends[result["status"]] += 1
        told += [f"run {number}: {problem}" for problem in result["problems"]]
        if number % 10 == 9:
            with capsys.disabled():
                print(f"\n{number + 1} runs: {dict(ends)}", *told, sep="\n", flush=True)
    with capsys.disabled():
        slow = f"{unrest.restarts} restarts of Deployments, {istiods} of istiod, slowest run {slowest:.0f} s"
        print(f"\n{RUNS} runs: {dict(ends)}; {slow}")
    assert not told, "\n".join(told)
    assert ends == {"pass": RUNS}
    assert unrest.restarts > RUNS // 2
