"""What the machine must offer, checked before anything is built; what Debian can supply is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import LabError
from .places import cache_root, state_root
from .screen import timed

PACKAGES = (
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "hey",
    "iproute2",
    "iptables",
    "mmdebstrap",
    "procps",
    "runc",
    "util-linux",
)
# linux/capability.h: numbers of the capabilities without which namespaces, mounts or links cannot be made
CAPABILITIES = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
GIB = 1 << 30


def check_system() -> None:
    """Linux, root, capabilities, architecture: nothing of it can be helped, so each is one sentence."""
    if sys.platform != "linux":
        raise LabError("the lab needs Linux: it runs real pods in kernel namespaces")
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes namespaces, network links and mounts (try sudo)")
    check_places()
    if os.uname().machine != "x86_64":
        raise LabError(f"the lab runs on x86_64 only, this is {os.uname().machine}")
    if missing := missing_capabilities(Path("/proc/self/status").read_text()):
        raise LabError(
            f"root lacks {', '.join(missing)} here: run the lab on a machine or in a privileged container"
        )


def missing_capabilities(status: str) -> list[str]:
    """Names of needed capabilities that the CapEff line of a /proc/PID/status text does not contain."""
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return [name for name, number in CAPABILITIES.items() if not mask >> number & 1]


def check_places() -> None:
    """Directories that a cluster can live in: not where it hides the host's, short enough for a socket path,
    and without the characters that separate layers in the options of an overlay mount."""
    for variable, root in (("LAB_STATE", state_root()), ("LAB_CACHE", cache_root())):
        if any(root.is_relative_to(hidden) for hidden in ("/run", "/var/run", "/var/log", "/proc", "/sys")):
            raise LabError(f"{variable} cannot be {root}: each cluster has a directory of its own there")
        if not re.fullmatch(r"[\w./@+-]{1,60}", str(root)):
            raise LabError(f"{variable} cannot be {root}: at most 60 letters, digits and ./@+-_")


def check_memory(needed: int, meminfo: str) -> None:
    """Refuse a start that would end in the out-of-memory killer. `needed` in bytes, `meminfo` as in /proc."""
    available = next(
        int(line.split()[1]) << 10 for line in meminfo.splitlines() if line.startswith("MemAvailable:")
    )
    if available < needed:
        raise LabError(
            f"too little memory: {needed / GIB:.1f} GiB needed, {available / GIB:.1f} GiB available"
        )


def check_disk(first_build: bool) -> None:
    """A first build fills Go's caches too; afterwards a cluster needs little."""
    for root, needed in ((cache_root(), 12 * GIB if first_build else GIB), (state_root(), 2 * GIB)):
        existing = next(path for path in (root, *root.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise LabError(
                f"too little disk space for {root}: {needed / GIB:.0f} GiB needed, {free / GIB:.1f} GiB free"
            )


def install_packages() -> None:
    """Install what Debian packages are missing."""
    missing = missing_packages()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"missing: {', '.join(missing)}; without apt-get they have to be installed by hand")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with timed(f"installing Debian packages: {', '.join(missing)}"):
        for command in (
            ["apt-get", "update"],
            ["apt-get", "install", "-y", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
            raise LabError(f"apt-get could not install {', '.join(missing)}:\n{last}")


def missing_packages() -> list[str]:
    """Which of the lab's packages dpkg does not have (all of them on a system without dpkg)."""
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return list(PACKAGES)
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in PACKAGES if name not in installed]
