"""Finding and ending a cluster's process tree from the host, whoever started it and whatever was recorded."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .cluster import Cluster

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Tree:
    """The host's process ids of a cluster: those that wait outside, and the process 1 inside (or None)."""

    outer: tuple[int, ...]
    init: int | None

    @property
    def pids(self) -> tuple[int, ...]:
        return (*self.outer, *((self.init,) if self.init else ()))


def init_argv(cluster: Cluster) -> list[str]:
    """The arguments by which a cluster's process 1 is recognised: the path of its own copy of init.py."""
    return [str(cluster.state / "init.py"), str(cluster.state / "plan.json")]


def find_tree(cluster: Cluster) -> Tree:
    """Look for the cluster among all running processes; nothing recorded needs to be true for that."""
    wanted = [argument.encode() for argument in init_argv(cluster)]
    outer: list[int] = []
    init = None
    for pid in _pids():
        argv = _arguments(pid)
        if argv[-2:] != wanted or _is_zombie(pid):
            continue
        numbers = _status(pid).get("NSpid", "").split()
        if len(numbers) == 1:
            outer.append(pid)
        elif numbers[1:] == ["1"]:
            init = pid
    return Tree(tuple(outer), init)


def host_pids(init: int) -> dict[int, int]:
    """For every process in init's pid namespace: its id there -> its id on the host."""
    namespace = _namespace(init)
    return {inner: pid for pid in _pids() if _namespace(pid) == namespace and (inner := _inner_pid(pid))}


def end_tree(cluster: Cluster, grace: float) -> bool:
    """Stop the cluster's processes: SIGTERM and `grace` seconds, then SIGKILL. True when there were any.

    Killing process 1 makes the kernel kill everything in its pid namespace.
    """
    tree = find_tree(cluster)
    if not tree.pids:
        return False
    if tree.init and grace > 0:
        _send(tree.init, signal.SIGTERM)
        _until_gone(cluster, grace)
    for pid in find_tree(cluster).pids:
        _send(pid, signal.SIGKILL)
    _until_gone(cluster, 10.0)
    return True


def _until_gone(cluster: Cluster, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while find_tree(cluster).pids and time.monotonic() < deadline:
        time.sleep(0.05)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _pids() -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _arguments(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def _status(pid: int) -> dict[str, str]:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _is_zombie(pid: int) -> bool:
    return _status(pid).get("State", "Z").startswith("Z")


def _inner_pid(pid: int) -> int | None:
    numbers = _status(pid).get("NSpid", "").split()
    return int(numbers[-1]) if numbers else None


def _namespace(pid: int) -> str:
    try:
        return str((_PROC / str(pid) / "ns" / "pid").readlink())
    except OSError:
        return ""
