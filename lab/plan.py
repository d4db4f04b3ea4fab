"""What process 1 of a cluster has to do, as data: mounts, network, programs and what each is awaited by.

Nothing here runs anything. Flags and settings are those that Kubernetes 1.36 needs in namespaces without a
container engine around them; the reasons stand beside the unusual ones.
"""

from __future__ import annotations

from typing import Any

from . import containerd
from .cluster import API_PORT, Cluster
from .places import cache_root
from .settings import KERNEL_TUNABLES, Layout

CLIENT_URL = "http://127.0.0.1:2379"
PEER_URL = "http://127.0.0.1:2380"

# Go collects garbage when the heap has grown by so many percent: a fifth of the work for some hundred MiB.
ENVIRONMENT = {"GOGC": "400"}

Step = dict[str, Any]


def make_plan(layout: Layout, *, node: bool) -> dict[str, Any]:
    """The whole plan; without `node` it ends when the control plane is ready."""
    steps = [*mount_steps(layout), *cgroup_steps(layout), *network_steps(layout.cluster)]
    steps += [*delegation_steps(layout), *etcd_steps(layout)]
    if node:
        steps.append(
            {"start": "containerd", "argv": ["containerd", "-c", str(layout.state / "containerd.toml")]}
        )
    steps += control_plane_steps(layout, scheduler=node)
    if node:
        steps += node_steps(layout)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    steps.append({"wait": "kube-controller-manager", **_admin(layout, account), "timeout": 60})
    status, logs = str(layout.state / "status.json"), str(layout.state / "logs")
    return {"status": status, "logs": logs, "environment": ENVIRONMENT, "stay": True, "steps": steps}


def mount_steps(layout: Layout) -> list[Step]:
    """Directories that containerd, runc, CNI and the kubelet write to by fixed names become private, so that
    nothing of them stays on the host; the lab's own directories are put back where they were hidden."""
    own = [path for path in (layout.state, cache_root()) if path.is_relative_to("/var/lib")]
    steps = [_run("mount", "--make-rprivate", "/"), _tmpfs("/run")]
    for number, path in enumerate(own):
        steps += [
            _run("mkdir", f"/run/keep{number}"),
            _run("mount", "--rbind", str(path), f"/run/keep{number}"),
        ]
    steps += [_tmpfs("/var/lib"), _tmpfs("/var/log")]
    for number, path in enumerate(own):
        steps += [_run("mkdir", "-p", str(path)), _run("mount", "--move", f"/run/keep{number}", str(path))]
    for name in KERNEL_TUNABLES:
        steps.append(_run("mount", "--bind", str(layout.tunable(name)), f"/proc/sys/{name}"))
    return [*steps, _run("mount", "--make-rshared", "/")]  # the kubelet's volume mounts must reach containerd


def cgroup_steps(layout: Layout) -> list[Step]:
    """Show the cluster only its own part of each hierarchy: containerd creates the pods' cgroups at the top
    of what it sees, so they all end up in one directory that can be removed."""
    own = layout.cluster.cgroup.lstrip("/")
    return [_run("mount", "--bind", str(top / own), str(top)) for top in layout.hierarchies]


def delegation_steps(layout: Layout) -> list[Step]:
    """Version 2 of cgroups: make room for the pods' cgroups by moving the programs into one of their own.
    Must come after the host has taken out the process that waits there (it has when the uplink appears)."""
    if [top.name for top in layout.hierarchies] != ["cgroup"]:
        return []
    script = (
        "cd /sys/fs/cgroup && mkdir programs;"
        " for p in $(cat cgroup.procs); do echo $p > programs/cgroup.procs; done;"
        " for c in $(cat cgroup.controllers); do echo +$c > cgroup.subtree_control; done"
    )
    return [_run("sh", "-c", script)]


def network_steps(cluster: Cluster) -> list[Step]:
    """The bridge of the pods and the way to the host; the host puts the link `uplink` into this namespace."""
    return [
        _run("hostname", cluster.node),
        _run("ip", "link", "set", "lo", "up"),
        _run("ip", "link", "add", "lab0", "type", "bridge"),
        _run("ip", "address", "add", f"{cluster.node_ip}/24", "dev", "lab0"),
        _run("ip", "link", "set", "lab0", "up"),
        _run("sysctl", "-qw", "net.ipv4.ip_forward=1"),
        {"wait": "uplink", "exec": ["ip", "link", "show", "uplink"], "timeout": 20},
        _run("ip", "address", "add", f"{cluster.uplink_node_ip}/30", "dev", "uplink"),
        _run("ip", "link", "set", "uplink", "up"),
        _run("ip", "route", "add", "default", "via", cluster.uplink_host_ip),
    ]


