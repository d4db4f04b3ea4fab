"""Images that no cluster has by itself: built when somebody asks, and given to a cluster that runs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import containerd
from .archive import File, Image, write_archive, write_layer
from .cluster import Cluster
from .errors import LabError
from .golang import find_go
from .places import cache_root, locked
from .programs import HUB, JAEGER, ToolModule, build
from .screen import timed

JAEGER_IMAGE = f"{HUB}/jaeger:2.13.0"
"""The module's v1.76.0 is what Jaeger released as 2.13.0."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A program of lab/tools that gets an image of its own. `image` makes it of the program's directory."""

    module: ToolModule
    reference: str
    image: Callable[[Path, Path], Image]


def _jaeger(programs: Path, work: Path) -> Image:
    """As Jaeger's own image: the program alone, as a user without rights."""
    files = (File("cmd/jaeger/jaeger", programs / "jaeger"), File("tmp", None, 0o1777))
    layer = write_layer(work / "jaeger.layer.tar", files)
    return Image(JAEGER_IMAGE, (layer,), ("/cmd/jaeger/jaeger",), user="10001:10001")


EXTRAS: Mapping[str, Extra] = {"jaeger": Extra(JAEGER, JAEGER_IMAGE, _jaeger)}


def load(cluster: Cluster, name: str) -> str:
    """Give the image to the cluster, which must run. :returns: its reference."""
    extra = EXTRAS[name]
    address = containerd.ctr(cluster.state / "containerd")
    if _run([*address, "images", "ls", "-q", f"name=={extra.reference}"]).strip():
        return extra.reference
    with locked(cache_root() / ".lock", "the cache"):
        programs = build(extra.module, find_go())
    with (
        tempfile.TemporaryDirectory(prefix="lab-image-") as directory,
        timed(f"cluster {cluster.name!r}: importing {extra.reference}"),
    ):
        work = Path(directory)
        archive = work / "image.tar"
        write_archive(archive, [extra.image(programs, work)])
        _run([*address, "images", "import", "--snapshotter", "overlayfs", str(archive)])
    return extra.reference


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-300:]
        raise LabError(f"the cluster's containerd does not take an image (does the cluster run?): {said}")
    return done.stdout
