"""The guide's way out (docs/guides/remove.md), line by line, on a finished mesh."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lab.places import cache_root

from . import lab
from .dependencies import TREE
from .paths import ROOT
from .processes import run
from .reader import shell_lines
from .screen import say
from .stages import StageError

GUIDE = ROOT / "docs" / "guides" / "remove.md"
NAMESPACE = "ecommerce"
# How the lines of the other method begin. istioctl takes the CRDs as well.
_OTHER = {"istioctl": ("helm uninstall", "kubectl get crd"), "helm": ("istioctl uninstall",)}


def commands(method: str) -> list[str]:
    """Every line of the guide's shell blocks that is for this method, in order."""
    lines = shell_lines(GUIDE.read_text(encoding="utf-8"))
    return [line for line in lines if not line.startswith(_OTHER[method])]


def removed_as_documented(cluster: str, method: str, owner: str) -> int:
    """Run every line on the cluster.

    :param owner: the inventory that installed what is there; another one would be refused.
    :returns: how many lines held.
    """
    environment = {
        "KUBECONFIG": str(lab.kubeconfig(cluster, "admin")),
        "LAB_CLUSTER": cluster,
        "ANSIBLE_COLLECTIONS_PATH": str(TREE.parent),
        "PATH": os.pathsep.join(
            (str(Path(sys.executable).parent), str(cache_root() / "bin"), os.environ["PATH"])
        ),
    }
    mine = f"-i inventories/lab -e istio_method={method} -e istio_owner={owner}"
    lines = [line.replace("-i INVENTORY", mine).replace("NAMESPACE", NAMESPACE) for line in commands(method)]
    for line in lines:
        _run(line, environment)
    if left := leftovers(environment):
        raise StageError(f"left: {', '.join(left)}")
    return len(lines)


def _run(line: str, environment: dict[str, str]) -> str:
    say(f"    $ {line}")
    return _asked(line, environment)


def _asked(line: str, environment: dict[str, str]) -> str:
    done = run(["bash", "-c", f"set -o pipefail; {line}"], environment=environment, capture=True, timeout=600)
    if done.returncode:
        raise StageError(f"{line!r} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def leftovers(environment: dict[str, str]) -> list[str]:
    """What is still there of Istio or of ours. :returns: names of objects, and pods with a proxy."""
    text = _asked("kubectl api-resources --verbs=list -o name | grep -v -e events -e metrics", environment)
    kinds = ",".join(text.split())
    found = []
    for selector in (
        "app.kubernetes.io/managed-by=servicemesh.istio", "operator.istio.io/managed", "istio.io/rev",
        "app.kubernetes.io/part-of=istio",
    ):  # fmt: skip
        look = f"kubectl get {kinds} -A -l {selector} -o name --ignore-not-found 2>/dev/null"
        found += _asked(look, environment).split()
    named = _asked(
        "kubectl get crd,mutatingwebhookconfiguration,validatingwebhookconfiguration,clusterrole,"
        "clusterrolebinding,namespace -o name;"
        "kubectl get configmap,secret,service,serviceaccount -A -o name",
        environment,
    )
    # The operator's own rights and account are the lab's, not Istio's.
    found += [name for name in named.split() if "istio" in name and "servicemesh" not in name]
    pods = json.loads(_asked("kubectl get pods -A -o json", environment))["items"]
    for pod in pods:
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        if any(container["name"] == "istio-proxy" for container in containers):
            found.append(f"proxy of pod {pod['metadata']['name']}")
    metadata = json.loads(_asked(f"kubectl get namespace {NAMESPACE} -o json", environment))["metadata"]
    marks = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
    return sorted({*found, *(mark for mark in marks if "istio" in mark)})
