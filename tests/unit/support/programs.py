"""Tiny shell programs in the place of istioctl and helm: they answer what a test wants and note the call."""

from __future__ import annotations

from pathlib import Path


def program(directory: Path, name: str, script: str) -> Path:
    """An executable shell script; ``$0.calls`` gets a line with the arguments of every call."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f'#!/bin/sh\necho "$*" >> "$0.calls"\n{script}\n', encoding="utf-8")
    path.chmod(0o700)
    return path


def calls(path: Path) -> list[str]:
    """The arguments of every call, in order."""
    noted = path.with_name(f"{path.name}.calls")
    return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []
