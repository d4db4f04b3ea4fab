"""A cluster's name and the addresses that follow from its number. Computed; nothing is run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .places import locked, state_root

DEFAULT_NAME = "a"
CLUSTERS = 16
API_PORT = 6443
CGROUP_PARENT = "servicemesh-istio-lab"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One lab cluster. Cluster number N has pods in 10.244.N.0/24, Services in 10.(96+N).0.0/16 and the
    uplink 10.255.0.(4N)/30, so that several run side by side and the host can reach all of them."""

    name: str
    index: int

    @property
    def state(self) -> Path:
        return state_root() / self.name

    @property
    def node(self) -> str:
        return f"lab-{self.name}"

    @property
    def pod_cidr(self) -> str:
        return f"10.244.{self.index}.0/24"

    @property
    def pod_range_start(self) -> str:
        return f"10.244.{self.index}.10"

    @property
    def node_ip(self) -> str:
        """Address of the bridge inside the cluster: node, API server and the pods' gateway."""
        return f"10.244.{self.index}.1"

    @property
    def service_cidr(self) -> str:
        return f"10.{96 + self.index}.0.0/16"

    @property
    def api_service_ip(self) -> str:
        return f"10.{96 + self.index}.0.1"

    @property
    def dns_ip(self) -> str:
        return f"10.{96 + self.index}.0.10"

    @property
    def uplink_host_ip(self) -> str:
        return f"10.255.0.{4 * self.index + 1}"

    @property
    def uplink_node_ip(self) -> str:
        return f"10.255.0.{4 * self.index + 2}"

    @property
    def host_link(self) -> str:
        """Name of the host's end of the veth pair."""
        return f"lab-up{self.index}"

    @property
    def server(self) -> str:
        """URL of the API server, from the host and from pods. One port: each cluster has its own address."""
        return f"https://{self.node_ip}:{API_PORT}"

    @property
    def cgroup(self) -> str:
        """Path of this cluster's cgroup below each controller's mount."""
        return f"/{CGROUP_PARENT}/{self.name}"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.state / "kubeconfig" / user


def check_name(name: str) -> str:
    """Return `name` if it may name a cluster (it becomes a directory, a hostname and a cgroup)."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", name):
        raise LabError(
            f"{name!r} cannot name a cluster: use 1 to 20 small letters, digits and dashes, no dash at an end"
        )
    return name


def read_cluster(name: str) -> Cluster | None:
    """The cluster `name` as its state directory records it, or None when it has none (or a damaged one)."""
    try:
        index = json.loads((state_root() / check_name(name) / "cluster.json").read_text())["index"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Cluster(name, index) if isinstance(index, int) and 0 <= index < CLUSTERS else None


def known_clusters() -> list[Cluster]:
    """Every cluster that has a state directory, by name."""
    if not state_root().is_dir():
        return []
    names = sorted(path.name for path in state_root().iterdir() if not path.name.startswith("."))
    return [cluster for name in names if (cluster := read_cluster(name))]


def choose_index(name: str, used: set[int]) -> int:
    """The number for a new cluster: 0 belongs to the default name, others take the first free one."""
    if name == DEFAULT_NAME:
        return 0
    free = [number for number in range(1, CLUSTERS) if number not in used]
    if not free:
        raise LabError(f"all {CLUSTERS - 1} numbers for further clusters are in use: take one down first")
    return free[0]


def allocate(name: str) -> Cluster:
    """The cluster `name`, with a number of its own that is recorded in its state directory."""
    check_name(name)
    with locked(state_root() / ".lock", "the list of clusters"):
        if existing := read_cluster(name):
            return existing
        cluster = Cluster(name, choose_index(name, {other.index for other in known_clusters()}))
        cluster.state.mkdir(parents=True, exist_ok=True)
        draft = cluster.state / "cluster.json.new"
        draft.write_text(json.dumps({"index": cluster.index}))
        draft.replace(cluster.state / "cluster.json")
        return cluster