def etcd_steps(layout: Layout) -> list[Step]:
    """etcd without fsync: a lab's state need not survive a power cut."""
    argv = [str(layout.etcd / "etcd"), "--data-dir", str(layout.state / "etcd"), "--unsafe-no-fsync"]
    argv += ["--listen-client-urls", CLIENT_URL, "--advertise-client-urls", CLIENT_URL]
    argv += ["--listen-peer-urls", PEER_URL, "--initial-advertise-peer-urls", PEER_URL]
    argv += ["--initial-cluster", f"default={PEER_URL}"]
    return [
        {"start": "etcd", "argv": argv},
        {"wait": "etcd", "url": f"{CLIENT_URL}/health", "contains": "true", "timeout": 60},
    ]


def control_plane_steps(layout: Layout, *, scheduler: bool) -> list[Step]:
    apiserver, managers = apiserver_argv(layout), controller_manager_argv(layout)
    steps: list[Step] = [
        {"start": "kube-apiserver", "argv": apiserver},
        {"wait": "kube-apiserver", **_admin(layout, "/readyz"), "timeout": 120},
        {"start": "kube-controller-manager", "argv": managers},
    ]
    if scheduler:
        argv = [layout.program("kube-scheduler"), *_component_flags(layout, "scheduler")]
        steps.append({"start": "kube-scheduler", "argv": argv})
    return steps


def apiserver_argv(layout: Layout) -> list[str]:
    """RBAC, never AlwaysAllow: istiod decides by SubjectAccessReviews who may read a gateway's Secret."""
    pki, cluster = layout.pki, layout.cluster
    return [
        layout.program("kube-apiserver"),
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--advertise-address={cluster.node_ip}",
        f"--etcd-servers={CLIENT_URL}",
        f"--tls-cert-file={pki('apiserver.crt')}",
        f"--tls-private-key-file={pki('apiserver.key')}",
        f"--client-ca-file={pki('ca.crt')}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki('sa.pub')}",
        f"--service-account-signing-key-file={pki('sa.key')}",
        f"--service-cluster-ip-range={cluster.service_cidr}",
        "--enable-aggregator-routing=true",
        f"--kubelet-client-certificate={pki('kubelet-client.crt')}",
        f"--kubelet-client-key={pki('kubelet-client.key')}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager_argv(layout: Layout) -> list[str]:
    """All controllers but nodeipam: the one node's range is in the CNI configuration."""
    return [
        layout.program("kube-controller-manager"),
        *_component_flags(layout, "kcm"),
        f"--service-account-private-key-file={layout.pki('sa.key')}",
        f"--root-ca-file={layout.pki('ca.crt')}",
        "--controllers=*,-nodeipam",
        "--use-service-account-credentials=true",
    ]


def node_steps(layout: Layout) -> list[Step]:
    cluster = layout.cluster
    kubelet = [
        layout.program("kubelet"),
        f"--config={layout.state}/kubelet.json",
        f"--kubeconfig={layout.pki('node.kubeconfig')}",
        f"--root-dir={layout.state}/kubelet",
        f"--hostname-override={cluster.node}",
        f"--node-ip={cluster.node_ip}",
    ]
    proxy = [
        layout.program("kube-proxy"),
        f"--kubeconfig={layout.pki('proxy.kubeconfig')}",
        f"--hostname-override={cluster.node}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={cluster.pod_cidr}",
        # the conntrack limits belong to the host and cannot be written from here
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]
    node = _admin(layout, f"/api/v1/nodes/{cluster.node}")
    return [
        {"wait": "containerd", "exec": containerd.ctr(layout.containerd, "version"), "timeout": 30},
        {"start": "kubelet", "argv": kubelet},
        {"start": "kube-proxy", "argv": proxy},
        {"wait": "kube-proxy", "url": "http://127.0.0.1:10256/healthz", "timeout": 60},
        {"wait": "kubelet", **node, "contains": '"reason":"KubeletReady"', "timeout": 60},
    ]


def _component_flags(layout: Layout, component: str) -> list[str]:
    kubeconfig = layout.pki(f"{component}.kubeconfig")
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{flag}={kubeconfig}" for flag in flags), "--bind-address=127.0.0.1", "--leader-elect=false"]


def _admin(layout: Layout, path: str) -> Step:
    """A request to the API server as administrator."""
    url = f"https://127.0.0.1:{API_PORT}{path}"
    return {
        "url": url,
        "ca": layout.pki("ca.crt"),
        "cert": layout.pki("admin.crt"),
        "key": layout.pki("admin.key"),
    }


def _run(*argv: str) -> Step:
    return {"run": list(argv)}


def _tmpfs(directory: str) -> Step:
    return _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
