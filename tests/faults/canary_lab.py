"""Drives rollouts of the lab's product-service under load, for the tests beside this file.

Environment: ``CANARY_LAB`` names a lab cluster (default ``c``) on which ``playbooks/site.yml`` has run.
The playbooks connect as the operator, who has the rights of docs/rbac and no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("CANARY_LAB", "c")
NAMESPACE, SERVICE = "ecommerce", "product-service"
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
INVENTORY = ROOT / "inventories" / "lab"
HOST = "api.example.com"
PATIENCE = 25  # seconds of load before a rollout: the preflight's baseline
SETTINGS: dict[str, Any] = {
    "canary_scrape_interval": 2,
    "canary_baseline": 20,
    "canary_duration": 10,
    "canary_min_requests": 30,
    "canary_phase_deadline": 90,
    "canary_unmeasurable": 75,
}
# What is looked at again and again: a kubectl for each look would take more of the machine than a rollout.
KINDS = {
    "configmap": ("v1", "ConfigMap"),
    "deployment": ("apps/v1", "Deployment"),
    "service": ("v1", "Service"),
    "virtualservice": ("networking.istio.io/v1", "VirtualService"),
}
PAUSE = 0.05  # seconds between two looks
JOURNAL = f"servicemesh-canary-{SERVICE}"
RECORD = f"servicemesh-release-{SERVICE}"
# v2's program, which takes its FAULT_STATUS from a file: it falls ill without a new pod.
SICK_FILE = "/tmp/canary-sick"
SWITCHED = f"""
import os, pathlib, runpy, threading, time
def follow():
    while True:
        sick = pathlib.Path({SICK_FILE!r})
        os.environ["FAULT_STATUS"] = sick.read_text().strip() if sick.exists() else ""
        time.sleep(0.1)
threading.Thread(target=follow, daemon=True).start()
runpy.run_path("/app/service.py", run_name="__main__")
"""
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_STDOUT_CALLBACK": "default",
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    "ANSIBLE_NOCOLOR": "1",
    "LAB_CLUSTER": NAME,
}


def lab_environment() -> dict[str, str]:
    """What ``lab env`` exports."""
    text = subprocess.run(
        [sys.executable, "-m", "lab", "env", "--name", NAME],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = dict(re.findall(r"export (\w+)=(.*)", text))
    return {key: shlex.split(value)[0] for key, value in found.items()}


def kill(process: subprocess.Popen[str], *, workers: bool) -> None:
    """SIGKILL to the process group; with ``workers`` also to Ansible's workers, each a session of its own.

    Without, the worker lives on as an orphan: what happens when a terminal or AWX kills the group.
    """
    pids = descendants(process.pid) if workers else []
    os.killpg(process.pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)


def descendants(pid: int) -> list[int]:
    """All processes that a process has started, and theirs."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += [int(word) for word in task.read_text().split()]
    return [*children, *(other for child in children for other in descendants(child))]


