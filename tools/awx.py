"""The collection awx.awx, which applies awx/: out of the newest `ansible` wheel that has it, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

from .dependencies import out_of_wheel
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
    with timed("awx.awx"):
        trouble = out_of_wheel(Path(sys.executable), WHEEL, "awx/awx", DIRECTORY / "ansible_collections")
    if trouble:
        raise StageError(f"the package index has no {WHEEL}: {trouble}")
    return DIRECTORY


def objects() -> int:
    """The objects for AWX, applied by awx.awx to an API that refuses what refers to nothing."""
    return pytest(
        Path(sys.executable),
        "awx-objects",
        AWX_OBJECTS,
        environment={"AWX_COLLECTIONS": str(collection())},
    )
