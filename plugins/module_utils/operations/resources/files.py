# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the files that ``src`` means: files, directories, globs and kustomizations."""

from __future__ import annotations

import glob
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...errors import InputError, Problem
from ...files import at_home
from ...kube.secret_fields import without_secrets
from ...words import told_path

SUFFIXES = (".yml", ".yaml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Nobody writes manifests of this size by hand; a mistaken path (a dump, an image) should not fill the memory.
MAX_FILE_BYTES = 64 * 1024 * 1024
_KUSTOMIZE_TIMEOUT = 120.0

Source = dict[str, str]
"""One text with the path it is known by: ``{"path": ..., "text": ...}``, and ``"hidden": "yes"`` when its
content must not be shown."""

Read = Callable[[Path], tuple[bytes, bool]]
"""The content of a file, and whether it must not be shown."""


def _plainly(path: Path) -> tuple[bytes, bool]:
    return path.read_bytes(), False


def read_sources(paths: Sequence[str], option: str, *, read: Read = _plainly) -> list[Source]:
    """The texts behind ``paths``, in their order; the files of a directory in the order of their names.

    A directory with a kustomization is built with ``kustomize`` or ``kubectl kustomize``; any other one
    contributes its YAML and JSON files, also from below.

    :param option: name of the option, for problems. :param read: reads one file; kustomizations are built
        by programs of their own.
    :returns: one per file.
    :raises InputError: nothing found, not readable, not UTF-8, too large, or a kustomization that fails.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    for index, text in enumerate(paths):
        where = f"{option}[{index}]"
        try:
            sources += list(_expanded(text, read))
        except _UnusableError as error:
            problems.append(Problem(where, str(error), "file"))
    if problems:
        raise InputError(problems)
    return sources


class _UnusableError(Exception):
    """A path that leads to nothing usable; the text says why."""


def _expanded(text: str, read: Read) -> Iterator[Source]:
    if not text.strip() or "\0" in text:
        # An empty path is the directory of the run, with everything below it.
        raise _UnusableError("is empty" if not text.strip() else "is no path")
    path = at_home(text)
    if path.is_dir():
        yield from _directory(path, read)
    elif path.is_file():
        yield _read(path, read)
    elif any(mark in text for mark in "*?["):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise _UnusableError(f"no file matches {told_path(text)}")
        for match in matches:
            if Path(match).is_dir():
                yield from _directory(Path(match), read)
            else:
                yield _read(Path(match), read)
    else:
        raise _UnusableError(f"no such file or directory: {told_path(text)}")


def _directory(path: Path, read: Read) -> Iterator[Source]:
    if any((path / name).is_file() for name in KUSTOMIZATIONS):
        yield {"path": str(path), "text": _kustomized(path)}
        return
    files = sorted(found for found in path.rglob("*") if found.suffix in SUFFIXES and found.is_file())
    if not files:
        raise _UnusableError(f"no {', '.join(SUFFIXES)} file in {path}")
    for file in files:
        yield _read(file, read)


def _read(path: Path, read: Read) -> Source:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _UnusableError(f"{path} has {size} bytes; {MAX_FILE_BYTES} are the most that is read")
        content, hidden = read(path)
        source = {"path": str(path), "text": content.decode("utf-8-sig")}
        return {**source, "hidden": "yes"} if hidden else source
    except UnicodeDecodeError as error:
        raise _UnusableError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise _UnusableError(f"{path} cannot be read: {error.strerror}") from error


def _kustomized(path: Path) -> str:
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            break
    else:
        raise _UnusableError(
            f"{path} is a kustomization, but neither kustomize nor kubectl is installed here"
        )
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [*command, str(path)], capture_output=True, text=True, timeout=_KUSTOMIZE_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _UnusableError(f"{' '.join(command)} {path}: {type(error).__name__}") from error
    if done.returncode:
        cause = without_secrets((done.stderr.strip().splitlines() or ["no message"])[-1])
        raise _UnusableError(f"{' '.join(command)} {path} failed: {cause[:500]}")
    return done.stdout