class Lab:
    """One lab cluster, seen by a person with kubectl and ansible-playbook."""

    def __init__(self, directory: Path) -> None:
        # Not above: conftest.py is read before the collection can be imported.
        from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import connect
        from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions

        self.environment = lab_environment()
        self.directory = directory
        self.client = connect(ConnectionOptions(kubeconfig=self.environment["KUBECONFIG"]))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl and returns what it prints."""
        return subprocess.run(
            [self.environment["LAB_KUBECTL"], "--kubeconfig", self.environment["KUBECONFIG"], *arguments],
            check=True,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=180,
        ).stdout

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """One object, empty when absent."""
        if kind in KINDS:
            return self.client.get(*KINDS[kind], name, namespace) or {}
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else {}

    def journal(self) -> dict[str, Any]:
        """The rollout's state."""
        return json.loads(self.get("configmap", JOURNAL).get("data", {}).get("journal", "{}"))

    def record(self) -> dict[str, Any]:
        """The release record."""
        return json.loads(self.get("configmap", RECORD).get("data", {}).get("record", "{}"))

    def reasons(self) -> list[str]:
        """What ``kubectl describe`` shows of the newest run. :returns: reasons of its Events, in order."""
        shown = self.kubectl("describe", f"deployment/{SERVICE}-v2", "-n", NAMESPACE)
        assert "servicemesh.istio/canary" in shown
        run = self.journal()["run"]
        text = self.kubectl("get", "events.v1.events.k8s.io", "-n", NAMESPACE, "-o", "json")
        mine = [item for item in json.loads(text)["items"] if f".{run}-" in item["metadata"]["name"]]
        assert all(item["reason"] in shown for item in mine)
        return [item["reason"] for item in sorted(mine, key=lambda item: str(item["eventTime"]))]

    def split(self) -> dict[str, int]:
        """Subset -> percent of the live split; every route must agree and sum to 100."""
        splits = []
        for route in self.get("virtualservice", f"{SERVICE}-routes")["spec"]["http"]:
            if str(route.get("name")).startswith(("testers", "sticky")):
                continue  # for single users, whatever the split
            parts = route["route"]
            splits.append(
                {p["destination"]["subset"]: p.get("weight", 100 if len(parts) == 1 else 0) for p in parts}
            )
        assert all(sum(split.values()) == 100 for split in splits), splits
        assert all(split == splits[0] for split in splits), splits
        return splits[0]

    def await_journal(
        self, reached: Callable[[dict[str, Any]], bool], timeout: float = 180
    ) -> dict[str, Any]:
        """Waits until the journal of the rollout says so. :returns: the journal."""
        deadline = time.monotonic() + timeout
        while True:
            state = self.journal()
            if reached(state):
                return state
            assert time.monotonic() < deadline, f"the journal stands at {state.get('step')}"
            time.sleep(PAUSE)

    @contextlib.contextmanager
    def shares_seen(self, act: Callable[[int], None] = lambda share: None) -> Iterator[list[int]]:
        """The canary's shares of the live routes, each once, while the block runs.

        :param act: called with every new share, in the watching thread.
        """
        seen: list[int] = []
        end = threading.Event()

        def watch() -> None:
            while not end.wait(PAUSE):
                share = self.split().get("v2", 0)
                if seen[-1:] != [share]:
                    seen.append(share)
                    act(share)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            end.set()
            thread.join()

    def patch(self, container: dict[str, Any], version: str = "v2") -> None:
        """Changes the program of a version and waits for its rollout."""
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "service", **container}]}}}}
        self.kubectl("patch", f"deployment/{SERVICE}-{version}", "-n", NAMESPACE, "-p", json.dumps(patch))
        self.kubectl(
            "rollout", "status", f"deployment/{SERVICE}-{version}", "-n", NAMESPACE, "--timeout=120s"
        )

    def scale(self, version: str, replicas: int) -> None:
        """So many pods of a version; waits until they are there, or gone."""
        deployment = f"deployment/{SERVICE}-{version}"
        self.kubectl("scale", deployment, "-n", NAMESPACE, f"--replicas={replicas}")
        self.kubectl("rollout", "status", deployment, "-n", NAMESPACE, "--timeout=120s")

    def sicken(self, status: str, version: str = "v2") -> float:
        """A version with program ``SWITCHED`` answers everything with a status. :returns: since when."""
        pods = self.kubectl(
            "get", "pod", "-n", NAMESPACE, "-l", f"app={SERVICE},version={version}", "-o", "name"
        ).split()
        for pod in pods:
            text = f"echo {status} > {SICK_FILE}"
            self.kubectl("exec", "-n", NAMESPACE, pod, "-c", "service", "--", "sh", "-c", text)
        return time.time()

    def fault(self, **variables: str) -> None:
        """Makes v2 sick by its environment (``NAME=""`` removes one) and waits for its rollout."""
        settings = [f"{key}={value}" if value else f"{key}-" for key, value in variables.items()]
        self.kubectl("set", "env", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "-c", "service", *settings)
        self.kubectl("rollout", "status", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "--timeout=120s")

    def healthy(self) -> None:
        """v2 without faults, one replica, and nothing left of earlier rollouts: everything at v1."""
        self.patch({"command": None})
        self.fault(FAULT_DELAY_MS="", FAULT_STATUS="", FAULT_STATUS_PERCENT="", FAULT_CRASH_AFTER="")
        self.kubectl("scale", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "--replicas=1")
        self.kubectl("rollout", "status", f"deployment/{SERVICE}-v2", "-n", NAMESPACE, "--timeout=120s")
        if not self.get("deployment", f"{SERVICE}-v1")["spec"]["replicas"]:
            self.kubectl("scale", f"deployment/{SERVICE}-v1", "-n", NAMESPACE, "--replicas=1")
            self.kubectl("rollout", "status", f"deployment/{SERVICE}-v1", "-n", NAMESPACE, "--timeout=120s")
        if self.journal().get("state") not in (None, "finished"):  # what a failed test left
            self.play("canary_rollback", canary_lease=12)
        if self.split() != {"v1": 100}:
            self.play("canary_rollback", check=True)
        if self.split() != {"v1": 100}:  # v1 was the version that a failed test withdrew
            self.play("canary_rollback", check=True, canary_behind_stable=True)
        assert self.split() == {"v1": 100}

    def command(self, playbook: str, **variables: Any) -> list[str]:
        """The command line of a playbook."""
        extra = {"canary_service": SERVICE, "canary_evidence": str(self.directory / "evidence")}
        if playbook == "canary":
            extra["canary_version"] = "v2"
        extra = {**SETTINGS, **extra, **variables}
        file = str(ROOT / "playbooks" / f"{playbook}.yml")
        return [str(PLAYBOOK), "-i", str(INVENTORY), file, "-e", json.dumps(extra)]

    def start(self, playbook: str, **variables: Any) -> subprocess.Popen[str]:
        """Starts a playbook in a process group of its own."""
        return subprocess.Popen(
            self.command(playbook, **variables),
            cwd=ROOT,
            env=ENVIRONMENT,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def play(
        self, playbook: str, *, check: bool = False, timeout: float = 400, **variables: Any
    ) -> tuple[int, str]:
        """Runs a playbook. :returns: exit code and output."""
        process = self.start(playbook, **variables)
        try:
            output, _unused = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert not check or process.returncode == 0, output[-3000:]
        return process.returncode, output

    @contextlib.contextmanager
    def load(
        self, rate: float = 60, gateway_rate: float = 15, seconds: float = 400, warmup: float = PATIENCE
    ) -> Iterator[dict[str, Any]]:
        """Requests from a meshed caller and through the gateway; totals are filled in at the end."""
        script = (Path(__file__).parent / "canary_load.py").read_text()
        pod = self.kubectl("get", "pod", "-n", NAMESPACE, "-l", "app=api-gateway", "-o", "name").split()[0]
        address = self.get("service", "istio-ingressgateway", "istio-system")["spec"]["clusterIP"]
        kube = [self.environment["LAB_KUBECTL"], "--kubeconfig", self.environment["KUBECONFIG"]]
        inside = [
            *kube,
            "exec",
            "-i",
            "-n",
            NAMESPACE,
            pod,
            "-c",
            "service",
            "--",
            "python3",
            "-",
            SERVICE,
            "3000",
            "/api/products",
            f"{SERVICE}:3000",
            str(rate),
            str(seconds),
        ]
        outside = [
            sys.executable,
            "-",
            address,
            "443",
            "/api/products",
            HOST,
            str(gateway_rate),
            str(seconds),
        ]
        processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for command in (inside, outside)
        ]
        for process in processes:
            assert process.stdin
            process.stdin.write(
                script.replace('STOP_FILE = ""', f"STOP_FILE = '/tmp/canary-load-stop-{os.getpid()}'")
            )
            process.stdin.close()
            process.stdin = None
        total: dict[str, Any] = {"sent": 0, "failed": 0, "versions": {}, "seconds": {}}
        time.sleep(warmup)  # traffic for the preflight's baseline
        try:
            yield total
        finally:
            stop = f"/tmp/canary-load-stop-{os.getpid()}"
            Path(stop).touch()
            self.kubectl("exec", "-n", NAMESPACE, pod, "-c", "service", "--", "touch", stop)
            for process in processes:
                output = process.communicate(timeout=60)[0]
                counts = json.loads(output.strip().splitlines()[-1])
                total["sent"] += counts["sent"]
                total["failed"] += counts["failed"]
                for version, count in counts["versions"].items():
                    total["versions"][version] = total["versions"].get(version, 0) + count
                for second, found in counts["seconds"].items():
                    here = total["seconds"].setdefault(int(second), {})
                    for version, count in found.items():
                        here[version] = here.get(version, 0) + count
                total.setdefault("fails", []).append(counts["fails"])
            Path(stop).unlink(missing_ok=True)
            self.kubectl("exec", "-n", NAMESPACE, pod, "-c", "service", "--", "rm", "-f", stop)
