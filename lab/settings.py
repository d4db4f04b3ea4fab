"""Configuration files of a cluster's programs, computed from its addresses and paths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import containerd
from .cluster import Cluster

# The kubelet insists on these and would set them for the whole machine (setupKernelTunables in
# pkg/kubelet/cm/container_manager_linux.go). A file of the lab over each lets it find what it wants and
# leaves the machine alone.
KERNEL_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one cluster that several settings refer to, where its programs are, and the roots of the
    host's cgroup hierarchies (one per controller with version 1, a single one with version 2)."""

    cluster: Cluster
    etcd: Path
    kubernetes: Path
    hierarchies: tuple[Path, ...] = ()

    @property
    def state(self) -> Path:
        return self.cluster.state

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    def pki(self, file: str) -> str:
        return str(self.state / "pki" / file)

    def tunable(self, name: str) -> Path:
        return self.state / "tunables" / name.replace("/", ".")

    def program(self, name: str) -> str:
        return str(self.kubernetes / name)


def configuration_files(layout: Layout) -> dict[Path, str]:
    """Files that the programs read, with their contents."""
    cni = layout.state / "cni"
    tunables = {layout.tunable(name): f"{value}\n" for name, value in KERNEL_TUNABLES.items()}
    return {
        **tunables,
        layout.state / "containerd.toml": containerd.config(layout.containerd, cni),
        layout.state / "kubelet.json": json.dumps(kubelet_configuration(layout), indent=2),
        cni / "10-lab.conflist": json.dumps(cni_configuration(layout.cluster), indent=2),
    }


def kubelet_configuration(layout: Layout) -> dict[str, Any]:
    """No QoS cgroups, no eviction by disk: the machine is shared with whatever else runs on it."""
    cluster = layout.cluster
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "containerRuntimeEndpoint": f"unix://{containerd.socket(layout.containerd)}",
        "volumePluginDir": f"{layout.state}/kubelet/volume-plugins",
        "podLogsDir": f"{layout.state}/pod-logs",
        "clusterDNS": [cluster.dns_ip],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": layout.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.pki("node.crt"),
        "tlsPrivateKeyFile": layout.pki("node.key"),
        "maxPods": 200,
    }


def cni_configuration(cluster: Cluster) -> dict[str, Any]:
    """Pods on the bridge, addresses by host-local. hairpinMode: a pod may call itself through its Service."""
    addresses = {
        "subnet": cluster.pod_cidr,
        "rangeStart": cluster.pod_range_start,
        "gateway": cluster.node_ip,
    }
    bridge = {
        "type": "bridge",
        "bridge": "lab0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[addresses]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(cluster.state / "ipam"),
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [bridge, portmap]}
