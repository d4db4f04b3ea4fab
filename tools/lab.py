"""The embedded cluster, made ready for the collection: ``make lab``, ``make lab-down``, and steps for others.

LAB_CLUSTER names the cluster, here and in inventories/lab.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.cluster import DEFAULT_NAME
from lab.places import cache_root, state_root

from .processes import run
from .screen import SetupError, say, timed


def cluster_name() -> str:
    """The cluster that a make target works on."""
    return os.environ.get("LAB_CLUSTER") or DEFAULT_NAME


def kubeconfig(name: str, user: str) -> Path:
    """Of the administrator (`admin`), or of the person who runs the collection (`operator`)."""
    return state_root() / name / "kubeconfig" / user


def lock_file(name: str) -> Path:
    """Held by every make target that changes this cluster."""
    return state_root() / ".locks" / f"make-{name}.lock"


def up(name: str, keep: Sequence[int] = ()) -> None:
    """Build what is missing, start the cluster, grant its operator docs/rbac; quick when all that is done."""
    _python_module("lab", "up", "--name", name, keep=keep)


def down(name: str) -> None:
    """Remove the cluster."""
    _python_module("lab", "down", "--name", name)


def fresh(name: str) -> None:
    """A cluster that did not exist before, with the demo shop and no mesh."""
    down(name)
    up(name)
    deploy_shop(name)


def deploy_shop(name: str, keep: Sequence[int] = ()) -> None:
    """Deploy the demo shop as the administrator: its teams, not the mesh's operator, own their workloads."""
    admin = json.dumps({"mesh_connection": {"kubeconfig": str(kubeconfig(name, "admin"))}})
    playbook(name, "lab/playbooks/shop.yml", "-e", admin, keep=keep)


def playbook(
    name: str,
    path: str,
    *arguments: str,
    keep: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a playbook on the cluster with the lab's inventory, its output on the screen."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "ansible-playbook",
        "-i",
        "inventories/lab",
        path,
        *arguments,
    ]
    done = run(command, environment={"LAB_CLUSTER": name, **(environment or {})}, keep=keep)
    if done.returncode:
        raise SetupError(f"{path} ended with {done.returncode}")


def kubectl(name: str, *arguments: str) -> str:
    """Run kubectl as the administrator and return its output."""
    program = cache_root() / "bin" / "kubectl"
    done = run([program, "--kubeconfig", kubeconfig(name, "admin"), *arguments], capture=True, timeout=60)
    if done.returncode:
        raise SetupError(f"kubectl {arguments[0]} failed: {done.stdout.strip()}")
    return done.stdout


def _python_module(*arguments: str, keep: Sequence[int] = ()) -> None:
    done = run([sys.executable, "-m", *arguments], keep=keep)
    if done.returncode:
        raise SetupError(f"python -m {' '.join(arguments)} ended with {done.returncode}")


def main(command: str) -> int:
    """``lab`` brings up the cluster with the shop and without a mesh, ``lab-down`` removes it."""
    name = cluster_name()
    try:
        if command == "lab-down":
            down(name)
            return 0
        up(name)
        with timed("demo shop"):
            deploy_shop(name)
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say("")
    say(f"cluster {name!r} is up, with the shop in namespace ecommerce and no mesh yet")
    say(f"  export KUBECONFIG={kubeconfig(name, 'admin')}")
    say(f"  LAB_CLUSTER={name} .venv/bin/ansible-playbook playbooks/site.yml -i inventories/lab")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
