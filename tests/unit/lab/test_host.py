"""What counts as a cgroup hierarchy of the host."""

from __future__ import annotations

from pathlib import Path

from lab import host

VERSION_1 = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
tmpfs /sys/fs/cgroup/team tmpfs rw 0 0
cgroup /mnt/cgroup/memory cgroup rw,relatime,memory 0 0
"""


def test_only_mounted_hierarchies_count() -> None:
    assert host.hierarchies_of(VERSION_1) == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/memory")]


def test_version_2_is_one() -> None:
    assert host.hierarchies_of("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n\n") == [Path("/sys/fs/cgroup")]
    assert host.hierarchies_of("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n") == []
