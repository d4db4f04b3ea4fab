"""The bill against what really runs: the images of all pods of a finished mesh, asked with kubectl."""

from __future__ import annotations

import json
import subprocess

from ..finished_mesh import KUBECTL
from .runs import playbook

# Of Kubernetes and of the demo: nothing that the collection brings.
NOT_OURS = ("kube-system",)
PROXIES = {"istio-proxy", "istio-init", "istio-validation"}


def running(admin: str) -> set[str]:
    """Images of the pods of Istio and its add-ons, and of the proxies in all others."""
    shown = subprocess.run(
        [KUBECTL, "--kubeconfig", admin, "get", "pods", "-A", "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = set()
    for pod in json.loads(shown.stdout)["items"]:
        theirs = pod["metadata"]["namespace"] != "istio-system"
        for section in ("containers", "initContainers"):
            for container in pod["spec"].get(section, []):
                if pod["metadata"]["namespace"] not in NOT_OURS and (
                    not theirs or container["name"] in PROXIES
                ):
                    found.add(container["image"])
    return found


def test_what_runs_is_what_the_bill_says(admin, tmp_path):
    done = playbook("playbooks/bill.yml", extra={"bill_path": str(tmp_path / "bill")})
    assert done.code == 0, done.output
    bill = json.loads((tmp_path / "bill.json").read_text())
    images = {one["image"] for one in bill["images"] if one["used_by"] != ["probes of verify"]}
    assert images == running(admin)
    # A probe lives only while verify runs; its image is the one that the inventory names.
    (probe,) = (one["image"] for one in bill["images"] if "probes of verify" in one["used_by"])
    assert probe == "lab.local/service:1"
    assert {one["name"] for one in bill["manifests"]} == {"prometheus", "request-metrics"}


def test_it_needs_no_cluster(tmp_path):
    nowhere = {"mesh_connection": {"host": "https://127.0.0.1:9"}, "bill_path": str(tmp_path / "bill")}
    done = playbook("playbooks/bill.yml", extra=nowhere)
    assert done.code == 0, done.output
