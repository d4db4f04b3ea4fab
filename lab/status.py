"""What `lab status` and `lab env` print."""

from __future__ import annotations

import shlex
import subprocess

from . import programs
from .cluster import Cluster
from .golang import find_go
from .lifecycle import Health, inspect
from .places import cache_root
from .processes import host_pids


def print_status(cluster: Cluster) -> int:
    """Print the cluster and its programs; 0 when all is well."""
    health = inspect(cluster)
    pids = host_pids(health.tree.init) if health.tree.init else {}
    print(f"cluster {cluster.name}: {health.complaint or 'running'}")
    print(f"  API server  {cluster.server}")
    print(f"  pods        {cluster.pod_cidr}")
    print(f"  Services    {cluster.service_cidr}")
    print(f"  versions    Kubernetes {programs.KUBERNETES}, Istio {programs.ISTIO} = {programs.ISTIO_COMMIT}")
    if health.tree.init:
        print(f"  {'init':<24} running   pid {health.tree.init}")
    for name, text in program_lines(health, pids).items():
        print(f"  {name:<24} {text}")
    if not health.complaint:
        print(f"  {'API server answers':<24} {_api_answer(cluster)}")
    return 1 if health.complaint else 0


def program_lines(health: Health, pids: dict[int, int]) -> dict[str, str]:
    """Per program: running with its pid on the host, or how it ended. `pids`: inner id -> id on the host."""
    lines = {}
    for name, program in health.status.get("programs", {}).items():
        if program["exit"] is not None:
            lines[name] = f"dead      exit code {program['exit']}"
        elif program["pid"] in pids:
            lines[name] = f"running   pid {pids[program['pid']]}"
        else:
            lines[name] = "dead      gone with the cluster's process 1"
    return lines


def environment(cluster: Cluster | None, user: str, stamp: str) -> dict[str, str]:
    """Shell variables for people and tests, quoted. `stamp`: which istioctl and charts (see programs.py)."""
    go = find_go()
    istio = programs.built(programs.istio_module(stamp), go)
    values = {
        "LAB_ISTIOCTL": istio / "istioctl",
        "LAB_HELM": programs.built(programs.HELM, go) / "helm",
        "LAB_KUBECTL": programs.built(programs.kubernetes_module(), go) / "kubectl",
        "LAB_CHARTS": cache_root() / "charts" / f"{istio.name}-{stamp}",
    }
    if cluster:
        values["KUBECONFIG"] = cluster.kubeconfig(user)
    return {name: shlex.quote(str(path)) for name, path in values.items()}


def _api_answer(cluster: Cluster) -> str:
    kubectl = cache_root() / "bin" / "kubectl"
    command = [str(kubectl), f"--kubeconfig={cluster.kubeconfig()}", "get", "--raw", "/readyz"]
    done = subprocess.run([*command, "--request-timeout=5s"], capture_output=True, text=True, check=False)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()[:200]
