"""Docker-archive files: the layout that `ctr images import` and `docker load` read; images share layers."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a layer: a file of the host, or (with no source) a directory."""

    path: str
    source: Path | None
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its reference, layers from the bottom up, and the OCI process configuration."""

    reference: str
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...]
    user: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def config(self, digests: Sequence[str]) -> bytes:
        """The image's JSON configuration; equal inputs give equal bytes, so equal image ids."""
        process = {"Entrypoint": list(self.entrypoint), "Env": [SEARCH_PATH], "User": self.user, **self.extra}
        body = {
            "architecture": "amd64",
            "os": "linux",
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": "1970-01-01T00:00:00Z"} for _ in digests],
        }
        return json.dumps(body, sort_keys=True).encode()


def write_layer(target: Path, files: Sequence[File]) -> Path:
    """A layer tar with the given entries, without times or owners of this machine."""
    with tarfile.open(target, "w") as tar:
        for entry in files:
            info = tarfile.TarInfo(entry.path)
            info.mode = entry.mode
            if entry.source is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info.size = entry.source.stat().st_size
            with entry.source.open("rb") as source:
                tar.addfile(info, source)
    return target


def write_archive(target: Path, images: Sequence[Image]) -> None:
    """All images in one file; a layer that several use is stored once."""
    digests = {layer: file_digest(layer) for image in images for layer in image.layers}
    manifest: list[dict[str, Any]] = []
    with tarfile.open(target, "w") as tar:
        for layer, digest in digests.items():
            info = tarfile.TarInfo(f"{digest}/layer.tar")
            info.size = layer.stat().st_size
            with layer.open("rb") as source:
                tar.addfile(info, source)
        for image in images:
            used = [digests[layer] for layer in image.layers]
            config = image.config(used)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add_bytes(tar, name, config)
            layers = [f"{digest}/layer.tar" for digest in used]
            manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": layers})
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
