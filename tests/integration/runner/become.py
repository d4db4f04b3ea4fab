"""``become.py USER COMMAND...``: run a command as another user, where nobody's home can be seen.

Run in a mount namespace of its own, by root. What the command needs stays where it is: the interpreter and
the clone may lie below a home that others may not enter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def become(user: int, command: Sequence[str]) -> None:
    """Let the interpreter and this clone be reached, hide what is closed, change the user."""
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)  # of the new process namespace
    for hidden in filter(None, os.environ.pop("HIDDEN", "").split(os.pathsep)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", hidden], check=True)
    needed = sorted({Path(sys.base_prefix), ROOT})
    for closed in {path for path in map(_closed, needed) if path}:
        inside = [path for path in needed if path.is_relative_to(closed)]
        handles = [os.open(path, os.O_PATH) for path in inside]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", closed], check=True)
        for path, handle in zip(inside, handles, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            source = f"/proc/{os.getpid()}/fd/{handle}"
            subprocess.run(["mount", "--no-canonicalize", "--bind", source, path], check=True)
            os.close(handle)
    os.chdir(Path.cwd())
    identity = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    os.execvp(identity[0], [*identity, *command])  # noqa: S606 - the process that is replaced is this one


def _closed(path: Path) -> Path | None:
    """The topmost directory above `path` that others may not enter."""
    for parent in reversed([path, *path.parents]):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
