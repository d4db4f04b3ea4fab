"""Bringing a cluster up, taking it down, and saying how it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import containerd, host, images, limits, pki, requirements
from .cluster import CLUSTERS, Cluster, allocate, check_name, read_cluster
from .errors import LabError
from .essentials import apply_roles, clean_environment, deploy_dns
from .everything import Build, build_everything
from .places import LAB, cache_root, locked, state_root
from .plan import make_plan
from .processes import Tree, end_tree, find_tree, init_argv
from .screen import say
from .settings import Layout, configuration_files

_NAMESPACES = ["--net", "--mount", "--pid", "--uts", "--cgroup", "--fork", "--kill-child", "--mount-proc"]
_MEMORY = {True: 3 * requirements.GIB, False: requirements.GIB}


@dataclass(frozen=True, slots=True)
class Health:
    """What can be seen of a cluster without asking its API server.

    record: what the last complete start wrote ({"build", "node"}, empty when there was none);
    status: what process 1 last wrote (see init.py).
    """

    tree: Tree
    record: dict[str, Any]
    status: dict[str, Any]

    @property
    def dead(self) -> list[str]:
        """Programs that ended on their own."""
        programs = self.status.get("programs", {})
        return [name for name, program in programs.items() if program["exit"] is not None]

    @property
    def complaint(self) -> str:
        """Empty for a running cluster; else one clause."""
        if not self.tree.init or not self.tree.outer:
            return "not running"
        if self.status.get("phase") != "ready":
            return f"its start is not complete ({self.status.get('phase', 'nothing recorded')})"
        if self.dead:
            return f"{', '.join(self.dead)} died"
        return "" if self.record else "its start is not complete"


def up(name: str, *, node: bool = True, stamps: Sequence[str] = ()) -> Cluster:
    """Make cluster `name` run, of this build; does nothing when it already does."""
    requirements.check_system()
    requirements.install_packages()
    requirements.check_disk(first_build=not (cache_root() / "programs").is_dir())
    build = build_everything(stamps, with_images=node)
    kubectl = build.kubernetes / "kubectl"
    with _cluster_lock(name):
        if node:
            limits.raise_limit()
        existing = read_cluster(name)
        if existing and not (why := _replace_because(inspect(existing), build, node, existing)):
            say(f"cluster {name!r} is already up")
            if inspect(existing).record["node"]:
                deploy_dns(existing, kubectl)
            apply_roles(existing, kubectl)
            return existing
        if existing:
            say(f"cluster {name!r}: {why}; starting from nothing")
        _remove(existing or _unrecorded(name), grace=0)
        cluster = allocate(name)
        requirements.check_memory(_MEMORY[node], Path("/proc/meminfo").read_text())
        host.check_addresses(cluster)
        _start(cluster, build, node=node)
        if node:
            deploy_dns(cluster, kubectl)
        _write_json(cluster.state / "up.json", {"build": build.key(), "node": node})
        apply_roles(cluster, kubectl)  # after the record: a mistake in a role is no reason to start all over
    say(f"cluster {name!r} is up: {cluster.server}")
    return cluster


def _replace_because(health: Health, build: Build, node: bool, cluster: Cluster) -> str:
    """Why a cluster cannot stay as it is; empty when it can."""
    if health.complaint:
        return health.complaint
    if node and not health.record.get("node"):
        return "it has no node"
    if health.record.get("build") != build.key() and (node or not health.record.get("node")):
        return "it is of another build"
    return "" if host.is_connected(cluster) else "its routes are gone"


def down(name: str) -> None:
    """Leave nothing of cluster `name`: no process, mount, link, route, cgroup or state, whatever is there."""
    check_name(name)
    with _cluster_lock(name):
        _remove(read_cluster(name) or _unrecorded(name), grace=5.0)
    limits.restore_limit()
    say(f"cluster {name!r} is down")


def inspect(cluster: Cluster) -> Health:
    """Look at processes and at what the last start recorded."""
    state = cluster.state
    return Health(find_tree(cluster), _read_json(state / "up.json"), _read_json(state / "status.json"))


def _unrecorded(name: str) -> Cluster:
    """Stands for a cluster whose record was lost: its number is unknown, but its processes are found anyhow,
    and its link dies with them."""
    return Cluster(name, CLUSTERS)


def _remove(cluster: Cluster, grace: float) -> None:
    end_tree(cluster, grace)
    host.disconnect(cluster)
    host.remove_cgroup(cluster)
    shutil.rmtree(cluster.state, ignore_errors=True)


def _start(cluster: Cluster, build: Build, *, node: bool) -> None:
    """Prepare the state directory, start process 1, connect it, and follow its plan to the end."""
    say(f"cluster {cluster.name!r}: starting (pods {cluster.pod_cidr}, Services {cluster.service_cidr})")
    layout = Layout(cluster, build.etcd, build.kubernetes, host.make_cgroup(cluster) if node else ())
    (cluster.state / "logs").mkdir(parents=True, exist_ok=True)
    pki.write_credentials(cluster)
    for path, content in configuration_files(layout).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if node and build.images:
        images.copy_root(build.images, layout.containerd / "root")
    shutil.copy2(LAB / "init.py", cluster.state / "init.py")
    _write_json(cluster.state / "plan.json", make_plan(layout, node=node))
    with (cluster.state / "logs" / "init.log").open("ab") as log:
        command = ["unshare", *_NAMESPACES, sys.executable, "-I", *init_argv(cluster)]
        outer = subprocess.Popen(
            host.joining(cluster, command) if node else command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(os.environ),
            start_new_session=True,
            cwd="/",
        )
    try:
        init = _await(lambda: find_tree(cluster).init, outer, cluster, "process 1", 10.0)
        if node:
            host.release_outer(outer.pid)
        host.connect(cluster, init)
        _follow(cluster, outer)
    except BaseException:
        _stop_failed(cluster, outer)
        raise


def _await(
    look: Callable[[], int | None],
    outer: subprocess.Popen[bytes],
    cluster: Cluster,
    what: str,
    seconds: float,
) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and outer.poll() is None:
        if found := look():
            return found
        time.sleep(0.02)
    raise LabError(f"{what} of cluster {cluster.name!r} did not start{last_lines(cluster, 'init')}")


def _follow(cluster: Cluster, outer: subprocess.Popen[bytes]) -> None:
    """Say each step that process 1 completes, until all are done or one fails; its time-outs bound this."""
    told = 0
    while True:
        ended = outer.poll() is not None
        status = _read_json(cluster.state / "status.json")
        for what, seconds in status.get("done", [])[told:]:
            told += 1
            if what != "uplink":
                say(f"{what} is ready ({seconds} s)")
        if status.get("phase") == "ready":
            return
        if status.get("phase") == "failed":
            raise LabError(f"{status['error']}{last_lines(cluster, status['failed'])}")
        if ended:
            raise LabError(f"process 1 of cluster {cluster.name!r} ended{last_lines(cluster, 'init')}")
        time.sleep(0.05)


def _stop_failed(cluster: Cluster, outer: subprocess.Popen[bytes]) -> None:
    """End what a failed start left, but keep the logs for the reader."""
    end_tree(cluster, grace=0)
    outer.wait(timeout=10)
    host.disconnect(cluster)
    host.remove_cgroup(cluster)


def last_lines(cluster: Cluster, program: str, count: int = 15) -> str:
    """The end of a program's log, ready to be appended to a message."""
    path = cluster.state / "logs" / f"{program}.log"
    lines = path.read_text(errors="replace").splitlines()[-count:] if path.is_file() else []
    return f"\nlast lines of {path}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def ctr_command(cluster: Cluster, *arguments: str) -> list[str]:
    """A `ctr` command that works from the host while the cluster runs."""
    return containerd.ctr(cluster.state / "containerd", *arguments)


def _cluster_lock(name: str) -> AbstractContextManager[None]:
    return locked(state_root() / ".locks" / f"{check_name(name)}.lock", f"cluster {name!r}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)
