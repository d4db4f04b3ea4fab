"""A copy of what belongs to the repository: files that git knows or would add, never a cache."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .paths import ROOT


def repository_files(*patterns: str) -> list[str]:
    """Paths relative to the root that match git pathspecs (none: all), sorted, without deleted files."""
    listed = subprocess.run(
        # safe.directory: root may work in a person's clone
        [
            *("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"),
            *("--cached", "--others", "--exclude-standard", "--", *patterns),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {name for name in listed.split("\0") if name}
    return sorted(name for name in names if (ROOT / name).is_file())


def copy_repository(target: Path, *, without: Sequence[str] = ()) -> None:
    """Copy the files to `target`, which is emptied first. `without`: files and directories to leave out."""
    shutil.rmtree(target, ignore_errors=True)
    for name in repository_files():
        if any(name == path or name.startswith(f"{path}/") for path in without):
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy)
