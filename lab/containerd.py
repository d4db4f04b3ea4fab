"""containerd's configuration and commands, for the clusters and for preparing images."""

from __future__ import annotations

from pathlib import Path

PAUSE_IMAGE = "lab.local/pause:1"


def config(directory: Path, cni: Path) -> str:
    """containerd 1.6 configuration, everything of it below `directory`.

    restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would die on its negative score.
    The disabled plugins are not used here; `opt` would create /opt/containerd on the host.
    """
    return f"""version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{socket(directory)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def socket(directory: Path) -> Path:
    return directory / "containerd.sock"


def ctr(directory: Path, *arguments: str) -> list[str]:
    """A `ctr` command in the namespace that the kubelet uses."""
    return ["ctr", "-a", str(socket(directory)), "-n", "k8s.io", *arguments]
