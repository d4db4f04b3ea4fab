"""What a machine must offer, asked before anything is installed. Each answer is one sentence."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from .paths import ROOT
from .screen import SetupError, timed

GIB = 1 << 30
LAB_MEMORY = (
    5 * GIB
)  # a mesh of eight services with their sidecars takes about 3 GiB; the rest is Ansible and builds
LAB_DISK = 2 * GIB  # a warm cache; the lab itself asks for more before a first build
CLONE_DISK = 2 * GIB  # virtual environments and collections


def check_for_lab(command: str) -> None:
    """Linux, root, x86_64, memory and disk: what the lab cannot do without."""
    if sys.platform != "linux":
        raise SetupError(
            f"make {command} needs Linux: its cluster runs real pods in kernel namespaces "
            f"(this is {platform.system() or sys.platform})"
        )
    if os.geteuid() != 0:
        raise SetupError(
            f"make {command} needs root: its cluster makes namespaces and mounts (try sudo make {command})"
        )
    if os.uname().machine != "x86_64":
        raise SetupError(
            f"make {command} needs x86_64: the lab's images are built for it (this is {os.uname().machine})"
        )
    total = total_memory(Path("/proc/meminfo").read_text())
    if total < LAB_MEMORY:
        raise SetupError(
            f"make {command} needs {LAB_MEMORY // GIB} GiB of memory: this machine has {total / GIB:.1f} GiB"
        )
    check_disk(command, Path("/var"), LAB_DISK)


def check_disk(command: str, directory: Path, needed: int) -> None:
    """Refuse to begin what a full disk would end."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SetupError(
            f"make {command} needs {needed // GIB} GiB of disk at {directory}: {free / GIB:.1f} GiB are free"
        )


def check_clone(command: str) -> None:
    """Room for what the clone installs into itself; and git, which tells ansible-test the files."""
    check_disk(command, ROOT, CLONE_DISK)
    if not shutil.which("git"):
        debian_packages(command, {"git": "git"})


def total_memory(meminfo: str) -> int:
    """Bytes of memory out of the text of /proc/meminfo."""
    line = next(line for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) << 10


def debian_packages(why: str, programs: dict[str, str]) -> None:
    """Install the packages whose programs are missing. `programs`: program -> Debian package."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        install_packages(why, missing)


def install_packages(why: str, packages: list[str]) -> None:
    """Install Debian packages as root; anybody else is told what to install."""
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"make {why} lacks {names}: install it first (on Debian: apt-get install {names})")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with timed(f"installing Debian packages: {names}"):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False
            )
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise SetupError(f"make {why} lacks {names} and apt-get could not install it: {' '.join(last)}")
