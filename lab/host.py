"""What a cluster has on the host: one veth pair, two routes, one cgroup directory. Made and removed here."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from .cluster import CGROUP_PARENT, Cluster
from .errors import LabError

_CGROUPS = Path("/sys/fs/cgroup")
_MOUNTS = Path("/proc/self/mounts")


def connect(cluster: Cluster, init: int) -> None:
    """Put one end of a veth pair into the cluster's network namespace and route its addresses there."""
    disconnect(cluster)
    link = cluster.host_link
    _ip("link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", str(init))
    _ip("address", "add", f"{cluster.uplink_host_ip}/30", "dev", link)
    _ip("link", "set", link, "up")
    for network in (cluster.pod_cidr, cluster.service_cidr):
        _ip("route", "replace", network, "via", cluster.uplink_node_ip, "dev", link)


def disconnect(cluster: Cluster) -> None:
    """Remove the host's end; the other end and the routes go with it."""
    if Path("/sys/class/net", cluster.host_link).exists():
        subprocess.run(["ip", "link", "delete", cluster.host_link], capture_output=True, check=False)


def is_connected(cluster: Cluster) -> bool:
    """Whether both routes lead into the cluster's link."""
    found = subprocess.run(
        ["ip", "-json", "route", "show", "dev", cluster.host_link],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        return False
    destinations = {route.get("dst") for route in json.loads(found.stdout or "[]")}
    return {cluster.pod_cidr, cluster.service_cidr} <= destinations


def check_addresses(cluster: Cluster) -> None:
    """Refuse to shadow addresses that the host uses for something else."""
    found = subprocess.run(["ip", "-json", "route", "show"], capture_output=True, text=True, check=True)
    mine = [ipaddress.ip_network(text) for text in (cluster.pod_cidr, cluster.service_cidr)]
    mine.append(ipaddress.ip_network(f"{cluster.uplink_host_ip}/30", strict=False))
    if taken := overlapping(json.loads(found.stdout), mine, cluster.host_link):
        raise LabError(
            f"cluster {cluster.name!r} needs {taken[1]}, but this host routes {taken[0]} elsewhere: "
            "use another cluster name (--name), which has other addresses"
        )


def overlapping(
    routes: list[dict[str, Any]], mine: list[ipaddress.IPv4Network | ipaddress.IPv6Network], link: str
) -> tuple[str, str] | None:
    """(the host's route, our network) of the first clash in `ip -json route` output, default routes aside."""
    for route in routes:
        if route.get("dst") in {None, "default"} or route.get("dev") == link:
            continue
        theirs = ipaddress.ip_network(route["dst"], strict=False)
        for network in mine:
            if network.version == theirs.version and network.overlaps(theirs):
                return route["dst"], str(network)
    return None


def make_cgroup(cluster: Cluster) -> tuple[Path, ...]:
    """The cluster's directory in every cgroup hierarchy; returns the roots of these hierarchies."""
    for top in hierarchies():
        parent = top
        for name in cluster.cgroup.strip("/").split("/"):
            directory = parent / name
            directory.mkdir(exist_ok=True)
            for setting in (
                "cpuset.cpus",
                "cpuset.mems",
            ):  # version 1: empty in a new directory, and then unusable
                if (parent / setting).exists() and top.name == "cpuset":
                    (directory / setting).write_text((parent / setting).read_text())
            _delegate(parent)
            parent = directory
    return tuple(hierarchies())


def joining(cluster: Cluster, command: list[str]) -> list[str]:
    """`command`, run by a process that has moved itself into the cluster's cgroups."""
    files = [str(top / cluster.cgroup.strip("/") / "cgroup.procs") for top in hierarchies()]
    script = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
    return ["sh", "-c", script, "sh", *files, "--", *command]


def release_outer(outer: int) -> None:
    """Version 2 allows no processes beside sub-directories: move the one that waits outside to the top."""
    if (_CGROUPS / "cgroup.controllers").exists():
        (_CGROUPS / "cgroup.procs").write_text(str(outer))


def _delegate(directory: Path) -> None:
    """Version 2: let the directories below use every controller that this one has."""
    available = directory / "cgroup.controllers"
    for controller in available.read_text().split() if available.exists() else ():
        try:
            (directory / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue  # a controller that somebody else keeps; the pods do without its limits


def remove_cgroup(cluster: Cluster) -> None:
    """Remove this cluster's cgroup directories, and the common parent when it is empty.

    The kernel takes a moment to let go of processes that were just killed.
    """
    deadline = time.monotonic() + 5
    for hierarchy in hierarchies():
        top = hierarchy / cluster.cgroup.lstrip("/")
        while top.is_dir() and not _remove_tree(top) and time.monotonic() < deadline:
            time.sleep(0.05)
        _remove_directory(hierarchy / CGROUP_PARENT)


def cgroup_directories(cluster: Cluster) -> list[Path]:
    """What is left of the cluster in the cgroup file systems."""
    tops = (hierarchy / cluster.cgroup.lstrip("/") for hierarchy in hierarchies())
    return [top for top in tops if top.is_dir()]


def hierarchies() -> list[Path]:
    """Roots of the cgroup hierarchies: one per controller with version 1, a single one with version 2."""
    return hierarchies_of(_MOUNTS.read_text(encoding="utf-8"))


def hierarchies_of(mounts: str) -> list[Path]:
    """The same, from the text of /proc/mounts: what is mounted as one, not what lies where one usually is.

    Beside version 1 one of version 2 without controllers ("unified") may be mounted; it limits nothing.
    """
    found = [line.split()[1:3] for line in mounts.splitlines() if line]
    if [str(_CGROUPS), "cgroup2"] in found:
        return [_CGROUPS]
    return [Path(place) for place, kind in found if kind == "cgroup" and Path(place).parent == _CGROUPS]


def _remove_tree(top: Path) -> bool:
    for path in sorted(top.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if path.is_dir():
            _remove_directory(path)
    return _remove_directory(top)


def _remove_directory(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
