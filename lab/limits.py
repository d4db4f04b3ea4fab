"""The one setting of the whole machine that the lab changes, for as long as a cluster exists.

Every sidecar takes about four inotify instances, and the kernel counts them per user id over all clusters:
with the usual limit of 128 about thirty proxies start, and each further one dies with "too many open files".
"""

from __future__ import annotations

from pathlib import Path

from .cluster import known_clusters
from .places import locked, state_root
from .screen import say

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
NEEDED = 8192


def raise_limit(setting: Path = SETTING) -> None:
    """Raise the limit, and record what it was, unless it is high enough."""
    with locked(state_root() / ".lock", "the list of clusters"):
        before = int(setting.read_text())
        if before >= NEEDED:
            return
        try:
            setting.write_text(str(NEEDED))
        except OSError as error:
            say(f"fs.inotify.max_user_instances stays {before}: {error.strerror}")
            return
        _record().write_text(str(before))
        say(f"fs.inotify.max_user_instances raised from {before} to {NEEDED} until the last cluster is down")


def restore_limit(setting: Path = SETTING) -> None:
    """Put the recorded value back when no cluster is left; a value that somebody else set meanwhile stays."""
    with locked(state_root() / ".lock", "the list of clusters"):
        if known_clusters() or not _record().is_file():
            return
        if int(setting.read_text()) == NEEDED:
            setting.write_text(_record().read_text())
        _record().unlink()


def _record() -> Path:
    return state_root() / ".inotify-before"
