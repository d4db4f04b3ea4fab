"""A run that is killed leaves probes behind; the next run removes them at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROBES = "app.kubernetes.io/component=verify-probe"
PROGRAM = """
import json, sys
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
checked = ArgumentSpecValidator(verify.ARGUMENT_SPEC).validate(json.loads(sys.stdin.read()))
result = verify.run(checked.validated_parameters, Context())
print(json.dumps({"status": result["status"], "problems": result["problems"]}))
"""


def start(kubeconfig, raw):
    arguments = {
        "kubeconfig": kubeconfig,
        "catalogue": raw,
        "probe_image": "lab.local/service:1",
        "checks": ["plaintext"],
    }
    command = [sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    running = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    running.stdin.write(json.dumps(arguments))
    running.stdin.close()
    return running


def probes(client):
    found = client.list("v1", "Pod", "ecommerce", label_selector=PROBES).items
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_probes_of_a_killed_run_are_removed_by_the_next(client, kubeconfig, raw):
    killed = start(kubeconfig, raw)
    deadline = time.monotonic() + 60
    while not probes(client):
        assert killed.poll() is None, "the run ended before it made a probe"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    left = probes(client)
    assert left
    following = start(kubeconfig, raw)
    result = json.loads(following.stdout.read())
    assert following.wait() == 0
    assert result == {"status": "pass", "problems": []}
    assert probes(client) == []
